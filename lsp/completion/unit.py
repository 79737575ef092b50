"""Where a suggestion is complete: instruction-tuned models don't stop by themselves, so midline does.

A suggestion is one unit: the rest of the line when something stands right of the cursor; else the statement the cursor
is in, with the block it opens; on an empty line, the statements up to the block's end or a blank line. Judged by
indentation and brackets alone, in any language, on text that is still growing.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsp.documents import Cursor

# A line that begins so continues the block above it at the same indentation.
_CONTINUES = ("else", "elif", "except", "finally", "catch", "case ", "default:", "end", "fi", "done", ")", "]", "}")
_OPENS = (":", "{", "(", "[", ",", "=>", "->", "then", "do", "\\", "=", "&&", "||", "+", "|")


@dataclass(frozen=True)
class Place:
    """What the end of a suggestion depends on.

    Args:
        before: the cursor's line up to the cursor.
        rest: the cursor's line from the cursor on.
        after: the text after the cursor's line.
    """

    before: str
    rest: str
    after: str

    @classmethod
    def of(cls, cursor: Cursor) -> Place:
        """The place of a cursor."""
        return cls(cursor.text[cursor.line_start : cursor.offset], cursor.rest_of_line, cursor.suffix)

    @property
    def below(self) -> str | None:
        """The first line below the cursor's that isn't blank, without spaces at its end."""
        return next((line.rstrip() for line in self.after.splitlines() if line.strip()), None)


def unit_end(text: str, place: Place) -> int | None:
    """The length at which ``text``, generated at ``place``, is a complete unit; None while that isn't known yet.

    The last line may be incomplete, and is judged only by what can't change any more.
    """
    if place.rest.strip():
        newline = text.find("\n")
        return newline if newline >= 0 else None
    lines = text.split("\n")
    unit = _Unit(place)
    end = 0
    for number, line in enumerate(lines):
        complete = number < len(lines) - 1
        full = line if number else place.before + line
        if number and unit.ends_before(full, complete):
            return len(text[:end].rstrip())
        if not complete:
            return None
        end += len(line) + 1
        if unit.ends_after(full):
            return end - 1
    return None


class _Unit:
    """Reads a suggestion line by line."""

    def __init__(self, place: Place) -> None:
        self._below = place.below
        self._statement = bool(place.before.strip())
        self._base: int | None = None  # the first line's indentation, once that is known
        self._depth = 0  # brackets open
        self._deeper = False  # inside, or behind, a block that the suggestion opened
        self._opened = False  # the last line goes on in the next

    def ends_before(self, line: str, complete: bool) -> bool:
        if self._depth > 0 or self._base is None:
            return False
        stripped = line.strip()
        if not stripped:
            return complete and not self._deeper and not self._opened
        if complete and line.rstrip() == self._below:
            return True
        indent = _indent(line)
        if indent != self._base:
            return indent < self._base
        if self._deeper:
            return not any(stripped.startswith(word) or word.startswith(stripped) for word in _CONTINUES)
        return self._statement

    def ends_after(self, line: str) -> bool:
        if not line.strip():
            return False
        indent = _indent(line)
        self._base = indent if self._base is None else self._base
        self._deeper = self._deeper or indent > self._base
        self._depth = max(0, self._depth + _brackets(line))
        self._opened = line.rstrip().endswith(_OPENS)
        if self._depth or self._opened:
            return False
        closed = self._deeper and indent == self._base and line.lstrip().startswith((")", "]", "}"))
        return closed or (self._statement and not self._deeper)


def _brackets(line: str) -> int:
    """Brackets that the line opens, less those it closes; strings and comments are not told apart."""
    return sum(line.count(char) for char in "([{") - sum(line.count(char) for char in ")]}")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
