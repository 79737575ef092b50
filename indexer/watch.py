"""What changes in a workspace, in batches: inotify on Linux, FSEvents on macOS, rescans where neither works.

A recursive watch of watchdog knows no exceptions: it would watch every folder of node_modules, one kernel watch each,
and reaching the kernel's limit is silent. So on Linux each folder that counts gets a watch of its own, with one thread
for all of them (see `indexer.inotify`; watchdog's observers start a thread per watch). FSEvents watches trees for free.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from indexer.files import FileRules, is_ignored
from indexer.ignore import RULE_FILES, git_folder, repository_of
from indexer.news import GIT_FILES, Git, Gone, Lost, News, Tell, reason_of

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

QUIET_SECONDS = 0.15
LONGEST_SECONDS = 1.0
_LONGEST_GIT_SECONDS = 10.0  # a lock of git's that is older was left behind by a crash
_TICK_SECONDS = 1.0
MANY = 1_000
"""More changes than this at once are a rescan: it costs less than looking at each."""


class _Source(Protocol):
    def stop(self) -> None: ...


class Watcher:
    """Tells of changes to the files of a workspace that the ignore rules leave in.

    `on_change` gets paths relative to the workspace, with ``/``. Each may be a file or a folder, new, changed or gone:
    look again at it and at all that lies or lay in it. `on_rescan` gets the reason why single changes can't be told:
    compare the whole workspace with what is known of it. Both are called in the watcher's own thread, one at a time.

    `degraded` says why changes can't be watched, so that rescans must do; empty while they can.
    """

    def __init__(
        self,
        workspace: Path,
        on_change: Callable[[set[str]], None],
        on_rescan: Callable[[str], None],
        rules: FileRules | None = None,
        *,
        rescan_seconds: float = 900.0,
        degraded_seconds: float = 30.0,
    ) -> None:
        """Take what to watch; nothing begins before `start`.

        Args:
            workspace: the folder; it may be missing, and come later.
            on_change: see above.
            on_rescan: see above.
            rules: the settings.
            rescan_seconds: how long between two rescans that find what was missed.
            degraded_seconds: how long between two rescans while nothing can be watched.
        """
        self.degraded = ""
        self._root = Path(os.path.realpath(workspace))
        self._on_change = on_change
        self._on_rescan = on_rescan
        self._rules = rules or FileRules()
        self._rescan_seconds = rescan_seconds
        self._degraded_seconds = degraded_seconds
        self._news: queue.SimpleQueue[News | None] = queue.SimpleQueue()
        self._source: _Source | None = None
        self._thread = threading.Thread(target=self._run, name="midline-watch", daemon=True)
        self._watching = threading.Event()
        self._stopping = False
        self._identity: tuple[int, int] | None = None
        self._head = ""

    def start(self) -> None:
        """Begin; returns when everything is being watched, so that a scan from now on misses nothing."""
        self._thread.start()
        self._watching.wait()

    def stop(self) -> None:
        """End, whatever is under way; no callback begins after this has returned."""
        self._stopping = True
        self._news.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    # -- the watcher's thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            reason = self._open()
            self._watching.set()
            if reason:
                self._rescan(reason)
            rescanned = time.monotonic()
            while not self._stopping:
                reason = self._wait()
                pause = self._degraded_seconds if self.degraded else self._rescan_seconds
                if not reason and self._identity and time.monotonic() - rescanned > pause:
                    reason = self.degraded or "to find what may have been missed"
                if reason and not self._stopping:
                    self._rescan(reason)
                    rescanned = time.monotonic()
        finally:
            self._watching.set()
            self._close()

    def _wait(self) -> str:
        """Wait for a batch, or a little, and tell of its changes; the reason for a rescan where they can't be told."""
        if self._identity != _identity(self._root):
            return self._reopen()
        try:
            first = self._news.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            return ""
        news = self._gather(first)
        if self._stopping:
            return ""
        if self._identity != _identity(self._root) or any(isinstance(item, Gone) for item in news):
            return self._reopen()
        for item in news:
            if isinstance(item, Lost):
                return self._lose(item)
        paths = {item for item in news if isinstance(item, str)}
        changed_rules = sorted(path for path in paths if path.rpartition("/")[2] in RULE_FILES)
        if changed_rules:
            self._head = _head(self._root)
            return self._open() or f"{changed_rules[0]} has changed"
        head, self._head = self._head, _head(self._root)
        if head != self._head:
            return f"git checkout ({self._head.removeprefix('ref: refs/heads/')})"
        if len(paths) > MANY:
            return f"more than {MANY:,} changes at once"
        if paths:
            self._call(self._on_change, paths)
        return ""

    def _gather(self, first: News | None) -> set[News | None]:
        """What comes until it is quiet, but not for ever; while git works, until it is done."""
        news = {first}
        begun = time.monotonic()
        lock = _git(self._root) / "index.lock"
        while not self._stopping:
            passed = time.monotonic() - begun
            locked = passed < _LONGEST_GIT_SECONDS and os.path.lexists(lock)
            if passed >= LONGEST_SECONDS and not locked:
                break
            try:
                item = self._news.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                if not locked:
                    break
                continue
            if len(news) <= MANY + 1 or not isinstance(item, str) or item.rpartition("/")[2] in RULE_FILES:
                news.add(item)
        return news

    def _lose(self, lost: Lost) -> str:
        if not lost.for_good:
            return self._open() or lost.reason
        self._close()
        self._degrade(lost.reason)
        return lost.reason

    def _reopen(self) -> str:
        """After the folder has gone or come: its loss is no reason to forget what is known of it."""
        was_there = self._identity is not None
        reason = self._open()
        if self._identity is None:
            if was_there:
                _log.warning("%s is gone; midline waits for it to come back.", self._root)
            return ""
        return reason or "the workspace's folder has come back"

    def _open(self) -> str:
        """Watch everything afresh; the reason for a rescan where that isn't possible."""
        self._close()
        self._identity = _identity(self._root)
        self._head = _head(self._root)
        if self._identity is None:
            return ""
        try:
            self._source = _source(self._root, self._rules, self._news.put)
            self.degraded = ""
        except OSError as error:
            if _identity(self._root) is not None:
                self._degrade(reason_of(error))
                return self.degraded
        return ""

    def _degrade(self, reason: str) -> None:
        if reason != self.degraded:
            _log.warning("%s", reason)
        self.degraded = reason

    def _close(self) -> None:
        backend, self._source = self._source, None
        if backend is not None:
            backend.stop()

    def _rescan(self, reason: str) -> None:
        self._call(self._on_rescan, reason)

    @staticmethod
    def _call(callback: Callable[[_T], None], value: _T) -> None:
        try:
            callback(value)
        except Exception:
            _log.exception("A change in the workspace could not be dealt with.")


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells one folder from another of the same name; None where there is none."""
    try:
        facts = folder.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino)


def _git(root: Path) -> Path:
    return git_folder(repository_of(root) or root)


def _head(root: Path) -> str:
    """What git's HEAD says: a branch or a commit; empty where there is no repository."""
    try:
        return (_git(root) / "HEAD").read_text("utf-8", "replace").strip()[:200]
    except OSError:
        return ""


# -- where the news come from ------------------------------------------------------------------------------------------


def _source(root: Path, rules: FileRules, tell: Tell) -> _Source:
    if sys.platform == "linux":
        from indexer.inotify import Folders  # can be imported only where there is inotify

        return Folders(root, rules, tell)
    return _Tree(root, rules, tell)


class _Tree(FileSystemEventHandler):
    """One watch for the whole tree, where that costs nothing, as with FSEvents."""

    def __init__(self, root: Path, rules: FileRules, tell: Tell) -> None:
        self._root = root
        self._rules = rules
        self._tell = tell
        self._observer = Observer()
        self._observer.schedule(self, str(root), recursive=True)
        self._observer.start()

    def stop(self) -> None:
        """Give the watch back."""
        self._observer.stop()
        self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take an event; a move is news of two places."""
        if event.event_type in ("opened", "closed_no_write", "attrib"):
            return
        for raw in (event.src_path, event.dest_path):
            place = os.fsdecode(raw)
            if place == str(self._root):
                if event.event_type in ("deleted", "moved"):
                    self._tell(Gone())
            elif place.startswith(f"{self._root}/"):
                self._take(place[len(str(self._root)) + 1 :], event)

    def _take(self, path: str, event: FileSystemEvent) -> None:
        parts = path.split("/")
        if parts[0] == ".git" and parts[-1] in GIT_FILES and len(parts) == 2:
            self._tell(Git())
        elif event.is_directory and event.event_type == "modified":
            return  # only says that something in it has changed, of which there is news of its own
        elif not is_ignored(self._root, path, self._rules, event.is_directory):
            self._tell(path)
