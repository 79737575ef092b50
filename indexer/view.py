"""The index in memory: a large segment made once, a small one of what changed since, and the editor's unsaved text.

As in a log-structured merge tree (O'Neil et al., 1996), nothing that was made is changed: a changed file's rows in the
large segment are dead, its new ones are in the small segment, and now and then one large segment is made of both.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer import segment
from indexer.chunk import Chunk, Outline
from indexer.digest import Record
from indexer.rows import Rows
from indexer.segment import Segment
from indexer.store import SEGMENT, FileRow, Store

_log = logging.getLogger(__name__)

_SAVED_FROM = 5_000  # chunks; a smaller segment is made faster than it is worth a file
_SMALL = 2_048  # chunks that the small segment may hold whatever the large one does
_MOST_SMALL = 4_096  # and the most: it is made anew at every change


@dataclass(frozen=True)
class View:
    """The index at one moment; it stays as it is while others write."""

    segments: tuple[Segment, ...]
    dead: tuple[NDArray[np.bool_], ...]
    """For each segment ``[n]``: which rows no longer count."""
    files: dict[int, FileRow]
    """Every file with content, by its id."""
    by_path: dict[str, int]
    """Their ids."""
    overlays: dict[int, Record]
    """The files, by their ids, whose text in the editor differs from the disk's."""
    store: Store

    @property
    def chunks(self) -> int:
        """How many chunks count."""
        return sum(len(part) - int(dead.sum()) for part, dead in zip(self.segments, self.dead, strict=True))

    def outline(self, file: int) -> tuple[Outline, str]:
        """A file's outline and text, unsaved text before the disk's.

        Raises:
            KeyError: it is gone by now.
        """
        if file in self.overlays:
            record = self.overlays[file]
            return record.outline, record.text
        return self.store.outline(self._content(file))

    def text(self, file: int) -> str:
        """A file's text alone, unsaved text before the disk's.

        Raises:
            KeyError: it is gone by now.
        """
        if file in self.overlays:
            return self.overlays[file].text
        return self.store.text(self._content(file))

    def chunk(self, file: int, number: int) -> Chunk:
        """One of a file's chunks, by its place among them.

        Raises:
            KeyError: the file is gone by now.
            IndexError: it has no such chunk any more.
        """
        if file in self.overlays:
            return self.overlays[file].outline.chunks[number]
        return self.store.chunk(self._content(file), number)

    def _content(self, file: int) -> int:
        content = self.files[file].content
        if content is None:
            raise KeyError(file)
        return content


class Views:
    """Makes views of a store, taking over what is new in it. Safe to use from several threads."""

    def __init__(self, store: Store, maker: str, dims: int, overlays: dict[str, Record] | None = None) -> None:
        """Take over what is there.

        Args:
            store: what views are made of.
            maker: whose vectors count.
            dims: their length.
            overlays: texts of the editor by path; changed by `overlay`.
        """
        self._store = store
        self._maker = maker
        self._dims = dims
        self._lock = threading.RLock()
        self._rev = 0
        self._files: dict[int, FileRow] = {}
        self._overlays = {} if overlays is None else overlays
        self._large = segment.build((), dims)
        # Files that the large segment has not, or not as they are now, with the revision of that.
        self._changed: dict[int, tuple[int, Rows]] = {}
        self._view: View | None = None
        self._load()

    def current(self) -> View:
        """The index as it is now; a view made before is returned if nothing has changed."""
        with self._lock:
            if self._refresh() or self._view is None:
                self._view = self._made()
            return self._view

    def overlay(self, path: str, record: Record | None) -> None:
        """Let a file be as the editor has it; None: as it is on the disk again."""
        with self._lock:
            if record is None:
                self._overlays.pop(path, None)
            else:
                self._overlays[path] = record
            self._view = None

    @property
    def wants_merging(self) -> bool:
        """Whether so much has changed that `merge` is worth its while."""
        with self._lock:
            if self._refresh():
                self._view = None
            changed = sum(len(rows) for _, rows in self._changed.values())
            return changed > max(_SMALL, min(_MOST_SMALL, len(self._large) // 8))

    def merge(self) -> None:
        """Make one large segment of everything; searches go on meanwhile. Saves it if the store is ours to write."""
        with self._lock:
            self._refresh()
            rev, files = self._rev, dict(self._files)
        large = segment.build(self._rows(files), self._dims)
        folder = self._store.folder / f"{SEGMENT}{rev}"
        if self._store.writable and len(large) >= _SAVED_FROM:
            large = self._saved(large, folder, rev)
        with self._lock:
            self._large = large
            # What came in while it was made is not in it.
            self._changed = {file: changed for file, changed in self._changed.items() if changed[0] > rev}
            self._view = None

    def _saved(self, large: Segment, folder: Path, rev: int) -> Segment:
        """The segment as written to disk and mapped, so that what nobody searches takes no memory."""
        try:
            shutil.rmtree(folder, ignore_errors=True)
            segment.save(large, folder, self._note(rev))
            mapped, _ = segment.load(folder)
        except (OSError, ValueError) as error:
            _log.warning("The index's arrays can't be saved in %s (%s); they stay in memory.", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
            return large
        for other in self._store.folder.glob(f"{SEGMENT}*"):
            if other != folder:  # another process may have it mapped: its pages stay until it lets go
                shutil.rmtree(other, ignore_errors=True)
        return mapped

    def _note(self, rev: int) -> dict[str, object]:
        """What a segment must be of to be ours: numbers of files mean nothing in another store."""
        return {"rev": rev, "maker": self._maker, "dims": self._dims, "store": self._store.meta("identity")}

    def _load(self) -> None:
        """Take over the saved segment, if one fits; what changed since comes with `_refresh`."""
        for folder in self._store.folder.glob(f"{SEGMENT}*"):
            try:
                large, note = segment.load(folder)
                if note != self._note(note["rev"]):
                    raise ValueError("it is of another index")
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.info("Left a saved segment alone (%s): %s", folder.name, error)
                continue
            self._large = large
            rows = self._store.files()
            self._files = {row.id: row for row in rows if row.content is not None}
            self._rev = note["rev"]
            return

    def _refresh(self) -> bool:
        """Take over what the store has new; whether there was something."""
        if self._store.rev == self._rev:
            return False
        new = {row.id: row for row in self._store.files(self._rev)}
        there = {file: row for file, row in new.items() if row.content is not None}
        found = dict(self._rows(there))  # before anything is taken over: it may fail
        self._rev = max((row.rev for row in new.values()), default=self._rev)
        self._files = {file: row for file, row in self._files.items() if file not in new} | there
        self._changed |= {file: (row.rev, found.get(file, _NO_ROWS)) for file, row in new.items()}
        return bool(new)

    def _rows(self, files: dict[int, FileRow]) -> Iterator[tuple[int, Rows]]:
        """Each file's rows; what another embedder made counts by its words alone until it is made again."""
        owners: dict[int, list[int]] = {}
        for file, row in files.items():
            if row.content is not None:
                owners.setdefault(row.content, []).append(file)
        for content, maker, rows in self._store.rows(owners):
            usable = rows if maker == self._maker else replace(rows, vectors=rows.vectors[:, :0])
            for file in owners[content]:
                yield file, usable

    def _made(self) -> View:
        files = dict(self._files)
        by_path = {row.path: file for file, row in files.items()}
        overlays: dict[int, Record] = {}
        for number, (path, record) in enumerate(self._overlays.items(), 1):
            file = by_path.get(path, -number)  # a file that was never saved
            overlays[file] = record
            by_path[path] = file
            files.setdefault(file, FileRow(file, path, None, 0, 0, record.outline.language, "", self._rev, 0.0))
        small = {file: rows for file, (_, rows) in self._changed.items()}
        small |= {file: record.rows for file, record in overlays.items()}
        dead = np.zeros(len(self._large), np.bool_)
        for file in small:
            first, end = self._large.spans.get(file, (0, 0))
            dead[first:end] = True
        changed = segment.build(small.items(), self._dims)
        return View(
            (self._large, changed), (dead, np.zeros(len(changed), np.bool_)), files, by_path, overlays, self._store
        )


_NO_ROWS = Rows(
    np.zeros((0, 0), np.int8),
    np.zeros(0, np.float32),
    np.zeros(0, np.uint32),
    np.zeros(0, np.uint8),
    np.zeros(0, np.uint32),
    np.zeros(0, np.uint32),
    np.zeros(0, np.uint8),
    np.zeros(0, np.uint8),
    np.zeros(0, np.uint16),
)
