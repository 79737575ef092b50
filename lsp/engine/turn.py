"""Who computes: of several models in one process one at a time, the most urgent request first.

Two models that compute at once on the same cores are each slower than half: memory bandwidth is what they share.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Who was passed over so often is let in before anything but what a user waits for at this moment.
PATIENCE = 6
# A model that waits reads its own inbox so often: a more urgent request may have come to it.
WAIT_SECONDS = 0.01


@dataclass
class _Want:
    rank: int
    passed: int = 0


class Turn:
    """A lock with ranks, from 0, which is served first; between equals it goes round.

    One that has work says so with each ``take`` until it says ``leave``: between two batches of a completion, the chat
    of another model doesn't slip in.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wants: dict[Hashable, _Want] = {}  # those served longest ago first
        self._holder: Hashable = None
        self._interrupt: Callable[[], None] | None = None

    @contextmanager
    def take(self, who: Hashable, rank: int, interrupt: Callable[[], None] | None = None) -> Iterator[bool]:
        """Whether ``who`` may compute a batch now, having waited for it a little.

        Args:
            who: a model's scheduler.
            rank: how urgent the batch is.
            interrupt: breaks the batch off, for somebody of a higher rank; None where it is too short for that.
        """
        got = self._enter(who, rank, interrupt)
        try:
            yield got
        finally:
            if got:
                self._give(who)

    def leave(self, who: Hashable) -> None:
        """``who`` has no work any more."""
        with self._changed:
            if self._wants.pop(who, None):
                self._changed.notify_all()

    def _enter(self, who: Hashable, rank: int, interrupt: Callable[[], None] | None) -> bool:
        with self._changed:
            self._wants.setdefault(who, _Want(rank)).rank = rank
            if self._holder is not None and self._interrupt and rank < self._wants[self._holder].rank:
                self._interrupt()
            if not self._changed.wait_for(lambda: self._holder is None and self._next() == who, WAIT_SECONDS):
                return False
            self._holder, self._interrupt = who, interrupt
            return True

    def _give(self, who: Hashable) -> None:
        with self._changed:
            self._holder = self._interrupt = None
            served = self._wants.pop(who, None)
            for other in self._wants.values():
                other.passed += 1
            if served:
                self._wants[who] = _Want(served.rank)  # behind the others
            self._changed.notify_all()

    def _next(self) -> Hashable:
        """Whose turn it is."""
        urgent = min(want.rank for want in self._wants.values())

        def order(who: Hashable) -> tuple[bool, int]:
            want = self._wants[who]
            return (urgent > 0 and want.passed < PATIENCE, want.rank)

        return min(self._wants, key=order)
