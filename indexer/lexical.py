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


def document_frequencies(segments: Sequence[Segment], terms: Iterable[int]) -> dict[int, int]:
    """In how many chunks of all segments each term occurs; chunks that are dead by now are counted too."""
    return {term: sum(len(segment.postings_of(term)) for segment in segments) for term in terms}


def weights(segments: Sequence[Segment], terms: Iterable[int]) -> dict[int, float]:
    """The inverse document frequency of each term that occurs and tells chunks apart, over all segments."""
    n = sum(map(len, segments))
    found = document_frequencies(segments, terms)
    return {
        term: math.log(1 + (n - df + 0.5) / (df + 0.5))
        for term, df in found.items()
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
