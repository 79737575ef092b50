"""Names in Python that a model uses and nobody defines."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from lsp.chat.editing.passages import Passage
from lsp.chat.editing.python_repairs import parsed

_EVERYWHERE = frozenset(dir(builtins)) | {"__file__", "__name__", "__class__", "__annotations__", "reveal_type"}


def undefined(text: str, first: int, last: int) -> list[str]:
    """The names that some lines of a document read and that are defined neither there nor around.

    Args:
        text: the document.
        first, last: the lines, from 1, the last one included.

    Returns:
        In the order of the alphabet; none where the document doesn't parse, or imports everything of something.
    """
    tree = parsed(text)
    if tree is None or any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return []
    known = set(_EVERYWHERE) | set(_bound(tree.body))
    read: set[str] = set()
    for node in ast.walk(tree):
        line, end = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0) or 0
        inside = first <= line and end <= last
        around = line <= first and last <= end
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and (around or inside):
            known |= set(_all_bound(node))
        elif inside:
            known |= set(_binds(node))
        if inside and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
    return sorted(read - known)


def newly_undefined(passage: Passage, code: str) -> list[str]:
    """The names that lines read and nobody defines if they become ``code``, and not as they are."""
    text = passage.as_here(code)
    first = passage.before.count("\n") + 1
    was = undefined(passage.document(passage.text), first, first + passage.text.count("\n"))
    now = undefined(passage.document(text), first, first + text.count("\n"))
    return [name for name in now if name not in was]


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """The names that statements bind in their own scope."""
    nodes: list[ast.AST] = list(body)
    while nodes:
        node = nodes.pop()
        yield from _binds(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            nodes.extend(ast.iter_child_nodes(node))


def _all_bound(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        yield from _binds(inner)


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case _:
            pass
