"""One alternative while it grows: where it is complete, where it isn't worth going on, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lsp.completion.filters import apply_filters
from lsp.completion.unit import Place, unit_end
from lsp.engine.protocol import Token

# Where the model itself gives the end such a probability, a line's end is the unit's end.
EOG_ENDS = 0.25


@dataclass(frozen=True)
class Suggestion:
    """What came of a branch.

    Args:
        text: what to insert; empty for nothing.
        confidence: see ``Completion``.
        fired: the filters that changed the model's text, in order.
        reason: why there is nothing; empty where there is something.
    """

    text: str
    confidence: float
    fired: tuple[str, ...]
    reason: str = ""


class Branch:
    """Takes tokens until the unit is complete.

    Args:
        place: what the unit's end depends on.
    """

    def __init__(self, place: Place) -> None:
        self.text = ""
        self.complete = False
        self.interrupted = False
        self.place = place
        self._tokens: list[tuple[int, float]] = []  # where each token's text begins, and its logprob

    def add(self, token: Token) -> None:
        """Take the next token, unless the unit is complete already."""
        if self.complete:
            return
        ends_line = self.text.endswith("\n") and bool(self.text.strip())
        if ends_line and token.eog >= EOG_ENDS:
            self.complete = True
            return
        self._tokens.append((len(self.text), token.logprob))
        self.text += token.text
        self.complete = unit_end(self.text, self.place) is not None

    def so_far(self) -> str:
        """What would be shown if it ended here."""
        return apply_filters(self.text, self.place).text

    def finish(self, min_confidence: float) -> Suggestion:
        """What to show of it, if it is worth ``min_confidence``."""
        result = apply_filters(self.text, self.place)
        confidence = self._confidence(len(result.text))
        reason = ""
        if not result.text:
            last = f" (filter {result.fired[-1]!r})" if result.fired else ""
            reason = f"nothing was left of the model's text{last}" if self.text else "the model suggested nothing"
        elif confidence < min_confidence:
            reason = f"confidence {confidence:.2f} is below {min_confidence:.2f}"
        return Suggestion("" if reason else result.text, confidence, result.fired, reason)

    def _confidence(self, length: int) -> float:
        """Of the first ``length`` characters."""
        kept = [logprob for start, logprob in self._tokens if start < max(1, length)]
        return math.exp(sum(kept) / len(kept)) if kept else 0.0
