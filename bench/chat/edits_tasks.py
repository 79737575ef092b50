"""The edit tasks: what is asked of which function, whose text is read from a pinned download when it is needed."""

from __future__ import annotations

import ast
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.common import STDLIB
from bench.retrieval.data import repositories, tree

_LIST = Path(__file__).with_name("edits.toml")
_LOT = "midline edits 1"
PYTHON = "python"


@dataclass(frozen=True)
class EditTask:
    """One edit of one function; the fields are explained in ``edits.toml``."""

    name: str
    kind: str
    package: str
    file: str
    symbol: str
    instruction: str
    test: str
    solution: tuple[tuple[str, str], ...]
    command: str = "edit"
    plant: tuple[str, str] | None = None
    diagnostic: str = ""

    @property
    def part(self) -> str:
        """``tune`` or ``final``: drawn by lot, the same one each time."""
        return "tune" if sha256(f"{_LOT} {self.name}".encode()).digest()[0] % 2 else "final"


@dataclass(frozen=True)
class Given:
    """A task with its document: the file's text, the bug in it, and the function's lines, from 1."""

    task: EditTask
    text: str
    start_line: int
    end_line: int

    @property
    def code(self) -> str:
        """The function's lines."""
        return "".join(self.text.splitlines(keepends=True)[self.start_line - 1 : self.end_line])

    @property
    def diagnostics(self) -> tuple[str, ...]:
        """What a tool says of the planted bug."""
        if not self.task.diagnostic or self.task.plant is None:
            return ()
        line = self.start_line + self.code[: self.code.index(self.task.plant[1])].count("\n")
        return (f"line {line}: {self.task.diagnostic}",)

    def solved(self) -> str:
        """The function's lines after a right edit."""
        return _replaced(self.task.name, self.code, self.task.solution)

    def document(self, code: str) -> str:
        """The document with other lines in the place of the function's."""
        lines = self.text.splitlines(keepends=True)
        return "".join([*lines[: self.start_line - 1], code, *lines[self.end_line :]])


def tasks() -> list[EditTask]:
    """All tasks, in the file's order."""
    return [_task(entry) for entry in tomllib.loads(_LIST.read_text("utf-8"))["task"]]


def _task(entry: dict[str, Any]) -> EditTask:
    package, file, symbol = entry.pop("at").split(" ")
    plant = tuple(entry.pop("plant")) if "plant" in entry else None
    solution = tuple((old, new) for old, new in entry.pop("solution"))
    return EditTask(
        **({"instruction": ""} | entry), package=package, file=file, symbol=symbol, plant=plant, solution=solution
    )


def given(task: EditTask, data: Path) -> Given | None:
    """A task's document; None, with a line on stderr, where its package can't be had or has another text.

    Args:
        task: which.
        data: where downloads are kept.
    """
    folder = STDLIB if task.package == PYTHON else _tree(task.package, data)
    try:
        if folder is None:
            return None
        text = (folder / task.file).read_text("utf-8")
        first, last = _lines(text, task.symbol)
        found = Given(task, text, first, last)
        if task.plant:
            code = _replaced(task.name, found.code, (task.plant,))
            found = Given(task, found.document(code), first, last)
        found.solved()
    except (OSError, ValueError) as error:
        print(f"{task.name} is left out: {error}", file=sys.stderr)
        return None
    return found


@cache
def _tree(name: str, data: Path) -> Path | None:
    return tree(next(one for one in repositories() if one.name == name), data)


def _lines(text: str, symbol: str) -> tuple[int, int]:
    """The first and the last line of a definition, decorators included; of several, the last's.

    Raises:
        ValueError: there is none.
    """
    scope: list[ast.stmt] = ast.parse(text).body
    node: ast.stmt | None = None
    for name in symbol.split("."):
        found = [one for one in scope if isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name == name]
        if not found:
            raise ValueError(f"there is no {symbol}")
        node = found[-1]
        scope = node.body
    assert isinstance(node, ast.FunctionDef)
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return first, node.end_lineno or first


def _replaced(name: str, code: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        if old not in code:
            raise ValueError(f"{name}: {old!r} isn't in the function")
        code = code.replace(old, new, 1)
    return code
