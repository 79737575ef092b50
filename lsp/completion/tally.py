"""Counts of what became of suggestions, by day, language and mode, in a file of the user's; no text, no file's name.

Counts gather in memory and are written by a thread every few seconds. Whatever goes wrong with the file, completions
go on: what can't be written now is written later, and a damaged file is set aside.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from lsp.errors import MidlineError
from lsp.paths import data_dir, private_dir

logger = logging.getLogger(__name__)

FILE_NAME = "feedback.sqlite3"
KEPT_DAYS = 365
LEARNT_DAYS = 90
"""What is older has no say in what is shown."""

_WRITE_SECONDS = 5.0
_BUSY_SECONDS = 5.0
_VERSION = 1
_SCHEMA = """
create table if not exists counts (
    day text not null, language text not null, mode text not null, name text not null, value real not null,
    primary key (day, language, mode, name)
) without rowid
"""
_ADD = """
insert into counts values (?, ?, ?, ?, ?)
on conflict do update set value = value + excluded.value
"""
_IDENTIFIER = re.compile(r"[a-z0-9+#_.-]{1,32}")


class Name(NamedTuple):
    """What is counted, and where."""

    language: str
    mode: str
    name: str

    @classmethod
    def of(cls, language: str, mode: str, name: str) -> Name:
        """A name; languages and modes that aren't plain identifiers are ``other``."""
        language, mode = (w if _IDENTIFIER.fullmatch(w) else "other" for w in (language.lower(), mode.lower()))
        return cls(language, mode, name)


Counts = dict[Name, float]


class Tally:
    """The counts of this user.

    Args:
        path: the file; None is the usual one.
        today: tells the day.
    """

    def __init__(self, path: Path | None = None, today: Callable[[], date] = date.today) -> None:
        self.path = path or tally_path()
        self._today = today
        self._lock = threading.Lock()  # of what follows
        self._pending: defaultdict[tuple[str, Name], float] = defaultdict(float)
        self._known: defaultdict[Name, float] = defaultdict(float)
        self._timer: threading.Timer | None = None
        self._writing = threading.Lock()  # of the file; it may be held for seconds
        self._read = False
        self._useless = False
        self._told = False

    def begin(self) -> None:
        """Read soon what earlier sessions counted, without waiting for it."""
        self._arm(0.0)

    def add(self, language: str, mode: str, **values: float) -> None:
        """Add to the counts of a language and a mode."""
        day = self._today().isoformat()
        with self._lock:
            for word, value in values.items():
                name = Name.of(language, mode, word)
                self._pending[day, name] += value
                self._known[name] += value
        self._arm(_WRITE_SECONDS)

    def recent(self, language: str, mode: str, name: str) -> float:
        """A count of the last days, this session's with it; only this session's until the file has been read."""
        with self._lock:
            return self._known.get(Name.of(language, mode, name), 0.0)

    def flush(self) -> None:
        """Write now; never raises for what is wrong with the file."""
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, defaultdict(float)
                self._timer = None
            if self._useless:
                return
            try:
                self._write(pending)
                return
            except (sqlite3.Error, OSError, MidlineError) as error:
                if type(error) is sqlite3.DatabaseError:  # this one for damage; its kinds for what may pass
                    self._warn(f"{self.path} is damaged and set aside: {error}")
                    self._set_aside()
                else:
                    self._warn(f"{self.path} can't be written, and is tried again: {error}")
            with self._lock:
                for key, value in pending.items():
                    self._pending[key] += value

    def close(self) -> None:
        """Write what there is, and nothing after it."""
        with self._lock:
            timer, unwritten = self._timer, bool(self._pending)
        if timer:
            timer.cancel()
        if unwritten:
            self.flush()
        with self._writing:  # what another thread is writing
            self._useless = True

    def _arm(self, seconds: float) -> None:
        with self._lock:
            if self._timer is None and not self._useless:
                self._timer = threading.Timer(seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def _write(self, pending: dict[tuple[str, Name], float]) -> None:
        if self._read and not self.path.exists():
            with self._lock:
                self._known.clear()  # the user had it erased
        with _connected(self.path, create=True) as connection:
            if connection is None:
                self._useless = True
                self._warn(f"{self.path} is of a newer midline; nothing is counted")
                return
            if not self._read:
                self._take_in(connection)
            connection.executemany(_ADD, [(day, *name, value) for (day, name), value in pending.items()])

    def _take_in(self, connection: sqlite3.Connection) -> None:
        today = self._today()
        connection.execute("delete from counts where day < ?", ((today - timedelta(KEPT_DAYS)).isoformat(),))
        known = _read(connection, (today - timedelta(LEARNT_DAYS)).isoformat())
        with self._lock:
            for name, value in known.items():
                self._known[name] += value
        self._read = True

    def _set_aside(self) -> None:
        self._read = True  # what the next file holds, we wrote
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        try:
            self.path.replace(self.path.with_name(self.path.name + ".damaged"))
        except OSError:
            self._useless = True

    def _warn(self, message: str) -> None:
        if not self._told:
            self._told = True
            logger.warning("%s", message)


def tally_path() -> Path:
    """The file of this user's counts."""
    return data_dir() / FILE_NAME


def read(path: Path) -> Counts:
    """All that is counted in a file, over all its days; empty where there is none.

    Raises:
        MidlineError: it can't be read.
    """
    if not path.exists():
        return {}
    try:
        with _connected(path, create=False) as connection:
            if connection is not None:
                return _read(connection, "")
    except (sqlite3.DatabaseError, OSError) as error:
        raise MidlineError(f"Can't read {path}: {error}.", "`midline stats --erase` begins anew.") from error
    raise MidlineError(f"{path} was written by a newer midline.", "Update this one.")


def erase(path: Path) -> bool:
    """Remove a file of counts and what belongs to it; returns whether there was any.

    Raises:
        OSError: it can't be removed.
    """
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", ".damaged")]
    found = [file for file in files if file.exists()]
    for file in found:
        file.unlink(missing_ok=True)
    return bool(found)


@contextmanager
def _connected(path: Path, *, create: bool) -> Iterator[sqlite3.Connection | None]:
    """A connection in a transaction that is committed in the end; None where a newer midline wrote the file."""
    if create:
        private_dir(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        version = connection.execute("pragma user_version").fetchone()[0]
        if version > _VERSION:
            yield None
            return
        if version < _VERSION:
            connection.execute("pragma journal_mode = wal")
            connection.execute(_SCHEMA)
            connection.execute(f"pragma user_version = {_VERSION}")
        with connection:
            yield connection


def _read(connection: sqlite3.Connection, since: str) -> Counts:
    rows = connection.execute(
        "select language, mode, name, sum(value) from counts where day >= ? group by language, mode, name", (since,)
    )
    return {Name(language, mode, name): value for language, mode, name, value in rows}
