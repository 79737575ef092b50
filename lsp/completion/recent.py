"""What the user edited and looked at recently, from what the editor tells: in memory only, and bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from lsp.documents import Document

# Closed documents that are still remembered.
_CLOSED = 4
# After so long without an edit, a document's edits are no news any more.
_REST_SECONDS = 600.0
# A longer document's edits aren't followed: its text would be kept twice.
_MOST_CHARS = 300_000
# Between a document's first and last changed line; comparing takes the square of it.
_MOST_LINES = 1_500


@dataclass(frozen=True)
class Hunk:
    """A place where a text was changed.

    Args:
        line: where it begins in the new text, from 1.
        before: the lines that stood there, without their ends.
        after: those that stand there now.
    """

    line: int
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Followed:
    """A document as it is and as it was.

    Args:
        uri: its name.
        path: its file, if it is one.
        language: LSP's identifier.
        text: as it is.
        before: as it was when its edits began to be followed.
        line: where the user last was in it, from 1; 0 if nowhere yet.
    """

    uri: str
    path: Path | None
    language: str
    text: str
    before: str
    line: int


@dataclass
class _Entry:
    document: Document | None  # None: it is closed, and `kept` has what it was
    before: str
    edited_at: float | None = None
    used_at: float = 0.0
    line: int = 0
    kept: Followed | None = None

    def followed(self, uri: str) -> Followed:
        document = self.document
        if document is None:
            assert self.kept is not None
            return self.kept
        text = document.source
        before = self.before if self.edited_at is not None else text
        return Followed(uri, document.fs_path, document.language, text, before, self.line)


@dataclass
class RecentEdits:
    """Follows the editor's documents. Everything here is called in the event loop, where documents change.

    Args:
        clock: seconds, growing.
    """

    clock: Callable[[], float] = time.monotonic
    switches: int = 0
    """How often the user has gone on to edit another document."""
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _edited: str = ""

    def opened(self, document: Document) -> None:
        """The editor has opened a document."""
        known = self._entries.get(document.uri)
        if known and known.document is document:
            return
        self._entries[document.uri] = _Entry(document, _kept_text(document), used_at=self.clock())
        if known and known.kept and known.edited_at is not None and known.kept.text == document.source:
            # It was only away for a while.
            entry = self._entries[document.uri]
            entry.before, entry.edited_at, entry.line = known.kept.before, known.edited_at, known.line

    def edited(self, document: Document) -> None:
        """A document has changed; to be called with each change, and cheap."""
        now = self.clock()
        entry = self._entries.get(document.uri)
        if entry is None or entry.document is not document:
            self.opened(document)
            return
        if entry.edited_at is not None and now - entry.edited_at > _REST_SECONDS:
            entry.before = _kept_text(document)
        entry.edited_at = entry.used_at = now
        if self._edited != document.uri:
            self._edited = document.uri
            self.switches += 1

    def visited(self, uri: str, line: int) -> None:
        """The cursor has come to a line (from 1) of an open document."""
        if entry := self._entries.get(uri):
            entry.used_at, entry.line = self.clock(), line

    def closed(self, uri: str) -> None:
        """The editor has closed a document; what was done in it is remembered for a while."""
        entry = self._entries.pop(uri, None)
        if entry is None or entry.document is None or len(entry.document.source) > _MOST_CHARS:
            return
        entry.kept, entry.document = entry.followed(uri), None
        self._entries[uri] = entry
        closed = [name for name, other in self._entries.items() if other.document is None]
        for name in closed[:-_CLOSED]:
            del self._entries[name]

    def documents(self) -> list[Followed]:
        """The open documents and those closed lately, used most recently first."""
        recent = sorted(self._entries.items(), key=lambda item: -item[1].used_at)
        return [entry.followed(uri) for uri, entry in recent]


def hunks(before: str, after: str) -> Iterator[Hunk]:
    """Where two texts differ, from the top; nothing where too much lies between the first and the last change."""
    if before == after or not before:
        return
    old, new = before.splitlines(), after.splitlines()
    first = _common(old, new)
    last = _common(old[first:][::-1], new[first:][::-1])
    old, new = old[first : len(old) - last], new[first : len(new) - last]
    if len(old) + len(new) > 2 * _MOST_LINES:
        return
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield Hunk(first + k + 1, tuple(old[i:j]), tuple(new[k:m]))


def _common(one: list[str], other: list[str]) -> int:
    """How many lines both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _kept_text(document: Document) -> str:
    return document.source if len(document.source) <= _MOST_CHARS else ""
