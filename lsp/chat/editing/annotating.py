"""Type hints for a Python function: the model writes the signature anew, and the rest of the function stays."""

from __future__ import annotations

import ast
import copy
import re

from lsp.chat.editing.documenting import Form
from lsp.chat.editing.python_repairs import only_definition, parsed

_BUILT_IN = {"List": "list", "Dict": "dict", "Set": "set", "Tuple": "tuple", "FrozenSet": "frozenset", "Type": "type"}


def type_hints(code: str) -> Form | None:
    """The form of type hints for the function that the code is; None where it is something else."""
    function = only_definition(code)
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    lines = code.split("\n")
    first = function.lineno - 1
    end = next((i for i in range(first, len(lines)) if _signature("\n".join(lines[first : i + 1]))), None)
    if end is None:
        return None
    word = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    above = "".join(line + "\n" for line in lines[:first])
    begun = f"{above}{word} {function.name}("

    def written_signature(written: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        return _signature(written.removeprefix(above))

    def ended(written: str) -> bool:
        return "\n" in written.removeprefix(begun) and _complete(written.removeprefix(above)) is not None

    def fitted(written: str) -> str:
        text = _complete(written.removeprefix(above))
        new = written_signature(f"{above}{text}") if text else None
        if text is None or new is None or _parameters(new) != _parameters(function):
            return code
        return "\n".join([f"{above}{text}", *lines[end + 1 :]])

    return Form(begun, ended, fitted)


def with_known_types(code: str, unknown: list[str]) -> str:
    """A function's hints without names that nobody defines: as today's Python writes them, or as text.

    Args:
        code: one function.
        unknown: names in it that have no definition.
    """
    function = only_definition(code)
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not unknown:
        return code
    hints = [one.annotation for one in _arguments(function)] + [function.returns]
    source = code.encode().split(b"\n")
    for hint in sorted(filter(None, hints), key=lambda one: (one.lineno, one.col_offset), reverse=True):
        if hint.lineno != hint.end_lineno:
            continue
        new = ast.unparse(_Modern(unknown).visit(copy.deepcopy(hint)))
        left = {node.id for node in ast.walk(ast.parse(new)) if isinstance(node, ast.Name)} & set(unknown)
        if new != ast.unparse(hint) or left:
            line = source[hint.lineno - 1]
            text = f'"{new}"' if left else new
            source[hint.lineno - 1] = line[: hint.col_offset] + text.encode() + line[hint.end_col_offset :]
    return b"\n".join(source).decode()


class _Modern(ast.NodeTransformer):
    """``Optional[X]`` to ``X | None``, ``List`` to ``list`` …, as far as nobody defines the names."""

    def __init__(self, unknown: list[str]) -> None:
        self._unknown = unknown

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self._unknown:
            return node
        return ast.Name("object" if node.id == "Any" else _BUILT_IN.get(node.id, node.id), node.ctx)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        self.generic_visit(node)
        if name not in self._unknown or name not in ("Optional", "Union"):
            return node
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        parts = [*parts, ast.Constant(None)] if name == "Optional" else parts
        joined = parts[0]
        for part in parts[1:]:
            joined = ast.BinOp(joined, ast.BitOr(), part)
        return joined


def _complete(text: str) -> str | None:
    """The signature that a text begins with, whole lines; None where it isn't complete."""
    lines = text.split("\n")
    for i in range(len(lines)):
        if _signature("\n".join(lines[: i + 1])):
            return "\n".join(lines[: i + 1])
    return None


def _signature(text: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function whose signature this text is, from ``def`` to the colon."""
    if not re.search(r":[ \t]*(?:#[^\n]*)?$", text):
        return None
    tree = parsed(f"{text}\n    pass")
    one = tree.body[0] if tree and len(tree.body) == 1 else None
    return one if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    known = function.args
    named = [*known.posonlyargs, *known.args, *known.kwonlyargs]
    return named + [one for one in (known.vararg, known.kwarg) if one]


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A function's parameters without their hints."""
    bare = copy.deepcopy(function.args)
    for one in ast.walk(bare):
        if isinstance(one, ast.arg):
            one.annotation = None
    return ast.dump(bare)
