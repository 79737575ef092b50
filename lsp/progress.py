"""The editor's progress bar while the model loads."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from lsprotocol import types

from lsp.engine.protocol import State

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer


class LoadProgress:
    """Shows each load as one ``$/progress``, for clients that can show progress.

    Args:
        server: whose client to tell.
    """

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._token: str | None = None

    def show(self, state: State) -> None:
        """Begin, report or end, as the engine's state demands."""
        window = self._server.client_capabilities.window
        if not (window and window.work_done_progress):
            return
        progress = self._server.work_done_progress
        percent = round(100 * state.progress)
        if state.state in ("starting", "restarting"):
            if self._token is None:
                self._token = str(uuid.uuid4())
                # The client answers this request later; it may be told of progress meanwhile.
                progress.create(self._token)
                begin = types.WorkDoneProgressBegin("midline", message="loading the model", percentage=percent)
                progress.begin(self._token, begin)
            else:
                message = state.detail or "loading the model"
                progress.report(self._token, types.WorkDoneProgressReport(message=message, percentage=percent))
        elif self._token is not None:
            progress.end(self._token, types.WorkDoneProgressEnd(message=state.detail or state.state))
            self._token = None
