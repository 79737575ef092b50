"""What the chunks of one file are searched by: vectors, and terms with their counts."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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
    counted = [_terms(path, chunk) for chunk in chunks]
    vectors, scales = quantized(embedder.embed_chunks(path, chunks))
    flat = [term for terms in counted for term in terms]
    counts = [count for terms in counted for count in terms.values()]
    symbols = [chunk.symbol.encode("utf-8", "replace")[:_LONGEST_SYMBOL] for chunk in chunks]
    return Rows(
        vectors=vectors,
        scales=scales,
        terms=np.array(flat, np.uint32),
        frequencies=np.minimum(np.array(counts, np.uint32), _MOST_COUNTED).astype(np.uint8),
        term_counts=np.array([len(terms) for terms in counted], np.uint32),
        lengths=np.array([terms.total() for terms in counted], np.uint32),
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


def _terms(path: str, chunk: Chunk) -> Counter[int]:
    """A chunk's term ids with their counts: its text, its qualified name, its file's name."""
    found: Counter[int] = Counter()
    for word, count in Counter(identifiers(chunk.text)).items():
        for term in _term_ids(word):
            found[term] += count
    for word in identifiers(chunk.symbol):
        for term in _term_ids(word):
            found[term] += 1
    for term in _path_terms(path):
        found[term] += _STEM_COUNTS
    return found


@lru_cache(1 << 17)
def _term_ids(word: str) -> tuple[int, ...]:
    return tuple(map(term_id, parts(word)))


@lru_cache(64)
def _path_terms(path: str) -> Sequence[int]:
    return [term for word in identifiers(PurePosixPath(path).stem) for term in _term_ids(word)]
