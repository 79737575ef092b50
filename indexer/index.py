"""A workspace's index: opened, kept fresh, asked. What the rest of midline sees of `indexer`."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock, Timeout

from indexer import graph
from indexer.chunk import Import, Outline
from indexer.context import MIX, ContextFinder, Mix, Piece
from indexer.digest import Record, maker
from indexer.embedding import default_embedder
from indexer.embedding.embedder import TextReranker
from indexer.files import FileRules, Skipped
from indexer.lexical import document_frequencies
from indexer.rows import term_id
from indexer.scan import Scanner, Workload
from indexer.search import Hit, Ranking, search_all
from indexer.secrets import redact
from indexer.store import Store, is_damage, remove, set_aside
from indexer.view import View, Views
from indexer.workers import MakeEmbedder

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Totals:
    """How much an index holds."""

    files: int
    chunks: int
    skipped: int
    """Files that are listed but kept out, as binary or too large."""
    languages: dict[str, int]
    """Files of each language, most first."""
    bytes: int
    """On disk."""


class Index:
    """The index of one workspace. Safe to use from several threads and processes: one of them writes, all may ask.

    Raises (any method that asks or writes):
        OSError, sqlite3.DatabaseError: the disk is full or fails; a damaged index is made again instead.
    """

    def __init__(
        self,
        workspace: Path,
        folder: Path,
        rules: FileRules = FileRules(),
        make_embedder: MakeEmbedder = default_embedder,
    ) -> None:
        """Open it, as its writer if nobody else is.

        Args:
            workspace: the folder that is indexed; nothing is written there.
            folder: where this workspace's index is kept, as `folder_of` gives it.
            rules: what stays out.
            make_embedder: a function at the top of a module, since worker processes call it too.

        Raises:
            OSError: the folder can't be used.
            sqlite3.OperationalError: another version of midline writes it, or the disk is full.
        """
        self.workspace = workspace
        self.rules = rules
        self._folder = folder
        self._make_embedder = make_embedder
        self._embedder = make_embedder()
        self._lock = threading.RLock()
        self._importance: dict[str, float] = {}
        self._importance_rev = -1
        self._imports: tuple[int, list[tuple[str, str, tuple[Import, ...]]]] = (-1, [])
        self._contexts = ContextFinder()
        self._overlays: dict[str, Record] = {}  # what the editor has not saved outlives a store that is made anew
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._writer = FileLock(folder / "writer.lock", mode=0o600, thread_local=False)
        self._open()

    def _open(self) -> None:
        self._store = self._opened()
        if self._store.writable and self._store.meta("workspace") != str(self.workspace):
            self._store.set_meta("workspace", str(self.workspace))
        self._views = Views(self._store, maker(self._embedder), self._embedder.dims, self._overlays)
        self._scanner = Scanner(self.workspace, self._store, self.rules, self._make_embedder)

    def _opened(self) -> Store:
        """The store, as its writer if that is free. A writer that is only beginning is waited for."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return Store.open(self._folder, writable=self.become_writer())
            except sqlite3.OperationalError:
                if self._writer.is_locked or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @property
    def writable(self) -> bool:
        """Whether this process is the one that writes it."""
        return self._store.writable

    def become_writer(self) -> bool:
        """Take the writer's place if it is free; whether we have it. Takes effect with the next scan."""
        if self._writer.is_locked:
            return True
        try:
            self._writer.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def close(self) -> None:
        """Let go of it."""
        with self._lock:
            self.rest()
            self._store.close()
            self._writer.release()

    def rest(self) -> None:
        """End the worker processes until there is work again."""
        self._scanner.rest()

    def scan(self, load: Workload = Workload(), *, rebuild: bool = False) -> int:
        """Bring it up to date with the whole workspace; how many files had changed. A reader only takes note.

        Args:
            load: how the machine may be used.
            rebuild: forget everything first.
        """
        if rebuild and self.writable:
            self._reopen(lambda: remove(self._folder))
        elif not self.writable and self.become_writer():
            self._reopen(lambda: None)
        if not self.writable:
            return 0
        changed = self._mended(lambda: self._scanner.scan(load))
        self._merged()
        return changed

    def update(self, paths: Iterable[str], load: Workload = Workload()) -> int:
        """Bring some files up to date, by their paths in the workspace; how many had changed.

        A reader does nothing, unless the writer has gone: then it takes its place, and looks at everything.
        """
        if not self.writable:
            return self.scan(load)
        paths = list(paths)
        changed = self._mended(lambda: self._scanner.update(paths, load))
        self._merged()
        return changed

    def overlay(self, path: str, text: str | None, load: Workload = Workload()) -> None:
        """Let a file be as the editor has it, though that isn't saved; None: as it is on the disk."""
        redacted = redact(text)[0] if text is not None else None
        if redacted is None or redacted == self._stored(path):
            self._views.overlay(path, None)
        else:
            self._views.overlay(path, self._scanner.record(path, redacted, load))

    def _stored(self, path: str) -> str | None:
        """A file's text as it is on the disk, redacted; None if it isn't in the index."""
        view = self.view()
        file = view.files.get(view.by_path.get(path, 0))
        try:
            return self._store.text(file.content) if file and file.content is not None else None
        except KeyError:
            return None

    def search(
        self,
        query: str,
        count: int = 10,
        *,
        ranking: Ranking = Ranking(),
        reranker: TextReranker | None = None,
    ) -> list[Hit]:
        """The best chunks for a question in words or code, best first; see `indexer.search`."""
        return [hit for _, hit in self.search_beside((), query, count, ranking=ranking, reranker=reranker)]

    def search_beside(
        self,
        others: Sequence[Index],
        query: str,
        count: int = 10,
        *,
        ranking: Ranking = Ranking(),
        reranker: TextReranker | None = None,
    ) -> list[tuple[Index, Hit]]:
        """The best chunks of this index and of others, each with its index; this one says what is a usual score."""
        indexes = (self, *others)
        found = self._mended(
            lambda: search_all(
                [index.view() for index in indexes],
                query,
                self._embedder,
                count,
                ranking=ranking,
                importance=self._importance,
                reranker=reranker,
            )
        )
        return [(indexes[number], hit) for number, hit in found]

    def context_for(self, path: str, prefix: str, suffix: str, budget: int, mix: Mix = MIX) -> list[Piece]:
        """What a completion at a cursor needs from the other files (and from far away in its own); reads no files.

        Args:
            path: the file, relative to the workspace, POSIX; what the index doesn't know gets nothing.
            prefix: all text before the cursor, saved or not.
            suffix: all text behind it.
            budget: the most characters of all pieces' texts.
            mix: what it is made of.

        Returns:
            Pieces by path and line, so that a small edit leaves most of them as and where they are.
        """
        return self._mended(lambda: self._contexts.find(self._views.current(), path, prefix, suffix, budget, mix))

    def known_names(self, names: Iterable[str]) -> set[str]:
        """Which of these identifiers some file of the index defines, what the editor has not saved included."""
        wanted = set(names)
        unsaved = {one.name for record in self.view().overlays.values() for one in record.outline.definitions}
        return (wanted & unsaved) | self._mended(lambda: self._store.defined(wanted - unsaved))

    def mentioned_names(self, names: Iterable[str]) -> set[str]:
        """Which of these identifiers occur in some file of the index, defined there or not; upper case counts as lower.

        Names that were deleted lately may still count, as may, once in a million, one whose hash another has.
        """
        wanted = list(names)
        terms = np.array([term_id(name.strip("_").lower()) for name in wanted], np.uint32)
        found = document_frequencies(self.view().segments, terms)
        return {name for name, count in zip(wanted, found.tolist(), strict=True) if count}

    def outline(self, path: str) -> tuple[Outline, str] | None:
        """A file's outline and its redacted text, as it was digested; None if it isn't in the index."""
        view = self.view()
        try:
            return view.outline(view.by_path[path])
        except KeyError:
            return None

    def view(self) -> View:
        """The index at this moment, for whoever asks more than one thing of it."""
        return self._mended(lambda: self._views.current())

    def totals(self) -> Totals:
        """How much it holds."""
        files, chunks, languages, skipped = self._store.totals()
        return Totals(files, chunks, skipped, languages, self._store.bytes())

    def left_out(self) -> list[Skipped]:
        """The files that are listed but kept out, and why."""
        return [Skipped(path, reason) for path, reason in self._mended(lambda: self._store.skipped())]

    def imports(self) -> list[tuple[str, str, tuple[Import, ...]]]:
        """Path, language and imports of every file, as they are on the disk."""
        rev = self._store.rev
        if self._imports[0] != rev:
            self._imports = rev, self._mended(lambda: self._store.imports())
        return self._imports[1]

    def _merged(self) -> None:
        """Put what changed with the rest, once it is much."""
        if self._views.wants_merging:
            self._views.merge()

    def rank(self) -> None:
        """Find out anew which files others build upon: after a scan, in the background, as it takes a while."""
        rev = self._store.rev
        if rev != self._importance_rev:
            self._importance = graph.importance(self._store.imports())
            self._importance_rev = rev

    def _mended(self, work: Callable[[], _T]) -> _T:
        """What ``work`` gives; where the index turns out to be damaged it is set aside, once, and begun anew."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if not self.writable or not is_damage(error):
                raise
            damage = str(error)
            self._reopen(lambda: self._set_aside(damage))
            self._scanner.scan()
            return work()

    def _set_aside(self, damage: str) -> None:
        aside = set_aside(self._folder)
        _log.warning("The index is damaged (%s) and is made again. The damaged one: %s", damage, aside)

    def _reopen(self, meanwhile: Callable[[], None]) -> None:
        """Close the store and the processes that read it, do something to it, and open it again."""
        with self._lock:
            self.rest()
            self._store.close()
            meanwhile()
            self._open()


def folder_of(root: Path, workspace: Path) -> Path:
    """Where a workspace's index is kept under ``root``: by its real path, with its name for people."""
    real = os.path.realpath(workspace)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in Path(real).name)[:40]
    return root / f"{name or 'root'}-{hashlib.blake2b(os.fsencode(real), digest_size=8).hexdigest()}"
