"""``midline serve``: the language server as a table of contents. What a feature does stands elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from lsp import __version__
from lsp.documents import Document, DocumentStore
from lsp.engine.protocol import State
from lsp.progress import LoadProgress
from lsp.protocol import Protocol
from lsp.session import Outbox, Session, watch_parent

logger = logging.getLogger(__name__)

ACCEPTED = "midline.accepted"


class MidlineServer(LanguageServer):
    """The server, with what the editor said about itself."""

    def __init__(self) -> None:
        super().__init__("midline", __version__, protocol_cls=Protocol)
        self.session = Session(Outbox(self.warn, self.on_state))
        self.options: dict[str, Any] = {}
        self.background: set[asyncio.Task[None]] = set()
        self.load_progress = LoadProgress(self)

    def document(self, uri: str) -> Document | None:
        """The open document of this URI."""
        workspace = self.workspace
        assert isinstance(workspace, DocumentStore)
        return workspace.opened(uri)

    def warn(self, message: str) -> None:
        """Show the user a warning."""
        self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"midline: {message}"))

    def on_state(self, state: State) -> None:
        """Tell the editor that the engine's state changed."""
        self.load_progress.show(state)
        self.protocol.notify("midline/statusChanged", self.session.status_now())

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log what no request is waiting for; pygls would show its text to the user."""
        logger.error("%s", error)

    async def configure(self) -> None:
        """Take the settings as they are now."""
        root = self.workspace.root_path
        await self.session.configure(Path(root) if root else None, self.options)

    def in_background(self, work: Any) -> None:
        """Run a coroutine, keeping hold of its task."""
        task = asyncio.get_running_loop().create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)


def make_server() -> MidlineServer:
    """A server with all features registered."""
    server = MidlineServer()

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.options = _section(params.initialization_options)
        server.in_background(_end_with(params.process_id))

    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        await server.configure()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        server.options = _section(params.settings) or server.options
        await server.configure()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.session.closed(params.text_document.uri)

    @server.feature("midline/cursorMoved")
    async def cursor_moved(params: Any) -> None:
        where = types.Position(int(params.position.line), int(params.position.character))
        await server.session.warm_up(server.document(params.textDocument.uri), where)

    # With options, or pygls won't announce it; in no case does it wait for the client to announce it first.
    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList:
        document = server.document(params.text_document.uri)
        completion = await server.session.complete(document, params.position)
        if document is None or completion is None or not completion.text:
            return types.InlineCompletionList([])
        where = types.Range(document.position_at(completion.start), document.position_at(completion.end))
        accepted = types.Command("Accepted", ACCEPTED)
        return types.InlineCompletionList([types.InlineCompletionItem(completion.text, None, where, accepted)])

    @server.command(ACCEPTED)
    def accepted(*_: Any) -> None:
        server.session.stats.accepted += 1

    @server.feature("midline/status")
    async def status(_: Any) -> dict[str, Any]:
        return await server.session.status()

    @server.feature(types.SHUTDOWN)
    async def shutdown(_: Any) -> None:
        await server.session.close()

    return server


def serve(tcp: tuple[str, int] | None) -> None:
    """Speak LSP until the client leaves: on stdio, or with the first client on a TCP address."""
    # pygls logs every message at INFO, and messages hold users' code.
    logging.getLogger("pygls").setLevel(logging.ERROR)
    server = make_server()
    if tcp:
        server.start_tcp(*tcp)
    else:
        server.start_io()


async def _end_with(process_id: int | None) -> None:
    await watch_parent(process_id)
    os._exit(0)  # stdin's reader may hang in a read that nothing will end


def _section(options: Any) -> dict[str, Any]:
    """The client's settings, with or without the section's name around them."""
    if options is None:
        return {}
    if not isinstance(options, dict):
        options = getattr(options, "__dict__", None) or getattr(options, "_asdict", dict)()
    section = options.get("midline", options)
    return section if isinstance(section, dict) else {"midline": section}
