"""Chunks out of lines and the definitions found in them: what is large is split, what is small is merged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tree_sitter import Node

from indexer.chunk import Chunk
from indexer.languages import LINE_COMMENT

_MOST_LINES = 100
_MOST_CHARACTERS = 4_000
LOOSE_LINES = 40
"""The most lines of a chunk of text, or of what stands between definitions."""

_GROUP_LINES = 15  # small functions together
_LEAST_LINES = 3  # a function this long is a chunk of its own
_LEAST_DATA_LINES = 8  # so is a constant, a type or a section
_MOST_MEMBERS = 80  # signatures in the head of a class

_WORD = re.compile(r"\w")
# Nothing but the end of what was open, and a comment on it perhaps.
_IDLE = re.compile(r"[\W_]*|\s*(?:end|fi|done|esac|[\])};,]+)[\])};,]*\s*(?:(?://|#|--|/\*).*)?")
_NAME = r"([^\W\d]\w+)"
_CONTINUES = re.compile(r"\s*(?:[\])}]|(?:else|elif|elsif|except|finally|catch|end|esac|fi|done|rescue|ensure)\b)")
_XML = re.compile(r"</?\w+[^<>]*>")
_MARKS = re.compile(r"\s*(?:/\*+!?|\*+/|\*|//[/!]*|#+|--+\[*|;+)? ?")


@dataclass(slots=True)
class Item:
    """A definition (or section) in the making; rows count from 0."""

    kind: str
    name: str
    scope: str = ""
    node: Node | None = None
    body: Node | None = None
    row: int = 0  # where it begins itself
    first: int = 0  # with its comments and decorators
    last: int = 0
    start: int = 0  # in bytes
    end: int = 0
    signature: str = ""
    docstring: str = ""
    joint: str = "."  # between the names of the symbol
    children: list[Item] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        """The qualified name; of a scope as Rust's ``impl``, the type's."""
        return f"{self.scope}{self.joint}{self.name}" if self.scope and self.name else self.scope or self.name

    @property
    def is_container(self) -> bool:
        """Whether what it encloses are its members."""
        return bool(self.children) and self.kind not in ("function", "method", "constant")


class Lines:
    """A file's lines and what its language's comments look like."""

    def __init__(self, rows: list[str], language: str) -> None:
        self.rows = rows
        self.language = language
        self.keywords: frozenset[str] = frozenset()
        self.between = "text"  # the kind of what stands between definitions; "module" in code
        self._mark = LINE_COMMENT.get(language, "//")
        self._above = (self._mark, "@", "#[")
        self._names = _names(language)

    def text(self, first: int, last: int) -> str:
        """The rows from `first` to `last`, inclusive."""
        return "\n".join(self.rows[first : last + 1])

    def names(self, text: str) -> list[str]:
        """The names in a piece of code, each once, in order, without strings, comments and keywords."""
        found = dict.fromkeys(self._names.findall(text))
        found.pop("", None)
        keywords = self.keywords
        return [name for name in found if name not in keywords]

    def comment_above(self, row: int, floor: int) -> int:
        """The first row of the comments and attributes that stand directly above a row; the row itself if none."""
        while row > floor:
            above = self.rows[row - 1].strip()
            if above.endswith("*/"):
                opening = row - 1
                while opening > floor and "/*" not in self.rows[opening]:
                    opening -= 1
                if not self.rows[opening].lstrip().startswith("/*"):
                    return row
                row = opening
            elif above and above.startswith(self._above) and not above.startswith("#!"):
                row -= 1
            else:
                return row
        return row

    def comment(self, first: int, end: int) -> str:
        """The words of the comment lines before row `end`, without marks and attributes."""
        said = []
        for row in self.rows[first:end]:
            stripped = row.strip()
            if not stripped.startswith(("@", "#[")):
                said.append(_MARKS.sub("", stripped, count=1).removesuffix("*/").rstrip())
        words = "\n".join(said).strip()
        return _XML.sub("", words).strip() if self.language == "csharp" else words


@cache
def _names(language: str) -> re.Pattern[str]:
    mark = re.escape(LINE_COMMENT.get(language, "//"))
    longest = [_delimited('"""'), _delimited("'''")] if language == "python" else [r"/\*.*?\*/"]
    character = r"'(?:[^'\\\n]|\\.)'" if language in ("rust", "scala") else _delimited("'")
    return re.compile("|".join([_NAME, *longest, _delimited('"'), character, mark + r"[^\n]*"]), re.DOTALL)


def _delimited(mark: str) -> str:
    """A pattern for a string between two marks; one of a single character ends with its line."""
    quote = mark[0]
    plain = rf"[^{quote}\\]*" if len(mark) > 1 else rf"[^{quote}\\\n]*"
    inner = rf"(?:\\.|{quote}(?!{quote * 2}))" if len(mark) > 1 else r"\\."
    return rf"{mark}{plain}(?:{inner}{plain})*{mark}"


def chunks(lines: Lines, items: list[Item], root: Node | None) -> list[Chunk]:
    """The chunks of a file, in its order; every line with a letter or digit is in one at least."""
    found = list(_region(lines, 0, len(lines.rows) - 1, items, None, root))
    found.sort(key=lambda chunk: (chunk.start_line, chunk.end_line))
    return found


def _region(
    lines: Lines, first: int, last: int, items: list[Item], owner: Item | None, node: Node | None
) -> Iterator[Chunk]:
    """The chunks of some rows and the items in them; the first is the owner's head."""
    standing = [item for item in items if _stands_alone(item)]
    at = first
    for item in standing:
        yield from _loose(lines, at, item.first - 1, items, owner, node, is_head=at == first)
        if item.is_container:
            yield from _region(lines, item.first, item.last, item.children, item, item.body or item.node)
        else:
            yield from _whole(lines, item)
        at = max(at, item.last + 1)
    yield from _loose(lines, at, last, items, owner, node, is_head=at == first)


def _stands_alone(item: Item) -> bool:
    length = item.last - item.first + 1
    if item.kind in ("function", "method", "type"):
        return bool(item.docstring) or length >= _LEAST_LINES
    if item.kind == "class":
        return True
    return length >= _LEAST_DATA_LINES or any(map(_stands_alone, item.children))


def _whole(lines: Lines, item: Item) -> Iterator[Chunk]:
    """One definition, split at statements if it is large."""
    docstring, defines = item.docstring, (item.name,) if item.name and item.kind != "section" else ()
    kind = item.kind if item.kind in ("function", "method", "class", "section") else _KIND.get(item.kind, "class")
    for start, end, text in pieces(lines, item.first, item.last, item.body or item.node):
        uses = tuple(name for name in lines.names(text) if name != item.name)
        yield Chunk(start + 1, end + 1, kind, item.symbol, item.signature, docstring, text, defines, uses)
        docstring, defines = "", ()


_KIND = {"constant": "module", "module": "module"}


def _loose(
    lines: Lines, first: int, last: int, items: list[Item], owner: Item | None, node: Node | None, is_head: bool
) -> Iterator[Chunk]:
    """What stands between definitions, or the head of what encloses them."""
    while first <= last and not lines.rows[first].strip():
        first += 1
    while first <= last and not lines.rows[last].strip():
        last -= 1
    if all(map(_IDLE.fullmatch, lines.rows[first : last + 1])):
        return
    small = [item for item in items if first <= item.first and item.last <= last]
    grouped = any(item.kind in ("function", "method") for item in small)
    most = _GROUP_LINES if grouped and not is_head else LOOSE_LINES
    starts = {item.first for item in small}
    for start, end, text in pieces(lines, first, last, node, most, starts):
        within = [item for item in small if start <= item.first <= end]
        defines = [item.name for item in within if item.kind != "section"]
        uses = lines.names(text)
        if owner is None or not is_head:
            only = within[0] if len(within) == 1 and _fills(within[0], start, end) else None
            symbol = only.symbol if only else owner.symbol if owner else ""
            kind = only.kind if only and only.kind in ("function", "method", "section") else _owner_kind(lines, owner)
            signature, docstring = (only.signature, only.docstring) if only else ("", "")
        else:
            kind, symbol, signature, docstring = (
                _owner_kind(lines, owner),
                owner.symbol,
                owner.signature,
                owner.docstring,
            )
            if start == first:
                if owner.kind not in ("scope", "section"):
                    defines.insert(0, owner.name)
                if owner.kind not in ("module", "section"):
                    text = _with_members(text, items, last)
        is_head = False
        known = dict.fromkeys(defines)
        yield Chunk(
            start + 1, end + 1, kind, symbol, signature, docstring, text,
            tuple(filter(None, known)), tuple(name for name in uses if name not in known),
        )  # fmt: skip


def _fills(item: Item, first: int, last: int) -> bool:
    return 2 * (item.last - item.first + 1) >= last - first + 1


def _owner_kind(lines: Lines, owner: Item | None) -> str:
    if owner is None or owner.kind == "module":
        return lines.between
    return "section" if owner.kind == "section" else "class"


def _with_members(head: str, members: list[Item], last: int) -> str:
    """The head of a class with the signatures of the members that follow in place of their bodies."""
    return "\n".join([head, *(f"    {item.signature}" for item in members[:_MOST_MEMBERS] if item.first > last)])


def pieces(
    lines: Lines, first: int, last: int, node: Node | None, most: int = _MOST_LINES, starts: set[int] | None = None
) -> Iterator[tuple[int, int, str]]:
    """Some rows as (first, last, text), in pieces of at most `most` lines and some 4,000 characters."""
    text = lines.text(first, last)
    if last - first < most and len(text) <= _MOST_CHARACTERS:
        yield first, last, text
        return
    good = _statements(node, first, last) | (starts or set()) if node is not None else starts or set()
    count = max((last - first) // most, len(text) // _MOST_CHARACTERS) + 1
    ideal = (last - first + 1) // count + 1
    while first <= last:
        end = _fitting(lines, first, last, most)
        if end < last:
            end = _best_cut(lines, first, end, ideal, good)
        text = lines.text(first, end)
        if _WORD.search(text):
            for at in range(0, len(text), _MOST_CHARACTERS):
                yield first, end, text[at : at + _MOST_CHARACTERS]
        first = end + 1


def _fitting(lines: Lines, first: int, last: int, most: int) -> int:
    """The last row so that the rows from `first` on are not too many, nor their characters; at least `first`."""
    size = 0
    for row in range(first, min(last, first + most - 1) + 1):
        size += len(lines.rows[row]) + 1
        if size > _MOST_CHARACTERS + 1 and row > first:
            return row - 1
    return min(last, first + most - 1)


def _best_cut(lines: Lines, first: int, end: int, ideal: int, good: set[int]) -> int:
    """The row to end a piece at: the next begins with a statement, after a blank line, not too indented."""
    best, best_score = end, float("-inf")
    for row in range(max(first + 1, min(first + 2, end)), end + 2):  # a piece has at least one row
        line = lines.rows[row]
        if not line.strip() or _CONTINUES.match(line):
            continue
        score = -abs(row - first - ideal) / ideal
        score += 1.0 * (row in good) + 0.6 * (not lines.rows[row - 1].strip())
        score -= 0.1 * min(len(line) - len(line.lstrip()), 16) / 2
        if score > best_score:
            best, best_score = row - 1, score
    return best


def _statements(node: Node, first: int, last: int) -> set[int]:
    """The rows at which statements begin, large ones taken apart too."""
    rows: set[int] = set()
    todo = [node]
    while todo:
        for child in todo.pop().named_children:
            start, end = child.start_point[0], child.end_point[0]
            if end >= first and start <= last:
                rows.add(start)
                if end - start >= LOOSE_LINES:
                    todo.append(child)
    return rows
