"""A static embedding for code: a vector per word, weighed by where the word stands, summed up.

What a word weighs in a file's name, a signature or a body is learnt along with the vectors (``bench/train_embedder``;
``CARD.md`` says from what). At run time it is a sum, so numpy is enough, and thousands of chunks a second are embedded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from indexer.chunk import Chunk
from indexer.tokens import identifiers, parts

TABLE = Path(__file__).parent / "table"
"""``vectors.npy`` int8 ``[words, dims]``; ``weights.npy`` float32 ``[words, roles]``, by which a row is multiplied (its
scale is in it); ``words.txt``, one a line in the order of the rows; ``table.json`` with the name."""

ROLES = ("query", "folder", "stem", "symbol", "signature", "docstring", "body")
"""Where a word can stand: the columns of ``weights.npy``."""

_LONGEST_FIELD = 3000  # characters; what follows changes the sum little
_BLOCK = 64  # chunks at a time: the matrix of counts stays in the processor's cache
_CACHED = 1 << 17
_SHORTEST = 3  # letters of what a word is taken apart into
_COMMON = 6000  # rows up to which a word is common enough to be part of another
_ENDINGS = (
    ("s", ""),
    ("es", ""),
    ("ies", "y"),
    ("ed", ""),
    ("ed", "e"),
    ("ing", ""),
    ("ing", "e"),
    ("er", ""),
    ("er", "e"),
)


def fields(path: str, chunks: Sequence[Chunk]) -> list[tuple[str, ...]]:
    """The texts of each of a file's chunks, one for each role but the first."""
    file = PurePosixPath(path)
    folders = " ".join(file.parts[-3:-1])
    stem = file.stem
    return [(folders, stem, chunk.symbol, chunk.signature, chunk.docstring, chunk.text) for chunk in chunks]


class _Cache(dict[str, tuple[int, ...]]):
    """Answers that were given before; half as slow as an `lru_cache`, and most of the time goes here."""

    def __init__(self, answer: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self._answer = answer

    def __missing__(self, identifier: str) -> tuple[int, ...]:
        if len(self) >= _CACHED:
            self.clear()
        rows = self[identifier] = self._answer(identifier)
        return rows


class Vocabulary:
    """The words that have a row, the most common first, and where the others turn to."""

    def __init__(self, words: Sequence[str]) -> None:
        self._known = {word: row for row, word in enumerate(words)}
        self._cached = _Cache(self._rows_of)

    def rows(self, text: str) -> Iterable[int]:
        """The rows of a text's words, in order, repeated as in the text."""
        return chain.from_iterable(map(self._cached.__getitem__, identifiers(text[:_LONGEST_FIELD])))

    def _rows_of(self, identifier: str) -> tuple[int, ...]:
        return tuple(row for term in pieces(identifier) for row in self._find(term))

    def _find(self, term: str) -> tuple[int, ...]:
        """A word's own row; that of its stem; those of the two common words that it is made of (``filepath``)."""
        known = self._known
        if term in known:
            return (known[term],)
        for ending, instead in _ENDINGS:
            stem = term.removesuffix(ending) + instead
            if term.endswith(ending) and len(stem) > _SHORTEST and stem in known:
                return (known[stem],)
        cuts = ((term[:at], term[at:]) for at in range(_SHORTEST, len(term) - _SHORTEST + 1))
        pairs = [(known[left], known[right]) for left, right in cuts if left in known and right in known]
        best = min(pairs, key=max, default=None)
        return best if best and max(best) < _COMMON else ()


def pieces(identifier: str) -> tuple[str, ...]:
    """The words of an identifier, without itself whole, which is of use to a lexical search only."""
    terms = parts(identifier)
    whole = len(terms) > 1 and terms[-1] == identifier.strip("_").lower()
    return terms[:-1] if whole else terms


class StaticEmbedder:
    """Implements `TextEmbedder` on a table; the vectors stay on disk, memory-mapped."""

    def __init__(self, table: Path = TABLE) -> None:
        self._table = table

    @cached_property
    def name(self) -> str:
        """The table's name, made from a hash of it."""
        return str(json.loads((self._table / "table.json").read_text())["name"])

    @property
    def dims(self) -> int:
        """The length of a vector."""
        return int(self._vectors.shape[1])

    def embed_chunks(self, path: str, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """The chunks of one file as rows of unit length, float32 ``[len(chunks), dims]``."""
        embedded = np.zeros((len(chunks), self.dims), np.float32)
        for start in range(0, len(chunks), _BLOCK):
            block = slice(start, start + _BLOCK)
            embedded[block] = self._embed(fields(path, chunks[block]), first_role=1)
        return embedded

    def embed_query(self, query: str) -> NDArray[np.float32]:
        """A question as one vector of unit length, float32 ``[dims]``."""
        return np.asarray(self._embed([(query,)], first_role=0)[0])

    def _embed(self, texts: Sequence[Sequence[str]], first_role: int) -> NDArray[np.float32]:
        """One vector for each tuple of texts, whose roles go up from ``first_role``."""
        found = [list(self._words.rows(text)) for fields_of_one in texts for text in fields_of_one]
        if not any(found):
            return np.zeros((len(texts), self.dims), np.float32)
        counts = np.fromiter(map(len, found), np.int64, len(found))
        rows = np.fromiter(chain.from_iterable(found), np.int64)
        words, column = np.unique(rows, return_inverse=True)
        # A key stands for (text, word); the texts are numbered through, so that it stands for the role as well.
        keys, repeats = np.unique(np.repeat(np.arange(len(found)), counts) * len(words) + column, return_counts=True)
        text, column = np.divmod(keys, len(words))
        one, role = np.divmod(text, len(texts[0]))
        weight = self._weights[words[column], role + first_role] * np.sqrt(repeats)
        shares = np.bincount(one * len(words) + column, weight, minlength=len(texts) * len(words))
        sums = shares.reshape(len(texts), len(words)).astype(np.float32) @ self._vectors[words].astype(np.float32)
        return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), np.float32)

    @cached_property
    def _words(self) -> Vocabulary:
        return Vocabulary((self._table / "words.txt").read_text(encoding="utf-8").splitlines())

    @cached_property
    def _vectors(self) -> NDArray[np.int8]:
        vectors: NDArray[np.int8] = np.load(self._table / "vectors.npy", mmap_mode="r")
        return vectors

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        weights: NDArray[np.float32] = np.load(self._table / "weights.npy")
        return weights
