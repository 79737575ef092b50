"""What an installed package offers: its public classes and functions, with signatures and docstrings, no bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from indexer.chunk import Chunk, Outline
from indexer.cutting import Item, Lines
from indexer.outline import outline, parse

_DECLARATIONS = (".d.ts", ".d.mts", ".d.cts")
_OTHERS = frozenset(
    {"test", "tests", "testing", "_vendor", "vendor", "_vendored", "vendored", "_tests", "_internal", "_internals"}
)
_MOST_ROWS = 120  # of a signature and its docstring
_MOST_FIELDS = 40
_MOST_MEMBERS = 60
_FIELD = re.compile(r"\s+(?!self\b)[A-Za-z]\w*\s*(?::|=(?!=))\s*\S")
_DUNDERS = frozenset({"__init__", "__call__", "__enter__", "__aenter__", "__iter__", "__getitem__", "__new__"})


def by_name(path: str) -> str:
    """Why a file of a package tells nothing of what it offers, judged by its path; empty if it may."""
    *folders, name = path.split("/")
    if not name.endswith((".py", ".pyi", *_DECLARATIONS)):
        return "it declares nothing"
    if _OTHERS.intersection(folders[1:]) or name in ("conftest.py", "setup.py"):
        return "it is not part of what the package offers"
    return ""


def interface(text: str, language: str) -> Outline:
    """A package's module taken apart: a chunk for each public class, method and function, of its very lines.

    Args:
        text: of a ``.py`` or ``.pyi``; a ``.d.ts`` has no bodies, so that it is taken apart like code.
        language: as `indexer.languages.language_of` gives it.
    """
    if language != "python":
        return outline(text, language)
    parsed = parse(text, language)
    public = list(_public(parsed.tops))
    shown = {(item.symbol, item.row + 1) for item in public}
    chunks = [_module(parsed.lines, parsed.tops), *(_chunk(parsed.lines, item) for item in public)]
    return Outline(
        language,
        tuple(chunk for chunk in chunks if chunk is not None),
        tuple(one for one in parsed.definitions if (f"{one.scope}.{one.name}".lstrip("."), one.line) in shown),
        parsed.imports,
    )


def _public(items: Iterable[Item]) -> Iterator[Item]:
    """What is meant for others, of classes their members too; what stands in functions is nobody's."""
    for item in items:
        if item.name.startswith("_") and item.name not in _DUNDERS:
            continue
        if item.kind in ("function", "method", "class"):
            yield item
        if item.kind == "class":
            yield from _public(item.children)


def _chunk(lines: Lines, item: Item) -> Chunk:
    """A definition's head: its decorators, signature and docstring; of a class, its fields and methods as well."""
    last = min(_head_end(lines, item), item.first + _MOST_ROWS - 1)
    text = lines.text(item.first, last)
    if item.kind == "class":
        text = "\n".join([text, *_fields(lines, item, last), *_members(item)])
    return Chunk(
        item.first + 1, last + 1, item.kind, item.symbol, item.signature, item.docstring, text, (item.name,), ()
    )


def _head_end(lines: Lines, item: Item) -> int:
    """The last row of a definition's signature, and of its docstring where it has one."""
    body = item.body
    if body is None:
        return item.row
    first = body.named_children[0] if body.named_children else None
    if first is not None and first.type == "expression_statement" and first.named_children:
        first = first.named_children[0]
    if first is not None and first.type in ("string", "concatenated_string"):
        return first.end_point[0]
    # A stub's body is on the signature's own row.
    return max(item.row, body.start_point[0] - 1)


def _fields(lines: Lines, item: Item, last: int) -> list[str]:
    """The lines of a class that declare its fields."""
    end = min((child.first for child in item.children), default=item.last + 1)
    rows = lines.rows[last + 1 : end]
    return [row for row in rows if _FIELD.match(row)][:_MOST_FIELDS]


def _members(item: Item) -> list[str]:
    return [f"    {child.signature}" for child in _public(item.children)][:_MOST_MEMBERS]


def _module(lines: Lines, tops: Iterable[Item]) -> Chunk | None:
    """What a module says of itself at its top; None where it says nothing."""
    end = min((item.first for item in tops if item.kind != "constant"), default=len(lines.rows))
    rows = lines.rows[: min(end, _MOST_ROWS)]
    start = next((row for row, line in enumerate(rows) if line.strip() and not line.startswith("#")), len(rows))
    mark = next((mark for mark in ('"""', "'''") if lines.text(start, start).lstrip("rRuU").startswith(mark)), "")
    if not mark:
        return None
    first = lines.rows[start].lstrip("rRuU")
    row = start
    if first.count(mark) < 2:
        row = next((row for row in range(start + 1, len(rows)) if mark in rows[row]), -1)
    if row < 0:
        return None
    text = lines.text(start, row)
    return Chunk(start + 1, row + 1, "module", "", "", text.strip("\"'rRuU \n"), text)
