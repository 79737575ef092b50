"""An editor without a screen: a real ``midline serve`` and what VS Code would say to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from indexer.languages import language_of
from lsp import __version__
from lsp.documents import Document
from lsp.errors import MidlineError
from lsp.replay.keystrokes import Edit

SERVE = (sys.executable, "-P", "-m", "lsp.cli", "serve")
START_SECONDS = 120.0
CANCELLED = -32800


@dataclass(frozen=True)
class Answer:
    """What the server suggested, and after how many milliseconds it was there."""

    text: str
    ms: float


class Ask:
    """A request for a completion under way."""

    def __init__(self, request_id: str, task: asyncio.Task[Answer | None]) -> None:
        self.id = request_id
        self.task = task

    @property
    def answer(self) -> Answer | None:
        """The answer; None while there is none, and where it was cancelled."""
        return self.task.result() if self.task.done() and not self.task.cancelled() else None


class Editor:
    """Open documents, and the server that completes in them. Use ``editor(…)`` to get one.

    Args:
        client: connected to an initialised server.
        name: scheme and beginning of the documents' URIs.
    """

    def __init__(self, client: LanguageClient, name: str) -> None:
        self._client = client
        self._name = name
        self._documents: dict[Path, Document] = {}
        self._ids = itertools.count(1)

    def text(self, path: Path) -> str:
        """The text of an open document."""
        return self._documents[path].source

    def place(self, path: Path, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1."""
        position = self._documents[path].server_position_at_offset(offset)
        return position.line + 1, position.character + 1

    def is_open(self, path: Path) -> bool:
        """Whether a document was opened."""
        return path in self._documents

    def open(self, path: Path, text: str) -> None:
        """Show a document."""
        uri = f"{self._name}{path.as_posix()}"
        document = Document(uri, text, 1, language_of(path), "utf-16")
        self._documents[path] = document
        item = types.TextDocumentItem(uri, document.language, 1, text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def edit(self, path: Path, edits: Sequence[Edit]) -> None:
        """Change a document's text, in one message."""
        document = self._documents[path]
        changes: list[types.TextDocumentContentChangeEvent] = []
        for edit in edits:
            where = types.Range(document.position_at(edit.start), document.position_at(edit.end))
            change = types.TextDocumentContentChangePartial(where, edit.text)
            document.apply_change(change)
            changes.append(change)
        document.version = (document.version or 0) + 1
        versioned = types.VersionedTextDocumentIdentifier(document.version, document.uri)
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(versioned, changes))

    def move(self, path: Path, offset: int) -> None:
        """Tell the server that the cursor has come to a place."""
        document = self._documents[path]
        position = document.position_at(offset)
        where = {"line": position.line, "character": position.character}
        self._client.protocol.notify("midline/cursorMoved", {"textDocument": {"uri": document.uri}, "position": where})

    def ask(self, path: Path, offset: int) -> Ask:
        """Ask for a completion at a place."""
        document = self._documents[path]
        request_id = f"key-{next(self._ids)}"
        params = types.InlineCompletionParams(
            types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
            types.TextDocumentIdentifier(document.uri),
            document.position_at(offset),
        )
        # Sent now and not when the task gets its turn: the next key may come before that.
        began = time.perf_counter()
        answer = self._client.protocol.send_request_async(
            types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id=request_id
        )
        return Ask(request_id, asyncio.get_running_loop().create_task(_answer(answer, began)))

    def cancel(self, ask: Ask) -> None:
        """Give up a request, as an editor does when the next key comes first."""
        if not ask.task.done():
            self._client.cancel_request(types.CancelParams(ask.id))

    async def accepted(self) -> None:
        """Tell the server that a suggestion was accepted."""
        await self._client.workspace_execute_command_async(types.ExecuteCommandParams("midline.accepted"))

    async def status(self) -> dict[str, Any]:
        """The answer to ``midline/status``.

        Raises:
            MidlineError: the server has gone.
        """
        try:
            answer = await self._client.protocol.send_request_async("midline/status", {})
        except RuntimeError as error:
            raise MidlineError(f"The server ended in the middle of the replay: {error}.") from error
        return dict(_plain(answer))

    def close(self) -> None:
        """Close all documents."""
        for document in self._documents.values():
            identifier = types.TextDocumentIdentifier(document.uri)
            self._client.text_document_did_close(types.DidCloseTextDocumentParams(identifier))


async def _answer(answer: asyncio.Future[Any], began: float) -> Answer | None:
    try:
        result = await answer
    except JsonRpcException as error:
        if error.code == CANCELLED:
            return None
        raise MidlineError(f"The server refused to complete: {error.message}.") from error
    except RuntimeError as error:
        raise MidlineError(f"The server ended in the middle of the replay: {error}.") from error
    items = result.items if isinstance(result, types.InlineCompletionList) else result or ()
    text = items[0].insert_text if items else ""
    return Answer(text if isinstance(text, str) else text.value, (time.perf_counter() - began) * 1000)


@contextlib.asynccontextmanager
async def editor(workspace: Path, name: str, command: Sequence[str] = SERVE) -> AsyncIterator[Editor]:
    """An editor with its server, ready to complete.

    Args:
        workspace: the folder it has open.
        name: scheme and beginning of the documents' URIs: one that no real editor uses keeps them apart.
        command: starts the server.

    Raises:
        MidlineError: the server, its engine or the model can't be had.
    """
    client = LanguageClient("midline replay", __version__)
    state: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_status(status: Any) -> None:
        engine = status.engine
        if state.done():
            return
        if engine.state in ("ready", "busy"):
            state.set_result(None)
        elif engine.state in ("failed", "disabled"):
            state.set_exception(MidlineError(engine.detail, engine.cure))

    def on_message(message: types.ShowMessageParams) -> None:
        print(message.message, file=sys.stderr)

    client.feature("midline/statusChanged")(on_status)
    client.feature(types.WINDOW_SHOW_MESSAGE)(on_message)
    await client.start_io(command[0], *command[1:])
    process = client._server  # the only way to what the server says on stderr, which must be read
    assert process is not None and process.stderr is not None
    forwarding = asyncio.get_running_loop().create_task(_forward(process.stderr))
    try:
        capabilities = types.ClientCapabilities(
            general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16])
        )
        await client.initialize_async(
            types.InitializeParams(capabilities, process_id=os.getpid(), root_uri=workspace.absolute().as_uri())
        )
        client.initialized(types.InitializedParams())
        try:
            await asyncio.wait_for(state, START_SECONDS)
        except TimeoutError as error:
            raise MidlineError(f"The engine was not ready after {START_SECONDS:.0f} s.", "Try again.") from error
        window = Editor(client, name)
        yield window
        window.close()
    finally:
        with contextlib.suppress(RuntimeError, JsonRpcException, TimeoutError):  # it may have gone already
            await asyncio.wait_for(client.shutdown_async(None), 10)
            client.exit(None)
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=10)
        if process.returncode is None:
            process.kill()
        await client.stop()  # type: ignore[no-untyped-call]
        forwarding.cancel()


async def _forward(stderr: asyncio.StreamReader) -> None:
    """Pass on what the server logs; unread, it would block the server when the pipe is full."""
    while line := await stderr.readline():
        sys.stderr.buffer.write(line)
        sys.stderr.flush()


def _plain(value: Any) -> Any:
    """pygls makes namedtuples of JSON objects; this makes them dicts again."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(inner) for key, inner in value._asdict().items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
