"""KV sequences on disk: saved when idle and at the end, restored at the start, so that a restart computes nothing.

A snapshot is llama.cpp's own sequence file beside a small JSON file with its key and hash. They stand in a folder named
after all that the numbers depend on (model, build, context parameters), so those of another model are never looked at.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from lsp import paths
from lsp.engine.config import Adapter
from lsp.engine.ledger import Held, Ledger, common_prefix
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

# Least recently saved ones go first when all together are larger.
MAX_BYTES = 512 * 1024 * 1024
# Fewer tokens are computed again as soon as they are read and checked.
MIN_TOKENS = 64
# While the engine runs, a sequence is saved again only when this many of its tokens are not on disk: saving at each
# pause in typing would write megabytes for a few keystrokes.
RESAVE_TOKENS = 200
# Restored sequences leave so much of the cache to new ones.
RESTORED_SHARE = 0.75


class Memory(Protocol):
    """What snapshots need of the model; ``Llama`` has it."""

    n_ctx: int

    def save_file(self, seq: int, tokens: Sequence[int], path: Path) -> bool:
        """Write a sequence to a file."""
        ...

    def load_file(self, seq: int, path: Path) -> list[int]:
        """Read a sequence from a file; returns its tokens, none where that failed."""
        ...

    def cut(self, seq: int, length: int) -> bool:
        """Remove all from position ``length``."""
        ...


class _Record(msgspec.Struct, frozen=True):
    key: str
    tokens: int
    bytes: int
    digest: str
    saved: float
    adapters: tuple[Adapter, ...] = ()


class Snapshots:
    """The snapshots of one model with one set of context parameters.

    Args:
        memory: the model.
        ledger: what its sequences hold.
        identity: all that the numbers in a snapshot depend on.
    """

    def __init__(self, memory: Memory, ledger: Ledger, identity: str) -> None:
        self._memory = memory
        self._ledger = ledger
        self._folder = paths.cache_dir() / "kv" / hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._saved: dict[str, tuple[tuple[Adapter, ...], list[int]]] = {}  # adapters and tokens on disk, by key
        self.tokens_restored = 0

    def restore(self) -> int:
        """Read the snapshots saved last into the cache, as far as there is room; returns how many tokens.

        What can't be read or is not what was written is removed.
        """
        room = int(self._memory.n_ctx * RESTORED_SHARE)
        for file, record in self._records():
            if record.tokens > room or not self._ledger.has_free_sequence:
                continue
            tokens = self._read(file, record)
            if tokens is None:
                logger.warning("removing a snapshot that can't be used: %s", file.stem)
                _remove(file)
                continue
            room -= len(tokens)
            self._saved[record.key] = record.adapters, tokens
            self.tokens_restored += len(tokens)
        return self.tokens_restored

    def save_one(self) -> bool:
        """Save the idle sequence that most needs it; returns whether there may be more to do."""
        for held in self._ledger.idle():
            if self._unsaved(held) >= RESAVE_TOKENS:
                return self._save(held)
        return False

    def save_all(self) -> None:
        """Save all that is not on disk: at the engine's end."""
        for held in reversed(self._ledger.idle()):  # the one used last is saved last, and restored first
            if self._unsaved(held) and not self._save(held):
                return

    def _unsaved(self, held: Held) -> int:
        """How many of a sequence's tokens a restart would have to compute."""
        if len(held.tokens) < MIN_TOKENS or not held.key:
            return 0
        adapters, tokens = self._saved.get(held.key, ((), []))
        return len(held.tokens) - (common_prefix(tokens, held.tokens) if adapters == held.adapters else 0)

    def _save(self, held: Held) -> bool:
        target = self._folder / f"{hashlib.sha256(held.key.encode()).hexdigest()[:32]}.json"
        temporary = target.with_suffix(".tmp")
        try:
            paths.private_dir(self._folder)
            if not self._memory.save_file(held.seq, held.tokens, temporary):
                raise OSError("llama.cpp could not write it")
            temporary.chmod(0o600)
            size = temporary.stat().st_size
            record = _Record(held.key, len(held.tokens), size, _digest(temporary), time.time(), held.adapters)
            # The record goes first: one whose file is another than it says is removed at the next start.
            _write(target, msgspec.json.encode(record))
            temporary.replace(target.with_suffix(".kv"))
            self._saved[held.key] = held.adapters, list(held.tokens)
            self._trim()
        except (OSError, MidlineError) as error:
            # A full disk, or a cache folder that can't be written: the next start computes what it needs.
            logger.warning("can't save a snapshot to %s: %s", self._folder, error)
            temporary.unlink(missing_ok=True)
            return False
        return True

    def _read(self, file: Path, record: _Record) -> list[int] | None:
        data = file.with_suffix(".kv")
        try:
            if data.stat().st_size != record.bytes or _digest(data) != record.digest:
                return None
        except OSError:
            return None
        seq = self._ledger.reserve(record.key, record.adapters)
        tokens = self._memory.load_file(seq, data)
        if len(tokens) != record.tokens:
            self._memory.cut(seq, 0)
            self._ledger.drop(seq)
            return None
        self._ledger.extend(seq, tokens)
        self._ledger.release(seq)
        return tokens

    def _records(self) -> list[tuple[Path, _Record]]:
        """The snapshots, saved last first; what is no record is removed."""
        return sorted(_records(self._folder.glob("*.json")), key=lambda pair: pair[1].saved, reverse=True)

    def _trim(self) -> None:
        """Remove the oldest snapshots, of any model, until the rest is within the limit."""
        files = [(file.stat(), file) for file in self._folder.parent.glob("*/*.kv")]
        total = sum(status.st_size for status, _ in files)
        for status, file in sorted(files, key=lambda pair: pair[0].st_mtime):
            if total <= MAX_BYTES:
                return
            total -= status.st_size
            _remove(file)


def erase(prefix: str) -> None:
    """Remove the snapshots, of any model, whose key starts with ``prefix``: what they are of was deleted.

    Raises:
        MidlineError: one of them can't be removed.
    """
    folder = paths.cache_dir() / "kv"
    try:
        for file, record in _records(folder.glob("*/*.json")):
            if record.key.startswith(prefix):
                _remove(file)
    except OSError as error:
        raise MidlineError(
            f"What the model has read of it can't be removed from {folder}: {error.strerror}.", "Delete that folder."
        ) from error


def _records(files: Iterable[Path]) -> Iterator[tuple[Path, _Record]]:
    for file in files:
        try:
            yield file, msgspec.json.decode(file.read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError):
            _remove(file)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".json.tmp")
    temporary.write_bytes(data)
    temporary.chmod(0o600)
    temporary.replace(path)


def _remove(file: Path) -> None:
    for suffix in (".json", ".kv"):
        file.with_suffix(suffix).unlink(missing_ok=True)
