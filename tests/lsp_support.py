"""An editor, as the server sees one: opens documents, types, asks, and keeps all that the server says."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import JsonRPCNotification, JsonRPCResponseMessage, default_converter
from pytest_lsp import LanguageClient
from pytest_lsp.client import register_lsp_features

T = TypeVar("T")

MIDLINE = str(Path(sys.executable).with_name("midline"))
CURSOR = "‸"
# Generous, since the machine may be busy: what is waited for comes in a fraction of it, or never.
DEADLINE = 90.0


class Editor(LanguageClient):
    """pytest-lsp's client with an editor's habits.

    ``states`` holds each ``midline/statusChanged`` in order, ``said`` the texts of ``window/showMessage``,
    ``offered`` what the server can.
    """

    offered: types.ServerCapabilities

    def __init__(self) -> None:
        super().__init__(converter_factory=_converter)
        register_lsp_features(self)
        self.states: list[dict[str, Any]] = []
        self.feature("midline/statusChanged")(lambda status: self.states.append(status))
        self.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda _: None)
        self._versions: dict[str, int] = {}

    @property
    def said(self) -> list[str]:
        return [message.message for message in self.messages]

    @property
    def engine(self) -> dict[str, Any]:
        """The engine's part of the latest status."""
        return self.states[-1]["engine"] if self.states else {"state": "none"}

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The server's process."""
        assert self._server is not None
        return self._server

    def seen(self) -> list[str]:
        """The engine's states in the order in which they came, repetitions left out."""
        names = [status["engine"]["state"] for status in self.states]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    async def until_state(self, name: str) -> dict[str, Any]:
        """Wait until the engine is in the state ``name``."""
        await until(lambda: self.engine["state"] == name, lambda: f"{name}; seen {self.seen()}, said {self.said}")
        return self.engine

    def open(self, uri: str, text: str, language: str = "python") -> None:
        self._versions[uri] = 1
        self.text_document_did_open(types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, language, 1, text)))

    def open_at_cursor(self, uri: str, marked: str, language: str = "python") -> types.Position:
        """Open a text, less its cursor mark, and return where that was (for text without astral characters)."""
        before, _, after = marked.partition(CURSOR)
        self.open(uri, before + after, language)
        return types.Position(before.count("\n"), len(before.rpartition("\n")[2]))

    def type(self, uri: str, at: types.Position, text: str) -> types.Position:
        """Insert a text at a position and return the position behind it."""
        self._versions[uri] += 1
        change = types.TextDocumentContentChangePartial(types.Range(at, at), text)
        document = types.VersionedTextDocumentIdentifier(version=self._versions[uri], uri=uri)
        self.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
        lines = text.split("\n")
        return types.Position(at.line + len(lines) - 1, len(lines[-1]) + (at.character if len(lines) == 1 else 0))

    def ask(
        self,
        uri: str,
        at: types.Position,
        msg_id: str | None = None,
        kind: types.InlineCompletionTriggerKind = types.InlineCompletionTriggerKind.Automatic,
    ) -> asyncio.Future[Any]:
        """Ask for a completion without waiting for it."""
        params = types.InlineCompletionParams(
            types.InlineCompletionContext(kind),
            types.TextDocumentIdentifier(uri),
            at,
        )
        method = types.TEXT_DOCUMENT_INLINE_COMPLETION
        return asyncio.ensure_future(self.protocol.send_request_async(method, params, msg_id))

    async def complete(
        self,
        uri: str,
        at: types.Position,
        kind: types.InlineCompletionTriggerKind = types.InlineCompletionTriggerKind.Automatic,
    ) -> list[types.InlineCompletionItem]:
        """Ask for a completion; the items of the answer, none where the server has nothing to say."""
        answer = await asyncio.wait_for(self.ask(uri, at, None, kind), DEADLINE)
        if answer is None:
            return []
        assert isinstance(answer, types.InlineCompletionList)
        return list(answer.items)

    async def suggestion(self, uri: str, at: types.Position) -> str:
        """The text suggested at a position; empty where there is none."""
        items = await self.complete(uri, at)
        return str(items[0].insert_text) if items else ""

    async def status(self) -> dict[str, Any]:
        """Ask for ``midline/status``."""
        status: dict[str, Any] = await asyncio.wait_for(
            self.protocol.send_request_async("midline/status", {}), DEADLINE
        )
        return status

    def configure(self, settings: Any) -> None:
        """Send ``workspace/didChangeConfiguration``."""
        self.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))


def _converter() -> Any:
    converter = default_converter()
    # pygls makes namedtuples of messages that it doesn't know; dicts show their shape.
    for kind in (JsonRPCNotification, JsonRPCResponseMessage):
        converter.register_structure_hook(kind, lambda data, cls: cls(**data))
    return converter


@asynccontextmanager
async def editing(
    home: Path,
    *,
    root: Path | None = None,
    options: Any = None,
    encodings: Sequence[str] | None = None,
    progress: bool = True,
    configuration: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    process_id: int | None = None,
    document: types.TextDocumentClientCapabilities | None = None,
    edits: types.WorkspaceEditClientCapabilities | None = None,
    experimental: Any = None,
) -> AsyncIterator[Editor]:
    """Run ``midline serve`` with an editor that has initialized it, and shut it down in the end.

    Args:
        home: its MIDLINE_HOME.
        root: the folder that the editor has open.
        options: ``initializationOptions``.
        encodings: position encodings that the editor offers.
        progress: whether the editor shows progress.
        configuration: its answer to ``workspace/configuration``; None for an editor that gives none.
        environment: more variables.
        process_id: the editor's process; this one where None.
        document: what the editor can do with documents.
        edits: what edits it applies; None for an editor that applies none.
        experimental: what else it can.
    """
    editor = Editor()
    environment = os.environ | {"MIDLINE_HOME": str(home)} | (environment or {})
    await editor.start_io(MIDLINE, "serve", env=environment)
    if configuration is not None:
        editor.set_configuration(configuration)
    capabilities = types.ClientCapabilities(
        general=types.GeneralClientCapabilities(
            position_encodings=[types.PositionEncodingKind(name) for name in encodings] if encodings else None
        ),
        window=types.WindowClientCapabilities(work_done_progress=progress),
        text_document=document,
        workspace=types.WorkspaceClientCapabilities(
            configuration=configuration is not None, apply_edit=edits is not None, workspace_edit=edits
        ),
        experimental=experimental,
    )
    try:
        answer = await editor.initialize_session(
            types.InitializeParams(
                capabilities=capabilities,
                process_id=process_id,
                root_uri=root.as_uri() if root else None,
                initialization_options=options,
            )
        )
        editor.offered = answer.capabilities
        yield editor
    finally:
        if editor.process.returncode is None:
            await asyncio.wait_for(editor.shutdown_session(), DEADLINE)
        await asyncio.wait_for(editor.stop(), DEADLINE)


async def until(condition: Callable[[], T], what: Callable[[], str], seconds: float = DEADLINE) -> T:
    """Wait until ``condition`` holds, and return its value; ``what`` describes it should it never come."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (value := condition()):
        assert loop.time() < deadline, f"still waiting for {what()}"
        await asyncio.sleep(0.02)
    return value


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped doesn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def code_of(error: BaseException | None) -> int | None:
    """The code of a JSON-RPC error."""
    assert isinstance(error, JsonRpcException)
    return error.code
