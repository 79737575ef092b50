"""One branch of a request: the tokens to compute next, and its text as whole characters."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Literal

from lsp.engine.drafting import Copying


@dataclass
class Run:
    """A branch on its own KV sequence.

    Args:
        branch: 0 for the first; the others are alternatives.
        seq: the KV sequence.
        pending: tokens still to compute, the prompt's first and then each chosen one.
        heal: bytes that the next tokens must spell; they are not part of the branch's text.
        base: length of the prompt's base, in tokens.
        draft: guesses for the tokens behind ``pending``, checked along with it.
        copying: what the guesses are from.
    """

    branch: int
    seq: int
    pending: list[int]
    heal: bytes
    base: int = 0
    draft: list[int] = field(default_factory=list)
    copying: Copying = field(default_factory=Copying)
    generated: int = 0
    ended: Literal["", "eog", "length"] = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), repr=False
    )

    def take(self, token: int, piece: bytes) -> str:
        """Append a chosen token; returns the text that it completes, less what was healed."""
        self.pending = [token]
        self.generated += 1
        healed = min(len(piece), len(self.heal))
        self.heal = self.heal[healed:]
        return self._decoder.decode(piece[healed:])
