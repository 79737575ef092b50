"""What is staged in a git repository, file by file, as a model may see it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from indexer.content import by_name
from indexer.secrets import redact
from lsp.errors import MidlineError
from lsp.git import DIFF_OPTIONS, git

_SUBJECTS, _SUBJECT_CHARS = 8, 120
_MAX_DIFF_CHARS = 4_000_000
_KINDS: dict[str, Literal["added", "deleted", "renamed", "changed"]] = {"A": "added", "D": "deleted", "R": "renamed"}
_NUMBERS = re.compile(r"^@@ -[\d,]+ \+[\d,]+ @@", re.MULTILINE)
# Not part of what the author says: a pull request's number, which a model would make up.
_NUMBER = re.compile(r"\s*\(#\d+\)$")


@dataclass(frozen=True)
class StagedFile:
    """A file of the next commit.

    Args:
        path: in the repository.
        kind: what becomes of it.
        before: its path before it was renamed, else empty.
        added, removed: lines; None where it is binary.
        diff: its hunks, secrets painted over; empty where it isn't to be shown.
        shown: how much of its change the diff is.
    """

    path: str
    kind: Literal["added", "deleted", "renamed", "changed"]
    before: str = ""
    added: int | None = None
    removed: int | None = None
    diff: str = ""
    shown: Literal["all", "part", "none"] = "none"

    def as_dict(self) -> dict[str, Any]:
        """As the wire has it, without its text."""
        names = ("path", "kind", "added", "removed", "shown")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Staged:
    """The next commit.

    Args:
        files: its files.
        subjects: those of the commits before it, the latest first.
        ms: how long git took, in milliseconds.
    """

    files: tuple[StagedFile, ...]
    subjects: tuple[str, ...] = ()
    ms: float = 0.0


def staged(folder: Path, is_private: Callable[[Path], bool]) -> Staged:
    """What is staged in the repository that a folder lies in. Runs git: call it in a thread.

    Raises:
        MidlineError: there is no repository, nothing is staged, or git can't tell.
    """
    began = time.perf_counter()
    try:
        root = Path(git(folder, "rev-parse", "--show-toplevel", wanted="where the repository is").rstrip("\n"))
    except MidlineError as error:
        if "not a git repository" in error.message:
            raise MidlineError(f"{folder} is not in a git repository.", "Name a folder that is.") from error
        raise
    files = _files(root)
    if not files:
        raise MidlineError("Nothing is staged.", "Stage what is to be committed: `git add FILE`, or `git add -u`.")
    # git tells them in the same order.
    diffs = [*_diffs(root), *[""] * len(files)]
    shown = [_with_diff(root, one, diff, is_private) for one, diff in zip(files, diffs, strict=False)]
    return Staged(tuple(shown), _subjects(root), (time.perf_counter() - began) * 1000)


def _files(root: Path) -> list[StagedFile]:
    told = git(root, *_staged("--raw", "--numstat", "-z"), wanted="what is staged").split("\0")
    kinds: dict[str, StagedFile] = {}
    found: list[StagedFile] = []
    fields = iter(told)
    for field in fields:
        if field.startswith(":"):
            letter = field.rpartition(" ")[2][:1]
            if letter == "U":
                raise MidlineError("Files are in conflict.", "Resolve that, and stage them.")
            before = next(fields) if letter in "RC" else ""
            path = next(fields)
            kinds[path] = StagedFile(path, _KINDS.get(letter, "changed"), before if letter == "R" else "")
        elif field:
            added, removed, path = field.split("\t", 2)
            if not path:  # renamed: both names follow
                _, path = next(fields), next(fields)
            found.append(replace(kinds[path], added=_count(added), removed=_count(removed)))
    return found


def _staged(*options: str) -> tuple[str, ...]:
    return ("diff", "--cached", "--find-renames", "--no-relative", "--submodule=short", *DIFF_OPTIONS, *options)


def _count(told: str) -> int | None:
    return int(told) if told.isdigit() else None


def _diffs(root: Path) -> list[str]:
    """The hunks of each file, empty where it has none."""
    text = git(root, *_staged("--unified=1"), wanted="what is staged")[:_MAX_DIFF_CHARS]
    parts = re.split(r"^diff --git ", text, flags=re.MULTILINE)[1:]
    return [
        _NUMBERS.sub("@@", mark + hunks).strip("\n") for _, mark, hunks in (one.partition("\n@@ ") for one in parts)
    ]


def _with_diff(root: Path, one: StagedFile, diff: str, is_private: Callable[[Path], bool]) -> StagedFile:
    hidden = any(is_private(root / path) or by_name(path) for path in (one.path, one.before) if path)
    if hidden or not diff:
        return one
    return replace(one, diff=redact(diff)[0], shown="all")


def _subjects(root: Path) -> tuple[str, ...]:
    options = ("--format=%s", "--no-show-signature", "--encoding=UTF-8", "--no-merges", f"--max-count={_SUBJECTS}")
    try:
        told = git(root, "log", *options, wanted="what was committed last")
    except MidlineError:  # nothing was, yet
        return ()
    return tuple(short for line in told.splitlines() if (short := _NUMBER.sub("", line).strip()[:_SUBJECT_CHARS]))


def fitting(files: Iterable[StagedFile], chars: int) -> list[StagedFile]:
    """Files with diffs of ``chars`` characters in all: small ones whole, large ones alike."""
    every = list(files)
    room, left = chars, sum(bool(one.diff) for one in every)
    kept: dict[str, StagedFile] = {}
    for one in sorted(every, key=lambda one: len(one.diff)):
        if one.diff:
            kept[one.path] = _cut(one, room // left)
            room, left = room - len(kept[one.path].diff), left - 1
    return [kept.get(one.path, one) for one in every]


def _cut(one: StagedFile, chars: int) -> StagedFile:
    """As many whole lines of a file's diff as fit."""
    if len(one.diff) <= chars:
        return one
    short = one.diff[: chars + 1].rpartition("\n")[0]
    return replace(one, diff=short, shown="part" if short else "none")
