"""Which brackets and quotes of a text close each other: what an editor closes by itself, if the text comes to it."""

from __future__ import annotations

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "\"'"


def pairs(text: str) -> dict[int, int]:
    """The offset of the closing bracket or quote, by that of the opening one.

    Brackets may close on a later line, quotes on the same. What is in strings and comments has no partner. Languages
    aren't told apart: what is misread only goes without the editor's help.
    """
    found: dict[int, int] = {}
    stack: list[int] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char == "#" or text.startswith("//", i):
            i = _line_end(text, i)
        elif char in _QUOTES:
            triple = char * 3
            if text.startswith(triple, i):
                end = text.find(triple, i + 3)
                i = end + 3 if end >= 0 else len(text)
                continue
            close = _string_end(text, i)
            if close is not None:
                found[i] = close
                i = close
        elif char in _CLOSING:
            stack.append(i)
        elif stack and char == _CLOSING[text[stack[-1]]]:
            found[stack.pop()] = i
        i += 1
    return found


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return end if end >= 0 else len(text)


def _string_end(text: str, start: int) -> int | None:
    """The offset of the quote that ends the string beginning at ``start``, on the same line."""
    i = start + 1
    while i < len(text) and text[i] not in "\r\n":
        if text[i] == "\\":
            i += 1
        elif text[i] == text[start]:
            return i
        i += 1
    return None
