"""A suggestion, with all that is told about it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from lsp.engine.protocol import Usage


@dataclass(frozen=True)
class Completion:
    """A suggestion, or the reason why there is none.

    Args:
        text: what to insert; empty for no suggestion.
        start: offset in the document at which to insert.
        end: offset up to which the document's text is replaced; equals ``start`` unless text is replaced.
        alternatives: other suggestions for the same place.
        model: name of the model.
        usage: what it cost in the engine.
        confidence: how probable it is that this is wanted, 0 to 1; see ``confidence.confidence_of``.
        ms: milliseconds by stage: ``context``, ``prefill``, ``first_token``, ``generate``, ``total``.
        context: pieces of the repository that were in the prompt.
        filters: post-processing filters that changed the text.
        reason: why there is no suggestion; empty when there is one.
        cached: whether it is what is left of an earlier suggestion, and cost nothing.
        mode: the kind of unit that was asked for, see ``Place``.
        id: names it in what editors report; what is left of a suggestion has its id.
    """

    text: str
    start: int
    end: int
    alternatives: tuple[str, ...] = ()
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    confidence: float = 0.0
    ms: dict[str, float] = field(default_factory=dict)
    context: tuple[dict[str, Any], ...] = ()
    filters: tuple[str, ...] = ()
    reason: str = ""
    cached: bool = False
    mode: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    def as_dict(self, position: Callable[[int], types.Position]) -> dict[str, Any]:
        """The contract's JSON; ``position`` turns an offset into an LSP position."""
        start, end = position(self.start), position(self.end)
        return {
            "text": self.text,
            "alternatives": list(self.alternatives),
            "range": {
                "start": {"line": start.line, "character": start.character},
                "end": {"line": end.line, "character": end.character},
            },
            "model": self.model,
            "tokens_evaluated": self.usage.tokens_evaluated,
            "tokens_reused": self.usage.tokens_reused,
            "tokens_generated": self.usage.tokens_generated,
            "why": dict(self.usage.why),
            "cached": self.cached,
            "confidence": round(self.confidence, 3),
            "ms": self.ms,
            "queue_ms": self.usage.queue_ms,
            "context": list(self.context),
            "filters": list(self.filters),
            "mode": self.mode,
            "reason": self.reason,
        }
