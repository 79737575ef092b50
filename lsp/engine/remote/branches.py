"""A request's alternatives at a server, each a request of its own there; what they bring and cost together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

from lsp.engine.protocol import Control, Generate, Token, Usage
from lsp.engine.remote.discovery import Found
from lsp.engine.remote.server import Outcome, Task


class Branches:
    """Runs one request.

    Args:
        found: the server that is asked.
        request: what for.
        put: takes each token.
    """

    def __init__(self, found: Found, request: Generate, put: Callable[[Token], None]) -> None:
        self.found = found
        self._request = request
        self._put = put
        self._outcomes = [Outcome() for _ in range(request.branches)]
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._began = time.perf_counter()
        self._first = 0.0
        self._count = 0

    async def run(self) -> Literal["eog", "length", "cancelled"]:
        """Ask for all of them; why the likeliest ended that wasn't cancelled.

        Raises:
            MidlineError: the server can't.
        """
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._branch(i)) for i in range(self._request.branches)]
        try:
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for task in self._tasks:
                task.cancel()
            # Their connections are closed then: the server has stopped before the next request comes.
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):  # not a branch's cancellation
                raise result
        reasons = [outcome.reason for outcome in self._outcomes if outcome.reason]
        if not reasons:
            return "cancelled"
        return "length" if reasons[0] == "length" else "eog"

    def cancel(self, branch: int) -> None:
        """Stop one."""
        if branch < len(self._tasks):
            self._tasks[branch].cancel()

    def usage(self) -> Usage:
        """What they have cost so far."""
        now = time.perf_counter()
        first = self._first or now
        prefill = max((outcome.prefill_ms for outcome in self._outcomes), default=0.0)
        return Usage(
            tokens_evaluated=sum(outcome.evaluated for outcome in self._outcomes),
            tokens_reused=sum(outcome.reused for outcome in self._outcomes),
            tokens_generated=self._count,
            prefill_ms=round(prefill or (first - self._began) * 1000, 2),
            first_token_ms=round((first - self._began) * 1000, 2) if self._first else 0.0,
            generate_ms=round((now - first) * 1000, 2),
        )

    async def _branch(self, branch: int) -> None:
        request = self._request
        is_chat = any(isinstance(segment, Control) for segment in request.prompt)
        task = Task(
            request.prompt,
            request.max_tokens,
            request.heal and request.max_tokens > 0,
            seed=branch,
            way=None if is_chat else self.found.way,
        )
        # One by one: at once, each would have the server compute the prompt in a place of its own.
        async with self._turn, aclosing(self.found.server.stream(task, self._outcomes[branch])) as pieces:
            async for piece in pieces:
                self._first = self._first or time.perf_counter()
                self._count += 1
                self._put(Token(request.id, branch, piece.text, piece.logprob, piece.eog))
