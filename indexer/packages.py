"""Indexes of installed packages, made when a question first is about one, and kept per environment and version."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from indexer.environment import Package
from indexer.files import FileRules
from indexer.index import Index
from indexer.scan import Workload
from indexer.search import Hit, Ranking

_log = logging.getLogger(__name__)

_MOST_BYTES = 512 * 1024 * 1024
_MOST_OPEN = 8
_MAX_FILE_KIB = 2_048
_COMPLETE = "complete"  # a file that is there when all of a package is indexed; its time is that of its last use


# What a class is for stands in its docstring, which is all that is kept of it.
_RANKING = Ranking(dense=2.5, kinds=(-5.0, -5.0, -2.0, 0.0, 0.0, 0.0))
_OFFERED, _PRIVATE = 4.0, -3.0  # in the units of a hit's score


def _judged(hit: Hit, offered: set[str]) -> Hit:
    """A hit, worth more where the package itself offers it at its top, less in a module that is nobody's to import."""
    private = any(re.match(r"_(?!_)", part) for part in hit.path.split("/"))
    top = hit.symbol.partition(".")[0]
    is_offered = top in offered or (bool(top) and _is_top(hit.path))
    return replace(hit, score=hit.score + _OFFERED * is_offered + _PRIVATE * private)


def _offered(index: Index) -> set[str]:
    """The names that a package imports into its own top from its modules."""
    return {name for path, _, imports in index.imports() if _is_top(path) for one in imports for name in one.names}


def _is_top(path: str) -> bool:
    return path.count("/") <= 1 and path.rpartition("/")[2].startswith("__init__.")


def _is_told_better(hit: Hit, index: Index) -> bool:
    """Whether a stub's hit is defined in the module as well, which has the docstring."""
    taken = index.outline(hit.path[:-1]) if hit.path.endswith(".pyi") else None
    return taken is not None and any(chunk.symbol == hit.symbol for chunk in taken[0].chunks)


class Packages:
    """The indexes of packages under one folder. Safe to use from several threads, and by several processes.

    Args:
        folder: where they are kept; made if need be, for this user alone.
        load: how indexing may use the machine.
        most_bytes: what all of them may take on disk; those unused for longest go first.
    """

    def __init__(self, folder: Path, load: Workload = Workload(), most_bytes: int = _MOST_BYTES) -> None:
        self._folder = folder
        self._load = replace(load, cancelled=lambda: self._closing)
        self._closing = False
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._open: dict[str, Index] = {}  # the one used last is the last
        self._making: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, "midline-packages")

    def close(self) -> None:
        """Let go of all; what is just being indexed is left for another time."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()

    def ready(self, wanted: Sequence[Package], seconds: float) -> list[Index]:
        """The indexes of those packages that are indexed, or will be within so many seconds; the others follow."""
        pending = [self._asked_for(package) for package in wanted]
        wait([one for one in pending if one is not None], timeout=seconds)
        return [index for package in wanted if (index := self._opened(package))]

    def search(self, wanted: Sequence[Package], question: str, count: int, seconds: float) -> list[tuple[Index, Hit]]:
        """What some packages offer for a question, best first; see `ready`."""
        found: list[tuple[Index, Hit]] = []
        # All of a package lies in a folder of its name: the name tells nothing apart.
        names = {name.lower() for package in wanted for name in (package.name, package.distribution)}
        asked = " ".join(word for word in question.split() if word.strip("`.,:;?!()").lower() not in names)
        for index in self.ready(wanted, seconds):
            try:
                hits = index.search(asked, 3 * count, ranking=_RANKING)
                offered = _offered(index)
                found += [(index, _judged(hit, offered)) for hit in hits if not _is_told_better(hit, index)]
            except (OSError, sqlite3.Error) as error:
                _log.warning("The index of a package can't be read: %s", error)
        return sorted(found, key=lambda pair: -pair[1].score)[:count]

    def holds(self, file: Path) -> bool:
        """Whether a file belongs to a package that has been searched lately, and is still there."""
        with self._lock:
            known = [index for index in self._open.values() if file.is_relative_to(index.workspace)]
        inside = (index.view().by_path.get(file.relative_to(index.workspace).as_posix()) for index in known)
        return any(inside) and file.is_file()

    def _asked_for(self, package: Package) -> Future[None] | None:
        """Have a package indexed unless it is; what to wait for."""
        key = package.key
        with self._lock:
            if key in self._open or (self._folder / key / _COMPLETE).exists():
                return None
            if key not in self._making or self._making[key].done():
                self._making[key] = self._pool.submit(self._make, package)
            return self._making[key]

    def _make(self, package: Package) -> None:
        try:
            with contextlib.closing(self._index(package)) as index:
                if not index.writable:  # another process is at it
                    return
                index.scan(self._load)
            if not self._load.cancelled():
                marker = self._folder / package.key / _COMPLETE
                marker.touch(0o600)
                self._prune(keep=package.key)
        except (OSError, sqlite3.Error) as error:
            _log.warning("The package %s can't be indexed: %s", package.name, error)

    def _index(self, package: Package) -> Index:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        rules = FileRules(package.only, _MAX_FILE_KIB, "interfaces")
        return Index(package.folder, self._folder / package.key, rules)

    def _opened(self, package: Package) -> Index | None:
        """The index of a package, if it is complete; the ones used last stay open."""
        key = package.key
        with self._lock:
            index = self._open.pop(key, None)
            marker = self._folder / key / _COMPLETE
            try:
                if index is None:
                    if not marker.exists():
                        return None
                    index = self._index(package)
                    index.rank()
                os.utime(marker)
            except (OSError, sqlite3.Error) as error:
                _log.warning("The index of the package %s can't be opened: %s", package.name, error)
                if index is None:
                    return None
            self._open[key] = index
            for oldest in list(self._open)[:-_MOST_OPEN]:
                self._open.pop(oldest).close()
            return index

    def _prune(self, keep: str) -> None:
        """Remove the indexes that were not used for longest, until the rest is small enough."""
        with self._lock:
            kept = {keep, *self._open}
        used = sorted(((_used(folder), folder) for folder in self._folder.iterdir() if folder.is_dir()), reverse=True)
        total = 0
        for _, folder in used:
            total += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            if total > self._most_bytes and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _used(folder: Path) -> float:
    try:
        return (folder / _COMPLETE).stat().st_mtime
    except OSError:
        return time.time()  # it is just being made
