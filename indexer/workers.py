"""Processes that take files apart: a grammar that crashes or holds the interpreter's lock does it there.

They start when there is work and stay until they are told to rest, since starting takes longer than most work.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from indexer.digest import Record, digest, maker
from indexer.embedding.embedder import TextEmbedder
from indexer.files import FileRules, Listed, Skipped, read
from indexer.languages import language_of
from indexer.packing import pack
from indexer.secrets import redact
from indexer.store import Change, Store, content_key

_log = logging.getLogger(__name__)

MakeEmbedder = Callable[[], TextEmbedder]
"""Makes an embedder in whatever process it is called: a function at the top of a module."""

_BATCH = 16  # files that a worker takes at once


@dataclass(frozen=True)
class Setting:
    """What a process needs to know to take files of one workspace apart."""

    workspace: Path
    rules: FileRules
    folder: Path
    make_embedder: MakeEmbedder


class Job:
    """What one process needs to have."""

    def __init__(self, setting: Setting, store: Store) -> None:
        self._setting = setting
        self._store = store
        self._embedder = setting.make_embedder()
        self._maker = maker(self._embedder)

    def change(self, file: Listed) -> Change:
        """What is to be stored of a file; a digest that the store has is not made again."""
        source = read(self._setting.workspace, file.path, self._setting.rules)
        if isinstance(source, Skipped):
            return skipped(file, source.reason)
        key = content_key(file.path, source.hash, self._maker)
        known = Change(file.path, file.size, file.mtime_ns, language_of(file.path), key)
        if self._store.has_content(key):
            return known
        return replace(known, packed=pack(self.record(file.path, redact(source.text)[0])))

    def record(self, path: str, text: str) -> Record:
        """A file's text, redacted already, taken apart."""
        return digest(path, language_of(path), text, self._embedder, self._setting.rules.kind)


def skipped(file: Listed, reason: str) -> Change:
    """What is to be stored of a file that is kept out."""
    return Change(file.path, file.size, file.mtime_ns, skipped=reason)


class Workers:
    """The processes of one workspace's index.

    Args:
        setting: what they are told.
        count: how many at most.
        niceness: added to theirs.
    """

    def __init__(self, setting: Setting, count: int, niceness: int) -> None:
        self._setting = setting
        self.count = count
        self.niceness = niceness
        self._pool: ProcessPoolExecutor | None = None

    def rest(self) -> None:
        """End the processes; they start again with the next work."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def record(self, path: str, text: str) -> Record | None:
        """A file's text, redacted already, taken apart; None where that ends the process."""
        try:
            return self._started().submit(_record, path, text).result()
        except BrokenProcessPool:
            _log.warning("Taking the unsaved text of %s apart ends the process; it is left out.", path)
            self.rest()
            return None

    def changes(self, files: Sequence[Listed], may_go_on: Callable[[], bool]) -> Iterator[Sequence[Change]]:
        """What is to be stored of each file, in no order, until ``may_go_on`` says no.

        Raises:
            OSError: no process can be started.
        """
        # Long files first, so that none is left over for one worker at the end.
        ordered = sorted(files, key=lambda file: -file.size)
        lost: list[Listed] = []
        yield from self._batches([ordered[at : at + _BATCH] for at in range(0, len(ordered), _BATCH)], may_go_on, lost)
        if lost:
            self._check()
        # A worker died of one of these: each by itself shows which.
        for file in lost:
            alone: list[Listed] = []
            yield from self._batches([[file]], may_go_on, alone)
            if alone:
                _log.warning("Taking %s apart ends the process; it is left out.", file.path)
                yield [skipped(file, "taking it apart ends the process")]

    def _check(self) -> None:
        """See that a worker can start at all, before files are blamed for its end.

        Raises:
            OSError: it can't.
        """
        try:
            self._started().submit(_ready).result()
        except BrokenProcessPool as error:
            self.rest()
            raise OSError("a process that takes files apart can't be started") from error

    def _batches(
        self, batches: Sequence[Sequence[Listed]], may_go_on: Callable[[], bool], lost: list[Listed]
    ) -> Iterator[Sequence[Change]]:
        """The changes of batches; the files of those whose worker died are added to ``lost``."""
        todo = iter(batches)
        running: dict[Future[list[Change]], Sequence[Listed]] = {}
        try:
            while may_go_on():
                for batch in islice(todo, 2 * self.count - len(running)):
                    running[self._started().submit(_changes, batch)] = batch
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    changes = future.result()
                    del running[future]
                    yield changes
        except BrokenProcessPool:
            lost += [file for batch in (*running.values(), *todo) for file in batch]
            self.rest()
        finally:
            for future in running:
                future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # numpy's threads would wait for each other in every worker; measured, that costs six times the work.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            # A fork would copy this process's threads' locks in whatever state they are.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.count, context, _start, (self._setting, self.niceness))
        return self._pool


_job: Job  # of a worker process


def _start(setting: Setting, niceness: int) -> None:
    global _job
    os.nice(niceness)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _job = Job(setting, Store.open(setting.folder, writable=False))


def _leave_with_parent() -> None:
    """A parent that was killed can't tell its workers, and they would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _changes(files: Sequence[Listed]) -> list[Change]:
    return [_job.change(file) for file in files]


def _ready() -> bool:
    return True


def _record(path: str, text: str) -> Record:
    return _job.record(path, text)
