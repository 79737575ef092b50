"""Repairs of Python that a model wrote in the place of one definition, each for a slip that leaves no doubt.

What was asked for is kept: nothing is repaired that the instruction speaks of.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TypeGuard

from lsp.completion.syntax import parse

_GUARD = re.compile(
    r"\b(?:return|raise)\b[^.;]*?\bif\s+(?:the\s+)?[`'\"]?(\w+)[`'\"]?\s+(?:is\b|isn't\b|equals\b|[<>=])", re.IGNORECASE
)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def repaired(before: str, after: str, instruction: str) -> str:
    """``after``, what a model made of ``before``: one definition without indentation; else as it is.

    - out of a class that was put around it;
    - without what was written behind it: an example of its use, tests;
    - with the decorators and the docstring that got lost.
    """
    old = only_definition(before)
    tree = parsed(after)
    if old is None or tree is None:
        return after
    named = [node for node in tree.body if _defines(node)]
    target = _find(old, named)
    if target is None:
        return after
    lines = after.split("\n")
    outside = target not in named
    own = textwrap.dedent("\n".join(lines[first_line(target) - 1 : target.end_lineno])).split("\n")
    own = _with_docstring(own, old, target, before, instruction)
    if old.decorator_list and not target.decorator_list and not re.search(r"decorator|@", instruction):
        own = [*before.split("\n")[first_line(old) - 1 : old.lineno - 1], *own]
    if outside:
        return "\n".join(own)
    above = lines[: first_line(target) - 1]
    below = [
        f"\n\n{ast.get_source_segment(after, node)}"
        for node in tree.body[tree.body.index(target) + 1 :]
        if _defines(node) and node.name != target.name and _mentions("\n".join(own), node.name)
    ]
    return "\n".join([*above, *own, *below])


def renamed(code: str, names: dict[str, str]) -> str:
    """Code with the names replaced wherever they are variables; attributes and named arguments of calls stay."""
    root = parse(code, "python")
    if root is None or not names:
        return code
    source = code.encode()
    places: list[tuple[int, int, str]] = []
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.named_children)
        text = (node.text or b"").decode()
        if node.type != "identifier" or text not in names or node.parent is None:
            continue
        holder = node.parent
        is_attribute = holder.type == "attribute" and holder.child_by_field_name("attribute") == node
        is_argument = holder.type == "keyword_argument" and holder.child_by_field_name("name") == node
        if not is_attribute and not is_argument:
            places.append((node.start_byte, node.end_byte, names[text]))
    for start, end, new in sorted(places, reverse=True):
        source = source[:start] + new.encode() + source[end:]
    return source.decode()


def parsed(code: str) -> ast.Module | None:
    """The tree of code; None where it doesn't parse."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def only_definition(code: str) -> Definition | None:
    """The definition that the code consists of; None where it is something else."""
    tree = parsed(code)
    if tree is None or len(tree.body) != 1 or not _defines(tree.body[0]):
        return None
    return tree.body[0]


def loses_definition(before: str, after: str) -> bool:
    """Whether code was one definition, and is none now."""
    tree = parsed(after)
    return tree is not None and only_definition(before) is not None and not any(_defines(node) for node in tree.body)


def header(code: str) -> str:
    """The lines that the one definition in this code begins with, up to its body."""
    definition = only_definition(code)
    lines = code.split("\n")[: first_line(definition.body[0]) - 1] if definition else []
    return "".join(f"{line}\n" for line in lines)


def guarded(instruction: str, before: str, after: str) -> bool:
    """Whether a function has the new condition on one of its parameters that it is to return or raise on.

    True where no such condition is asked for.
    """
    old, tree = only_definition(before), parsed(after)
    asked = _GUARD.search(instruction)
    if not asked or tree is None or not isinstance(old, ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    name = asked[1]
    if name not in {one.arg for one in ast.walk(old.args) if isinstance(one, ast.arg)}:
        return True
    return _conditions(tree, name) > _conditions(old, name)


def up_to_guard(code: str) -> str:
    """A definition up to its first statement, and the beginning of a condition there."""
    definition = only_definition(code)
    if definition is None or not header(code):
        return ""
    said = ast.get_docstring(definition) is not None and len(definition.body) > 1
    first = definition.body[int(said)]
    lines = code.split("\n")
    return "\n".join([*lines[: first_line(first) - 1], lines[first.lineno - 1][: first.col_offset] + "if "])


def _conditions(tree: ast.AST, name: str) -> int:
    """How many ``if`` statements look at a variable."""
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If)]
    return sum(any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(test)) for test in tests)


def _find(old: Definition, named: list[Definition]) -> Definition | None:
    """The definition that ``old`` has become: it has its name, or is the only one of its kind."""
    inner = [node for one in named if isinstance(one, ast.ClassDef) for node in one.body if _defines(node)]
    alike = [node for node in named if isinstance(node, ast.ClassDef) == isinstance(old, ast.ClassDef)]
    same = [node for node in (*named, *inner) if node.name == old.name]
    return same[0] if same else alike[0] if len(alike) == 1 else None


def _with_docstring(own: list[str], old: Definition, target: Definition, before: str, instruction: str) -> list[str]:
    """A definition's lines with the docstring that it had, if it has none and nobody asked for that."""
    said, body = ast.get_docstring(old), target.body[0]
    if not said or ast.get_docstring(target) is not None or re.search(r"doc|comment", instruction, re.IGNORECASE):
        return own
    first = body.lineno - first_line(target)
    if first <= 0 or not own[first].strip():
        return own
    lost = before.split("\n")[old.body[0].lineno - 1 : old.body[0].end_lineno]
    return [*own[:first], *lost, *own[first:]]


def _defines(node: ast.stmt) -> TypeGuard[Definition]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def first_line(node: ast.stmt) -> int:
    """The line that a statement begins on, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _mentions(code: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", code) is not None
