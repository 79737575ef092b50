"""Brings the store up to date with the workspace: what changed is read, digested in worker processes, and stored."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from stat import S_ISDIR

from indexer.digest import digest, maker
from indexer.embedding.embedder import TextEmbedder
from indexer.files import FileRules, Listed, Skipped, decide, listing, read
from indexer.languages import language_of
from indexer.secrets import redact
from indexer.store import Change, Store, content_key, pack

_log = logging.getLogger(__name__)

MakeEmbedder = Callable[[], TextEmbedder]
"""Makes an embedder in whatever process it is called: a function at the top of a module."""

_FEW = 64  # files that are digested sooner than worker processes start
_BATCH = 16  # files that a worker takes at once
_COMMITTED = 256  # files stored in one transaction


@dataclass(frozen=True)
class Progress:
    """How far a scan is."""

    done: int
    total: int
    """Files to look into; what hasn't changed isn't among them."""


@dataclass(frozen=True)
class Workload:
    """How a scan may use the machine."""

    workers: int = 1
    """Processes that digest; 0: none but this one."""
    niceness: int = 0
    """Added to the workers' niceness."""
    hold: Callable[[], bool] = lambda: False
    """Asked before each batch: whether to wait (the user types, the battery drains)."""
    cancelled: Callable[[], bool] = lambda: False
    """Asked as often: whether to end; what is stored by then stays."""
    progress: Callable[[Progress], None] = lambda progress: None


class Scanner:
    """Brings one store up to date."""

    def __init__(self, workspace: Path, store: Store, rules: FileRules, make_embedder: MakeEmbedder) -> None:
        self.workspace = workspace
        self.rules = rules
        self._store = store
        self._make_embedder = make_embedder
        self._maker = maker(make_embedder())

    def scan(self, load: Workload = Workload()) -> int:
        """Look at every file of the workspace; how many had changed, counting those that have gone.

        Raises:
            sqlite3.DatabaseError: the store can't be written.
        """
        known = self._store.known()
        again = self._store.stale(self._maker)
        listed: set[str] = set()
        todo: list[Listed] = []
        for file in listing(self.workspace, self.rules):
            listed.add(file.path)
            if known.get(file.path) != (file.size, file.mtime_ns) or file.path in again:
                todo.append(file)
        gone = [Change(path, gone=True) for path in known.keys() - listed]
        self._apply(gone)
        self._digest(todo, load)
        if not load.cancelled():
            self._store.purge()
        return len(todo) + len(gone)

    def update(self, paths: Iterable[str], load: Workload = Workload()) -> int:
        """Look at some files, or folders that may have gone, by their paths in the workspace; how many had changed."""
        todo: dict[str, Listed] = {}
        gone: set[str] = set()
        for path in paths:
            there = {file.path: file for file in self._listed(path)}
            known = self._store.known(path)
            gone |= known.keys() - there.keys()
            todo |= {name: file for name, file in there.items() if known.get(name) != (file.size, file.mtime_ns)}
        self._apply([Change(path, gone=True) for path in gone])
        self._digest(list(todo.values()), load)
        return len(todo) + len(gone)

    def _listed(self, path: str) -> Iterable[Listed]:
        """The file, or the files in the folder, as a scan would list them; none if it is gone or kept out."""
        if not decide(self.workspace, path, self.rules).included:
            return ()
        try:
            status = (self.workspace / path).lstat()
        except (OSError, ValueError):
            return ()
        if S_ISDIR(status.st_mode):
            return listing(self.workspace, self.rules, top=path)
        return (Listed(path, status.st_size, status.st_mtime_ns, status.st_ino),)

    def _digest(self, files: Sequence[Listed], load: Workload) -> None:
        """Digest and store files, telling how far it is."""
        load.progress(Progress(0, len(files)))
        done = 0
        for changes in self._committable(self._changes(files, load)):
            self._apply(changes)
            done += len(changes)
            load.progress(Progress(done, len(files)))

    def _committable(self, changes: Iterable[Sequence[Change]]) -> Iterator[list[Change]]:
        """The changes in transactions of a fair size."""
        ready: list[Change] = []
        for some in changes:
            ready += some
            if len(ready) >= _COMMITTED:
                yield ready
                ready = []
        if ready:
            yield ready

    def _apply(self, changes: Sequence[Change]) -> None:
        if changes:
            self._store.apply(changes, self._maker)

    def _changes(self, files: Sequence[Listed], load: Workload) -> Iterator[Sequence[Change]]:
        """What is to be stored of each file, in no order."""
        if len(files) <= _FEW or not load.workers:
            job = _Job(self.workspace, self.rules, self._store, self._make_embedder())
            for file in files:
                if not _may_go_on(load):
                    return
                yield [job.change(file)]
            return
        lost: list[Listed] = []
        # Long files first, so that none is left over for one worker at the end.
        ordered = sorted(files, key=lambda file: -file.size)
        batches = [ordered[first : first + _BATCH] for first in range(0, len(ordered), _BATCH)]
        yield from self._in_processes(batches, load, lost)
        # A worker died of one of these: each by itself shows which.
        for file in lost:
            alone: list[Listed] = []
            yield from self._in_processes([(file,)], replace(load, workers=1), alone)
            if alone:
                _log.warning("Taking %s apart ends the process; it is left out.", file.path)
                yield [_skipped(file, "taking it apart ends the process")]

    def _in_processes(
        self, batches: Sequence[Sequence[Listed]], load: Workload, lost: list[Listed]
    ) -> Iterator[Sequence[Change]]:
        """The changes of batches, made by workers; the files of those who died are added to ``lost``."""
        start = partial(_start, self.workspace, self.rules, self._store.folder, self._make_embedder, load.niceness)
        todo = iter(batches)
        running: dict[Future[list[Change]], Sequence[Listed]] = {}
        # A fork would copy this process's threads' locks in whatever state they are.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(load.workers, len(batches)), context, start) as pool:
            try:
                while _may_go_on(load):
                    for batch in islice(todo, 2 * load.workers - len(running)):
                        running[pool.submit(_work, batch)] = batch
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        changes = future.result()
                        del running[future]
                        yield changes
            except BrokenProcessPool:
                lost += [file for batch in (*running.values(), *todo) for file in batch]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _may_go_on(load: Workload) -> bool:
    """Wait while we are to hold; whether to go on."""
    while load.hold() and not load.cancelled():
        time.sleep(0.1)
    return not load.cancelled()


class _Job:
    """What one process needs to digest files."""

    def __init__(self, workspace: Path, rules: FileRules, store: Store, embedder: TextEmbedder) -> None:
        self._workspace = workspace
        self._rules = rules
        self._store = store
        self._embedder = embedder
        self._maker = maker(embedder)

    def change(self, file: Listed) -> Change:
        """What is to be stored of a file; a digest that the store has is not made again."""
        source = read(self._workspace, file.path, self._rules)
        if isinstance(source, Skipped):
            return _skipped(file, source.reason)
        language = language_of(file.path)
        key = content_key(file.path, source.hash, self._maker)
        known = Change(file.path, file.size, file.mtime_ns, language, key)
        if self._store.has_content(key):
            return known
        text, _ = redact(source.text)
        return replace(known, packed=pack(digest(file.path, language, text, self._embedder)))


def _skipped(file: Listed, reason: str) -> Change:
    return Change(file.path, file.size, file.mtime_ns, skipped=reason)


_job: _Job  # of a worker process


def _start(workspace: Path, rules: FileRules, folder: Path, make_embedder: MakeEmbedder, niceness: int) -> None:
    """Prepare a worker process."""
    global _job
    os.nice(niceness)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _job = _Job(workspace, rules, Store.open(folder, writable=False), make_embedder())


def _leave_with_parent() -> None:
    """A parent that was killed can't tell its workers, and they would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(files: Collection[Listed]) -> list[Change]:
    return [_job.change(file) for file in files]
