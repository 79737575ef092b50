"""What is known of files that were read before, by path, size and time: each is read once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from lsp.errors import MidlineError
from lsp.models.discovery.facts import TOKENS, Facts, facts
from lsp.models.header import read_header
from lsp.paths import cache_dir, private_dir

# To be raised when ``Facts`` come to mean something else.
_VERSION = 4
_MOST_KNOWN = 50_000

Stamp = tuple[int, int]  # bytes, and mtime in ns


class Known(msgspec.Struct):
    """One model: the paths of all its files, their stamps, and what they hold, or why they can't be used.

    ``sample`` and ``sha256`` are digests of the files, where one was asked for.
    """

    parts: list[str]
    stamps: list[Stamp]
    facts: Facts | None = None
    problem: str = ""
    sample: str = ""
    sha256: str = ""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(size for size, _ in self.stamps)


class _File(msgspec.Struct):
    version: int
    known: dict[str, Known]


class Memory:
    """Knows files for as long as they stay as they were; where its own file is lost, all is read anew."""

    def __init__(self) -> None:
        self._path = cache_dir() / "models-found.msgpack"
        self._stored = b""
        self._before: dict[str, Known] = {}
        self._now: dict[str, Known] = {}
        try:
            self._stored = self._path.read_bytes()
            file = msgspec.msgpack.decode(self._stored, type=_File)
            self._before = file.known if file.version == _VERSION else {}
        except (OSError, msgspec.DecodeError):
            pass

    def look(self, path: Path) -> Known:
        """What is known of the model at ``path``; its header is read unless it is as it was.

        Raises:
            OSError: it isn't there, or can't be looked at.
        """
        name = os.fspath(path)
        known = self._before.get(name)
        if known is None or not _unchanged(known):
            known = _read(path)
        self._now[name] = known
        return known

    def save(self) -> None:
        """Keep what ``look`` has met, with the digests that were added to it, and forget the rest."""
        kept = dict(list(self._now.items())[:_MOST_KNOWN])
        encoded = msgspec.msgpack.encode(_File(_VERSION, kept))
        if encoded == self._stored:
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            private_dir(self._path.parent)
            temporary.write_bytes(encoded)
            temporary.replace(self._path)
        except (OSError, MidlineError):
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> Known:
    name = os.fspath(path)
    try:
        header = read_header(path, arrays=(TOKENS,))
    except MidlineError as error:
        return Known([name], _stamps([name]), problem=error.message)
    parts = [os.fspath(part) for part in header.parts]
    return Known(parts, _stamps(parts), facts(header))


def _unchanged(known: Known) -> bool:
    try:
        # A part that was missing may have come since.
        return known.stamps == _stamps(known.parts) and not known.problem
    except OSError:
        return False


def _stamps(parts: Sequence[str]) -> list[Stamp]:
    statuses = [Path(part).stat() for part in parts]
    return [(status.st_size, status.st_mtime_ns) for status in statuses]
