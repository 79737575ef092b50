"""Many files' rows as arrays that are searched at once; a large one is saved and memory-mapped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from indexer.rows import Rows

MOST_CHUNKS = 1 << 24  # a posting holds its chunk in 24 bits


@dataclass(frozen=True)
class Segment:
    """Arrays over ``n`` chunks, those of a file next to each other; never changed once made.

    A posting is a chunk's row in its upper 24 bits and how often the term occurs there in its lower 8.
    """

    files: NDArray[np.int32]
    """``[n]``: the file's id."""
    numbers: NDArray[np.int32]
    """``[n]``: which of its file's chunks it is."""
    lengths: NDArray[np.float32]
    """``[n]``: terms, repetitions counted."""
    vectors: NDArray[np.int8]
    """``[n, dims]``."""
    scales: NDArray[np.float32]
    """``[n]``: 0 where the vector is of another embedder."""
    bits: NDArray[np.uint64]
    """``[dims / 64, n]``: whether each component lies above `centre`."""
    centre: NDArray[np.float32]
    """``[dims]``: the mean embedding."""
    kinds: NDArray[np.uint8]
    """``[n]``: places in `rows.KINDS`."""
    symbols: NDArray[np.uint8]
    """All symbols in UTF-8, one behind the other."""
    symbol_ends: NDArray[np.int64]
    """``[n]``: where each chunk's symbol ends in `symbols`."""
    terms: NDArray[np.uint32]
    """``[t]``: distinct, ascending."""
    starts: NDArray[np.int64]
    """``[t + 1]``: where each term's postings begin in `postings`."""
    postings: NDArray[np.uint32]
    """``[p]``: ascending within a term."""

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def mean_length(self) -> float:
        """Terms of a chunk on average; 1 for no chunks."""
        return float(self.lengths.mean()) if len(self) else 1.0

    @cached_property
    def spans(self) -> dict[int, tuple[int, int]]:
        """The rows of each file, by its id: from the first to behind the last."""
        if not len(self):
            return {}
        firsts = np.append(0, np.flatnonzero(np.diff(self.files)) + 1)
        ends = [*firsts[1:].tolist(), len(self)]
        ids = self.files[firsts].tolist()
        return {file: (first, end) for file, first, end in zip(ids, firsts.tolist(), ends, strict=True)}

    def symbol(self, row: int) -> str:
        """The qualified name of a chunk; empty where there is none."""
        first = int(self.symbol_ends[row - 1]) if row else 0
        return self.symbols[first : int(self.symbol_ends[row])].tobytes().decode("utf-8", "replace")

    def postings_of(self, term: int) -> NDArray[np.uint32]:
        """A term's postings; empty if no chunk has it."""
        at = int(np.searchsorted(self.terms, np.uint32(term)))
        if at == len(self.terms) or int(self.terms[at]) != term:
            return self.postings[:0]
        return self.postings[int(self.starts[at]) : int(self.starts[at + 1])]


def build(files: Iterable[tuple[int, Rows]], dims: int) -> Segment:
    """A segment of the files given, by their ids; vectors of other than ``dims`` dimensions count as none."""
    ids: list[int] = []
    parts: list[Rows] = []
    for file, rows in files:
        if len(rows):
            ids.append(file)
            parts.append(rows)
    sizes = np.array([len(rows) for rows in parts], np.int64)
    n = int(sizes.sum())
    if n > MOST_CHUNKS:
        raise ValueError(f"{n:,} chunks are more than the {MOST_CHUNKS:,} that an index holds")
    vectors = np.zeros((n, dims), np.int8)
    scales = np.zeros(n, np.float32)
    row = 0
    for rows in parts:
        if rows.vectors.shape[1] == dims:
            vectors[row : row + len(rows)] = rows.vectors
            scales[row : row + len(rows)] = rows.scales
        row += len(rows)
    centre = _mean(vectors, scales)
    terms, starts, postings = _inverted(parts, n)
    return Segment(
        files=np.repeat(np.array(ids, np.int32), sizes),
        numbers=_joined([np.arange(size, dtype=np.int32) for size in sizes.tolist()], np.int32),
        lengths=_joined([rows.lengths for rows in parts], np.float32),
        vectors=vectors,
        scales=scales,
        bits=sign_bits(vectors, scales, centre),
        centre=centre,
        kinds=_joined([rows.kinds for rows in parts], np.uint8),
        symbols=_joined([rows.symbols for rows in parts], np.uint8),
        symbol_ends=np.cumsum(_joined([rows.symbol_sizes for rows in parts], np.int64)),
        terms=terms,
        starts=starts,
        postings=postings,
    )


def sign_bits(
    vectors: NDArray[np.int8], scales: NDArray[np.float32], centre: NDArray[np.float32]
) -> NDArray[np.uint64]:
    """Whether each component lies above the centre's, ``[dims / 64, n]``; ``dims`` is a multiple of 64."""
    n, dims = vectors.shape
    packed = np.empty((n, dims // 8), np.uint8)
    for first in range(0, n, 4096):  # a float copy of it all would be four times the vectors
        part = slice(first, first + 4096)
        packed[part] = np.packbits(vectors[part] * scales[part, None] > centre, axis=1)
    return np.ascontiguousarray(packed.view(np.uint64).T)


def _mean(vectors: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean embedding, of every so manieth row where there are many."""
    step = max(1, len(vectors) // 20_000)
    if not len(vectors):
        return np.zeros(vectors.shape[1], np.float32)
    return np.asarray((vectors[::step] * scales[::step, None]).mean(axis=0), np.float32)


def _inverted(parts: Sequence[Rows], n: int) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
    """Terms, where their postings start, and the postings: one sort of (term, row, frequency) in 64 bits each."""
    counts = _joined([rows.term_counts for rows in parts], np.int64)
    keys = _joined([rows.terms for rows in parts], np.uint64)
    keys <<= np.uint64(32)
    keys |= np.repeat(np.arange(n, dtype=np.uint64) << np.uint64(8), counts)
    keys |= _joined([rows.frequencies for rows in parts], np.uint64)
    keys.sort()
    owners = (keys >> np.uint64(32)).astype(np.uint32)
    firsts = np.flatnonzero(np.diff(owners, prepend=~owners[:1])) if len(owners) else np.zeros(0, np.int64)
    return owners[firsts], np.append(firsts, len(owners)).astype(np.int64), keys.astype(np.uint32)


def _joined(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *arrays], dtype=dtype, casting="unsafe")


_NAMES = tuple(field.name for field in fields(Segment))


def save(segment: Segment, folder: Path, note: dict[str, object]) -> None:
    """Write the arrays and a note into a new folder; the note comes last, so that a torn one is not read.

    Raises:
        OSError: it can't be written; what was written is left for the caller to remove.
    """
    folder.mkdir(mode=0o700, parents=True)
    for name in _NAMES:
        with _created(folder / f"{name}.npy") as file:
            np.save(file, getattr(segment, name))
    with _created(folder / "note.json") as file:
        file.write(json.dumps(note).encode())


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def load(folder: Path) -> tuple[Segment, dict[str, Any]]:
    """A saved segment, memory-mapped, and its note.

    Raises:
        OSError, ValueError: it isn't there, or isn't whole.
    """
    note = json.loads((folder / "note.json").read_text("utf-8"))
    # As plain arrays: numpy's class for mapped ones runs Python code for every slice.
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in _NAMES}
    segment = Segment(**arrays)
    lengths = {
        len(segment.files),
        len(segment.numbers),
        len(segment.lengths),
        len(segment.vectors),
        len(segment.scales),
    }
    if len(lengths) != 1 or segment.bits.shape[1] != len(segment) or len(segment.starts) != len(segment.terms) + 1:
        raise ValueError("the arrays don't fit together")
    return segment, note
