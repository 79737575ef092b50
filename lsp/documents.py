"""The text of open documents, and places in it.

Offsets count code points from the start of the text; positions are LSP's (line and character, zero-based,
the character in the client's encoding). Text from a client never holds lone surrogates here, so that it can
always be encoded.
"""

from __future__ import annotations

import logging
import os
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from lsprotocol import types
from pygls.workspace import PositionCodec, ServerTextPosition, TextDocument, Workspace

from indexer.languages import canonical, language_of
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

MAX_DOCUMENT_CHARS = 2_000_000
"""Longer documents are not kept: what is in them is generated, and no completion is wanted there."""

# What str.splitlines takes for a line break and LSP does not.
_NO_BREAKS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]+")
_BREAK = re.compile(r"[\r\n]")
_INDENT = re.compile(r"[ \t]*")

# Codec and bytes per code unit, by position encoding.
_UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def split_lines(text: str) -> list[str]:
    r"""The lines of ``text`` as LSP counts them, each with its line break (``\r\n``, ``\n`` or ``\r``).

    The last line never has a break, so there is always one (empty) line after a final break: ``"a\n"`` gives
    ``["a\n", ""]`` and ``""`` gives ``[""]``.
    """
    # Looking for the rare characters and then splitting in C is five times faster than the expression.
    odd = any(char in text for char in _NO_BREAKS)
    lines = _LINE.findall(text) if odd else text.splitlines(keepends=True)
    if not lines or lines[-1].endswith(("\r", "\n")):
        lines.append("")
    return lines


def with_plain_breaks(text: str) -> str:
    r"""``text`` with ``\n`` for all line breaks."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def path_of(uri: str) -> Path | None:
    """The absolute path that a ``file:`` URI names; None for any other URI."""
    try:
        parts = urlsplit(uri)
        path = os.fsdecode(unquote_to_bytes(parts.path))
    except ValueError:  # not a URI
        return None
    local = parts.scheme == "file" and parts.netloc in ("", "localhost")
    return Path(path) if local and path.startswith("/") and "\0" not in path else None


@dataclass(frozen=True)
class Cursor:
    r"""A place in one version of a text, where something is to be completed.

    ``offset`` counts code points into ``text`` and never stands between ``\r`` and ``\n``. ``path`` is None
    for documents that aren't files, ``version`` for text that no editor counts the versions of.
    """

    uri: str
    path: Path | None
    language: str
    version: int | None
    text: str
    offset: int

    @cached_property
    def line_start(self) -> int:
        """The offset at which the cursor's line starts."""
        after_newline = self.text.rfind("\n", 0, self.offset) + 1
        return max(after_newline, self.text.rfind("\r", after_newline, self.offset) + 1)

    @cached_property
    def line_end(self) -> int:
        """The offset at which the cursor's line ends, just before its line break."""
        found = _BREAK.search(self.text, self.offset)
        return found.start() if found else len(self.text)

    @cached_property
    def prefix(self) -> str:
        """The text before the cursor."""
        return self.text[: self.offset]

    @cached_property
    def rest_of_line(self) -> str:
        """The text between the cursor and the end of its line, without the line break."""
        return self.text[self.offset : self.line_end]

    @cached_property
    def suffix(self) -> str:
        """The text after the cursor's line: it begins with the line break, or is empty."""
        return self.text[self.line_end :]

    @property
    def indent(self) -> str:
        """The spaces and tabs that the cursor's line begins with, also those right of the cursor."""
        found = _INDENT.match(self.text, self.line_start, self.line_end)
        return found.group() if found else ""

    def near(self, left: int, right: int) -> Cursor:
        """This cursor as if no more than so many characters stood left and right of it on its line."""
        start, end = max(self.line_start, self.offset - left), min(self.line_end, self.offset + right)
        if (start, end) == (self.line_start, self.line_end):
            return self
        text = self.text[: self.line_start] + self.text[start:end] + self.text[self.line_end :]
        return replace(self, text=text, offset=self.offset - (start - self.line_start))


class _Codec(PositionCodec):
    """Positions in a client's units ↔ code points: clamped, rounded down, never raising.

    pygls' own counts in a Python loop, rounds up, reaches behind line breaks and changes its argument.
    """

    def __init__(self, encoding: str | None) -> None:
        super().__init__(encoding)
        self._codec, self._width = _UNITS.get(encoding or "", _UNITS["utf-16"])

    def client_num_units(self, string: str) -> int:
        return len(string) if string.isascii() else len(string.encode(self._codec)) // self._width

    def position_from_client_units(self, lines: Sequence[str], position: types.Position) -> ServerTextPosition:
        if position.line < 0:
            return ServerTextPosition(0, 0)
        if position.line >= len(lines):
            return ServerTextPosition(len(lines) - 1, len(lines[-1]))
        line = lines[position.line].rstrip("\r\n")
        units = max(position.character, 0)
        if line.isascii():
            return ServerTextPosition(position.line, min(units, len(line)))
        # A character cut in two doesn't decode and is left out: that is rounding down.
        before = line.encode(self._codec)[: units * self._width]
        return ServerTextPosition(position.line, len(before.decode(self._codec, "ignore")))

    def position_to_client_units(
        self, lines: Sequence[str], position: ServerTextPosition | types.Position
    ) -> types.Position:
        if position.line >= len(lines):
            return types.Position(len(lines) - 1, self.client_num_units(lines[-1]))
        line = lines[position.line].rstrip("\r\n")
        return types.Position(position.line, self.client_num_units(line[: position.character]))


def _well_formed(text: str) -> str:
    """``text`` with lone surrogates (JSON can carry them) as U+FFFD, which is as long in any encoding."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Document(TextDocument):
    """An open document: pygls' one with LSP's lines, and edits that cost what they change.

    The lines are the truth; the whole text is joined when somebody asks for it. Nothing here raises on
    what a client sends.
    """

    def __init__(
        self,
        uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
        position_encoding: str | None = None,
    ) -> None:
        try:
            super().__init__(uri, None, version, language_id)
        except ValueError:  # not a URI
            super().__init__("", None, version, language_id)
            self.uri = uri
        self.fs_path = path_of(uri)
        self.notebook = ""
        """The URI of the notebook whose cell it is."""
        if self.fs_path:
            self.path = str(self.fs_path)  # pygls cuts paths at a semicolon
        self._position_codec = _Codec(position_encoding)
        self._set(source or "")

    def sibling(self, uri: str, text: str = "") -> Document:
        """A document that isn't open, with positions in the same units."""
        return Document(uri, text, position_encoding=self.position_codec.encoding)

    @property
    def file(self) -> Path | None:
        """The file that holds its text: its own, or its notebook's; None where it is in none."""
        return self.fs_path or path_of(self.notebook)

    @property
    def language(self) -> str:
        """LSP's identifier of the document's language: the client's word, else by the file's name."""
        return canonical(self.language_id) if self.language_id else language_of(self.path)

    @property
    def lines(self) -> list[str]:
        """The document's lines as of :func:`split_lines`; not to be changed."""
        return self._lines

    @property
    def source(self) -> str:
        """The document's text; empty while it is oversized."""
        return self._text

    @property
    def binary(self) -> bool:
        """Whether the text holds a NUL character."""
        return "\0" in self._text

    @cached_property
    def _text(self) -> str:
        return "".join(self._lines)

    @cached_property
    def _starts(self) -> list[int]:
        """The offset at which each line starts, and the text's length."""
        return list(accumulate(map(len, self._lines), initial=0))

    def _changed(self) -> None:
        self.__dict__.pop("_text", None)
        self.__dict__.pop("_starts", None)

    def _set(self, text: str) -> None:
        self.oversized = len(text) > MAX_DOCUMENT_CHARS
        text = "" if self.oversized else _well_formed(text)
        self._lines = split_lines(text)
        self._length = len(text)
        self._changed()

    def apply_change(self, change: types.TextDocumentContentChangeEvent) -> None:
        """Replace the range that ``change`` names (its ends in any order), or all the text if it names none.

        An oversized document takes only whole texts, until one is within the limit.
        """
        if not isinstance(change, types.TextDocumentContentChangePartial):
            self._set(change.text)
        elif not self.oversized:
            self._replace(change.range, change.text)

    def _replace(self, where: types.Range, text: str) -> None:
        found = self.range_from_client_units(where)
        start, end = sorted((found.start, found.end))
        first, last = start.line, end.line + 1
        new = self._lines[first][: start.character] + _well_formed(text) + self._lines[end.line][end.character :]
        if first and new.startswith("\n") and self._lines[first - 1].endswith("\r"):
            first -= 1  # the two become one line break
            new = self._lines[first] + new
        lines = split_lines(new)
        if last < len(self._lines):
            lines.pop()  # the empty line after the break: the document's next line stands there
        self._length += len(new) - sum(map(len, self._lines[first:last]))
        self._lines[first:last] = lines
        self._changed()
        if self._length > MAX_DOCUMENT_CHARS:
            self._set(self.source)

    def offset_at_server_position(self, server_position: ServerTextPosition) -> int:
        """The offset of a position given in code points."""
        return self._starts[server_position.line] + server_position.character

    def server_position_at_offset(self, offset: int) -> ServerTextPosition:
        """The position, in code points, of an offset (clamped to the text)."""
        offset = min(max(offset, 0), self._starts[-1])
        line = bisect_right(self._starts, offset, hi=len(self._lines)) - 1
        return ServerTextPosition(line, offset - self._starts[line])

    def position_at(self, offset: int) -> types.Position:
        """The position of an offset (clamped to the text) in the client's encoding."""
        return self.position_to_client_units(self.server_position_at_offset(offset))

    def cursor(self, position: types.Position) -> Cursor:
        """A cursor at a client's position, clamped to the text and rounded down to a whole character."""
        offset = self.offset_at_position(position)
        return Cursor(self.uri, self.fs_path, self.language, self.version, self.source, offset)


class DocumentStore(Workspace):
    """The documents that a client has open, each a :class:`Document`."""

    @classmethod
    def replacing(cls, workspace: Workspace) -> DocumentStore:
        """A store with the root, folders and position encoding of a workspace without documents."""
        return cls(
            workspace.root_uri,
            workspace_folders=list(workspace.folders.values()),
            position_encoding=workspace.position_encoding,
        )

    def opened(self, uri: str) -> Document | None:
        """The document of this URI; None if the client hasn't opened it."""
        document = self._text_documents.get(unquote(uri))
        return document if isinstance(document, Document) else None

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> Document:
        return Document(doc_uri, source, version, language_id, self.position_encoding)

    def put_text_document(self, text_document: types.TextDocumentItem, notebook_uri: str | None = None) -> None:
        """Keep a document that was opened, by itself or as a cell of a notebook."""
        super().put_text_document(text_document, notebook_uri)
        if notebook_uri and (document := self.opened(text_document.uri)):
            document.notebook = notebook_uri

    def update_notebook_document(self, params: types.DidChangeNotebookDocumentParams) -> None:
        """Apply a client's change; one to a notebook that it never opened is logged and otherwise ignored."""
        if self.get_notebook_document(notebook_uri=params.notebook_document.uri) is None:
            logger.warning("Ignoring a change to %s, which was never opened.", params.notebook_document.uri)
        else:
            super().update_notebook_document(params)

    def update_text_document(
        self,
        text_doc: types.VersionedTextDocumentIdentifier,
        change: types.TextDocumentContentChangeEvent,
    ) -> None:
        """Apply a client's change; one to a document that it never opened is logged and otherwise ignored."""
        if self.opened(text_doc.uri) is None:
            logger.warning("Ignoring a change to %s, which was never opened.", text_doc.uri)
        else:
            super().update_text_document(text_doc, change)


def cursor_from_file(path: Path, line: int, column: int | None) -> Cursor:
    """A cursor in a file on disk: without its byte order mark, as editors have it, line breaks as they are.

    Args:
        path: the file, in UTF-8.
        line: counted from 1; the empty line after a final line break counts.
        column: counted from 1 in code points, up to one behind the line's last; None is the end of the line.

    Raises:
        MidlineError: the file can't be read as text, or has no such place.
    """
    lines = split_lines(_read(path))
    if not 1 <= line <= len(lines):
        count = len(lines) - (lines[-1] == "")
        raise MidlineError(
            f"There is no line {line}: {path} has {count} line{'s' * (count != 1)}.",
            f"Lines count from 1; give one from 1 to {len(lines)}.",
        )
    length = len(lines[line - 1].rstrip("\r\n"))
    if column is None:
        column = length + 1
    if not 1 <= column <= length + 1:
        raise MidlineError(
            f"There is no column {column}: line {line} of {path} has {length} character{'s' * (length != 1)}.",
            f"Columns count from 1; give one from 1 to {length + 1}, or none for the end of the line.",
        )
    path = path.absolute()
    offset = sum(map(len, lines[: line - 1])) + column - 1
    return Cursor(path.as_uri(), path, language_of(path), None, "".join(lines), offset)


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if S_ISDIR(status.st_mode):
            raise MidlineError(f"{path} is a folder.", "Name a file in it.")
        if not S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise MidlineError(f"{path} is not a regular file.", "Name a text file.")
        too_big = status.st_size > 4 * MAX_DOCUMENT_CHARS  # UTF-8 has up to 4 bytes to a character
        data = b"" if too_big else path.read_bytes()
    except FileNotFoundError as error:
        raise MidlineError(f"There is no file {path}.", "Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise MidlineError(f"Can't read {path}: {reason}.", "Check the path and its permissions.") from error
    if b"\0" in data:
        raise MidlineError(f"{path} is binary: it holds a NUL byte.", "Name a text file in UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MidlineError(
            f"{path} is not UTF-8: byte {error.start + 1} doesn't decode.", "Convert it to UTF-8."
        ) from error
    if too_big or len(text) > MAX_DOCUMENT_CHARS:
        raise MidlineError(
            f"{path} is too big: midline completes in files of up to {MAX_DOCUMENT_CHARS:,} characters.",
            "Name a smaller file.",
        )
    return text
