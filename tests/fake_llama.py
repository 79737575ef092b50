"""A stand-in for llama.cpp that a scheduler can't tell from the real one, and that checks what it is asked to do.

Its "model" is a pure function of all tokens of a sequence, so that whoever mixes up what a sequence holds gets another
text. What the KV cache holds is kept per sequence, in cells that sequences share as they do in llama.cpp.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from lsp.engine.batching import PREFILL_BATCH
from lsp.engine.config import Adapter
from lsp.engine.llama import AbortedError, Entry, NoCellsError
from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import Generate
from lsp.engine.sampling import Logits, best
from lsp.engine.vocabulary import Vocabulary
from lsp.errors import MidlineError

# Bytes of the characters in use, and longer pieces, so that healing has choices and characters come in parts.
_PIECES = [bytes([byte]) for byte in sorted(set("abcdefgh(). \n中é".encode()))]
_PIECES += [b"ab", b"abc", b"cd", b"  ", b"\n  ", "中".encode(), b"()", b" a", "中".encode()[:2], b"gh"]
_NAMES = {"bos": len(_PIECES), "prefix": len(_PIECES) + 1, "suffix": len(_PIECES) + 2, "middle": len(_PIECES) + 3}
_END = len(_PIECES) + 4
VOCABULARY = Vocabulary([*_PIECES, *[b""] * 5], _NAMES, frozenset([*_NAMES.values(), _END]))
_LONGEST_FIRST = sorted(range(len(_PIECES)), key=lambda token: -len(_PIECES[token]))
_EOG = np.array(sorted(VOCABULARY.eog), dtype=np.int64)

# Rows of logits, no two of them nearly equal; ends are as likely as a piece now and then.
_ROWS = np.random.default_rng(7).permuted(
    np.tile(np.linspace(-4, 4, len(VOCABULARY.pieces), dtype=np.float32), (4099, 1)), axis=1
)
_ROWS[:, list(_NAMES.values())] -= 8


def next_logits(tokens: Sequence[int], adapters: tuple[Adapter, ...] = ()) -> Logits:
    """What the model makes of ``tokens``: depends on each of them and on their order, and on the adapters.

    Like real ones it likes to repeat what followed the last three before, so that it is worth guessing.
    """
    changed = crc32(repr(adapters).encode()) if adapters else 0
    row: Logits = _ROWS[(hash(tuple(tokens)) + changed) % len(_ROWS)].copy()
    text = bytes(tokens)  # there are fewer than 256 tokens
    before = text.rfind(text[-3:], 0, -1)
    if 0 <= before < len(text) - 3 and (again := text[before + 3]) not in VOCABULARY.eog:
        row[again] += 5
    return row


def tokenize(text: str) -> list[int]:
    """Longest piece first."""
    data, tokens = text.encode(), []
    while data:
        tokens.append(next(token for token in _LONGEST_FIRST if data.startswith(_PIECES[token])))
        data = data[len(_PIECES[tokens[-1]]) :]
    return tokens


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell of the cache; it is the same one for all sequences that share it."""

    token: int
    adapters: tuple[Adapter, ...]


class FakeLlama:
    """The part of ``lsp.engine.llama.Llama`` that the scheduler uses.

    ``on_decode`` is called while a batch is being computed, as another thread would come in between; ``applied`` says
    how many entries of an interrupted batch of the given size are in the cache nevertheless; ``capacity`` is how many
    cells there really are. Where it isn't ``cuttable``, a sequence can only be extended, cleared, copied as a whole, or
    brought back to what was saved of it, and sequences are computed together only by the same number of tokens.
    What a sequence holds must all have been computed with the same adapters; one with "bad" in its path doesn't load.
    """

    def __init__(self, n_ctx: int, n_seq: int, cuttable: bool = True) -> None:
        self.n_ctx = self.capacity = n_ctx
        self.vocabulary = VOCABULARY
        self.tokenize = self.tokenize_control = tokenize
        self.abort = False
        self.cuttable = self.movable = cuttable
        self.sequences: dict[int, list[Cell]] = {seq: [] for seq in range(n_seq)}
        self.batches: list[list[Entry]] = []
        self.on_decode: Callable[[], None] = lambda: None
        self.applied: Callable[[int], int] = lambda size: size // 2
        self.adapters: tuple[Adapter, ...] = ()
        self.loaded: set[Adapter] = set()
        self._logits: dict[int, Logits] = {}
        self._saved: list[list[Cell]] = []

    @property
    def cells_used(self) -> int:
        return len({cell for cells in self.sequences.values() for cell in cells})

    def tokens(self, seq: int) -> list[int]:
        return [cell.token for cell in self.sequences[seq]]

    def load_adapters(self, adapters: tuple[Adapter, ...]) -> None:
        if any("bad" in adapter.path for adapter in adapters):
            raise MidlineError("The adapter doesn't fit.", "Take another one.")
        self.loaded |= set(adapters)

    def use_adapters(self, adapters: tuple[Adapter, ...]) -> None:
        assert self.loaded >= set(adapters)
        self.adapters = adapters

    def decode(self, entries: Sequence[Entry]) -> None:
        assert 0 < len(entries) <= PREFILL_BATCH
        self.batches.append(list(entries))
        self._logits = {}
        counts = Counter(entry.seq for entry in entries)
        assert self.cuttable or len(set(counts.values())) == 1
        if self.cells_used + len(entries) > self.capacity:
            raise NoCellsError
        try:
            self.on_decode()
        except RuntimeError:
            self._compute(entries[: self.applied(len(entries))])
            raise
        if self.abort and (self.cuttable or len(counts) == 1):
            self._compute(entries[: self.applied(len(entries))])
            self._logits = {}
            raise AbortedError
        self._compute(entries)

    def _compute(self, entries: Sequence[Entry]) -> None:
        for index, entry in enumerate(entries):
            cells = self.sequences[entry.seq]
            assert entry.position == len(cells), f"sequence {entry.seq} has {len(cells)} cells, not {entry.position}"
            assert all(cell.adapters == self.adapters for cell in cells), "computed with other adapters"
            cells.append(Cell(entry.token, self.adapters))
            if entry.logits:
                self._logits[index] = next_logits(self.tokens(entry.seq), self.adapters)

    def logits(self, index: int) -> Logits:
        return self._logits[index]

    def cut(self, seq: int, length: int) -> bool:
        if not self.cuttable and 0 < length < len(self.sequences[seq]):
            return False
        del self.sequences[seq][length:]
        return True

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        assert source != target
        assert len(self.sequences[target]) == start, "a copy must continue what the sequence holds"
        cells = self.sequences[source]
        end = len(cells) if end < 0 else end
        assert start <= end <= len(cells)
        assert self.cuttable or (start, end) == (0, len(cells))
        self.sequences[target] += cells[start:end]

    def move(self, seq: int, start: int, end: int, to: int) -> None:
        assert self.movable
        cells = self.sequences[seq]
        assert to < start < end <= len(cells)
        others = {cell for other, held in self.sequences.items() if other != seq for cell in held}
        assert not others & set(cells[start:end]), "cells that others share would move for them, too"
        cells[to:] = cells[start:end]

    def save(self, seq: int) -> bytes:
        assert not self.cuttable
        self._saved.append(list(self.sequences[seq]))
        return str(len(self._saved) - 1).encode()

    def restore(self, seq: int, length: int, state: bytes) -> None:
        saved = self._saved[int(state)]
        assert len(saved) == length
        assert self.sequences[seq][:length] == saved, "the sequence has been through something else since"
        self.sequences[seq] = list(saved)


def expected_texts(request: Generate) -> list[str]:
    """The text of each branch, generated from scratch."""
    return [text for text, _ in expected_branches(request)]


def expected_branches(request: Generate) -> list[tuple[str, int]]:
    """The text of each branch, generated from scratch, and of how many tokens it is made."""
    prompt = compile_prompt(request.prompt, VOCABULARY, tokenize, request.heal)
    if request.max_tokens == 0:
        return [("", 0)]
    allowed = VOCABULARY.spelling(prompt.heal) if prompt.heal else None
    first = best(next_logits(prompt.tokens, request.adapters), _EOG, allowed, request.branches)
    return [_generate(prompt.tokens, prompt.heal, choice.token, request) for choice in first]


def _generate(prompt: list[int], heal: bytes, token: int, request: Generate) -> tuple[str, int]:
    tokens, data, max_tokens = list(prompt), b"", request.max_tokens
    while token not in VOCABULARY.eog:
        piece = VOCABULARY.pieces[token]
        data += piece[len(heal) :]
        heal = heal[len(piece) :]
        tokens.append(token)
        max_tokens -= 1
        if not max_tokens:
            break
        allowed = VOCABULARY.spelling(heal) if heal else None
        token = best(next_logits(tokens, request.adapters), _EOG, allowed)[0].token
    # A character that isn't complete at the end is not there yet.
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data), len(tokens) - len(prompt)
