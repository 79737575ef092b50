"""What is wrong with code that a model wrote in the place of some lines."""

from __future__ import annotations

import re
import warnings
from difflib import SequenceMatcher

from tree_sitter import Node

from lsp.completion.syntax import errors, parse
from lsp.documents import split_lines

_ELIDED = re.compile(
    r"^[ \t]*(?:\#|//|--|/\*|\*)?[ \t]*(?:\.\.\.|…)[^\n]*$"
    r"|^[ \t]*(?:\#|//|--|/\*)[^\n]*\b(?:rest of|remaining|existing|same as|unchanged|as before|other code)\b[^\n]*$",
    re.MULTILINE | re.IGNORECASE,
)


def new_error(before: str, after: str, language: str) -> tuple[int, str] | None:
    """The first place where a document doesn't parse that did before: its line, from 1, and its text; None if none."""
    was, now = parse(before, language), parse(after, language)
    found = sorted(errors(now), key=lambda node: node.start_byte) if now else []
    line = None
    if len(found) > (len(list(errors(was))) if was else 0):
        line = found[0].start_point[0] + 1
    elif language == "python" and _python_error(before) is None:
        line = _python_error(after)  # the grammar takes a body that isn't indented for none
    return (line, [*split_lines(after), ""][line - 1].strip("\r\n")) if line else None


def _python_error(text: str) -> int | None:
    """The line where Python finds no Python, from 1."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "text", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None


def elided(before: str, after: str) -> str | None:
    """A line of ``after`` that stands for code left out; None where there is none, or ``before`` has it too."""
    lines = (found.group().strip() for found in _ELIDED.finditer(after))
    return next((line for line in lines if line not in before), None)


def changed_lines(before: str, after: str) -> tuple[int, int]:
    """How many lines of code went and how many came."""
    matcher = SequenceMatcher(None, _bare(before), _bare(after), autojunk=False)
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    return sum(end - start for _, start, end, _, _ in changes), sum(end - start for _, _, _, start, end in changes)


def same_code(one: str, other: str) -> bool:
    """Whether two pieces of code are the same but for space at line ends and empty lines."""
    return _bare(one) == _bare(other)


def _bare(code: str) -> list[str]:
    return [line.rstrip() for line in code.splitlines() if line.strip()]


def same_program(one: str, other: str, language: str) -> bool:
    """Whether two pieces of code differ in nothing but comments, docstrings and space."""
    first, second = parse(one, language), parse(other, language)
    if first is None or second is None:
        return same_code(one, other)
    return _words(first) == _words(second)


def prose(code: str, language: str) -> list[range]:
    """Where comments and docstrings stand, in characters."""
    root = parse(code, language)
    found: list[range] = []
    nodes = [root] if root else []
    source = code.encode()
    while nodes:
        node = nodes.pop()
        if "comment" in node.type or _is_docstring(node):
            start, end = (len(source[:at].decode("utf-8", "replace")) for at in (node.start_byte, node.end_byte))
            found.append(range(start, end))
        else:
            nodes.extend(node.children)
    return found


def _words(root: Node) -> list[bytes]:
    """The tree's tokens in order, without comments and docstrings; strings are one token."""
    found: list[bytes] = []
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if "comment" in node.type or _is_docstring(node):
            continue
        if node.child_count == 0 or node.type == "string":
            found.append(node.text or b"")
        else:
            nodes.extend(reversed(node.children))
    return found


def _is_docstring(node: Node) -> bool:
    return node.type == "expression_statement" and node.child_count == 1 and node.children[0].type == "string"
