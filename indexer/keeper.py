"""Keeps an index fresh in a thread of its own: a scan at first, then whatever changes on the disk and in the editor."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from indexer.content import by_name
from indexer.files import is_ignored
from indexer.index import Index
from indexer.scan import Progress, Workload
from indexer.watch import Watcher

_log = logging.getLogger(__name__)

OVERLAY_SECONDS = 0.7
"""How long the editor's text must stay as it is before it is taken apart."""

_RETRY_SECONDS = 30.0
_REST_SECONDS = 60.0  # without work, after which the worker processes give their memory back


@dataclass(frozen=True)
class Freshness:
    """How the keeper is doing."""

    state: str = "starting"
    """``starting``, ``busy``, ``ready``, ``failed``."""
    detail: str = ""
    """What it is doing, or why it failed."""
    files: int = 0
    chunks: int = 0
    skipped: int = 0
    """Files that are kept out for what is in them."""
    pending: int = 0
    """Files still to look into."""


@dataclass
class _Todo:
    """What waits to be done."""

    rescan: str = "start"
    """Why everything must be looked at; empty if it needn't."""
    paths: set[str] = field(default_factory=set)
    overlays: dict[str, tuple[str | None, float]] = field(default_factory=dict)
    """Texts of the editor by path, and when each came."""


class Keeper:
    """Keeps one index fresh, until it is stopped.

    Args:
        index: closed by `stop`.
        load: how scans may use the machine; ``cancelled`` and ``progress`` are the keeper's own.
        tell: called, in the keeper's thread, when `freshness` has changed.
    """

    def __init__(self, index: Index, load: Workload, tell: Callable[[Freshness], None] = lambda _: None) -> None:
        self.index = index
        self.freshness = Freshness()
        self._tell = tell
        self._load = replace(load, cancelled=lambda: self._stopping, progress=self._on_progress)
        self._todo = _Todo()
        self._changed = threading.Condition()
        self._stopping = False
        self._rescan_at = 0.0
        self._watcher = Watcher(index.workspace, self.changed, self.rescan, index.rules)
        self._thread = threading.Thread(target=self._run, name="midline-index", daemon=True)

    def start(self) -> None:
        """Begin, with a scan."""
        self._thread.start()

    def stop(self) -> None:
        """End, in the middle of a scan if need be: what is stored stays, and the next scan goes on from there."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._watcher.stop()
        self._thread.join()
        self.index.close()

    def changed(self, paths: Iterable[str]) -> None:
        """Files or folders, by their paths in the workspace, have changed, come or gone."""
        with self._changed:
            self._todo.paths.update(paths)
            self._changed.notify()

    def rescan(self, reason: str) -> None:
        """Anything may have changed."""
        with self._changed:
            self._todo.rescan = reason
            self._changed.notify()

    def overlay(self, path: str, text: str | None) -> None:
        """The editor has a file open with this text; None: it has let go of it, or saved it."""
        with self._changed:
            waits = path in self._todo.overlays
            self._todo.overlays[path] = (text, time.monotonic())
            if not waits or text is None:  # at each key the thread would wake up only to wait on
                self._changed.notify()

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._attempt(self._watcher.start)
        while (todo := self._next()) is not None:
            if not self._attempt(lambda: self._do(todo)):
                self._try_later(todo)

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Do something; False where it failed, which is told. Nothing that happens may end the thread unheard."""
        try:
            work()
        except Exception as error:
            self._set(state="failed", detail=f"the index can't be kept: {error or type(error).__name__}", pending=0)
            _log.warning("The index of %s can't be kept: %r. It is tried again.", self.index.workspace, error)
            return False
        return True

    def _try_later(self, todo: _Todo) -> None:
        """A scan makes up for what was not done, but for what only the editor knows."""
        with self._changed:
            self._rescan_at = time.monotonic() + _RETRY_SECONDS
            unsaved = {path: (text, self._rescan_at) for path, (text, _) in todo.overlays.items() if text is not None}
            self._todo.overlays = unsaved | self._todo.overlays

    def _next(self) -> _Todo | None:
        """Wait for something to do; None: to end."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                todo = self._due(now)
                if todo.rescan or todo.paths or todo.overlays:
                    return todo
                if not self._changed.wait(self._patience(now)) and time.monotonic() - now >= _REST_SECONDS:
                    self.index.rest()
        return None

    def _due(self, now: float) -> _Todo:
        """What is due, taken off the list."""
        waiting = self._todo
        if not waiting.rescan and now >= self._rescan_at > 0:
            waiting.rescan = "again after a failure"
        ripe = {
            path: entry
            for path, entry in waiting.overlays.items()
            if entry[0] is None or now - entry[1] >= OVERLAY_SECONDS
        }
        self._todo = _Todo("", set(), {path: text for path, text in waiting.overlays.items() if path not in ripe})
        return _Todo(waiting.rescan, waiting.paths, ripe)

    def _patience(self, now: float) -> float:
        """Seconds until something falls due by itself, or the workers may rest."""
        due = [came + OVERLAY_SECONDS - now for _, came in self._todo.overlays.values()]
        if self._rescan_at:
            due.append(self._rescan_at - now)
        return max(0.01, min(due, default=_REST_SECONDS))

    def _do(self, todo: _Todo) -> None:
        for path, (text, _) in todo.overlays.items():
            self._lay_over(path, text)
        if todo.rescan:
            self._set(state="busy", detail="scanning")
            self.index.scan(self._load)
            self.index.rank()
            self._rescan_at = 0.0
        elif todo.paths:
            self.index.update(todo.paths, self._load)
        if todo.rescan or todo.paths:
            now = self.index.totals()
            holds = {"files": now.files, "chunks": now.chunks, "skipped": now.skipped}
            self._set(state="ready", detail=self._watcher.degraded, pending=0, **holds)

    def _lay_over(self, path: str, text: str | None) -> None:
        if text is not None and (by_name(path) or is_ignored(self.index.workspace, path, self.index.rules)):
            text = None
        self.index.overlay(path, text, self._load)

    def _on_progress(self, progress: Progress) -> None:
        if progress.total > 1:
            self._set(state="busy", detail="indexing", pending=progress.total - progress.done)

    def _set(self, **changes: object) -> None:
        before = self.freshness
        self.freshness = replace(before, **changes)  # type: ignore[arg-type]
        if self.freshness != before:
            self._tell(self.freshness)
