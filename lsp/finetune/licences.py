"""Under which licence a file says that it stands: by its own head, or by the licence file nearest to it."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path, PurePosixPath

# Of those that begin at the same place the first: some are special cases of others.
_PHRASES = (
    ("AGPL-3.0", r"gnu affero general public license"),
    ("LGPL-3.0", r"gnu (?:lesser|library) general public license.{0,80}version 3"),
    ("LGPL-2.1", r"gnu (?:lesser|library) general public license"),
    ("GPL-3.0", r"gnu general public license.{0,200}version 3"),
    ("GPL-2.0", r"gnu general public license"),
    ("Apache-2.0", r"apache license,? version 2\.0"),
    ("MPL-2.0", r"mozilla public license,? (?:v\. |version )?2\.0"),
    ("EPL-2.0", r"eclipse public license v(?:ersion)? ?2\.0"),
    ("ISC", r"permission to use, copy, modify, and(?: or)? distribute this software for any purpose"),
    ("MIT", r"permission is hereby granted, free of charge"),
    (
        "BSD-3-Clause",
        r"redistribution and use in source and binary forms.*(?:neither the name|names? of .{0,80}not be used)",
    ),
    ("BSD-2-Clause", r"redistribution and use in source and binary forms"),
    ("Unlicense", r"this is free and unencumbered software"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
)
_KNOWN = tuple((name, re.compile(phrase)) for name, phrase in _PHRASES)
_TAG = re.compile(r"SPDX-License-Identifier:[ \t]*([\w.+() \t-]+)")
_FILE = re.compile(r"(?:un)?licen[cs]e(?:[.-].*)?|copying(?:\..*)?", re.IGNORECASE)
_NO_PROSE = re.compile(r"\.(?!md$|txt$|rst$)[a-z]+$", re.IGNORECASE)  # `license.py` is code
_MARKS = re.compile(r"[\s#*/;%\"'-]+")
_HEAD = 8_000  # characters in which a file states its licence,
# in comments above all code, or what is a comment in effect.
_ABOVE = re.compile(r"(?:\s|(?:#|//|--|;|%|<\?php)[^\n]*|/\*.*?\*/|<!--.*?-->|\"\"\".*?\"\"\"|'''.*?''')*", re.DOTALL)
_LONGEST = 64 * 1024  # bytes of a licence file


class Licences:
    """The licences stated in a workspace; SPDX's names, without ``-only`` and ``-or-later``.

    A licence file that isn't known by its words counts as one of its own, ``LicenseRef-…``.

    Args:
        root: the workspace's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._of_folder = cache(self._read_folder)
        self.own = self._of_folder(PurePosixPath())
        """The workspace's; empty where it states none."""

    def of(self, path: str, text: str) -> frozenset[str]:
        """What a file stands under, any one of them; empty where neither it nor a folder around it states any.

        Args:
            path: relative to the workspace, with ``/``.
            text: what it holds.
        """
        stated = in_head(text)
        if stated:
            return stated
        around = (self._of_folder(folder) for folder in PurePosixPath(path).parents)
        return next(filter(None, around), frozenset())

    def _read_folder(self, folder: PurePosixPath) -> frozenset[str]:
        try:
            files = [entry for entry in (self._root / folder).iterdir() if _FILE.fullmatch(entry.name)]
            texts = [
                _start(file) for file in sorted(files) if file.is_file() and not file.is_symlink() and _is_prose(file)
            ]
        except OSError:
            return frozenset()
        return frozenset(_by_words(text) or f"LicenseRef-{_digest(text)}" for text in texts if text.strip())


def in_head(text: str) -> frozenset[str]:
    """The licences that a file's first comments name, any one of which may be chosen; empty where they name none."""
    above = _ABOVE.match(text[:_HEAD])
    head = above[0] if above else ""
    tag = _TAG.search(head)
    if tag:
        return frozenset(map(plain, re.split(r"\s+OR\s+", tag[1].strip(" ()\t"))))
    known = _by_words(head)
    return frozenset((known,)) if known else frozenset()


def plain(name: str) -> str:
    """An SPDX name without what it says of later versions, in the usual letters where it is known."""
    bare = re.sub(r"(?:-only|-or-later|\+)$", "", name.strip(), flags=re.IGNORECASE)
    return next((known for known, _ in _PHRASES if known.lower() == bare.lower()), bare)


def _start(file: Path) -> str:
    with file.open("rb") as stream:
        return stream.read(_LONGEST).decode("utf-8", "replace")


def _is_prose(file: Path) -> bool:
    return not _NO_PROSE.search(file.name)


def _by_words(text: str) -> str:
    words = _MARKS.sub(" ", text).lower()
    found = ((match.start(), name) for name, phrase in _KNOWN if (match := phrase.search(words)))
    # A licence's own name comes first; that of GPL goes on to speak of LGPL.
    return min(found, key=lambda one: one[0], default=(0, ""))[1]


def _digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]
