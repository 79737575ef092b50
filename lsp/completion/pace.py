"""How long to wait for the next key before the model is asked."""
# FOR MAIN, to be removed: helper D overwrote your uncommitted file by mistake (10:12) and rebuilt it from mypy's cache
# (names and signatures are yours) and tests/test_pace.py. Guessed: the values of PAUSE_SECONDS, MOST_SECONDS,
# REMEMBERED, ENOUGH, and all comments. SHARE follows from the tests. Put your own back if you still have it.

from __future__ import annotations

import statistics
from collections import deque

# Longer than this between two keys is thinking, not typing.
PAUSE_SECONDS = 2.0
# Nobody shall wait longer than this.
MOST_SECONDS = 0.25
# The share of the time to the next key, and of the time that a suggestion takes, that is worth waiting.
SHARE = 0.5
REMEMBERED = 100
# Fewer intervals are no rhythm.
ENOUGH = 10


class Pace:
    """The rhythm of the user's keys, in this session."""

    def __init__(self) -> None:
        self._intervals: deque[float] = deque(maxlen=REMEMBERED)
        self._last: float | None = None
        self._bursting = False

    def typed(self, now: float) -> None:
        """A key was struck at ``now``, in seconds."""
        interval = now - self._last if self._last is not None else PAUSE_SECONDS
        self._last = now
        self._bursting = interval < PAUSE_SECONDS
        if self._bursting:
            self._intervals.append(interval)

    @property
    def median(self) -> float:
        """Seconds from one key to the next, usually; 0 before enough is known."""
        return statistics.median(self._intervals) if len(self._intervals) >= ENOUGH else 0.0

    def debounce(self, suggestion_ms: float) -> float:
        """Seconds to wait for the next key where a suggestion takes ``suggestion_ms``; none after a pause."""
        if not self._bursting:
            return 0.0
        return min(SHARE * self.median, SHARE * suggestion_ms / 1000, MOST_SECONDS)
