"""A git repository's history as a plan: each commit's changes to its files, done again by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from indexer.languages import language_of
from lsp.documents import split_lines
from lsp.errors import MidlineError
from lsp.replay.plan import CHARS_PER_KEY, Plan, Stint

# Larger files, and larger changes of one file, are generated or moved rather than written.
MAX_FILE_CHARS = 300_000
MAX_CHANGE_CHARS = 20_000
MAX_COMMITS = 2_000


@dataclass(frozen=True)
class _Change:
    """What a commit did to a file."""

    path: Path
    old: str
    new: str


def plan_history(directory: Path, keys: int) -> Plan:
    """The latest changes of a repository, oldest first, as many as ``keys`` keystrokes are for.

    Raises:
        MidlineError: there is no git, no repository, or nothing in it to type.
    """
    changes: list[_Change] = []
    chars = 0
    for change in _changes(directory):
        written = sum(len(stint.text) for stint in _stints(change.path, change.old, change.new))
        if 0 < written <= MAX_CHANGE_CHARS:
            changes.append(change)
            chars += written
        if chars >= keys * CHARS_PER_KEY:
            break
    if not changes:
        raise MidlineError(f"The history of {directory} has no change to a source file.", "Name another repository.")
    initial: dict[Path, str] = {}
    texts: dict[Path, str] = {}
    stints: list[Stint] = []
    for change in reversed(changes):
        initial.setdefault(change.path, change.old)
        # What was done in between by a merge or a rename comes as an editor reloads a file: at once.
        before = texts.get(change.path, change.old)
        if before != change.old:
            stints.append(Stint(change.path, 0, len(before), change.old, at_once=True))
        stints += _stints(change.path, change.old, change.new)
        texts[change.path] = change.new
    return Plan(initial, stints)


def _stints(path: Path, old: str, new: str) -> list[Stint]:
    """The edits that turn ``old`` into ``new``, from top to bottom."""
    before, after = split_lines(old), split_lines(new)
    stints: list[Stint] = []
    start = 0  # in the text as the edits so far have left it
    for operation, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        removed, written = "".join(before[i1:i2]), "".join(after[j1:j2])
        if operation != "equal":
            stints.append(_narrowed(path, start, removed, written, new))
        start += len(written)
    return stints


def _narrowed(path: Path, start: int, removed: str, written: str, new: str) -> Stint:
    """An edit without what it leaves as it is: one changed word is not a line written anew."""
    head = _common(removed, written)
    tail = _common(removed[head:][::-1], written[head:][::-1])
    end = start + len(removed) - tail
    text = written[head : len(written) - tail]
    start += head
    # A line is added by a line break at the end of the one before, not in front of the one after.
    for newline in ("\r\n", "\n"):
        if start == end and text.endswith(newline) and new[:start].endswith(newline):
            return Stint(path, start - len(newline), end - len(newline), newline + text.removesuffix(newline))
    return Stint(path, start, end, text)


def _common(one: str, other: str) -> int:
    """Length of the common prefix."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _changes(directory: Path) -> Iterator[_Change]:
    """Modified source files of the latest commits, newest first."""
    commits = _git(directory, "log", "--no-merges", "--min-parents=1", f"-{MAX_COMMITS}", "--format=%H").split()
    for commit in commits:
        names = _git(
            directory, "diff-tree", "-r", "-z", "--no-commit-id", "--name-only", "--diff-filter=M", commit
        ).split("\0")
        for name in filter(None, names):
            if language_of(name) == "plaintext":
                continue
            old, new = (_blob(directory, f"{revision}:{name}") for revision in (f"{commit}~1", commit))
            if old is not None and new is not None:
                yield _Change(directory / name, old, new)


def _blob(directory: Path, name: str) -> str | None:
    """A file's text at a revision; None where it is no text, or too much."""
    text = _git(directory, "cat-file", "blob", name)
    usable = len(text) <= MAX_FILE_CHARS and not {"\0", "\ufffd"} & set(text)
    return text.removeprefix("\ufeff") if usable else None


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise MidlineError("There is no git to read the history with.", "Install git.") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise MidlineError(
            f"git can't read {directory}: {reason[0] if reason else 'it gave no reason'}", "Name a git repository."
        ) from error
    return done.stdout.decode("utf-8", "replace")
