"""Where to take a middle out of a file, so that a model learns to fill it in: at syntactic units, and at random.

Spans at random are those of Bavarian et al., Efficient Training of Language Models to Fill in the Middle, 2022; whole
nodes of the syntax tree follow Gong et al., Structure-Aware Fill-in-the-Middle Pretraining for Code, 2025. A line's
rest is what is asked for most while somebody types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
from tree_sitter import Node

from indexer.cutting import Item
from indexer.outline import Parsed

Unit = Literal["body", "block", "statement", "expression", "line", "span"]
"""A function's body; whole lines that are one node, several or one; a node within a line; the rest of a line; any."""

_WEIGHTS: dict[Unit, float] = {
    "body": 0.2,
    "block": 0.15,
    "statement": 0.15,
    "expression": 0.1,
    "line": 0.25,
    "span": 0.15,
}
_LONGEST = 3_000  # characters of a middle
_LEAST = 3  # that aren't white space
_SPAN = (10, 1_000)  # characters
_LINES_EACH = 12  # of a file, for one example
_MOST = 40  # examples of one file


@dataclass(frozen=True)
class Middle:
    """A part of a text, from ``start`` up to ``end``, in characters."""

    start: int
    end: int
    unit: Unit


def middles(parsed: Parsed, random: Random) -> list[Middle]:
    """Choose parts of a file, by its size; each once, in the order of the text.

    Args:
        parsed: the file.
        random: chooses.
    """
    text = parsed.text
    wanted = min(_MOST, math.ceil(len(parsed.lines.rows) / _LINES_EACH))
    pools: dict[Unit, list[Middle]] = {unit: [] for unit in _WEIGHTS}
    for middle in _units(parsed):
        if _fits(text, middle):
            pools[middle.unit].append(middle)
    chosen: dict[tuple[int, int], Middle] = {}
    for unit in random.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=wanted):
        # Where there is no such unit (left), the rest of a line always is.
        middle = _taken(pools[unit], random) or (_span if unit == "span" else _line)(text, random)
        if _fits(text, middle):
            chosen.setdefault((middle.start, middle.end), middle)
    return sorted(chosen.values(), key=lambda middle: (middle.start, middle.end))


def _fits(text: str, middle: Middle) -> bool:
    inside = text[middle.start : middle.end]
    return len(inside) <= _LONGEST and len(inside.strip()) >= _LEAST


def _taken(pool: list[Middle], random: Random) -> Middle | None:
    return pool.pop(random.randrange(len(pool))) if pool else None


def _line(text: str, random: Random) -> Middle:
    """From any place in a line to its end."""
    start = random.randrange(len(text))
    end = text.find("\n", start)
    return Middle(start, len(text) if end < 0 else end, "line")


def _span(text: str, random: Random) -> Middle:
    """Any characters, as often of any order of magnitude."""
    low, high = _SPAN
    length = round(low * (high / low) ** random.random())
    start = random.randrange(max(1, len(text) - length))
    return Middle(start, min(len(text), start + length), "span")


def _units(parsed: Parsed) -> Iterator[Middle]:
    """The syntactic units of a file, without what its grammar doesn't understand."""
    if parsed.root is None:
        return
    text = parsed.text
    place = _character_of(text)
    bodies = set()
    for item in walk(parsed.tops):
        if item.body is not None and item.kind in ("function", "method") and not item.body.has_error:
            body = _within_braces(text, place(_behind_docstring(item.body)), place(item.body.end_byte))
            bodies.add(body)
            yield Middle(*body, "body")
    seen = set(bodies)
    for node in _nodes(parsed.root):
        if node.has_error or node.end_byte - node.start_byte < _LEAST:
            continue
        span = place(node.start_byte), place(node.end_byte)
        unit = _unit(text, *span)
        if unit and span not in seen:  # a node often is all that another one holds
            seen.add(span)
            yield Middle(*span, unit)


def _unit(text: str, start: int, end: int) -> Unit | None:
    """What kind of unit a node is by how it stands in its lines; None for one that begins or ends within others."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    whole = not text[first:start].strip() and not text[end : last if last >= 0 else len(text)].strip()
    lines = text.count("\n", start, end)
    if whole:
        return "block" if lines else "statement"
    return None if lines or text[start:end].isidentifier() else "expression"


def _nodes(root: Node) -> Iterator[Node]:
    """The named nodes below the root, in the order of the text."""
    todo = list(reversed(root.named_children))
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(node.named_children)


def walk(items: tuple[Item, ...] | list[Item]) -> Iterator[Item]:
    """Definitions and all those within them."""
    for item in items:
        yield item
        yield from walk(item.children)


def _behind_docstring(body: Node) -> int:
    """Where a body begins to do something: what its docstring says is what to fill it in by."""
    children = body.named_children
    first = children[0] if children else None
    inside = first.named_children if first is not None and first.type == "expression_statement" else []
    documented = len(children) > 1 and len(inside) == 1 and inside[0].type == "string"
    return children[0].end_byte if documented else body.start_byte


def _within_braces(text: str, start: int, end: int) -> tuple[int, int]:
    return (start + 1, end - 1) if text[start:end].startswith("{") and text[:end].endswith("}") else (start, end)


def _character_of(text: str) -> Callable[[int], int]:
    """A function from places in the UTF-8 of a text to places in the text."""
    if text.isascii():
        return lambda byte: byte
    starts = (np.frombuffer(text.encode(), np.uint8) & 0xC0) != 0x80
    before = np.concatenate([[0], np.cumsum(starts)])
    return lambda byte: int(before[byte])
