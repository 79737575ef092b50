"""The user's rhythm: how long between two keys, and so how long to wait for the next before the model is asked."""

from __future__ import annotations

import statistics
from collections import deque

# Who pauses longer is thinking, not typing.
PAUSE_SECONDS = 1.0
# Intervals that are remembered, and how many make a rhythm.
REMEMBERED, ENOUGH = 40, 8
# Nobody waits longer than this.
MOST_SECONDS = 0.25
# Of the usual time between two keys: who hasn't typed on by then has more likely than not stopped.
SHARE = 0.5


class Pace:
    """Measures the time between keys."""

    def __init__(self) -> None:
        self._intervals: deque[float] = deque(maxlen=REMEMBERED)
        self._last: float | None = None
        self._bursting = False

    def typed(self, now: float) -> None:
        """A key was pressed; ``now`` in seconds of any clock that goes evenly."""
        interval = now - self._last if self._last is not None else PAUSE_SECONDS
        self._last = now
        self._bursting = interval < PAUSE_SECONDS
        if self._bursting:
            self._intervals.append(interval)

    @property
    def median(self) -> float:
        """Usual seconds between two keys of a burst; 0 where that isn't known yet."""
        return statistics.median(self._intervals) if len(self._intervals) >= ENOUGH else 0.0

    def debounce(self, suggestion_ms: float) -> float:
        """How many seconds to wait for the next key.

        None for the first key after a pause, hardly any on a machine that answers between two keys anyway; otherwise
        a share of the usual time between two keys, the more of it the slower suggestions are.

        Args:
            suggestion_ms: how long a suggestion usually takes.
        """
        if not self._bursting or not self.median:
            return 0.0
        slowness = min(1.0, suggestion_ms / 1000 / self.median)
        return min(MOST_SECONDS, SHARE * self.median * slowness)
