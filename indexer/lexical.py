"""BM25 over a segment's postings (Robertson and Zaragoza, 2009), in numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.segment import Segment

_K1 = 1.2
_B = 0.75
_TOO_COMMON = 0.4  # a term in a larger share of many chunks says nothing and costs most
_MANY = 1_000


def document_frequencies(segments: Sequence[Segment], terms: NDArray[np.uint32]) -> NDArray[np.int64]:
    """In how many chunks of all segments each term occurs, ``[n]``; chunks that are dead by now are counted too."""
    total = np.zeros(len(terms), np.int64)
    for part in segments:
        if len(part.terms):
            at = np.minimum(np.searchsorted(part.terms, terms), len(part.terms) - 1)
            total += np.where(part.terms[at] == terms, part.starts[at + 1] - part.starts[at], 0)
    return total


def weights(segments: Sequence[Segment], terms: Iterable[int]) -> dict[int, float]:
    """The inverse document frequency of each term that occurs and tells chunks apart, over all segments."""
    n = sum(map(len, segments))
    wanted = list(terms)
    found = document_frequencies(segments, np.array(wanted, np.uint32)).tolist()
    return {
        term: math.log(1 + (n - df + 0.5) / (df + 0.5))
        for term, df in zip(wanted, found, strict=True)
        if df and (n < _MANY or df < _TOO_COMMON * n)
    }


def bm25(segment: Segment, weighted: dict[int, float]) -> NDArray[np.float32]:
    """The score of each chunk for terms with their weights, ``[n]``; 0 where none occurs."""
    scores = np.zeros(len(segment), np.float32)
    norm = _norm(segment)
    for term, weight in weighted.items():
        postings = segment.postings_of(term)
        rows = postings >> np.uint32(8)
        frequencies = (postings & np.uint32(255)).astype(np.float32)
        # A row occurs once in a term's postings, so that plain indexing adds each.
        scores[rows] += np.float32(weight * (_K1 + 1)) * frequencies / (frequencies + norm[rows])
    return scores


def _norm(segment: Segment) -> NDArray[np.float32]:
    """What a chunk's length takes from its frequencies, ``[n]``."""
    relative = segment.lengths / np.float32(segment.mean_length)
    return (_K1 * (1 - _B + _B * relative)).astype(np.float32)
