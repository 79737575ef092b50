"""The editor's progress bars: while the model loads, the workspace is indexed, or an edit is written."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from indexer.keeper import Freshness
from lsp.engine.protocol import State

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

# A client that doesn't answer gets the work done without being shown it.
_CREATE_SECONDS = 5.0


class WorkProgress:
    """Shows one kind of work, each time it is done, as one ``$/progress``, for clients that can show it.

    Args:
        server: whose client to tell.
    """

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._token: str | None = None

    def report(self, message: str, percentage: int) -> None:
        """Say how far the work is, 0 to 100; the first time it begins."""
        window = self._server.client_capabilities.window
        if not (window and window.work_done_progress):
            return
        progress = self._server.work_done_progress
        if self._token is None:
            self._token = str(uuid.uuid4())
            # The client answers this request later; it may be told of progress meanwhile.
            progress.create(self._token)
            progress.begin(self._token, types.WorkDoneProgressBegin("midline", message=message, percentage=percentage))
        else:
            progress.report(self._token, types.WorkDoneProgressReport(message=message, percentage=percentage))

    def end(self, message: str) -> None:
        """The work is done, or failed."""
        if self._token is not None:
            self._server.work_done_progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._token = None


def show_load(progress: WorkProgress, state: State) -> None:
    """What an engine's state says about loading its model."""
    if state.state in ("starting", "restarting"):
        progress.report(state.detail or "loading the model", round(100 * state.progress))
    else:
        progress.end(state.detail or state.state)


class IndexProgress:
    """What an index's state says about indexing.

    Args:
        progress: where to show it.
    """

    _WORTH_SHOWING = 200  # files; fewer are done before a bar is read

    def __init__(self, progress: WorkProgress) -> None:
        self._progress = progress
        self._most = 0

    def show(self, index: Freshness) -> None:
        """The state has changed."""
        self._most = max(self._most, index.pending) if index.state == "busy" else 0
        if self._most >= self._WORTH_SHOWING:
            done = self._most - index.pending
            self._progress.report(f"indexing {done:,} of {self._most:,} files", round(100 * done / self._most))
        elif index.state != "busy":
            self._progress.end(f"{index.files:,} files indexed" if index.state == "ready" else index.detail)


@asynccontextmanager
async def stoppable(server: LanguageServer, title: str) -> AsyncIterator[Callable[[str], None]]:
    """Show work that the user waits for and may stop, which cancels the task that does it; yields what reports on it.

    Args:
        server: whose client to tell.
        title: what is done.
    """
    task, progress = asyncio.current_task(), server.work_done_progress
    token = await _created(server)
    if token is None:
        yield lambda message: None
        return
    progress.begin(token, types.WorkDoneProgressBegin("midline", cancellable=True, message=title))
    progress.tokens[token].add_done_callback(lambda stopped: task.cancel() if task and stopped.cancelled() else None)
    try:
        yield lambda message: progress.report(
            token, types.WorkDoneProgressReport(cancellable=True, message=f"{title}: {message}")
        )
    finally:
        progress.end(token, types.WorkDoneProgressEnd())
        del progress.tokens[token]


async def _created(server: LanguageServer) -> str | None:
    """A token that the client knows; None where it shows no progress."""
    window = server.client_capabilities.window
    if not (window and window.work_done_progress):
        return None
    token = str(uuid.uuid4())
    try:
        async with asyncio.timeout(_CREATE_SECONDS):
            await server.work_done_progress.create_async(token)
    except (JsonRpcException, TimeoutError):
        return None
    return token
