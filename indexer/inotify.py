"""Events of Linux for the folders that count, and for no other."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from indexer.files import FileRules, folders
from indexer.ignore import VERSION_CONTROL, Scope, git_folder, repository_of
from indexer.news import GIT_FILES, Git, Gone, Lost, Tell, reason_of


class Folders:
    """A kernel watch for each folder that counts, and one for git's own; a `WatchCallback` of watchdog's."""

    _ID = CallbackId(0)
    # Neither opening nor reading: our own scans must not wake us. Writing counts when the file is closed.
    _MASK = Mask(
        InotifyConstants.IN_CREATE
        | InotifyConstants.IN_CLOSE_WRITE
        | InotifyConstants.IN_MOVED_FROM
        | InotifyConstants.IN_MOVED_TO
        | InotifyConstants.IN_DELETE
        | InotifyConstants.IN_DELETE_SELF
        | InotifyConstants.IN_MOVE_SELF
        | InotifyConstants.IN_ONLYDIR
        | InotifyConstants.IN_DONT_FOLLOW
    )

    def __init__(self, root: Path, rules: FileRules, tell: Tell) -> None:
        """Watch; OSError where the kernel's limits don't allow it."""
        self._root = root
        self._rules = rules
        self._tell = tell
        self._lock = threading.Lock()
        self._folders: dict[WatchDescriptor, tuple[str, Scope]] = {}
        self._watches: dict[str, WatchDescriptor] = {}
        self._git: WatchDescriptor | None = None
        self._inotify = InotifyFD()
        self._inotify.start()
        try:
            self._add("", None)
            self._git = self._watch(os.fsencode(git_folder(repository_of(root) or root)))
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Give all watches back."""
        self._inotify.stop()
        self._inotify.join()

    def _add(self, top: str, around: Scope | None) -> None:
        entered: set[str] = set()

        def enter(folder: str, outer: Scope) -> None:
            # Watched before it is listed: what comes in between is in the list, or in an event, or in both.
            entered.add(folder)
            self._watch_folder(folder, outer)

        for folder, scope in folders(self._root, self._rules, top, around, enter):
            entered.discard(folder)
            self._watch_folder(folder, scope)
        for folder in entered:  # a look at it showed that it doesn't count
            self._remove(folder)

    def _watch_folder(self, folder: str, scope: Scope) -> None:
        with self._lock:
            watch = self._watches.get(folder)
            if watch is None:
                watch = self._watch(os.fsencode(self._root / folder))
            if watch is not None:
                self._watches[folder] = watch
                self._folders[watch] = (folder, scope)

    def _watch(self, path: bytes) -> WatchDescriptor | None:
        try:
            watch = self._inotify.add_callback(path, self._MASK, self, self._ID)
        except (FileNotFoundError, NotADirectoryError):
            return None  # gone since it was listed
        return watch if watch >= 0 else None  # -1: not ours to read

    def _remove(self, top: str) -> None:
        """Forget a folder that was moved away, or deleted, with all in it: its watches follow it to its new place."""
        with self._lock:
            inside = [folder for folder in self._watches if folder.startswith(top)]
            watches = [self._watches.pop(folder) for folder in inside]
            for watch in watches:
                self._folders.pop(watch, None)
        self._inotify.remove_callbacks([(watch, self._ID) for watch in watches])

    # -- called in watchdog's thread -----------------------------------------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        """Take an event of one watch."""
        name = os.fsdecode(event.name)
        if event.wd == self._git:
            if name in GIT_FILES:
                self._tell(Git())
            return
        with self._lock:
            known = self._folders.get(event.wd)
        if known is None:
            return
        folder, scope = known
        if not name:
            if not folder:
                self._tell(Gone())
            return
        path = folder + name
        is_folder = bool(event.mask & InotifyConstants.IN_ISDIR)
        if name in VERSION_CONTROL:
            if not folder and (event.is_create or event.is_moved_to):
                self._tell(Lost("a repository was made"))
            return
        if scope.judge(path, is_folder).ignored:
            return
        if is_folder:
            self._follow(event, f"{path}/", scope)
        self._tell(path)

    def _follow(self, event: InotifyEvent, folder: str, scope: Scope) -> None:
        if event.is_delete or event.is_moved_from:
            self._remove(folder)
            return
        try:
            self._remove(folder)
            self._add(folder, scope)
        except OSError as error:
            self._tell(Lost(reason_of(error), for_good=True))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forget a watch whose folder is gone."""
        with self._lock:
            known = self._folders.pop(wd, None)
            if known is not None and self._watches.get(known[0]) == wd:
                del self._watches[known[0]]

    def on_queue_overflow(self) -> None:
        """Own up to the events that the kernel has dropped."""
        self._tell(Lost("there were more changes than the system could tell of"))
