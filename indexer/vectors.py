"""Nearest embeddings of a segment: by sign bits first, then by int8 (as measured in ``bench/retrieval``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.segment import Segment

_EXACT_UP_TO = 4_096  # chunks; fewer are all compared by int8
_SAMPLE = 1_024
_BLOCK = 1 << 16  # rows whose bits are compared at once: they stay in the cache


def nearest(segment: Segment, query: NDArray[np.float32], count: int, rescored: int = 1_000) -> NDArray[np.intp]:
    """Rows of about the ``count`` nearest chunks, in no order.

    Args:
        segment: where to look.
        query: ``[dims]``, of unit length.
        count: how many rows to return at most.
        rescored: how many of the nearest by sign bits are compared exactly.
    """
    rows = np.arange(len(segment)) if len(segment) <= _EXACT_UP_TO else _by_bits(segment, query, max(rescored, count))
    if len(rows) <= count:
        return rows
    found = similarity(segment, query, rows)
    return rows[np.argpartition(found, -count)[-count:]]


def similarity(segment: Segment, query: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Cosines of the query ``[dims]`` and rows ``[r]``, as ``[r]``."""
    return (segment.vectors[rows].astype(np.float32) @ query) * segment.scales[rows]


def spread(segment: Segment, query: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of the query's cosines, estimated on a thousand rows."""
    rows = np.arange(0, len(segment), max(1, len(segment) // _SAMPLE))
    found = similarity(segment, query, rows)
    return (float(found.mean()), float(found.std())) if len(found) else (0.0, 0.0)


def _by_bits(segment: Segment, query: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Rows of the smallest Hamming distances: at least ``count``, with all that are as near as the last of them."""
    wanted = np.packbits(query > segment.centre).view(np.uint64)
    distances = np.empty(len(segment), np.uint16)
    for first in range(0, len(segment), _BLOCK):
        block = segment.bits[:, first : first + _BLOCK]
        distances[first : first + _BLOCK] = np.bitwise_count(block ^ wanted[:, None]).sum(axis=0, dtype=np.uint16)
    counted = np.cumsum(np.bincount(distances, minlength=1))
    limit = int(np.searchsorted(counted, count))
    return np.flatnonzero(distances <= limit)
