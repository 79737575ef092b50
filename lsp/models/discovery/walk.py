"""GGUF files below a folder, in a fixed order, whatever else lies there: loops, broken links, closed folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

# Stores are flat; a home directory named by mistake isn't.
_MOST_ENTRIES = 300_000
_MOST_DEPTH = 12
_PART = re.compile(r"^(.+)-(\d{5})-of-\d{5}$")

Tell = Callable[[str], None]


def gguf_files(folder: Path, tell: Tell) -> Iterator[Path]:
    """The GGUF files in ``folder`` and below; of a split model, its first part that is there.

    Links are followed, but no folder is entered twice.

    Args:
        folder: where to look.
        tell: called with a clause for whatever can't be looked at.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [(folder, 0)]
    seen = 0
    while waiting:
        current, depth = waiting.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(current) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            tell(f"can't look into {current}: {error.strerror or error}")
            continue
        seen += len(entries)
        if seen > _MOST_ENTRIES:
            tell(f"{folder} holds too many files; those from {current} on were left out")
            return
        yield from _files(entries, tell)
        if depth < _MOST_DEPTH:
            waiting += [(Path(entry.path), depth + 1) for entry in reversed(entries) if _is_dir(entry)]


def stem(path: Path) -> str:
    """A file's name without ".gguf", and without a part's number."""
    part = _PART.match(path.stem)
    return part[1] if part else path.stem


def _files(entries: list[os.DirEntry[str]], tell: Tell) -> Iterator[Path]:
    split: set[str] = set()
    for entry in entries:
        if not entry.name.lower().endswith(".gguf") or entry.name.startswith("."):
            continue
        path = Path(entry.path)
        try:
            if not entry.is_file():
                if entry.is_symlink() and not path.exists():
                    tell(f"{path} is a link to nowhere")
                continue
        except OSError as error:  # a link to itself, or into a folder that is closed
            tell(f"can't read {path}: {error.strerror or error}")
            continue
        if _PART.match(path.stem):
            if stem(path) in split:
                continue
            split.add(stem(path))
        yield path


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
