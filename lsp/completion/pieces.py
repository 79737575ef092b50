"""Pieces of other code that a prompt shows, and how they stand in it: as comments at the prefix's head.

The comment form is for every model: it needs no token of the vocabulary, and stands in any order of the prompt's
parts. With Qwen2.5-Coder it does at least as well as the repository tokens that this model was trained with: behind 30
calls into other files, the rest of the line was 0.45 ± 0.26 nats likelier. Models of makers who describe a layout with
files see files (`lsp/completion/layout`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from indexer.context import Piece
from indexer.languages import LINE_COMMENT

# Begins the line that names a piece's file; what a file itself begins with is hardly ever that.
_FILE = "--- "
# When a context is followed by another.
_WORTH = 0.25  # of the budget; for less, what follows the context isn't computed again
_USEFUL = 0.34  # of the old context, by its characters
_GROWN = 1.5  # times the budget
_HEAD = re.compile(rf"(\S{{1,4}}) {_FILE}")

MARKS = LINE_COMMENT | {"css": "//", "svelte": "//", "vue": "//"}
"""What begins a line of context, by language; where there is none, no context is shown."""


@dataclass(frozen=True)
class ContextPiece(Piece):
    """A piece as a prompt shows it, of wherever it is.

    Its path may be absolute, outside of the workspace; its lines are 0 where they aren't known.
    """

    def as_dict(self) -> dict[str, Any]:
        """As ``midline complete --json`` has it: without the text."""
        return {
            "path": self.path,
            "start_line": self.start_line,
            "end_line": self.end_line,
            "symbol": self.symbol,
            "score": self.score,
            "reason": self.reason,
        }

    @property
    def lines(self) -> list[str]:
        """Its lines, without their ends."""
        return self.text.removesuffix("\n").split("\n")


def as_comments(pieces: Iterable[ContextPiece], mark: str) -> str:
    """The pieces as comment lines, each file named once where its pieces follow each other, and an empty line.

    Pieces added behind leave what stands before as it is, but for that empty line.

    Args:
        pieces: in the order in which they are to stand.
        mark: what begins a comment in the file's language.
    """
    head: list[str] = []
    for path, text in as_files(pieces):
        head.append(f"{mark} {_FILE}{path}\n")
        head += [f"{mark} {line}\n" for line in text.split("\n")[:-1]]
    return "".join([*head, "\n"]) if head else ""


def read_comments(prefix: str) -> tuple[tuple[ContextPiece, ...], str, str]:
    """What ``as_comments`` put before a prefix, one piece a file, with its mark; and the prefix itself."""
    found = _HEAD.match(prefix)
    head, end, rest = prefix.partition("\n\n")
    lines = head.split("\n")
    mark = f"{found.group(1)} " if found else ""
    if not found or not end or not all(line.startswith(mark) for line in lines):
        return (), "", prefix
    files: list[tuple[str, list[str]]] = []
    for line in (line.removeprefix(mark) for line in lines):
        if line.startswith(_FILE):
            files.append((line.removeprefix(_FILE), []))
        else:
            files[-1][1].append(line)
    pieces = read_files((path, "\n".join([*texts, ""])) for path, texts in files)
    return pieces, mark.strip(), rest


def as_files(pieces: Iterable[ContextPiece]) -> tuple[tuple[str, str], ...]:
    """The pieces as paths and texts, those of a file as one where they follow each other; each text ends a line."""
    groups = groupby(pieces, key=lambda piece: piece.path)
    return tuple((path, "".join(f"{line}\n" for piece in group for line in piece.lines)) for path, group in groups)


def read_files(files: Iterable[tuple[str, str]]) -> tuple[ContextPiece, ...]:
    """What ``as_files`` made, one piece a file."""
    return tuple(ContextPiece(path, 0, 0, "", text, 0.0, "from before") for path, text in files)


def cost(pieces: Sequence[ContextPiece], mark: str) -> int:
    """How many characters the pieces take in a prompt."""
    return len(as_comments(pieces, mark))


def merged(old: Sequence[ContextPiece], new: Sequence[ContextPiece], chars: int, mark: str) -> tuple[ContextPiece, ...]:
    """The context to go on with: ``old`` as long as it serves, so that what was computed of it stays.

    What is new is added behind, if it is worth computing all that follows again and fits into ``chars`` and a half
    more. Where little of the old is wanted any more, or it has grown too long, ``new`` takes its place: first what
    both have, in the old order.
    """
    there = _telling(old)
    missing = tuple(piece for piece in new if not _covers(there, piece))
    wanted = _telling(new)
    useful = sum(map(len, there & wanted)) / max(1, sum(map(len, there)))
    much = cost(missing, mark) > _WORTH * chars
    if useful >= _USEFUL and not much:
        return tuple(old)
    grown = (*old, *missing)
    if useful >= _USEFUL and cost(grown, mark) <= _GROWN * chars:
        return grown
    kept = tuple(piece for piece in old if _covers(wanted, piece))
    held = _telling(kept)
    fresh = (*kept, *(piece for piece in new if not _covers(held, piece)))
    return fresh if cost(fresh, mark) <= _GROWN * chars else tuple(new)


def _telling(pieces: Iterable[ContextPiece]) -> set[str]:
    return {text for piece in pieces for line in piece.lines if (text := line.strip())}


def _covers(lines: set[str], piece: ContextPiece) -> bool:
    """Whether most of a piece's lines are among ``lines``."""
    own = _telling([piece])
    return len(own & lines) >= 0.8 * len(own)
