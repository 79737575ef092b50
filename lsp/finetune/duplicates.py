"""Which texts are nearly the same as one before: MinHash in bands, and the true likeness of what they find.

After Broder, On the resemblance and containment of documents, 1997; the bands after Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, chapter 3. Texts are sets of runs of five tokens, and alike where most of these are the
same: the measure and threshold that code is usually deduplicated by (Kocetkov et al., The Stack, 2022).
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.85
"""The share of two texts' runs that both have, from which on they are nearly the same."""

_RUN = 5
_BANDS, _ROWS = 24, 5  # texts of the likeness ALIKE share a band but one time in a million
_AT_ONCE = 4_096  # runs hashed together, 4 MB
_TOKEN = re.compile(r"\w+|[^\w\s]")

Runs = NDArray[np.uint32]
Hashes = NDArray[np.uint64]


class Seen:
    """The texts seen up to now; each costs 4 bytes a token."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)  # any will do: it only decides what is compared
        self._factors = random.integers(0, 1 << 63, _BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._runs: list[Runs] = []
        self._bands: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)

    def has_like(self, text: str) -> bool:
        """Whether a text nearly the same was seen before; if not, this one is seen from now on."""
        runs = _runs(text)
        signature = self._signature(runs)
        keys = [(band, signature[band * _ROWS : (band + 1) * _ROWS].tobytes()) for band in range(_BANDS)]
        candidates = {number for key in keys for number in self._bands.get(key, ())}
        if any(_likeness(runs, self._runs[number]) >= ALIKE for number in candidates):
            return True
        for key in keys:
            self._bands[key].append(len(self._runs))
        self._runs.append(runs)
        return False

    def _signature(self, runs: Runs) -> Hashes:
        """For each hash function the least value of a text's runs: multiplication and the upper half of the product."""
        least = np.full(len(self._factors), np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(runs), _AT_ONCE):
            hashed = runs[start : start + _AT_ONCE, None].astype(np.uint64) * self._factors[None, :]
            least = np.minimum(least, (hashed >> np.uint64(32)).min(axis=0))
        return least


def _runs(text: str) -> Runs:
    """The hashes of a text's runs of tokens, each once, in ascending order; of a short text, of all of it."""
    tokens = np.array([_hash(token) for token in _TOKEN.findall(text)], np.uint64)
    count = max(1, len(tokens) - _RUN + 1)
    runs = np.zeros(count, np.uint64)
    for at in range(min(_RUN, len(tokens))):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + tokens[at : at + count] + np.uint64(at)
    return np.unique((runs >> np.uint64(32)).astype(np.uint32))


@lru_cache(1 << 16)
def _hash(token: str) -> int:
    return crc32(token.encode("utf-8", "replace"))


def _likeness(one: Runs, other: Runs) -> float:
    """Jaccard's: the share of all runs that both have."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
