"""Brings the store up to date with the workspace: what changed is read, digested in worker processes, and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from indexer.digest import Record, maker
from indexer.files import FileRules, Listed, decide, listing
from indexer.store import Change, Store
from indexer.workers import Job, MakeEmbedder, Setting, Workers

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

    workers: int = 0
    """Processes that digest; 0: none but this one, which a grammar may crash."""
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
        self._setting = Setting(workspace, rules, store.folder, make_embedder)
        self._maker = maker(make_embedder())
        self._workers: Workers | None = None

    def rest(self) -> None:
        """End the worker processes until there is work again."""
        if self._workers is not None:
            self._workers.rest()

    def record(self, path: str, text: str, load: Workload) -> Record | None:
        """A file's text, redacted already, taken apart; None where that ends the process."""
        if load.workers:
            return self._hired(load).record(path, text)
        return Job(self._setting, self._store).record(path, text)

    def _hired(self, load: Workload) -> Workers:
        known = self._workers
        if known is None or (known.count, known.niceness) != (load.workers, load.niceness):
            self.rest()
            known = self._workers = Workers(self._setting, load.workers, load.niceness)
        return known

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
        if load.workers and files:
            yield from self._hired(load).changes(files, lambda: _may_go_on(load))
            return
        job = Job(self._setting, self._store)
        for file in files:
            if not _may_go_on(load):
                return
            yield [job.change(file)]


def _may_go_on(load: Workload) -> bool:
    """Wait while we are to hold; whether to go on."""
    while load.hold() and not load.cancelled():
        time.sleep(0.1)
    return not load.cancelled()
