"""What is wrong with code that a model wrote in the place of some lines."""

from __future__ import annotations

import re

from lsp.completion.syntax import errors, parse

_ELIDED = re.compile(
    r"^[ \t]*(?:\#|//|--|/\*|\*)?[ \t]*(?:\.\.\.|…)[^\n]*$"
    r"|^[ \t]*(?:\#|//|--|/\*)[^\n]*\b(?:rest of|remaining|existing|same as|unchanged|as before|other code)\b[^\n]*$",
    re.MULTILINE | re.IGNORECASE,
)


def new_error(before: str, after: str, language: str) -> tuple[int, str] | None:
    """The first place where a document doesn't parse that did before: its line, from 1, and its text; None if none."""
    was, now = parse(before, language), parse(after, language)
    if now is None:
        return None
    found = sorted(errors(now), key=lambda node: node.start_byte)
    if len(found) <= (len(list(errors(was))) if was else 0):
        return None
    line = found[0].start_point[0]
    return line + 1, after.encode().split(b"\n")[line].decode("utf-8", "replace").strip("\r")


def elided(before: str, after: str) -> str | None:
    """A line of ``after`` that stands for code left out; None where there is none, or ``before`` has it too."""
    lines = (found.group().strip() for found in _ELIDED.finditer(after))
    return next((line for line in lines if line not in before), None)


def same_code(one: str, other: str) -> bool:
    """Whether two pieces of code are the same but for space at line ends and empty lines."""
    return _bare(one) == _bare(other)


def _bare(code: str) -> list[str]:
    return [line.rstrip() for line in code.splitlines() if line.strip()]
