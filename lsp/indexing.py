"""The workspace's index as the server keeps it: opened where the settings want it, fed with what the editor knows."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from indexer.files import FileRules, Skipped
from indexer.index import Index, folder_of
from indexer.keeper import Freshness, Keeper
from indexer.packages import Packages
from indexer.scan import Workload
from lsp import paths
from lsp.errors import MidlineError
from lsp.knowledge import left_out, open_documents, open_packages
from lsp.settings import Settings

_T = TypeVar("_T")
logger = logging.getLogger(__name__)

TYPING_SECONDS = 1.5
"""How long after a key the user counts as typing."""

_NICENESS = 10


def open_index(workspace: Path, settings: Settings) -> Index:
    """The index of a workspace, as the settings want it.

    Raises:
        MidlineError: it can't be kept.
    """
    folder = folder_of(paths.cache_dir() / "index", workspace)
    try:
        paths.private_dir(folder.parent)
        return Index(workspace, folder, file_rules(settings))
    except (OSError, sqlite3.Error) as error:
        raise MidlineError(
            f"The index in {folder} can't be used: {error}.", "Make room on the disk, or delete that folder."
        ) from error


def file_rules(settings: Settings) -> FileRules:
    """Which files the settings leave out."""
    options = settings.index
    return FileRules((*options.exclude, *settings.privacy.exclude), options.max_file_kib)


def workers(settings: Settings, *, leave: int) -> int:
    """How many processes take files apart: as set, or one a core but for ``leave``."""
    chosen = settings.index.workers
    return max(1, (os.cpu_count() or 1) - leave) if chosen == "auto" else chosen


class WorkspaceIndex:
    """Keeps the index of the folder that the editor has open.

    Args:
        tell: called in the event loop when `freshness` has changed.
        warn: called there with a message for the user.
    """

    def __init__(self, tell: Callable[[Freshness], None], warn: Callable[[str], None] = logger.warning) -> None:
        self.freshness = Freshness("disabled")
        self._tell = tell
        self._warn = warn
        self._keeper: Keeper | None = None
        self._documents: list[Keeper] = []
        self.packages: Packages | None = None
        self._kept: tuple[Any, ...] = ()
        self._typed_at = 0.0

    @property
    def index(self) -> Index | None:
        """The index, if there is one."""
        return self._keeper.index if self._keeper else None

    @property
    def documents(self) -> list[Index]:
        """The indexes of the folders that ``index.documents`` names."""
        return [keeper.index for keeper in self._documents]

    async def configure(self, workspace: Path | None, settings: Settings) -> None:
        """Open, close or change the index as the settings want it.

        Raises:
            MidlineError: it can't be kept.
        """
        wanted = (workspace, settings.index, settings.privacy)
        if wanted == self._kept:
            return
        await self.close()
        self._kept = wanted
        why_not = why_not_indexed(workspace, settings)
        if why_not or workspace is None:
            self._set(Freshness("disabled", why_not))
            return
        try:
            index = await asyncio.to_thread(open_index, workspace, settings)
        except MidlineError as error:
            self._set(Freshness("failed", error.message))
            raise
        loop = asyncio.get_running_loop()
        load = Workload(workers(settings, leave=1), _NICENESS, hold=lambda: self._hold(settings))
        self._keeper = Keeper(index, load, lambda freshness: _call_soon(loop, self._set, freshness))
        self._keeper.start()
        self.packages = open_packages(settings)
        await self._keep_documents(workspace, settings, load)

    async def _keep_documents(self, workspace: Path, settings: Settings, load: Workload) -> None:
        """Keep the documents fresh as well; what can't be read is told once."""
        indexes, problems = await asyncio.to_thread(open_documents, workspace, settings)
        for problem in problems:
            self._warn(problem)
        loop = asyncio.get_running_loop()
        for index in indexes:
            told: list[Skipped] = []

            def tell(freshness: Freshness, index: Index = index, told: list[Skipped] = told) -> None:
                if freshness.state == "ready" and (message := left_out(index, told)):
                    told += index.left_out()
                    _call_soon(loop, self._warn, message)
                elif freshness.state == "failed":
                    _call_soon(loop, self._warn, freshness.detail)

            self._documents.append(Keeper(index, load, tell))
            self._documents[-1].start()

    async def close(self) -> None:
        """Let go of the index."""
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """Let go of the index, waiting for what it is just storing; from any thread."""
        keepers = [*self._documents, *filter(None, [self._keeper])]
        self._keeper, self._documents, self._kept = None, [], ()
        packages, self.packages = self.packages, None
        for keeper in keepers:
            keeper.stop()
        if packages:
            packages.close()

    def typed(self) -> None:
        """The user has pressed a key."""
        self._typed_at = time.monotonic()

    def opened(self, path: Path | None, text: str | None) -> None:
        """The editor holds a file with this text; None: what is on the disk counts again."""
        if self._keeper and (inside := self._inside(path)):
            self._keeper.overlay(inside, text)

    def changed(self, path: Path | None) -> None:
        """A file changed on the disk, as the editor says."""
        if self._keeper and (inside := self._inside(path)):
            self._keeper.changed([inside])

    def _inside(self, path: Path | None) -> str:
        workspace = self._keeper.index.workspace if self._keeper else None
        if path is None or workspace is None or not path.is_relative_to(workspace):
            return ""
        return path.relative_to(workspace).as_posix()

    def _hold(self, settings: Settings) -> bool:
        """Whether indexing is to wait."""
        if settings.index.pause_while_typing and time.monotonic() - self._typed_at < TYPING_SECONDS:
            return True
        return settings.index.pause_on_battery and _on_battery()

    def _set(self, freshness: Freshness) -> None:
        if freshness != self.freshness:
            self.freshness = freshness
            self._tell(freshness)


def why_not_indexed(workspace: Path | None, settings: Settings) -> str:
    """Why there is to be no index; empty where there is to be one."""
    if not settings.index.enabled:
        return "index.enabled is false"
    if workspace is None:
        return "the editor has no folder open"
    home = Path.home()
    if workspace in (home, *home.parents):
        return f"{workspace} is no project: open a folder in it"
    return ""


_battery = (0.0, False)


def _on_battery() -> bool:
    """Whether the machine runs on its battery; asked of the system every ten seconds at most."""
    global _battery
    if time.monotonic() - _battery[0] > 10:
        sensors = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        _battery = (time.monotonic(), sensors is not None and sensors.power_plugged is False)
    return _battery[1]


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[_T], None], news: _T) -> None:
    """From another thread; a loop that has ended wants nothing any more."""
    try:
        loop.call_soon_threadsafe(call, news)
    except RuntimeError:
        logger.debug("the server has ended")
