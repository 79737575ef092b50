"""``@…`` in a message: a file, a folder, a symbol, the documentation, or the changes that are not committed yet."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexer.chunk import Definition
from lsp.chat.library import Library, stem
from lsp.errors import MidlineError
from lsp.git import DIFF_OPTIONS, git

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
# Not in an address (me@example.com), a package (@scope/name is a path like any other), or a path.
_MENTION = re.compile(r"(?<![\w@/.])@((?:[\w.+-]|/|::)*(?:\w|/))")
_MAX_DIFF_CHARS = 400_000
_SUGGESTED = 3
_MOST_OF_A_SYMBOL = 3


@dataclass(frozen=True)
class Mention:
    """What a message names.

    ``paths`` are the files of a file, a folder or the documentation, ``definitions`` a symbol's, with their paths.
    """

    name: str
    kind: Literal["file", "folder", "symbol", "diff", "docs"]
    paths: tuple[str, ...] = ()
    definitions: tuple[tuple[str, Definition], ...] = ()


def mentioned(message: str) -> list[str]:
    """The names that a message mentions, each once, in order; code is left alone."""
    return list(dict.fromkeys(_MENTION.findall(_CODE.sub(" ", message))))


def without_mentions(message: str) -> str:
    """A message less its mentions, for deciding and searching."""
    return _MENTION.sub(" ", message).strip()


def resolve(message: str, library: Library) -> list[Mention]:
    """What the mentions of a message stand for.

    Raises:
        MidlineError: one of them stands for nothing, or for several files; those that it may be are named.
    """
    names = mentioned(message)
    return [_resolved(name, library) for name in names] if names else []


def _resolved(name: str, library: Library) -> Mention:
    if name == "diff":
        return Mention(name, "diff")
    if name == "docs":
        return Mention(name, "docs", _documents(library))
    paths = library.paths()
    clean = name.removeprefix("./").rstrip("/")
    if clean in paths or (clean and not name.endswith("/") and library.text(clean) is not None):
        return Mention(name, "file", (clean,))
    inside = tuple(path for path in paths if path.startswith(clean + "/"))
    if inside:
        return Mention(name, "folder", inside)
    ending = [path for path in paths if path.endswith("/" + clean)]
    if len(ending) == 1:
        return Mention(name, "file", tuple(ending))
    if ending:
        shown = _listed(sorted(ending, key=len))
        raise MidlineError(f"@{name} may be one of {len(ending)} files.", f"Write {shown}.")
    folders = sorted({part for path in paths for part in _folders(path) if part.endswith("/" + clean)}, key=len)
    if folders:
        return Mention(name, "folder", tuple(path for path in paths if path.startswith(folders[0] + "/")))
    definitions = library.definitions(name)
    if definitions:
        return Mention(name, "symbol", definitions=tuple(definitions[:_MOST_OF_A_SYMBOL]))
    raise _unknown(name, paths, library)


def _documents(library: Library) -> tuple[str, ...]:
    found = tuple(library.documents())
    if not found:
        raise MidlineError("@docs: there are no documents.", "List folders of documents in `index.documents`.")
    return found


def _unknown(name: str, paths: list[str], library: Library) -> MidlineError:
    folders = {part + "/" for path in paths for part in _folders(path)}
    symbols = {hit.symbol for hit in library.search(name, 20) if hit.symbol}
    by_end = {stem(path): path for path in paths} | {path: path for path in [*paths, *folders, "diff", "docs"]}
    by_end |= {symbol.rpartition(".")[2]: symbol for symbol in symbols} | {symbol: symbol for symbol in symbols}
    folded = {end.lower(): full for end, full in by_end.items()}
    close = difflib.get_close_matches(name.lower(), list(folded), _SUGGESTED, 0.5)
    found = list(dict.fromkeys(folded[end] for end in close))
    cure = f"Did you mean {_listed(found)}?" if found else "Name a file, a folder or a symbol of the workspace."
    return MidlineError(
        f"There is no file, folder or symbol {name} in the workspace.", f"{cure} What is in backticks is no mention."
    )


def _listed(names: list[str]) -> str:
    return " or ".join(f"@{name}" for name in names[:_SUGGESTED])


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


@dataclass(frozen=True)
class Change:
    """What of a file is not committed: a part of a unified diff, and the lines that it is about."""

    path: str
    start_line: int
    end_line: int
    text: str


_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_NEW_FILE = re.compile(r"^\+\+\+ b/(.*)$", re.MULTILINE)


def uncommitted(workspace: Path | None) -> list[Change]:
    """What differs between a workspace and its last commit, by file.

    Raises:
        MidlineError: there is no repository, or git can't tell.
    """
    if workspace is None:
        raise MidlineError("@diff needs a folder.", "Open the folder of a git repository.")
    text = git(workspace, "diff", "HEAD", "--relative", *DIFF_OPTIONS, wanted="what has changed")[:_MAX_DIFF_CHARS]
    return [change for part in re.split(r"^(?=diff --git )", text, flags=re.MULTILINE) if (change := _change(part))]


def _change(part: str) -> Change | None:
    name, hunks = _NEW_FILE.search(part), list(_HUNK.finditer(part))
    if not name or not hunks:
        return None
    start, last = max(1, int(hunks[0][1])), hunks[-1]
    end = max(start, int(last[1]) + int(last[2] or 1) - 1)
    return Change(name[1].strip('"'), start, end, part[hunks[0].start() :].rstrip("\n"))
