"""Places to complete: calls whose target another file of the repository defines, read off with Python's own parser."""

from __future__ import annotations

import ast
import builtins
import keyword
import logging
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("from x import f", "mod.f()", "method", "nothing imported")

_NAME = re.compile(r"[A-Za-z_]\w+")
_LITERAL = re.compile(r"""[rbfuRBFU]{0,2}("[^"\n]*"|'[^'\n]*')|#.*""")
_TESTS = re.compile(r"(^|/)(tests?|testing)(/|$)|(^|/)test_")
_KNOWN = frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls"])
_BUILT_IN = frozenset(
    name
    for kind in (str, bytes, list, dict, set, int, float, tuple, object, logging.Logger, Path)
    for name in dir(kind)
)
_MOST_TARGETS = 3  # definitions of one name; of more, none is the target for sure
ABOVE, BELOW = 30, 10
"""Lines around the cursor whose names count as visible."""


@dataclass(frozen=True)
class Target:
    """A definition that a call may mean."""

    path: str
    line: int
    name: str


@dataclass(frozen=True)
class Place:
    """A call to complete."""

    path: str
    line: int
    """From 1: the one that the called name stands on."""
    column: int
    """Where the name begins."""
    indent: int
    """Where the line's code begins."""
    kind: str
    targets: tuple[Target, ...]

    def split(self, text: str, column: int) -> tuple[str, str]:
        """What stands before a column of the line, and what stands behind it; this line and the next are left out."""
        lines = text.splitlines(keepends=True)
        before = "".join(lines[: self.line - 1]) + lines[self.line - 1][:column]
        return before, "\n" + "".join(lines[self.line + 1 :])

    def wanted(self, text: str, column: int) -> set[str]:
        """The names about to be typed on this line and the next that are not visible around them."""
        lines = text.splitlines(keepends=True)
        before, after = self.split(text, column)
        visible = _names("".join(before.splitlines(keepends=True)[-ABOVE - 1 :]))
        visible |= _names("".join(after.splitlines(keepends=True)[: BELOW + 1]))
        typed = lines[self.line - 1][column:] + "".join(lines[self.line : self.line + 1])
        return _names(_LITERAL.sub("", typed)) - visible - _KNOWN


def _names(text: str) -> set[str]:
    return set(_NAME.findall(text))


def places(workspace: Path, most: int, seed: int = 0) -> list[Place]:
    """At most ``most`` places of a repository, a sample; those of tests are left out, as are visible targets."""
    trees = dict(_parsed(workspace))
    defined: dict[str, list[tuple[Target, str]]] = defaultdict(list)
    for path, (tree, _) in trees.items():
        for target, scope in _definitions(tree, path):
            defined[target.name].append((target, scope))
    found = []
    for path, (tree, text) in trees.items():
        if not _TESTS.search(path):
            found += _calls(tree, text, path, defined)
    random.Random(seed).shuffle(found)
    chosen: dict[tuple[str, int], Place] = {}
    for place in found:
        wanted = place.wanted(trees[place.path][1], place.indent)
        if place.targets[0].name in wanted:
            chosen.setdefault((place.path, place.line), place)
        if len(chosen) == most:
            break
    return list(chosen.values())


def _parsed(workspace: Path) -> Iterator[tuple[str, tuple[ast.Module, str]]]:
    for file in sorted(workspace.rglob("*.py")):
        text = file.read_text("utf-8", "replace")
        try:
            yield file.relative_to(workspace).as_posix(), (ast.parse(text), text)
        except (SyntaxError, ValueError):
            continue


def _definitions(tree: ast.Module, path: str) -> Iterator[tuple[Target, str]]:
    """Functions, classes and methods, each with its class."""
    todo: list[tuple[ast.AST, str]] = [(child, "") for child in tree.body]
    while todo:
        node, scope = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield Target(path, node.lineno, node.name), scope
        if isinstance(node, ast.ClassDef):
            todo += [(child, node.name) for child in node.body]
        elif isinstance(node, ast.If | ast.Try):
            todo += [(child, scope) for child in ast.iter_child_nodes(node)]


def _calls(tree: ast.Module, text: str, path: str, defined: dict[str, list[tuple[Target, str]]]) -> Iterator[Place]:
    own = {target.path.partition("/")[0] for known in defined.values() for target, _ in known[:1]}
    imports = _imports(tree, own)
    lines = text.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr
        known = defined.get(name, [])
        line = called.end_lineno or called.lineno
        column = len(lines[line - 1].encode()[: called.end_col_offset].decode("utf-8", "ignore")) - len(name)
        if not known or name in _BUILT_IN or name in _KNOWN or any(target.path == path for target, _ in known):
            continue
        kind, meant = _meant(called, known, imports)
        if 0 < len(meant) <= _MOST_TARGETS and lines[line - 1][column:].startswith(name):
            indent = len(lines[line - 1]) - len(lines[line - 1].lstrip())
            yield Place(path, line, column, indent, kind, tuple(meant))


def _meant(
    called: ast.Name | ast.Attribute, known: list[tuple[Target, str]], imports: _Imports
) -> tuple[str, list[Target]]:
    tops = [target for target, scope in known if not scope]
    if isinstance(called, ast.Name):
        return ("from x import f" if called.id in imports.names else "nothing imported"), tops
    base = called.value
    if isinstance(base, ast.Name) and base.id in imports.foreign:
        return "", []
    if isinstance(base, ast.Name) and base.id in imports.packages:
        return "mod.f()", tops
    if isinstance(base, ast.Name) and base.id in imports.names:
        of_module = [target for target in tops if base.id in Path(target.path).with_suffix("").parts]
        if of_module:
            return "mod.f()", of_module
    in_reach = any(
        scope in imports.names or Path(target.path).stem in imports.modules for target, scope in known if scope
    )
    return ("method" if in_reach else "nothing imported"), [target for target, scope in known if scope]


@dataclass
class _Imports:
    """What a file imports."""

    names: set[str] = field(default_factory=set)
    """All names that this binds."""
    modules: set[str] = field(default_factory=set)
    """Last names of the modules that are imported, or imported from."""
    packages: set[str] = field(default_factory=set)
    """Names bound to modules of the repository by ``import``."""
    foreign: set[str] = field(default_factory=set)
    """Names bound to modules from elsewhere by ``import``."""


def _imports(tree: ast.Module, own: set[str]) -> _Imports:
    """What a file imports; ``own`` has the names of the repository's packages."""
    found = _Imports()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.names |= {alias.asname or alias.name for alias in node.names}
            found.modules |= {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = (alias.asname or alias.name).partition(".")[0]
                found.names.add(name)
                found.modules.add(alias.name.rpartition(".")[2])
                (found.packages if alias.name.partition(".")[0] in own else found.foreign).add(name)
    return found
