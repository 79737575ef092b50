"""The least confidence that is shown, following what the user takes of what was shown at that confidence."""

from __future__ import annotations

from collections.abc import Sequence

BINS = 10
# It moves no further than this from where it was set.
LIMIT = 0.15
# Before so many suggestions it doesn't move.
ENOUGH = 50
# At the edge, one suggestion taken in so many is what showing them is worth.
WORTH = 0.15
# How many suggestions at that rate count besides the real ones: they keep it from jumping.
INERTIA = 50


def bin_of(confidence: float) -> int:
    """The histogram's bin of a confidence from 0 to 1."""
    return max(0, min(BINS - 1, int(confidence * BINS)))


def followed(default: float, shown: Sequence[float], taken: Sequence[float]) -> float:
    """The threshold in force where ``default`` is set.

    It rises by up to ``LIMIT`` as suggestions near ``default`` are taken more rarely than ``WORTH``, and falls by as
    much as they are taken more often. A default of 0 asks for everything, and stays.

    Args:
        default: the least confidence as it is set, 0 to 1.
        shown: how many suggestions were shown, by bin of their confidence.
        taken: how many of these were taken.
    """
    if default <= 0 or sum(shown) < ENOUGH:
        return default
    near = range(bin_of(default - LIMIT), bin_of(default + LIMIT) + 1)
    count = sum(shown[i] for i in near)
    rate = (sum(taken[i] for i in near) + WORTH * INERTIA) / (count + INERTIA)
    shift = LIMIT * max(-1.0, min(1.0, (WORTH - rate) / WORTH))
    return max(0.0, min(1.0, default + shift))
