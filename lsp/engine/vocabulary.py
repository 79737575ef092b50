"""A model's vocabulary as bytes: special tokens, ends of generation, and the search behind token healing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsp.engine.protocol import SpecialName

TokenIds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a model.

    Args:
        pieces: the bytes that each token stands for; empty for those that stand for no text.
        special: token id by name (``bos prefix suffix middle separator repository``); absent names have none.
        eog: ids of the tokens that end a generation, and of control tokens, which no code contains.
    """

    pieces: Sequence[bytes]
    special: Mapping[SpecialName, int]
    eog: frozenset[int]
    _order: TokenIds = field(init=False, repr=False)
    _sorted: list[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order = sorted((i for i, piece in enumerate(self.pieces) if piece), key=self.pieces.__getitem__)
        object.__setattr__(self, "_order", np.array(order, dtype=np.int64))
        object.__setattr__(self, "_sorted", [self.pieces[i] for i in order])

    def spelling(self, text: bytes) -> TokenIds:
        """Ids of the tokens with which a text that must begin with ``text`` can begin.

        These are the tokens that begin with all of ``text``, and those that are a beginning of it.

        Args:
            text: not empty.

        Returns:
            1-d array of token ids, in no particular order; empty only where no token has these bytes.
        """
        first = bisect_left(self._sorted, text)
        last = bisect_left(self._sorted, _after(text)) if _after(text) else len(self._sorted)
        shorter = [self._order[i] for length in range(1, len(text)) for i in self._equal(text[:length])]
        return np.concatenate([self._order[first:last], np.array(shorter, dtype=np.int64)])

    def _equal(self, piece: bytes) -> range:
        start = end = bisect_left(self._sorted, piece)
        while end < len(self._sorted) and self._sorted[end] == piece:
            end += 1
        return range(start, end)


def _after(prefix: bytes) -> bytes:
    """The least byte string greater than all that begin with ``prefix``; empty when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b""
