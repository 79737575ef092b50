"""What a completion is shown of other code: gathered from several sources, the cheapest useful first.

Nothing here is on the way of a request: it is gathered in the background, in a thread, when a new base is prepared.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol

from indexer.content import by_name
from indexer.context import Mix
from indexer.files import FileRules, is_ignored
from indexer.index import Index
from indexer.relevance import NEARBY
from indexer.secrets import redact
from lsp.completion import sources
from lsp.completion.pieces import MARKS, ContextPiece, cost
from lsp.completion.recent import Followed, RecentEdits
from lsp.completion.sources import Asked, Other
from lsp.documents import Cursor, Document

logger = logging.getLogger(__name__)

__all__ = ["ContextPiece", "ContextSource", "Sources", "WorkspaceContext"]

RESERVED = 0.65
"""Of the budget: for the index, where there is one."""

_DOCUMENTS = 8  # of the editor that are looked into, used most recently first
_LONGEST = 300_000  # characters of one of them
_TEXT = 0.8  # of what pieces take; the rest are comment marks and files' names
_SHORTEST = 4  # characters of a line that says something


class ContextSource(Protocol):
    """Where context comes from."""

    @property
    def epoch(self) -> object:
        """Another one when so much has changed that gathering again may find more."""
        ...

    def permits(self, path: str) -> bool:
        """Whether pieces of a file (their `path`) may be shown by the rules of now."""
        ...

    async def gather(
        self, cursor: Cursor, chars: int, shown: tuple[int, int] | None = None
    ) -> tuple[ContextPiece, ...]:
        """Pieces for a completion at ``cursor``, in the order in which they are to stand.

        Args:
            cursor: the place.
            chars: the most characters that they take in a prompt.
            shown: the offsets in the cursor's text between which the prompt shows it; None: the lines around it.
        """
        ...


@dataclass(frozen=True)
class Sources:
    """The largest share of the budget that each source may take; 0 leaves it out.

    They take it in this order, but for the index, whose `RESERVED` share none of them may take.
    """

    cells: float = 0.5
    """The cells before this one in its notebook: what a file would have above the cursor."""
    outline: float = 0.15
    """The file's own definitions and imports that the prompt doesn't show."""
    copied: float = 0.2
    """Around what was copied from another document."""
    edits: float = 0.2
    """The latest changes, as before and after."""
    counterpart: float = 0.2
    """The matching test, source or header."""
    visited: float = 0.2
    """Where the user was in other documents."""
    documents: float = 0.5
    """Similar lines of other documents, where the index leaves room."""
    signatures: float = 0.6
    """Of what the index has: signatures of what is likely used."""
    windows: float = 0.4
    """Of what the index has: windows of similar code."""

    @classmethod
    def only(cls, *names: str) -> Sources:
        """These sources with their usual shares, or all of the index's room, and no other."""
        return replace(cls(), **{field.name: 0.0 for field in fields(cls) if field.name not in names})

    @property
    def mix(self) -> Mix | None:
        """How the index is asked; None: not at all."""
        both = self.signatures + self.windows
        return Mix(signatures=self.signatures / both) if both > 0 else None


@dataclass
class WorkspaceContext:
    """Context from the workspace's index and the editor's documents.

    Args:
        recent: what the editor holds.
        index: called for the index, None where there is none.
        workspace: the folder that is open, if one is.
        is_private: whether privacy rules exclude a file.
        earlier_cells: the cells before a document, by its URI, where it is a notebook's cell.
        wanted: which sources count.
    """

    recent: RecentEdits
    index: Callable[[], Index | None] = lambda: None
    workspace: Path | None = None
    is_private: Callable[[Path], bool] = lambda _: False
    earlier_cells: Callable[[str], Iterable[Document]] = lambda _: ()
    wanted: Sources = Sources()
    _touched: int = 0
    _cell_names: frozenset[str] = frozenset()  # of the cells that were looked at last

    @property
    def epoch(self) -> object:
        """Changes when the user goes on to another document, and when told that there is news."""
        return self._touched, self.recent.switches

    def touch(self) -> None:
        """There is news: the index has become ready."""
        self._touched += 1

    def permits(self, path: str) -> bool:
        """See `ContextSource.permits`; whether rules ignore it is looked up on the disk."""
        index = self.index()
        return self._shows((self.workspace or Path("/")) / path, index.rules if index else FileRules())

    def known_names(self, names: Iterable[str]) -> set[str]:
        """Which of these identifiers the workspace defines or mentions; all where there is no telling."""
        wanted, index = set(names), self.index()
        in_cells = wanted & self._cell_names
        if index is None:
            return wanted
        try:
            found = index.known_names(wanted) | in_cells
            return found | index.mentioned_names(wanted - found)
        except (OSError, sqlite3.Error):
            return wanted

    async def gather(
        self, cursor: Cursor, chars: int, shown: tuple[int, int] | None = None
    ) -> tuple[ContextPiece, ...]:
        """See `ContextSource.gather`. Never raises for what is wrong with the index or a file."""
        documents = self.recent.documents()  # here, in the event loop: they change
        cells = [_cell(one) for one in self.earlier_cells(cursor.uri) if one.language == cursor.language]
        self._cell_names = frozenset().union(*(sources.names_of(one.text) for one in cells))
        window = shown or _around(cursor)
        try:
            return await asyncio.to_thread(self._gather, cursor, chars, window, documents, cells)
        except (OSError, sqlite3.Error) as error:
            logger.warning("No context from the workspace: %s", error)
        except Exception:  # whatever is wrong with a file, completions go on without context
            logger.exception("Context could not be gathered.")
        return ()

    def _gather(
        self, cursor: Cursor, chars: int, shown: tuple[int, int], documents: list[Followed], cells: list[Followed]
    ) -> tuple[ContextPiece, ...]:
        index = self.index()
        asked = Asked(
            cursor,
            self._name(cursor.path) if cursor.path else cursor.uri,
            shown,
            next((_painted(one) for one in documents if one.uri == cursor.uri and _is_fit(one)), None),
            tuple(self._others(cursor, documents, index)),
            tuple(Other(self._cells_name(one), _painted(one)) for one in cells if _is_fit(one)),
            index.view().by_path if index else (),
            lambda path: index.outline(path) if index and self._allows(path) else None,
        )
        reserved = int(chars * RESERVED) if index and self.wanted.mix else 0
        taken = _Taken(chars, MARKS.get(cursor.language, "//"), cursor.text[shown[0] : shown[1]])
        taken.room -= reserved
        wanted = self.wanted
        # By how sure they are to be of use. What the index finds is worth most, and is never short of pieces.
        near = [
            taken.fitting(source(asked), share)
            for source, share in (
                (sources.earlier_cells, wanted.cells),
                (sources.own_outline, wanted.outline),
                (sources.copied, wanted.copied),
                (sources.edits, wanted.edits),
                (sources.counterpart, wanted.counterpart),
                (sources.visited, wanted.visited),
            )
        ]
        taken.room += reserved
        found = taken.fitting(self._from_index(index, asked, taken.room), 1.0)
        alike = taken.fitting(sources.documents(asked), wanted.documents)
        # What is nearest to the cursor stands nearest to it.
        return tuple(piece for pieces in (found, alike, *reversed(near)) for piece in pieces)

    def _from_index(self, index: Index | None, asked: Asked, room: int) -> Iterator[ContextPiece]:
        mix = self.wanted.mix
        if index is None or mix is None or room <= 0:
            return
        cursor = asked.cursor
        first, last = asked.shown_lines
        for one in index.context_for(asked.path, cursor.prefix, cursor.text[cursor.offset :], int(room * _TEXT), mix):
            is_shown = one.path == asked.path and first <= one.start_line <= last
            # What has no reason of its own only fills the room: the model reads it, and is none the wiser.
            if not is_shown and one.reason != NEARBY and self._allows(one.path):
                yield ContextPiece(**vars(one))

    def _others(self, cursor: Cursor, documents: Iterable[Followed], index: Index | None) -> Iterator[Other]:
        """The documents that may be shown."""
        rules = index.rules if index else FileRules()
        fit = ((one, one.path) for one in documents if one.uri != cursor.uri and one.path and _is_fit(one))
        for one, path in islice((pair for pair in fit if self._shows(pair[1], rules)), _DOCUMENTS):
            yield Other(self._name(path), _painted(one))

    def _shows(self, path: Path, rules: FileRules) -> bool:
        """Whether an open document may be shown: what the index would leave out stays out, wherever it is."""
        if self.is_private(path) or by_name(path.as_posix()):
            return False
        root = self.workspace
        if root and path.is_relative_to(root):
            return not is_ignored(root, path.relative_to(root).as_posix(), rules)
        return bool(path.name) and not is_ignored(path.parent, path.name, rules)

    def _allows(self, path: str) -> bool:
        """Whether a file of the index may be shown: the rules may have changed since it was indexed."""
        return self.workspace is None or not self.is_private(self.workspace / path)

    def _cells_name(self, cell: Followed) -> str:
        """What stands for a cell's notebook, also where that is in no file."""
        return self._name(cell.path) if cell.path else cell.uri.partition("#")[0]

    def _name(self, path: Path) -> str:
        root = self.workspace
        return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.as_posix()


class _Taken:
    """What was taken so far, within a budget, and without what is shown already."""

    def __init__(self, chars: int, mark: str, shown: str) -> None:
        self.room = chars
        self._chars = chars
        self._mark = mark
        self._seen = {text for line in shown.splitlines() if len(text := line.strip()) >= _SHORTEST}

    def fitting(self, pieces: Iterable[ContextPiece], share: float) -> list[ContextPiece]:
        """The pieces of a source that fit its share and show something new, by path and line."""
        room = min(self.room, int(self._chars * share))
        taken: list[ContextPiece] = []
        named: dict[str, ContextPiece] = {}  # a file is named once
        for piece in pieces if room > 0 else ():
            before = [named[piece.path]] if piece.path in named else []
            size = cost([*before, piece], self._mark) - cost(before, self._mark)
            if size <= room and self._is_new(piece):
                named[piece.path] = piece
                taken.append(piece)
                room -= size
                self.room -= size
                self._seen.update(line.strip() for line in piece.lines)
        return sorted(taken, key=lambda piece: (piece.path, piece.start_line, piece.end_line, piece.text))

    def _is_new(self, piece: ContextPiece) -> bool:
        """Whether more than half of its lines have neither been taken nor are shown."""
        lines = [text for line in piece.lines if len(text := line.strip()) >= _SHORTEST]
        return bool(lines) and 2 * sum(line in self._seen for line in lines) < len(lines)


def _around(cursor: Cursor, lines: int = 60) -> tuple[int, int]:
    """The offsets of so many lines above the cursor and below it."""
    start = end = cursor.offset
    for _ in range(lines):
        start = max(0, cursor.text.rfind("\n", 0, start))
        end = cursor.text.find("\n", end) + 1 or len(cursor.text)
    return start, end


def _is_fit(one: Followed) -> bool:
    return len(one.text) <= _LONGEST and "\0" not in one.text


def _cell(one: Document) -> Followed:
    return Followed(one.uri, one.file, one.language, one.source, one.source, 0)


def _painted(one: Followed) -> Followed:
    """A document without its secrets."""
    return replace(one, text=_redacted(one.text), before=_redacted(one.before))


@lru_cache(maxsize=32)
def _redacted(text: str) -> str:
    return redact(text)[0]
