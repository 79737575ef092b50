"""Many completions at once: the engine decodes them in one batch."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_parallel(work: Callable[[T], Awaitable[R]], items: Sequence[T], most: int) -> list[R]:
    """``work`` on each item, ``most`` of them at a time; the results in the items' order. Tells how far it is."""
    room = asyncio.Semaphore(most)
    began = told = time.monotonic()
    done = 0

    async def one(item: T) -> R:
        nonlocal done, told
        async with room:
            result = await work(item)
        done += 1
        if time.monotonic() - told > 20 or (done == len(items) and time.monotonic() - began > 20):
            told = time.monotonic()
            print(f"{done}/{len(items)}  {told - began:.0f} s", file=sys.stderr, flush=True)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
