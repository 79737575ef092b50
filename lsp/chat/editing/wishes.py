"""What an instruction says about the code that comes of it, as far as that can be told without understanding it.

A small model forgets half of what it is asked. What is named and can be looked for (a name, a kind of statement) is
looked for, so that the model can be told what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from lsp.completion.syntax import parse

_QUOTED = re.compile(r"`([A-Za-z_]\w*)`")
_NAME = r"[`'\"]?([A-Za-z_]\w*)[`'\"]?"
_RENAME = re.compile(r"\brename\b(?P<rest>[^.;\n]*)", re.IGNORECASE)
_PAIR = re.compile(rf"{_NAME}\s+(?:to|into|as)\s+{_NAME}")
_NEW_PARAMETER = re.compile(rf"\b(?:add|introduce)\b[^.;]*?\b(?:parameter|argument)\s+{_NAME}", re.IGNORECASE)
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")
_ERROR = re.compile(r"\b[A-Z][a-z]\w*(?:Error|Exception|Warning)\b")
# "Raise …", not "it raises …", which is a complaint.
_RAISE = re.compile(r"\b(?:raise|throw)\b", re.IGNORECASE)
_INSTEAD = re.compile(
    r"\binstead of (?P<gone>[^.,;]+)"
    r"|\b(?:replace|convert|change|turn|rewrite)\s+(?P<replaced>[^.,;]*?)\s+(?:by|with|to|into|as)\s",
    re.IGNORECASE,
)
_USE = re.compile(r"\b(?:use|by|with|into|to|as)\s+(?:an?|the)?\s*(?P<wanted>[\w -]+)", re.IGNORECASE)

# Words for kinds of code, and the nodes that they stand for in trees of Python.
_KINDS = (
    (
        r"comprehensions?",
        ("list_comprehension", "dictionary_comprehension", "set_comprehension", "generator_expression"),
    ),
    (r"generator expressions?", ("generator_expression",)),
    (r"(?:for |while )?loops?", ("for_statement", "while_statement")),
    (r"f-?strings?", ("interpolation",)),
    (r"if[ -]statements?", ("if_statement",)),
    (r"conditional expressions?|ternar\w+", ("conditional_expression",)),
    (r"assert\w*", ("assert_statement",)),
    (r"yield\w*", ("yield",)),
)  # fmt: skip


def renames(instruction: str, code: str) -> dict[str, str]:
    """The names that are to be replaced by others, as far as they are names in this Python and the new ones aren't."""
    words = set(_identifiers(code))
    found: dict[str, str] = {}
    for asked in _RENAME.finditer(instruction):
        found |= {old: new for old, new in _PAIR.findall(asked["rest"]) if old in words and new not in words}
    return found


def missing(instruction: str, before: str, after: str, language: str) -> str | None:
    """What the instruction asks for and the code doesn't have, as a sentence; None where nothing is known to be.

    Args:
        instruction: the user's words.
        before, after: the code, and what has become of it.
        language: the code's.
    """
    for name in _new_names(instruction):
        if not _has(before, name) and not _has(after, name):
            return f"`{name}` is missing."
    if language != "python":
        return None
    was, now = _counts(before), _counts(after)
    if _RAISE.search(instruction) and not now.get("raise_statement", 0) > was.get("raise_statement", 0):
        return "Nothing is raised."
    for found in _INSTEAD.finditer(instruction):
        for word, kinds in _kinds(found["gone"] or found["replaced"] or ""):
            if _sum(was, kinds) and not _sum(now, kinds) < _sum(was, kinds):
                return f"The {word} is still there: replace it."
    for found in _USE.finditer(_without_instead(instruction)):
        for word, kinds in _kinds(found["wanted"]):
            if not _sum(now, kinds) > _sum(was, kinds):
                return f"There is no {word} yet: use one."
    return None


def _without_instead(instruction: str) -> str:
    return re.sub(r"\binstead of [^.,;]+", "", instruction, flags=re.IGNORECASE)


def _new_names(instruction: str) -> Iterator[str]:
    for names in (_QUOTED, _CAPITALS, _NEW_PARAMETER):
        yield from names.findall(instruction)
    if _RAISE.search(instruction):
        yield from _ERROR.findall(instruction)


def _has(code: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", code) is not None


def _kinds(phrase: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for words, kinds in _KINDS:
        if found := re.search(rf"(?<!\w)(?:{words})(?!\w)", phrase, re.IGNORECASE):
            yield found.group(), kinds


def _identifiers(code: str) -> Iterator[str]:
    root = parse(code, "python")
    nodes: list[Node] = [root] if root else []
    while nodes:
        node = nodes.pop()
        if node.type == "identifier":
            yield (node.text or b"").decode()
        nodes.extend(node.named_children)


def _counts(code: str) -> dict[str, int]:
    root = parse(code, "python")
    counts: dict[str, int] = {}
    nodes: list[Node] = [root] if root else []
    while nodes:
        node = nodes.pop()
        counts[node.type] = counts.get(node.type, 0) + 1
        nodes.extend(node.named_children)
    return counts


def _sum(counts: dict[str, int], kinds: tuple[str, ...]) -> int:
    return sum(counts.get(kind, 0) for kind in kinds)
