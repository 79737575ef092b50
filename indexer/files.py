"""Which files of a workspace count, and what text they hold. Nothing here raises on what it finds on disk."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from indexer import documents, interfaces, secrets
from indexer.content import by_name, decode, made_by_a_tool
from indexer.ignore import GITIGNORE, MARKERS, MIDLINEIGNORE, VERSION_CONTROL, Scope, outermost, read_rules
from indexer.languages import language_of

_Skip = Callable[[str, str], None]
_Enter = Callable[[str, Scope], None]

_KIB = 1024


Kind = Literal["code", "documents", "interfaces"]
"""What a folder is kept for: its sources; prose to look things up in; the signatures of installed packages."""


@dataclass(frozen=True, slots=True)
class FileRules:
    """What the settings say: ``exclude`` are patterns of .gitignore, stronger than those of any file.

    What git ignores is left out of code alone: it isn't the workspace's, but may well be what somebody wants to read.
    """

    exclude: tuple[str, ...] = ()
    max_file_kib: int = 512
    kind: Kind = "code"

    def around(self, root: Path) -> Scope:
        """The ignore rules in force at the top of a folder."""
        return outermost(root, self.exclude, git=self.kind == "code")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that counts as far as its name and place tell: only reading it tells the rest."""

    path: str
    """Relative to the workspace, with ``/``."""
    size: int
    """Bytes."""
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a path counts, and what decided it."""

    path: str
    included: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text as it stands on disk: **not yet redacted**, see `indexer.secrets.redact`."""

    path: str
    text: str
    encoding: str
    hash: bytes
    """blake2b of the file's bytes, 16 bytes."""
    size: int
    """Bytes."""
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that doesn't count, and why, as a sentence without its full stop."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that decides about a file, for people: findings name kinds and lines, never a secret."""

    path: str
    included: bool
    reason: str
    language: str
    encoding: str
    size: int
    findings: tuple[secrets.Finding, ...]


# -- which files count -------------------------------------------------------------------------------------------------


def listing(workspace: Path, rules: FileRules, skipped: _Skip | None = None, top: str = "") -> Iterator[Listed]:
    """Walk a workspace, or a folder in it: the files that count, folder by folder in the order of their names.

    Args:
        workspace: its folder; where it isn't there, nothing is listed.
        rules: the settings.
        skipped: told of each file or folder that stays out, and why; of an ignored folder, not of what is in it.
        top: where to begin, as ``a/b``; it must count itself.
    """
    root = _real(workspace)
    scope = rules.around(root)
    begin = ""
    for name in PurePosixPath(top).parts:
        _, scope = _enter_folder(root, begin, scope)
        begin += f"{name}/"
    for folder, _, entries in _visit(root, begin, scope, rules, skipped or _tell_nobody):
        for entry in entries:
            facts = _stat(entry)
            if facts is not None:
                yield Listed(folder + entry.name, facts.st_size, facts.st_mtime_ns, facts.st_ino)


def folders(
    workspace: Path, rules: FileRules, top: str = "", around: Scope | None = None, enter: _Enter | None = None
) -> Iterator[tuple[str, Scope]]:
    """The folders that a walk looks into, with the ignore rules in force in each, so that they can be watched.

    Args:
        workspace: its folder.
        rules: the settings.
        top: where to begin: ``""`` or ``a/b/``; it must count itself.
        around: the rules in force in the folder that holds ``top``; needed unless ``top`` is empty.
        enter: told of a folder and of the rules around it before it is listed, even if it turns out not to count.

    Yields:
        ``""`` or ``a/b/``, and its rules.
    """
    root = _real(workspace)
    scope = around or rules.around(root)
    for folder, inner, _ in _visit(root, top, scope, rules, _tell_nobody, enter):
        yield folder, inner


def _visit(
    root: Path, top: str, around: Scope, rules: FileRules, tell: _Skip, enter: _Enter | None = None
) -> Iterator[tuple[str, Scope, list[os.DirEntry[str]]]]:
    """Each folder that counts, with its rules and the files in it that do."""
    todo = [(top, around)]
    while todo:
        folder, outer = todo.pop()
        if enter is not None:
            enter(folder, outer)
        entries = _entries(root, folder, tell)
        names = {entry.name for entry in entries}
        marker = next((MARKERS[name] for name in MARKERS if name in names), "")
        if folder and marker and not _taken_back(outer, folder):
            tell(folder.rstrip("/"), marker)
            continue
        scope = _inside(root, folder, outer, names)
        inner, files = [], []
        for entry in entries:
            reason = _unfit(entry, folder + entry.name, scope, rules)
            if reason:
                tell(folder + entry.name, reason)
            elif entry.is_dir(follow_symlinks=False):
                inner.append((f"{folder}{entry.name}/", scope))
            else:
                files.append(entry)
        todo += reversed(inner)
        yield folder, scope, files


def _tell_nobody(path: str, reason: str) -> None:
    pass


def decide(workspace: Path, path: str, rules: FileRules) -> Decision:
    """Whether one path counts, without a walk: the answer that `listing` gives, for a file or a folder.

    Args:
        workspace: its folder.
        path: relative to it, with ``/``.
        rules: the settings.
    """
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\0" in path:
        return Decision(path, False, "it is not a path within the workspace")
    root = _real(workspace)
    scope = rules.around(root)
    folder = ""
    for name in parts[:-1]:
        reason, scope = _enter_folder(root, folder, scope)
        entry = _Entry(root, folder, name)
        reason = reason or _unfit(entry, folder + name, scope, rules)
        if not reason and not entry.is_dir(follow_symlinks=False):
            reason = "it is not a folder"
        folder += f"{name}/"
        if reason:
            return Decision(path, False, f"{reason} ({folder})")
    reason, scope = _enter_folder(root, folder, scope)
    if reason:
        return Decision(path, False, f"{reason} ({folder})")
    entry = _Entry(root, folder, parts[-1])
    reason = _unfit(entry, folder + parts[-1], scope, rules)
    if not reason and entry.is_dir(follow_symlinks=False):
        reason = _enter_folder(root, f"{path.rstrip('/')}/", scope)[0]
    return Decision(path, not reason, reason or _why_in(scope, path))


def is_ignored(workspace: Path, path: str, rules: FileRules, is_folder: bool = False) -> bool:
    """Whether ignore rules leave a path out, be it there or not: what `decide` says but for what the file itself is."""
    root = _real(workspace)
    scope = rules.around(root)
    parts = path.split("/")
    folder = ""
    for depth, name in enumerate(parts):
        reason, scope = _enter_folder(root, folder, scope)
        is_last = depth == len(parts) - 1
        if reason or name in VERSION_CONTROL or scope.judge(folder + name, is_folder or not is_last).ignored:
            return True
        folder += f"{name}/"
    return False


def _enter_folder(root: Path, folder: str, outer: Scope) -> tuple[str, Scope]:
    """Why a folder doesn't count, for what lies in it, or nothing; and the rules in force in it."""
    names = {name for name in (GITIGNORE, MIDLINEIGNORE, *MARKERS) if os.path.lexists(f"{root}/{folder}{name}")}
    marker = next((MARKERS[name] for name in MARKERS if name in names), "")
    if folder and marker and not _taken_back(outer, folder):
        return marker, outer
    return "", _inside(root, folder, outer, names)


class _Entry:
    """One path with the questions that `os.DirEntry` answers."""

    def __init__(self, root: Path, folder: str, name: str) -> None:
        self.name = name
        try:
            self._stat: os.stat_result | None = (root / folder / name).lstat()
        except (OSError, ValueError):
            self._stat = None

    def is_symlink(self) -> bool:
        return self._stat is not None and stat.S_ISLNK(self._stat.st_mode)

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return self._stat is not None and stat.S_ISDIR(self._stat.st_mode)

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        if self._stat is None:
            raise FileNotFoundError(self.name)
        return self._stat


def _unfit(entry: os.DirEntry[str] | _Entry, path: str, scope: Scope, rules: FileRules) -> str:
    """Why an entry stays out, judged without opening it; empty if it doesn't."""
    if entry.name in VERSION_CONTROL:
        return "it belongs to version control"
    if not _is_text(entry.name):
        return "its name is not valid in UTF-8"
    is_folder = entry.is_dir(follow_symlinks=False)
    verdict = scope.judge(path, is_folder)
    if verdict.ignored:
        return f"it is ignored by {verdict.rule}"
    if entry.is_symlink():
        return "it is a symbolic link; what it leads to counts under its own name if it is in the workspace"
    if is_folder:
        return ""
    facts = _stat(entry)
    if facts is None:
        return "it is gone, or can't be read"
    if not stat.S_ISREG(facts.st_mode):
        return "it is not a regular file"
    # A document that is too large was meant to be found: reading it says why it isn't.
    return _by_name(path, rules) or (_too_large(facts.st_size, rules) if rules.kind != "documents" else "")


def _by_name(path: str, rules: FileRules) -> str:
    """Why a file stays out by its name alone; empty if it doesn't."""
    if rules.kind == "code":
        return by_name(path)
    return secrets.is_secret_file(path) or (documents if rules.kind == "documents" else interfaces).by_name(path)


def _too_large(size: int, rules: FileRules) -> str:
    if size <= rules.max_file_kib * _KIB:
        return ""
    setting = "index.max_document_kib" if rules.kind == "documents" else "index.max_file_kib"
    return f"its {size // _KIB:,} KiB are more than {setting} = {rules.max_file_kib:,}"


def _entries(root: Path, folder: str, tell: _Skip) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root / folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        tell(folder.rstrip("/") or ".", f"it can't be listed: {error.strerror}")
        return []


def _stat(entry: os.DirEntry[str] | _Entry) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _inside(root: Path, folder: str, scope: Scope, names: set[str]) -> Scope:
    """The scope of a folder, given which of the rule files are among its names."""
    gits = read_rules(root / folder / GITIGNORE, folder + GITIGNORE) if GITIGNORE in names else None
    ours = read_rules(root / folder / MIDLINEIGNORE, folder + MIDLINEIGNORE) if MIDLINEIGNORE in names else None
    return scope.inside(folder, gits, ours) if gits or ours else scope


def _taken_back(scope: Scope, folder: str) -> bool:
    rule = scope.judge(folder.rstrip("/"), True).rule
    return rule is not None and rule.takes_back


def _why_in(scope: Scope, path: str) -> str:
    rule = scope.judge(path, False).rule
    return f"it is taken back by {rule}" if rule is not None else "nothing says that it should stay out"


def _real(workspace: Path) -> Path:
    return Path(os.path.realpath(workspace))


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


# -- what they hold ----------------------------------------------------------------------------------------------------


def read(workspace: Path, path: str, rules: FileRules) -> Source | Skipped:
    """Read a file that `listing` or `decide` lets in; its content may still keep it out.

    Neither links nor devices nor pipes are opened, and never more than the largest size is read.
    """
    reason = _by_name(path, rules)
    if reason:
        return Skipped(path, reason)
    try:
        # O_NONBLOCK: it may have become a pipe since it was listed, and opening that would wait for its writer.
        handle = os.open(workspace / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return Skipped(path, "it is not a regular file")
            reason = _too_large(facts.st_size, rules)
            # It may have grown since.
            data = b"" if reason else file.read(rules.max_file_kib * _KIB + 1)
    except (OSError, ValueError) as error:
        return Skipped(path, f"it can't be read: {getattr(error, 'strerror', None) or error}")
    reason = reason or _too_large(len(data), rules)
    if reason:
        return Skipped(path, reason)
    try:
        text, encoding = _text(path, data, rules)
    except ValueError as error:
        return Skipped(path, str(error))
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return Source(path, text, encoding, digest, len(data), facts.st_mtime_ns)


def _text(path: str, data: bytes, rules: FileRules) -> tuple[str, str]:
    """What there is to read in a file, and its encoding.

    Raises:
        ValueError: nothing; the text says why.
    """
    if rules.kind == "documents" and documents.is_extracted(path):
        return documents.extracted(path, data), ""
    decoded = decode(data)
    if decoded is None:
        raise ValueError("its content is binary")
    reason = made_by_a_tool(decoded[0], language_of(path)) if rules.kind == "code" else ""
    if reason:
        raise ValueError(reason)
    return decoded


def explain(workspace: Path, path: str, rules: FileRules) -> Explanation:
    """Why a file is in or out, and what would be redacted; a path relative to the workspace, with ``/``."""
    decision = decide(workspace, path, rules)
    language = language_of(path)
    out = Explanation(path, False, decision.reason, language, "", 0, ())
    if not decision.included:
        return out
    if (_real(workspace) / path).is_dir():
        return Explanation(path, True, f"it is a folder; {decision.reason}", "", "", 0, ())
    source = read(_real(workspace), path, rules)
    if isinstance(source, Skipped):
        return Explanation(path, False, source.reason, language, "", 0, ())
    findings = secrets.redact(source.text)[1]
    return Explanation(path, True, decision.reason, language, source.encoding, source.size, findings)
