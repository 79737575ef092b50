"""``midline serve``: the language server as a table of contents. What a feature does stands elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from indexer.keeper import Freshness
from lsp import __version__, configuration
from lsp.chat import commands
from lsp.chat.editing import actions
from lsp.chat.editing.edits import EditParams, Edits
from lsp.chat.editing.workspace_edit import Abilities
from lsp.chat.model import ChatModel
from lsp.chat.requests import Chat, ChatParams, ConversationParams, plain, read_params, refusing
from lsp.completion.inline import ACCEPTED, inline_items
from lsp.completion.menu import TRIGGERS, Menu
from lsp.documents import Cursor, Document, DocumentStore, path_of
from lsp.engine.protocol import State
from lsp.errors import MidlineError
from lsp.notebooks import SYNC, earlier_cells, follow_notebooks
from lsp.progress import IndexProgress, WorkProgress, show_load
from lsp.protocol import Protocol, requested_cursor
from lsp.session import Outbox, Session, watch_parent

logger = logging.getLogger(__name__)

PARTLY_ACCEPTED = "midline.partlyAccepted"
WHY = "midline.why"
# An editor that says it answers for its settings, and doesn't, must not keep midline from starting.
CONFIGURATION_SECONDS = 5.0


class MidlineServer(LanguageServer):
    """The server, with what the editor said about itself."""

    def __init__(self) -> None:
        super().__init__("midline", __version__, protocol_cls=Protocol, notebook_document_sync=SYNC)
        self.session = Session(Outbox(self.warn, self.on_state, self.on_index, self.on_partial))
        self.chat_model = ChatModel(self.session, partial(show_load, WorkProgress(self)))
        self.chat = Chat(self.session, self.chat_model, self.warn, self.on_chat)
        self.edits = Edits(self.session, self.chat_model)
        self.session.earlier_cells = lambda uri: earlier_cells(self.documents, uri)
        self.session.chat_status = lambda: self.chat.status() | {"edits": self.edits.counts}
        self.options: Any = None  # the settings that the editor sent last
        self._configured = asyncio.Event()
        self.menu: Menu | None = None
        self._background: set[asyncio.Task[None]] = set()  # or asyncio would forget them
        self.load_progress = WorkProgress(self)
        self.index_progress = IndexProgress(WorkProgress(self))

    @property
    def documents(self) -> DocumentStore:
        """The open documents."""
        workspace = self.workspace
        assert isinstance(workspace, DocumentStore)
        return workspace

    def document(self, uri: str) -> Document | None:
        """The open document of this URI."""
        return self.documents.opened(uri)

    def warn(self, message: str) -> None:
        """Show the user a warning."""
        self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, f"midline: {message}"))

    def on_state(self, state: State) -> None:
        """Tell the editor that the engine's state changed."""
        show_load(self.load_progress, state)
        self.protocol.notify("midline/statusChanged", self.session.status_now())

    def on_index(self, index: Freshness) -> None:
        """Tell the editor that the index's state changed."""
        self.index_progress.show(index)
        self.protocol.notify("midline/statusChanged", self.session.status_now())

    def on_partial(self, cursor: Cursor, text: str) -> None:
        """Tell the editor what a suggestion is that will grow on."""
        document = self.document(cursor.uri)
        # Where an item is selected in the editor's menu, the suggestion is for a text that has it already.
        if document and document.source == cursor.text:
            where = document.position_at(cursor.offset)
            position = {"line": where.line, "character": where.character}
            told = {"uri": cursor.uri, "version": cursor.version, "position": position, "text": text}
            self.protocol.notify("midline/partial", told)

    def on_chat(self, token: int | str, value: Any) -> None:
        """Send the editor a piece of an answer."""
        self.progress(types.ProgressParams(token, value))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log what no request is waiting for; pygls would show its text to the user."""
        logger.error("%s", error)

    async def configure(self) -> None:
        """Take the settings as they are now."""
        try:
            await self.session.configure(self.root, await self._asked_options() or self.options)
        finally:
            self._configured.set()
        for uri in self.workspace.text_documents:
            self.session.opened(self.document(uri))  # an index that was just opened knows nothing of them

    async def settled(self) -> None:
        """Wait until settings were taken for the first time: before that, the workspace isn't known."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._configured.wait(), 2 * CONFIGURATION_SECONDS)

    @property
    def root(self) -> Path | None:
        """The folder that the editor has open."""
        uris = [self.workspace.root_uri, *self.workspace.folders]
        return next((path for uri in uris if uri and (path := path_of(uri))), None)

    @property
    def asks_edit(self) -> bool:
        """Whether the client asks its user what is to be edited (``midline.askEdit``)."""
        experimental = plain(self.client_capabilities.experimental)
        ours = experimental.get("midline") if isinstance(experimental, dict) else None
        return isinstance(ours, dict) and ours.get("askEdit") is True

    def offer_menu(self, client: types.InitializeParams) -> None:
        """Offer completions for the editor's menu, if they are wanted: one that is offered is asked at each key."""
        self.menu = Menu(client)
        settings, _ = configuration.load(self.root, self.options)
        if not self.menu.wanted(settings.completion.menu):
            return

        @self.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=TRIGGERS))
        async def completion(params: types.CompletionParams) -> types.CompletionList | None:
            cursor, document = requested_cursor(), self.document(params.text_document.uri)
            assert self.menu is not None
            return await self.menu.items(
                self.session, document, cursor, params.context, self.session.settings.completion
            )

    async def _asked_options(self) -> Any:
        """The editor's settings as it answers for them; None where it doesn't."""
        able = self.client_capabilities.workspace
        if not (able and able.configuration):
            return None
        wanted = types.ConfigurationParams([types.ConfigurationItem(section="midline")])
        try:
            async with asyncio.timeout(CONFIGURATION_SECONDS):
                answer = await self.workspace_configuration_async(wanted)
        except (JsonRpcException, TimeoutError) as error:
            logger.warning("the editor doesn't tell its settings: %s", error)
            return None
        return answer[0] if answer else None

    def in_background(self, work: Any) -> None:
        """Run a coroutine that no request waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s: %s", type(error).__name__, error)


def make_server() -> MidlineServer:
    """A server with all features registered."""
    server = MidlineServer()

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.options = _section(params.initialization_options, None)
        server.edits.able = Abilities.of(params.capabilities)
        server.offer_menu(params)
        server.in_background(_end_with(server, params.process_id))

    @server.feature(types.INITIALIZED)
    def initialized(_: types.InitializedParams) -> None:
        server.in_background(server.configure())

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        server.options = _section(params.settings, server.options)
        server.in_background(server.configure())

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        server.session.opened(server.document(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        server.session.edited(server.document(params.text_document.uri), len(params.content_changes))

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        server.session.saved(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(params: types.DidChangeWatchedFilesParams) -> None:
        for change in params.changes:
            server.session.index.changed(path_of(change.uri))

    @server.feature(types.SHUTDOWN)
    async def shutdown(_: None) -> None:
        await server.chat_model.close()
        await server.session.index.close()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.session.closed(params.text_document.uri)

    follow_notebooks(server, server.session, server.document)

    @server.feature("midline/cursorMoved")
    async def cursor_moved(params: Any) -> None:
        where = types.Position(int(params.position.line), int(params.position.character))
        document = server.document(params.textDocument.uri)
        if document:
            server.session.feedback.asked(document.cursor(where))
        await server.session.warm_up(document, where)

    # With options, or pygls won't announce it; in no case does it wait for the client to announce it first.
    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList | None:
        cursor, document = requested_cursor(), server.document(params.text_document.uri)
        if server.menu:
            server.menu.inline_asked()
        return await inline_items(server.session, document, cursor, params.context)

    @server.command(ACCEPTED)
    def accepted(*arguments: Any) -> None:
        server.session.stats.accepted += 1
        if arguments and isinstance(arguments[0], str):
            server.session.feedback.accepted(arguments[0])

    @server.command(PARTLY_ACCEPTED)
    def partly_accepted(*arguments: Any) -> None:
        if len(arguments) == 2 and isinstance(arguments[0], str) and isinstance(arguments[1], int):
            server.session.feedback.partly(*arguments)

    @server.command(WHY)
    def why(*_: Any) -> dict[str, Any]:
        return server.session.why()

    @server.feature("midline/chat")
    async def chat(params: Any) -> dict[str, Any]:
        await server.settled()
        with refusing():
            return await server.chat.ask(read_params(ChatParams, params), server.document)

    @server.feature("midline/conversations")
    async def conversations(params: Any) -> Any:
        await server.settled()
        with refusing():
            return await server.chat.conversations(read_params(ConversationParams, params))

    @server.feature("midline/edit")
    async def edit(params: Any) -> dict[str, Any]:
        await server.settled()
        with refusing():
            return await server.edits.edit(read_params(EditParams, params), server.document, server.on_chat)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=actions.KINDS))
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        document = server.document(params.text_document.uri)
        if document is None or server.session.hidden(document):
            return []
        return actions.code_actions(params, document, asks=server.asks_edit)

    @server.command(actions.EDIT)
    async def apply_edit(*arguments: Any) -> dict[str, Any]:
        return await commands.edit(server, server.edits, server.document, arguments)

    @server.command(actions.EXPLAIN)
    async def explain(*arguments: Any) -> dict[str, Any]:
        return await commands.explain(server, server.chat, server.document, arguments)

    @server.command(commands.COMMIT_MESSAGE)
    async def commit_message(*_: Any) -> dict[str, Any]:
        return await commands.commit_message(server, server.session, server.chat_model)

    @server.feature("midline/status")
    async def status(_: Any) -> dict[str, Any]:
        return await server.session.status()

    return server


def serve(tcp: tuple[str, int] | None) -> None:
    """Speak LSP until the client leaves: on stdio, or with the first client on a TCP address.

    Raises:
        MidlineError: the address can't be listened on.
    """
    # pygls logs every message at INFO, and at ERROR those that failed, with tracebacks; messages hold users' code.
    # Who has all messages logged wants to see these, too.
    logging.getLogger("pygls").setLevel(logging.ERROR if os.environ.get("MIDLINE_LSP_LOG") else logging.CRITICAL)
    server = make_server()
    try:
        if tcp is None:
            server.start_io()
            return
        # pygls' own TCP server takes any number of clients, and answers all of them on the last one's connection.
        with _first_client(*tcp) as client, client.makefile("rb") as stdin, client.makefile("wb") as stdout:
            server.start_io(stdin, stdout)
    finally:
        server.session.index.stop()  # a client that vanished has not asked us to
        server.session.feedback.close()


def _first_client(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(address[:2], family=family) as listener:
            print("midline: listening on {}:{}".format(*listener.getsockname()[:2]), file=sys.stderr, flush=True)
            return listener.accept()[0]
    except OSError as error:
        raise MidlineError(f"Can't listen on {host}:{port}: {error.strerror}.", "Choose another address.") from error


async def _end_with(server: MidlineServer, process_id: int | None) -> None:
    await watch_parent(process_id)
    server.session.feedback.close()
    os._exit(0)  # stdin's reader may hang in a read that nothing will end


def _section(settings: Any, otherwise: Any) -> Any:
    """The client's settings, with or without the section's name around them; ``otherwise`` where it sent none."""
    if isinstance(settings, dict):
        settings = settings.get("midline", settings or None)
    return otherwise if settings in (None, []) else settings  # [] is Lua's empty table
