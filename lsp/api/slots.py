"""How many requests are computed at once, and how many wait; each has a KV sequence, its own while it runs.

Clients of these APIs send a whole conversation each time and don't say which it is. So a request is given the sequence
that holds most of its beginning already.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lsp.api.refused import RefusedError

# More than this at once would slow each other down, and the editor's steps with them.
RUNNING = 2
WAITING = 30
# One more conversation of those that alternate than run; each takes cells that the editor's files could have.
SEQUENCES = 3
RETRY_SECONDS = 5


@dataclass(eq=False)
class Slot:
    """A KV sequence.

    Args:
        key: its name in the engine.
        text: what it was asked to continue last.
    """

    key: str
    text: str = ""


class Slots:
    """The sequences of one model, given out in turn.

    Args:
        running: how many at once.
        waiting: how many requests may wait for one.
    """

    def __init__(self, running: int = RUNNING, waiting: int = WAITING) -> None:
        self.prefix = f"api:{os.getpid()}:"
        self._most_waiting = waiting
        self._waiting = 0
        self._room = asyncio.Semaphore(running)
        self._idle = [Slot(f"{self.prefix}{number}:") for number in range(max(running, SEQUENCES))]  # latest used last

    @asynccontextmanager
    async def taken(self, text: str) -> AsyncIterator[Slot]:
        """A sequence for a request that begins with ``text``.

        Raises:
            RefusedError: too many wait already.
        """
        if self._room.locked():
            if self._waiting >= self._most_waiting:
                raise RefusedError(
                    "Too many requests wait for the model.", "Try again soon.", status=429, retry_after=RETRY_SECONDS
                )
            self._waiting += 1
            try:
                await self._room.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._room.acquire()
        slot = max(self._idle, key=lambda one: _shared(one.text, text))
        self._idle.remove(slot)
        if not _most(slot.text, text):
            self._idle.append(slot)
            slot = self._idle.pop(0)
        slot.text = text
        try:
            yield slot
        finally:
            self._idle.append(slot)
            self._room.release()


def _most(held: str, text: str) -> bool:
    """Whether the two have so much in common that they are one conversation."""
    return 2 * _shared(held, text) > min(len(held), len(text)) > 0


def _shared(one: str, other: str) -> int:
    """The length of what both texts begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
