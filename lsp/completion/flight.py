"""A generation under way: later requests may wait for it too, while what is typed agrees with what it writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any

from lsp.completion.branch import Branch
from lsp.completion.cache import typed_since
from lsp.completion.completion import Completion
from lsp.documents import Cursor, with_plain_breaks

# Editors cancel a request and then ask again with the next key: so long a generation waits to be wanted again.
GRACE_SECONDS = 0.15


class Flight:
    """A generation for one place of one document.

    Args:
        cursor: the place.
        alternatives: how many branches it is going to have.
    """

    def __init__(self, cursor: Cursor, alternatives: int) -> None:
        self.cursor = cursor
        self.alternatives = alternatives
        self.branches: list[Branch] = []
        self._after = cursor.text[cursor.offset :]
        self._waiting = 0
        self._grown = asyncio.Event()
        self._task: asyncio.Task[Completion] | None = None

    def start(self, work: Coroutine[Any, Any, Completion]) -> None:
        """Let ``work`` make the branches and fill them."""
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Completion]) -> None:
        self.grow()
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it any more

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._task is None or self._task.done()

    def result(self) -> Completion:
        """What came of it; raises what went wrong."""
        assert self._task is not None
        return self._task.result()

    def end(self) -> None:
        """Stop the engine's work."""
        if self._task:
            self._task.cancel()

    @property
    def _text(self) -> str:
        return with_plain_breaks(self.branches[0].text) if self.branches else ""

    def grow(self) -> None:
        """The branches have grown."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def typed(self, cursor: Cursor) -> str | None:
        """What was typed since it began; None where anything else changed."""
        return typed_since(self.cursor.prefix, self._after, cursor)

    def rest_so_far(self, cursor: Cursor) -> str:
        """What would be left to show at ``cursor`` if it ended here; empty for nothing."""
        typed, text = self.typed(cursor), self.branches[0].so_far() if self.branches else ""
        return text[len(typed) :] if typed is not None and text.startswith(typed) else ""

    def agrees(self, cursor: Cursor) -> bool:
        """Whether what was typed since is what it writes, or may yet turn out to be.

        One that has written nothing yet agrees with its own place only: the next one knows what was typed.
        """
        typed = self.typed(cursor)
        if not typed:
            return typed == ""
        text = self._text
        return text.startswith(typed) or (text != "" and typed.startswith(text) and not self.done)

    def is_refuted_by(self, text: str) -> bool:
        """Whether the document's text as it is now shows that something else was typed than what it has written."""
        now = replace(self.cursor, text=text, offset=max(0, len(text) - len(self._after)))
        return bool(self._text) and not self.agrees(now)

    @contextlib.contextmanager
    def wanted(self) -> Iterator[None]:
        """Somebody waits for it meanwhile. Where nobody does any more, it ends soon."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end_unwanted)

    async def growth(self) -> None:
        """Until it has grown or ended."""
        await self._grown.wait()

    def _end_unwanted(self) -> None:
        if not self._waiting:
            self.end()
