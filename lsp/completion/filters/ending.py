"""Where a suggestion begins and ends, and whether it says anything."""

from __future__ import annotations

import re

from indexer.languages import LINE_COMMENT
from lsp.completion.place import Place
from lsp.completion.unit import unit_end
from lsp.documents import with_plain_breaks


def same_breaks(text: str, place: Place) -> str:
    r"""Line breaks are ``\n``: editors turn that into the document's own, but show a ``\r`` as it is."""
    return with_plain_breaks(text)


def drop_leading_blank(text: str, place: Place) -> str:
    """Blank lines before the first one, where the cursor's line is blank already."""
    blank = re.match(r"(?:[ \t]*\n)+", text)
    if place.before.strip() or not blank:
        return text
    stripped = text[blank.end() :]
    return stripped.removeprefix(place.before) if stripped.startswith(place.before) else text


def cut_unit(text: str, place: Place) -> str:
    """What runs on behind the unit."""
    end = unit_end(text, place)
    return text if end is None else text[:end]


def trim_end(text: str, place: Place) -> str:
    """Blank lines and spaces at the end; all of a blank suggestion."""
    if place.rest.strip() and text.strip():
        return text  # the model's own space before what it found there
    return text.rstrip()


def cut_half_line(text: str, place: Place) -> str:
    """What was broken off: behind a possible end, or in the middle of a line; but prose may end anywhere."""
    if (end := unit_end(text, place, ended=True)) is not None:
        return text[:end]
    if place.mode in ("comment", "docstring", "text"):
        return text
    return text[: max(0, text.rfind("\n"))]


def drop_comments(text: str, place: Place) -> str:
    """A suggestion that has nothing but comments, where none was asked for."""
    comment = LINE_COMMENT.get(place.language)
    if comment is None or place.mode in ("comment", "docstring", "text"):
        return text
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    said = not place.before.strip() or text.startswith("\n")
    return "" if said and lines and all(line.startswith(comment) for line in lines) else text
