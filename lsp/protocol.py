"""pygls' protocol, made to keep our documents and to answer what it can't read."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from cattrs import Converter
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.workspace import Workspace

from lsp.documents import Cursor, DocumentStore
from lsp.wirelog import open_wire_log, write

_MAX_UINT = 2**31 - 1  # LSP's uinteger, which lsprotocol enforces


def _position(data: dict[str, Any], _: type) -> types.Position:
    """A position with out-of-range numbers clamped: refusing the message would lose the edit it carries."""
    line, character = (int(min(max(data[key], 0), _MAX_UINT)) for key in ("line", "character"))
    return types.Position(line, character)


_cursor: ContextVar[Cursor | None] = ContextVar("cursor", default=None)


def requested_cursor() -> Cursor | None:
    """The place that the completion being handled is asked for, in the text as it was when that was asked.

    A handler begins a little later than its message is read, maybe after the next edit.
    """
    return _cursor.get()


class Protocol(LanguageServerProtocol):
    """Use as ``LanguageServer(name, version, protocol_cls=Protocol)``; ``workspace`` is a DocumentStore."""

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        converter.register_structure_hook(types.Position, _position)
        super().__init__(server, converter)
        self._wire_log = open_wire_log()

    # pygls assigns a workspace of its own while it handles `initialize`, before any handler of ours runs.
    # Converting at the assignment leaves the rest of that handler as it is.
    @property
    def _workspace(self) -> DocumentStore | None:
        return self._store

    @_workspace.setter
    def _workspace(self, workspace: Workspace | None) -> None:
        self._store = DocumentStore.replacing(workspace) if workspace else None

    def _handle_request(self, msg_id: Any, method_name: str, params: Any) -> None:
        if isinstance(params, types.InlineCompletionParams | types.CompletionParams) and self._store:
            document = self._store.opened(params.text_document.uri)
            _cursor.set(document.cursor(params.position) if document else None)
        super()._handle_request(msg_id, method_name, params)

    def stop_with_request(self) -> None:
        """Have the current task cancelled with its request, which pygls doesn't do where that is for a command."""
        task, request = asyncio.current_task(), self._request_futures.get(self.msg_id or "")
        if task and request:
            request.add_done_callback(lambda ended: task.cancel() if ended.cancelled() else None)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Read a message; a request that can't be read gets an error, or its sender would wait forever."""
        if self._wire_log and "jsonrpc" in data:
            write(self._wire_log, "in", data, self._serialize_message)
        if "method" in data and "jsonrpc" in data:
            data.setdefault("params", None)  # JSON-RPC lets senders leave it out; pygls' fallback types don't
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "id" in data and "method" in data:
                self._send_response(data["id"], error=error.to_response_error())
            raise

    def _send_data(self, data: Any) -> None:
        if self._wire_log:
            write(self._wire_log, "out", data, self._serialize_message)
        super()._send_data(data)
