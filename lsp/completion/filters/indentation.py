"""Indentation in the document's own style, on from where the cursor stands."""

from __future__ import annotations

import math
import re

from lsp.completion.place import Place, indent_of
from lsp.completion.style import indent_unit

_OPENS = re.compile(r"(?:[^:]:|[{(\[]|=>|\b(?:do|then|begin|else))\s*$")
_CLOSER = re.compile(r"\s*(?:[)\]}]|end\b|</)")


def fix_indentation(text: str, place: Place) -> str:
    """Each line as the document would have it."""
    if (
        place.language in ("markdown", "plaintext", "makefile")
        or place.string
        or place.mode in ("docstring", "comment")
    ):
        return text
    unit = "\t" if place.before.startswith("\t") else indent_unit(place.above, place.after, place.language)
    lines = text.split("\n")
    lines = _first_line(lines, place)
    lines = _deeper_than_header(lines, place, unit)
    return "\n".join(_in_style(lines, place, unit))


def _first_line(lines: list[str], place: Place) -> list[str]:
    """Take off indentation that stands before the cursor already."""
    extra = indent_of(lines[0])
    # At the left margin, the model may well know better than the editor.
    if not extra or not place.before or place.before.strip() or not lines[0].strip():
        return lines
    above = place.above.rstrip().rpartition("\n")[2]
    if _OPENS.search(above) and indent_of(place.before) <= indent_of(above):
        return lines  # the cursor is not indented yet
    first, rest = lines[0][extra:], lines[1:]
    indents = [indent_of(line) for line in rest if line.strip()]
    if indents and min(indents) >= indent_of(place.before) + extra:
        rest = [line[extra:] if line.strip() else line for line in rest]
    return [first, *rest]


def _deeper_than_header(lines: list[str], place: Place, unit: str) -> list[str]:
    """Indent a body that the model wrote at its header's indentation, or less."""
    body = [line for line in lines[1:] if line.strip()]
    opens = lines[0].strip() == "" and _OPENS.search(place.before) and place.language in ("python", "yaml")
    if not opens or not body or not unit or place.language == "yaml":
        return lines
    header = indent_of(place.before)
    if indent_of(body[0]) > header:
        return lines
    lack = re.match(r"[ \t]*", place.before).group() + unit  # type: ignore[union-attr]
    taken = indent_of(body[0])
    return [lines[0], *(lack + line[min(taken, indent_of(line)) :] if line.strip() else line for line in lines[1:])]


def _in_style(lines: list[str], place: Place, unit: str) -> list[str]:
    """Turn tabs into spaces, spaces into tabs, or wide steps into narrow ones and the other way."""
    if not unit or len(lines) < 2:
        return lines
    own = [line for line in lines[1:] if line.strip()]
    if unit == "\t":
        width = _width(lines, place)
        return [lines[0], *(_tabs(line, width) for line in lines[1:])]
    if any("\t" in line[: indent_of(line)] for line in own):
        return [lines[0], *(line[: indent_of(line)].replace("\t", unit) + line.lstrip(" \t") for line in lines[1:])]
    base = indent_of(place.before + (lines[0] if not place.before.strip() else ""))
    step = _step(lines, base)
    if step in (2, 4, 8) and step != len(unit) and base % len(unit) == 0:
        return [lines[0], *(_scaled(line, base, step, len(unit)) for line in lines[1:])]
    return lines


def _width(lines: list[str], place: Place) -> int:
    """How many spaces the model writes for a tab."""
    spaces = [indent for line in lines[1:] if (indent := _spaces(line))]
    return (math.gcd(*spaces) if spaces else 0) or 4


def _spaces(line: str) -> int:
    indent = line[: indent_of(line)]
    return len(indent) if indent and "\t" not in indent else 0


def _tabs(line: str, width: int) -> str:
    spaces = _spaces(line)
    if not spaces or width not in (2, 4, 8) or not line.strip():
        return line
    return "\t" * (spaces // width) + " " * (spaces % width) + line[spaces:]


def _step(lines: list[str], base: int) -> int:
    """By how much the model indents what is deeper than the first line; 0 if it isn't the same all over."""
    deeper = [indent_of(line) - base for line in lines[1:] if line.strip() and indent_of(line) != base]
    if not deeper or min(deeper) <= 0:
        return 0
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    after = next((line for line in lines[first + 1 :] if line.strip()), "")
    opens = _OPENS.search(lines[first]) or not lines[0].strip()
    step = indent_of(after) - base if opens else 0
    return step if step > 0 and all(indent % step == 0 for indent in deeper) else 0


def _scaled(line: str, base: int, step: int, unit: int) -> str:
    indent = indent_of(line)
    if indent <= base or not line.strip():
        return line
    return " " * (base + (indent - base) // step * unit) + line[indent:]
