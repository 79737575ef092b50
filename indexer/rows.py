"""What the chunks of one file are searched by: vectors, and terms with their counts."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from indexer.chunk import Chunk
from indexer.embedding.embedder import TextEmbedder
from indexer.tokens import identifiers, parts

KINDS = ("text", "section", "module", "class", "function", "method")
"""What a chunk can be; a kind that isn't here counts as the first."""

_KIND_PLACES = {kind: place for place, kind in enumerate(KINDS)}
_LONGEST_SYMBOL = 1_000
_STEM_COUNTS = 2  # measured: a file's name finds its chunks, best as if it stood in them twice
_MOST_COUNTED = 255
_CACHED = 1 << 17


@dataclass(frozen=True)
class Rows:
    """What the chunks of one file are searched by; ``n`` is the number of chunks."""

    vectors: NDArray[np.int8]
    """``[n, dims]``; times `scales`, the chunks' embeddings."""
    scales: NDArray[np.float32]
    """``[n]``."""
    terms: NDArray[np.uint32]
    """``[sum(term_counts)]``: each chunk's distinct terms (see `term_id`), chunk after chunk."""
    frequencies: NDArray[np.uint8]
    """How often each of `terms` occurs in its chunk, 255 at most."""
    term_counts: NDArray[np.uint32]
    """``[n]``: how many of `terms` belong to each chunk."""
    lengths: NDArray[np.uint32]
    """``[n]``: terms of each chunk, repetitions counted."""
    kinds: NDArray[np.uint8]
    """``[n]``: the chunks' kinds, as places in `KINDS`."""
    symbols: NDArray[np.uint8]
    """The chunks' symbols in UTF-8, one behind the other."""
    symbol_sizes: NDArray[np.uint16]
    """``[n]``: how many bytes of `symbols` belong to each chunk."""

    def __len__(self) -> int:
        return len(self.scales)


def rows_of(path: str, chunks: Sequence[Chunk], embedder: TextEmbedder) -> Rows:
    """What the chunks of the file at ``path`` (relative to the workspace, POSIX) are searched by."""
    terms, frequencies, term_counts, lengths = _counted([_terms(path, chunk) for chunk in chunks])
    vectors, scales = quantized(embedder.embed_chunks(path, chunks))
    symbols = [chunk.symbol.encode("utf-8", "replace")[:_LONGEST_SYMBOL] for chunk in chunks]
    return Rows(
        vectors=vectors,
        scales=scales,
        terms=terms,
        frequencies=frequencies,
        term_counts=term_counts,
        lengths=lengths,
        kinds=np.array([_KIND_PLACES.get(chunk.kind, 0) for chunk in chunks], np.uint8),
        symbols=np.frombuffer(b"".join(symbols), np.uint8),
        symbol_sizes=np.array([len(symbol) for symbol in symbols], np.uint16),
    )


def quantized(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Embeddings ``[n, dims]`` as int8 ``[n, dims]`` and a scale a row ``[n]``, each row's largest value being 127."""
    most = np.abs(embeddings).max(axis=1, initial=0)
    scales = (np.where(most > 0, most, 1) / 127).astype(np.float32)
    return np.rint(embeddings / scales[:, None]).astype(np.int8), scales


def query_terms(query: str) -> list[int]:
    """The distinct term ids of a query, in order."""
    return list(dict.fromkeys(term for word in identifiers(query) for term in _term_ids(word)))


def term_id(term: str) -> int:
    """A search term as 32 bits, the same in every process: no dictionary to keep, and clashes are one in millions."""
    return zlib.crc32(term.encode("utf-8", "replace"))


def _terms(path: str, chunk: Chunk) -> list[int]:
    """A chunk's term ids, repeated as they are: of its text, its qualified name, its file's name."""
    found = list(chain.from_iterable(map(_term_ids, identifiers(chunk.text))))
    found += chain.from_iterable(map(_term_ids, identifiers(chunk.symbol)))
    return found + _path_terms(path) * _STEM_COUNTS


def _counted(
    found: Sequence[list[int]],
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint32]]:
    """Terms, their frequencies, how many terms each chunk has, and its length, as `Rows` has them.

    One sort for all chunks of a file: counting term by term in Python takes as long as parsing it.
    """
    lengths = np.array([len(terms) for terms in found], np.uint32)
    keys = np.fromiter(chain.from_iterable(found), np.uint64, int(lengths.sum()))
    keys |= np.repeat(np.arange(len(found), dtype=np.uint64) << np.uint64(32), lengths)
    keys, frequencies = np.unique(keys, return_counts=True)
    owners = (keys >> np.uint64(32)).astype(np.int64)
    counts = np.bincount(owners, minlength=len(found)).astype(np.uint32)
    return keys.astype(np.uint32), np.minimum(frequencies, _MOST_COUNTED).astype(np.uint8), counts, lengths


class _TermIds(dict[str, tuple[int, ...]]):
    """The term ids of identifiers; found twice as fast as by an `lru_cache`, and begun anew when it is full."""

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= _CACHED:
            self.clear()
        ids = self[word] = tuple(map(term_id, parts(word)))
        return ids


_term_ids = _TermIds().__getitem__


@lru_cache(64)
def _path_terms(path: str) -> list[int]:
    return [term for word in identifiers(PurePosixPath(path).stem) for term in _term_ids(word)]
