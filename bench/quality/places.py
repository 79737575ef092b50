"""Where code was taken out: lines cut at some column, whole lines, whole bodies of small functions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tree_sitter import Node

from indexer.grammars import grammar
from indexer.languages import language_of
from lsp.documents import Cursor

Kind = Literal["rest of line", "line", "block"]

_NOT_OURS = {"test", "tests", "testing", "testdata", "examples", "node_modules", "vendor", "3rd-party", "subprojects"}
_LINES = range(60, 2500)
_MOST_LINE_CHARS = 140
_BLOCK_LINES = range(2, 9)
KINDS: tuple[Kind, ...] = ("rest of line", "line", "block")


@dataclass(frozen=True)
class Place:
    """A cursor behind which code was taken out, and what stood there.

    Args:
        package: its name.
        workspace: the folder that an editor would have open.
        kind: what was taken out.
        line: the cursor's, from 1.
        truth: what was taken out; of a block without its first line's indentation.
        cursor: in the file without it.
        errors: parse errors of the file as it was.
    """

    package: str
    workspace: Path
    kind: Kind
    line: int
    truth: str
    cursor: Cursor
    errors: int

    @property
    def name(self) -> str:
        """Tells it from all others."""
        assert self.cursor.path is not None
        return f"{self.package} {self.cursor.path.relative_to(self.workspace).as_posix()}:{self.line} {self.kind}"


def places(package: str, workspace: Path, language: str, count: int, seed: int) -> list[Place]:
    """``count`` seeded places in the code of a package, its files in turn; fewer where it has no more."""
    rng = random.Random(f"{seed}/{package}")
    names = sorted(file.relative_to(workspace) for file in workspace.rglob("*"))
    files = [source for name in names if (source := _Source.read(package, workspace, name, language))]
    rng.shuffle(files)
    found: list[Place] = []
    turns = 0
    while files and len(found) < count and turns < 20 * count:
        kind = KINDS[len(found) % len(KINDS)]
        place = files[turns % len(files)].place(kind, rng)
        turns += 1
        if place and all(place.name != other.name for other in found):
            found.append(place)
    return found


@dataclass(frozen=True)
class _Source:
    """A file in which code can be taken out: rows that hold code, and rows of blocks."""

    package: str
    workspace: Path
    path: Path
    language: str
    text: str
    errors: int
    code: tuple[int, ...]
    blocks: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, package: str, workspace: Path, name: Path, language: str) -> _Source | None:
        """The file, if it is code that people wrote to be read."""
        tongue = grammar(language)
        ours = not _NOT_OURS & set(name.parts) and "test" not in name.stem.lower() and language_of(name) == language
        if tongue is None or not ours or not (workspace / name).is_file():
            return None
        text = (workspace / name).read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
        root = tongue.parse(text.encode())
        if root is None or text.count("\n") not in _LINES:
            return None
        rows = text.split("\n")
        prose, blocks = set[int](), list[tuple[int, int]]()
        for node in _walk(root):
            if "comment" in node.type or ("string" in node.type and node.end_point.row > node.start_point.row):
                prose.update(range(node.start_point.row, node.end_point.row + 1))
            if block := _block(node):
                blocks.append(block)
        code = [row for row, line in enumerate(rows) if _is_code(line) and row not in prose and row > 10]
        fitting = [(a, b) for a, b in blocks if a > 10 and not prose & set(range(a, b + 1)) and rows[a].strip()]
        return cls(package, workspace, name, language, text, errors(text, language), tuple(code), tuple(fitting))

    def place(self, kind: Kind, rng: random.Random) -> Place | None:
        """A place of a kind; None where there is none."""
        rows = self.text.split("\n")
        chosen = [(row, row) for row in self.code] if kind != "block" else list(self.blocks)
        if not chosen:
            return None
        first, last = rng.choice(chosen)
        indent = len(rows[first]) - len(rows[first].lstrip())
        end = len(rows[first].rstrip())
        column = rng.randrange(indent + 2, end - 3) if kind == "rest of line" else indent
        truth = "\n".join([rows[first][column:], *rows[first + 1 : last + 1]]).rstrip()
        before = "\n".join([*rows[:first], rows[first][:column]])
        shortened = "\n".join([before, *rows[last + 1 :]])
        path = self.workspace / self.path
        cursor = Cursor(path.as_uri(), path, self.language, None, shortened, len(before))
        return Place(self.package, self.workspace, kind, first + 1, truth, cursor, self.errors)


def errors(text: str, language: str) -> int:
    """How many errors and missing tokens a parse of ``text`` has; 0 where there is no grammar."""
    tongue = grammar(language)
    root = tongue.parse(text.encode("utf-8", "replace")) if tongue else None
    if root is None or not root.has_error:
        return 0
    return sum(node.is_error or node.is_missing for node in _walk(root))


def _walk(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children)


def _block(node: Node) -> tuple[int, int] | None:
    """First and last row of a function's body, if that is small and has rows of its own."""
    body = node.child_by_field_name("body") if any(word in node.type for word in ("function", "method")) else None
    if body is None:
        return None
    braces = body.children[:1] and body.children[0].type == "{"
    first = body.start_point.row + (1 if braces else 0)
    last = body.end_point.row - (1 if braces else 0)
    own_rows = first > node.start_point.row and (braces or body.start_point.row > node.start_point.row)
    return (first, last) if own_rows and last - first + 1 in _BLOCK_LINES else None


def _is_code(line: str) -> bool:
    """Whether something worth completing stands on a line."""
    return len(line.strip()) >= 12 and len(line) <= _MOST_LINE_CHARS
