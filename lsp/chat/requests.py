"""``midline/chat`` and ``midline/conversations``: what their parameters are, and who carries them out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from indexer.index import Index
from indexer.languages import language_of
from indexer.outline import outline
from indexer.secrets import redact
from lsp.chat.answer import sequence_of
from lsp.chat.conversations import Conversation, Conversations
from lsp.chat.desk import Desk
from lsp.chat.library import Library, Place, enclosing
from lsp.chat.model import ChatModel, EngineHost
from lsp.chat.thinking import Kind
from lsp.documents import Document
from lsp.engine.connect import Engine
from lsp.engine.snapshots import erase
from lsp.errors import MidlineError

_T = TypeVar("_T")
Opened = Callable[[str], Document | None]

# What a command asks, where the user adds nothing.
COMMANDS = {
    "explain": "Explain what this code does.",
    "fix": "Find what is wrong in this code, and show it corrected.",
    "document": "Write documentation for this code, as it is usual in its language.",
    "tests": "Write tests for this code.",
    "review": "Review this code: name its problems, the most important first.",
}


_SEVERITIES = {1: "error", 2: "warning", 3: "information", 4: "hint"}
_LONGEST_DIAGNOSTIC = 300
_MOST_DIAGNOSTICS = 10


class _Params(msgspec.Struct, rename="camel", frozen=True):
    """What the parameters of our own requests have in common: unknown ones are ignored."""


class DocumentId(_Params, frozen=True):
    """``version`` is that of the text that the selection is of; None where the editor doesn't say."""

    uri: str
    version: int | None = None


class Position(_Params, frozen=True):
    """As LSP has it."""

    line: int
    character: int


class Range(_Params, frozen=True):
    """As LSP has it."""

    start: Position
    end: Position


class Markup(_Params, frozen=True):
    """As LSP has it: text for people."""

    value: str


class Diagnostic(_Params, frozen=True):
    """What is used of LSP's; ``severity`` counts from 1, an error, to 4, a hint."""

    range: Range
    message: str | Markup
    severity: int = 0
    source: str = ""

    @property
    def text(self) -> str:
        """What it says."""
        return self.message if isinstance(self.message, str) else self.message.value

    @property
    def told(self) -> str:
        """As the model is told it: ``line 12: error: … (pyright)``, on one line, secrets painted over."""
        kind = f"{_SEVERITIES[self.severity]}: " if self.severity in _SEVERITIES else ""
        said = " ".join(redact(self.text)[0].split())[:_LONGEST_DIAGNOSTIC]
        return f"line {self.range.start.line + 1}: {kind}{said}{f' ({self.source})' if self.source else ''}"


class ChatParams(_Params, frozen=True):
    """The parameters of ``midline/chat``; the answer is streamed to ``partial_result_token``, if there is one."""

    message: str = ""
    conversation: str = ""
    text_document: DocumentId | None = None
    selection: Range | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    command: str = ""
    partial_result_token: int | str | None = None


class ConversationParams(_Params, frozen=True):
    """The parameters of ``midline/conversations``; all actions but ``list`` want a conversation's id."""

    action: Literal["list", "get", "rename", "delete", "export"] = "list"
    conversation: str = ""
    title: str = ""


class Host(EngineHost, Protocol):
    """What chat needs of the session."""

    @property
    def workspace(self) -> Path | None:
        """The folder that the editor has open."""
        ...

    @property
    def search_index(self) -> Index | None:
        """The workspace's index, if there is one."""
        ...

    def is_private(self, path: Path) -> bool:
        """Whether the user keeps a file from models."""
        ...

    def library(self) -> Library:
        """What chat may read."""
        ...


class Chat:
    """Carries out an editor's requests.

    Args:
        host: the session.
        model: the model that chats.
        warn: shows the user a message.
        progress: sends ``$/progress`` with a token and a value.
    """

    def __init__(
        self,
        host: Host,
        model: ChatModel,
        warn: Callable[[str], None],
        progress: Callable[[int | str, Any], None],
    ) -> None:
        self._host = host
        self._model = model
        self._progress = progress
        self._warn = warn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept = Conversations(warn=self._warn_soon)
        self._desk: tuple[Engine, str, Desk] | None = None
        self._counts = dict.fromkeys(("requests", "answered", "cancelled", "failed"), 0)
        self._tokens = dict.fromkeys(("tokens_evaluated", "tokens_reused", "tokens_generated"), 0)
        self._under_way = 0

    async def ask(self, params: ChatParams, opened: Opened) -> dict[str, Any]:
        """Answer ``midline/chat``: as ``midline ask --json``.

        Args:
            params: the request.
            opened: gives the document of a URI, if the editor has it open.

        Raises:
            MidlineError: it can't be answered.
            asyncio.CancelledError: it was cancelled; what came is kept in the conversation.
        """
        self._loop = asyncio.get_running_loop()
        self._counts["requests"] += 1
        self._under_way += 1
        try:
            answer = await self._ask(params, opened)
        except asyncio.CancelledError:
            self._counts["cancelled"] += 1
            raise
        except MidlineError:
            self._counts["failed"] += 1
            raise
        finally:
            self._under_way -= 1
        self._counts["answered"] += 1
        for name in self._tokens:
            self._tokens[name] += answer[name]
        return answer

    async def _ask(self, params: ChatParams, opened: Opened) -> dict[str, Any]:
        message = _message(params)
        host = self._host
        library = host.library()
        named = params.text_document
        place = _place(params, named, opened(named.uri), library) if named else None
        token = params.partial_result_token

        def on_begin(conversation: Conversation) -> None:
            if token is not None:
                self._progress(token, {"kind": "conversation"} | conversation.as_dict())

        def on_text(kind: Kind, text: str) -> None:
            if token is not None:
                self._progress(token, {"kind": kind, "text": text})

        desk = await self._at_desk()
        answer = await desk.ask(
            message,
            library,
            host.settings.chat,
            conversation=params.conversation,
            workspace=host.workspace,
            place=place,
            notes=notes_on(params.diagnostics, place) if place else "",
            on_begin=on_begin,
            on_text=on_text,
        )
        return answer.as_dict()

    async def conversations(self, params: ConversationParams) -> Any:
        """Answer ``midline/conversations``.

        Raises:
            MidlineError: there is no such conversation.
        """
        self._loop = asyncio.get_running_loop()
        answer = await asyncio.to_thread(self._conversations, params)
        if params.action == "delete":
            key = sequence_of(params.conversation)
            if self._desk:
                self._desk[0].forget(key, erase=True)  # or it would be saved again
            await asyncio.to_thread(erase, key)
        return answer

    def _warn_soon(self, message: str) -> None:
        """From the threads that read and write conversations."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._warn, message)

    def _conversations(self, params: ConversationParams) -> Any:
        kept, one = self._kept, params.conversation
        if params.action == "list":
            return [found.as_dict() for found in kept.of(self._host.workspace)]
        if params.action == "get":
            return kept.get(one).as_dict() | {"history": [message.as_dict() for message in kept.messages(one)]}
        if params.action == "rename":
            return kept.rename(one, params.title).as_dict()
        if params.action == "export":
            return {"markdown": kept.export(one)}
        kept.delete(one)
        return None

    def status(self) -> dict[str, Any]:
        """The part of ``midline/status`` about chat."""
        told: dict[str, Any] = {"state": "busy" if self._under_way else "ready"} | self._counts | self._tokens
        if own := self._model.own_state:
            model = own.model.name if own.model else ""
            told["engine"] = {"state": own.state, "detail": own.detail, "model": model, "progress": own.progress}
        return told

    async def _at_desk(self) -> Desk:
        """The desk of the engine that the settings ask for."""
        model = await self._model.chosen()
        if self._desk is None or self._desk[:2] != (model.engine, model.name):
            self._desk = model.engine, model.name, Desk(model.engine, model.name, self._kept)
        return self._desk[2]


def read_params(kind: type[_T], params: Any) -> _T:
    """Parameters as pygls gives them for methods that it doesn't know, checked.

    Raises:
        JsonRpcException: they aren't what they should be; the message names the one that isn't.
    """
    try:
        return msgspec.convert(plain(params) or {}, kind)
    except msgspec.ValidationError as error:
        raise JsonRpcException(f"midline: {error}", types.ErrorCodes.InvalidParams.value) from error


@contextmanager
def refusing() -> Iterator[None]:
    """What can't be carried out is answered so, instead of failing."""
    try:
        yield
    except MidlineError as error:
        raise JsonRpcException(str(error), types.LSPErrorCodes.RequestFailed.value) from error


def plain(value: Any) -> Any:
    """Named tuples as the dictionaries that they were made of; what is null counts as not given."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _message(params: ChatParams) -> str:
    if not params.command:
        return params.message
    if params.command not in COMMANDS:
        raise MidlineError(f"There is no chat command {params.command!r}.", f"Known are: {', '.join(COMMANDS)}.")
    return f"{COMMANDS[params.command]} {params.message}".strip()


def as_named(named: DocumentId, document: Document | None) -> Document:
    """The document that a request names, as it is open.

    Raises:
        MidlineError: it isn't open, can't be shown to a model, or has changed since.
    """
    if document is None:
        raise MidlineError("The editor has not opened this document.", "Open it first.")
    if document.oversized or document.binary:
        raise MidlineError("This document is too large, or binary.", "Ask without it.")
    if named.version not in (None, document.version):
        raise MidlineError("The text has changed since it was selected.", "Select it again.")
    return document


def _place(params: ChatParams, named: DocumentId, document: Document | None, library: Library) -> Place:
    """Where the request comes from: the selected lines, the definition around the cursor, or the file."""
    document = as_named(named, document)
    start, end = selected_lines(params.selection, document)
    place = library.place_at(document.file, document.source, start, end) if document.file else None
    if place and document.fs_path:
        return place
    return Place(document.uri, redact(document.source)[0], start, end)  # a cell's lines are not its notebook's


def notes_on(diagnostics: Sequence[Diagnostic], place: Place) -> str:
    """What tools say of the selected lines, or of the file where none are; empty where they say nothing."""
    told = [
        one.told
        for one in diagnostics
        if not place.start_line
        or (one.range.start.line < place.end_line and one.range.end.line + 1 >= place.start_line)
    ]
    listed = "\n".join(f"- {one}" for one in told[:_MOST_DIAGNOSTICS])
    return f"Tools report of {place.path}:\n{listed}" if listed else ""


def selected_lines(selection: Range | None, document: Document) -> tuple[int, int]:
    """The selected lines, from 1, the last one included; both 0 for the file as a whole."""
    if selection is None:
        return 0, 0
    last = len(document.lines)
    start, end = sorted(
        ((place.line, place.character) for place in (selection.start, selection.end)),
    )
    first_line, last_line = (min(max(line, 0) + 1, last) for line in (start[0], end[0]))
    if start == end:
        around = enclosing(outline(document.source, language_of(document.path)), first_line, first_line)
        return (around.line, around.end_line) if around else (first_line, first_line)
    if end[1] == 0 and last_line > first_line:
        last_line -= 1  # whole lines were selected: the end is where the next one begins
    return first_line, last_line
