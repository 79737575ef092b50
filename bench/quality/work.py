"""Many completions at once: the engine decodes them in one batch."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bench.quality.recording import NotRecordedError

T = TypeVar("T")
R = TypeVar("R")


class _Missing:
    """Stands for what isn't recorded."""


async def in_parallel(work: Callable[[T], Awaitable[R]], items: Sequence[T], most: int) -> list[R]:
    """``work`` on each item, ``most`` of them at a time; the results in the items' order. Tells how far it is.

    Items that would need the model, where it may not be asked, are left out, which is said.
    """
    room = asyncio.Semaphore(most)
    began = told = time.monotonic()
    done = 0

    async def one(item: T) -> R | _Missing:
        nonlocal done, told
        async with room:
            result = await _unless_missing(work(item))
        done += 1
        if time.monotonic() - told > 20 or (done == len(items) and time.monotonic() - began > 20):
            told = time.monotonic()
            print(f"{done}/{len(items)}  {told - began:.0f} s", file=sys.stderr, flush=True)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    results = [task.result() for task in tasks]
    found = [result for result in results if not isinstance(result, _Missing)]
    if len(found) < len(results):
        print(f"{len(results) - len(found)} of {len(results)} are not recorded, and left out", file=sys.stderr)
    return found


async def _unless_missing(result: Awaitable[R]) -> R | _Missing:
    try:
        return await result
    except NotRecordedError:
        return _Missing()
