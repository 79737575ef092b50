"""A suggestion must not break what parses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsp.completion.place import Place

_MOST_PARSES = 5
_MOST_PARTS = 2
# Where a line may sensibly end: behind what was opened in it.
_ENDS = re.compile(r"(?<=[)\]}\"'`])(?=[\s)\]},;:.+\-*/=<>&|])")


def cut_errors(text: str, place: Place) -> str:
    """A suggestion that adds errors to the document's tree is cut back to where it doesn't, or dropped.

    The document often has errors before, in the statement that the cursor is in; so they are counted, before and after.
    """
    syntax = place.syntax
    if syntax is None or not text.strip() or place.language in ("markdown",):
        return text
    before, after = syntax.errors_with(""), syntax.errors_with(text)
    if before is None or after is None or after <= before:
        return text
    for shorter in _shorter(text, place):
        count = syntax.errors_with(shorter)
        if count is not None and count <= before:
            return shorter
    return ""


def _shorter(text: str, place: Place) -> Iterator[str]:
    """Beginnings of ``text`` that end at a line's end, then such of its first line; few."""
    lines = text.split("\n")
    # What stands right of the cursor comes on a line of its own, if the suggestion is to have some.
    end = text[text.rfind("\n") :] if place.rest.strip() and text.endswith(("\n", " ", "\t")) else ""
    kept = ["\n".join(lines[:number]).rstrip() + end for number in range(len(lines) - 1, 0, -1)]
    ends = [found.start() for found in _ENDS.finditer(lines[0])]
    parts = [lines[0][:at] for at in reversed(ends) if 0 < at < len(lines[0])][:_MOST_PARTS]
    yield from [one for one in kept if one.strip()][: _MOST_PARSES - len(parts)]
    yield from parts
