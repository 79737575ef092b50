"""The index on disk: one SQLite file per workspace, which alone is the truth; what is in memory is made from it.

A file's row points to what its content was digested to, and that is keyed by the content: a branch switched back to
finds its digests there. Every change carries a revision, so that readers take over only what is new to them.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from indexer import packing
from indexer.chunk import Chunk, Import, Outline, split_lines
from indexer.packing import COLUMNS, ROW_COLUMNS, Packed, Sketch
from indexer.rows import Rows

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

SCHEMA_VERSION = 2
FILE_NAME = "index.sqlite"
SEGMENT = "segment-"
"""How the names of folders begin that hold arrays made from the database."""

_PURGE_DAYS = 14
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE content (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, maker TEXT NOT NULL, chunks INTEGER NOT NULL,
    imports BLOB NOT NULL, outline BLOB NOT NULL, text BLOB NOT NULL,
    vectors BLOB NOT NULL, scales BLOB NOT NULL, terms BLOB NOT NULL, frequencies BLOB NOT NULL,
    term_counts BLOB NOT NULL, lengths BLOB NOT NULL, kinds BLOB NOT NULL, symbols BLOB NOT NULL,
    symbol_sizes BLOB NOT NULL
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, content INTEGER REFERENCES content (id),
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, language TEXT NOT NULL, skipped TEXT NOT NULL,
    rev INTEGER NOT NULL, changed REAL NOT NULL
);
CREATE INDEX file_content ON file (content);
CREATE INDEX file_rev ON file (rev);
CREATE TABLE definition (
    content INTEGER NOT NULL REFERENCES content (id), name TEXT NOT NULL, number INTEGER NOT NULL
);
CREATE INDEX definition_name ON definition (name);
CREATE INDEX definition_content ON definition (content);
"""


@dataclass(frozen=True)
class FileRow:
    """A file as the store knows it."""

    id: int
    path: str
    content: int | None
    """The id of its digest; None: the file is gone or is kept out."""
    size: int
    mtime_ns: int
    language: str
    skipped: str
    """Why it is kept out though it is listed; empty if it isn't."""
    rev: int
    changed: float
    """When it last changed, in seconds since the epoch."""


@dataclass(frozen=True)
class Change:
    """What is to be stored of one file."""

    path: str
    size: int = 0
    mtime_ns: int = 0
    language: str = "plaintext"
    key: bytes = b""
    """Of its content, as `content_key` makes it; empty: it has none (gone, or kept out)."""
    packed: Packed | None = None
    """None where the store has a digest under `key` already."""
    skipped: str = ""
    gone: bool = False


def content_key(path: str, raw_hash: bytes, maker: str) -> bytes:
    """What a digest depends on, as 16 bytes: the file's bytes and name, and who makes it (`digest.maker`)."""
    state = hashlib.blake2b(raw_hash, digest_size=16)
    state.update(f"\0{path}\0{maker}".encode("utf-8", "surrogateescape"))
    return state.digest()


class Store:
    """A workspace's index on disk. Safe to use from several threads; one process may write, all may read.

    Reading has a connection of its own, so that it doesn't wait for what is just being written: in WAL mode it goes on
    with what was committed last.

    Raises (any method):
        sqlite3.DatabaseError: the file is damaged, or the disk is full; `Store.open` mends the former.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        self.folder = folder
        self.writable = writable
        self._path = folder / FILE_NAME
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._connect()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, folder: Path, *, writable: bool = True) -> Store:
        """The store in ``folder``, made if need be. A damaged file is set aside beside it, with one warning.

        Raises:
            OSError: the folder can't be used.
            sqlite3.OperationalError: a reader found no store, or the disk is full.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return cls(folder, writable=writable)
        except sqlite3.DatabaseError as error:
            if not writable or not is_damage(error):
                raise
            aside = set_aside(folder)
            _log.warning("The index in %s is damaged (%s); it is made again. The damaged one: %s", folder, error, aside)
            return cls(folder, writable=writable)

    def close(self) -> None:
        """Let go of the file; nothing that was committed is lost without this."""
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def _connect(self) -> None:
        self._writer = _connect(self._path)
        try:
            self._reader = _connect(self._path)
        except BaseException:
            self._writer.close()
            raise

    def _prepare(self) -> None:
        [(tables,)] = self._read("SELECT count(*) FROM sqlite_master")
        if tables and self.meta("schema") != str(SCHEMA_VERSION):
            if not self.writable:
                raise sqlite3.OperationalError("the index was made by another version of midline")
            _log.info("The index in %s was made by another version of midline; it is made again.", self.folder)
            self.close()
            remove(self.folder)
            self._connect()
            tables = 0
        if not tables and not self.writable:
            raise sqlite3.OperationalError("there is no index yet")
        if not tables:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._writer.execute(statement)
                made = [("schema", str(SCHEMA_VERSION)), ("identity", uuid.uuid4().hex)]
                self._writer.executemany("INSERT INTO meta VALUES (?, ?)", made)
        self._path.chmod(0o600)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has rolled back already
                    self._writer.execute("ROLLBACK")
                raise

    def _read(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, of what was committed by now."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    def meta(self, key: str) -> str:
        """A value kept beside the index; empty if there is none."""
        rows = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value beside the index."""
        with self._transaction():
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @property
    def rev(self) -> int:
        """The revision of the newest change; 0 for a new store."""
        [(rev,)] = self._read("SELECT coalesce(max(rev), 0) FROM file")
        return int(rev)

    def apply(self, changes: Sequence[Change], maker: str) -> None:
        """Store changes of files, all or none of them."""
        with self._transaction():
            rev = self.rev + 1
            now = time.time()
            for change in changes:
                content = None
                if change.packed is not None:
                    content = self._put(change.key, change.packed, maker)
                elif change.key:
                    content = self._stored(change.key)
                self._writer.execute(
                    "INSERT INTO file (path, content, size, mtime_ns, language, skipped, rev, changed)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET content = excluded.content,"
                    " size = excluded.size, mtime_ns = excluded.mtime_ns, language = excluded.language,"
                    " skipped = excluded.skipped, rev = excluded.rev, changed = excluded.changed",
                    (
                        change.path,
                        content,
                        -1 if change.gone else change.size,
                        change.mtime_ns,
                        change.language,
                        change.skipped,
                        rev,
                        change.mtime_ns / 1e9 if change.mtime_ns else now,
                    ),
                )

    def _stored(self, key: bytes) -> int | None:
        """The id of a content, one that is just being written among them."""
        row = self._writer.execute("SELECT id FROM content WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else None

    def _put(self, key: bytes, packed: Packed, maker: str) -> int:
        known = self._stored(key)
        if known is not None:
            return known
        cursor = self._writer.execute(
            f"INSERT INTO content (key, maker, chunks, {COLUMNS}) VALUES (?{', ?' * 14})",
            (key, maker, packed.chunks, *packed.blobs),
        )
        content = int(cursor.lastrowid or 0)
        self._writer.executemany(
            "INSERT INTO definition (content, name, number) VALUES (?, ?, ?)",
            [(content, name, number) for number, name in enumerate(packed.definitions)],
        )
        return content

    def has_content(self, key: bytes) -> bool:
        """Whether a content's digest is there."""
        return bool(self._read("SELECT 1 FROM content WHERE key = ?", (key,)))

    def files(self, since: int = 0) -> list[FileRow]:
        """Files that changed after revision ``since``, those that are gone (``content`` None) among them."""
        rows = self._read(
            "SELECT id, path, content, size, mtime_ns, language, skipped, rev, changed FROM file WHERE rev > ?"
            " ORDER BY id",
            (since,),
        )
        return [FileRow(*row) for row in rows]

    def known(self, path: str = "") -> dict[str, tuple[int, int]]:
        """``path → (size, mtime_ns)`` of the files that are there, kept out or not: all, or a file or folder's."""
        query = "SELECT path, size, mtime_ns FROM file WHERE size >= 0"
        if path:
            # "0" is what comes behind "/".
            query += " AND (path = :path OR path > :path || '/' AND path < :path || '0')"
        return {path: (size, mtime) for path, size, mtime in self._read(query, {"path": path})}

    def skipped(self) -> list[tuple[str, str]]:
        """``(path, reason)`` of the files that are listed but kept out, by path."""
        return self._read("SELECT path, skipped FROM file WHERE skipped != '' AND size >= 0 ORDER BY path")

    def stale(self, maker: str) -> set[str]:
        """Paths of files whose digest somebody else made: another embedder, or an earlier midline."""
        rows = self._read(
            "SELECT file.path FROM file JOIN content ON content.id = file.content WHERE content.maker != ?", (maker,)
        )
        return {path for (path,) in rows}

    def rows(self, contents: Iterable[int]) -> Iterator[tuple[int, str, Rows]]:
        """``(content id, who made it, what its chunks are searched by)`` of each content, in no order."""
        for batch in _batches(contents, 256):
            marks = ",".join("?" * len(batch))
            found = self._read(f"SELECT id, maker, {ROW_COLUMNS} FROM content WHERE id IN ({marks})", batch)
            for content, maker, *blobs in found:
                yield content, maker, packing.rows_of(blobs)

    def outline(self, content: int) -> tuple[Outline, str]:
        """A content's outline and its text, as it was digested.

        Raises:
            KeyError: there is no such content any more.
        """
        rows = self._read("SELECT outline, text FROM content WHERE id = ?", (content,))
        if not rows:
            raise KeyError(content)
        return packing.outline_of(*rows[0])

    def chunk(self, content: int, number: int) -> Chunk:
        """One of a content's chunks, by its place: the others are not even decoded.

        Raises:
            KeyError: there is no such content any more.
            IndexError: it has no such chunk.
        """
        chunk = packing.chunk_of(self._blob(content, "outline"), number)
        return chunk if chunk.text else packing.with_text(chunk, split_lines(self.text(content), chunk.end_line))

    def sketch(self, content: int) -> Sketch:
        """A content's outline without its chunks' texts: a fraction of the work of `outline`.

        Raises:
            KeyError: there is no such content any more.
        """
        return packing.sketch_of(self._blob(content, "outline"))

    def text(self, content: int) -> str:
        """A content's text, as it was digested.

        Raises:
            KeyError: there is no such content any more.
        """
        return packing.text_of(self._blob(content, "text"))

    def _blob(self, content: int, column: str) -> bytes:
        rows = self._read(f"SELECT {column} FROM content WHERE id = ?", (content,))
        if not rows:
            raise KeyError(content)
        return bytes(rows[0][0])

    def imports(self) -> list[tuple[str, str, tuple[Import, ...]]]:
        """Path, language and imports of every file that is there."""
        query = "SELECT path, language, imports FROM file JOIN content ON content.id = file.content"
        rows = self._read(query)
        return [(path, language, packing.imports_of(packed)) for path, language, packed in rows]

    def defining(self, names: Sequence[str], most: int = 64) -> list[tuple[int, str, int]]:
        """``(file id, name, number of the definition in its outline)`` of those who define one of ``names``."""
        query = "SELECT file.id, name, number FROM definition JOIN file USING (content) WHERE name = ? LIMIT ?"
        return [
            (int(file), str(name), int(number))
            for one in names
            for file, name, number in self._read(query, (one, most))
        ]

    def defined(self, names: Iterable[str]) -> set[str]:
        """Which of ``names`` some file defines."""
        found: set[str] = set()
        for batch in _batches(names, 256):
            marks = ",".join("?" * len(batch))
            query = f"SELECT DISTINCT name FROM definition JOIN file USING (content) WHERE name IN ({marks})"
            found.update(name for (name,) in self._read(query, batch))
        return found

    def totals(self) -> tuple[int, int, dict[str, int], int]:
        """``(files, chunks, files by language, listed files that are kept out)``."""
        counted = "SELECT language, count(*) FROM file WHERE content IS NOT NULL GROUP BY language ORDER BY 2 DESC, 1"
        by_language = {str(language): int(count) for language, count in self._read(counted)}
        [(chunks,)] = self._read("SELECT coalesce(sum(chunks), 0) FROM file JOIN content ON content.id = content")
        [(skipped,)] = self._read("SELECT count(*) FROM file WHERE skipped != ''")
        return sum(by_language.values()), int(chunks), by_language, int(skipped)

    def bytes(self) -> int:
        """Bytes on disk of the database and of what is made from it."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def purge(self) -> None:
        """Every two weeks, forget the digests that no file has by then."""
        horizon = time.time() - _PURGE_DAYS * 86_400
        unused = "SELECT id FROM content WHERE id NOT IN (SELECT content FROM file WHERE content IS NOT NULL)"
        with self._transaction():
            last = float(self.meta("purged") or 0)
            if last < horizon:
                self._writer.execute(f"DELETE FROM definition WHERE content IN ({unused})")
                self._writer.execute(f"DELETE FROM content WHERE id IN ({unused})")
                self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('purged', ?)", (str(time.time()),))


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is damaged, and not the disk full, or another process busy with it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def set_aside(folder: Path) -> Path:
    """Move a damaged database out of the way, and forget what was made from it; the new name."""
    aside = folder / "damaged.sqlite"
    (folder / FILE_NAME).replace(aside)
    remove(folder)
    return aside


def remove(folder: Path) -> None:
    """Remove the database and what was made from it; what was set aside stays."""
    for file in folder.glob(f"{FILE_NAME}*"):
        file.unlink(missing_ok=True)
    for made in folder.glob(f"{SEGMENT}*"):
        shutil.rmtree(made, ignore_errors=True)


def _connect(path: Path) -> sqlite3.Connection:
    new = not path.exists()
    if new:
        path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -16000")
    return db


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    batch: list[_T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
