"""Post-processing: small named filters, each taking a suggestion to a better one or to nothing.

A filter is a function ``(text, place) -> text`` in ``FILTERS``; add one there, with golden cases in its test. An empty
text is no suggestion.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lsp.completion.unit import Place, unit_end

Filter = Callable[[str, Place], str]


@dataclass(frozen=True)
class Filtered:
    """What came out, and which filters changed it, in order."""

    text: str
    fired: tuple[str, ...]


def apply_filters(text: str, place: Place) -> Filtered:
    """Run the chain."""
    fired: list[str] = []
    for name, function in FILTERS.items():
        changed = function(text, place)
        if changed != text:
            fired.append(name)
            text = changed
        if not text:
            break
    return Filtered(text, tuple(fired))


def cut_chat(text: str, place: Place) -> str:
    """Instruction-tuned models end code with a Markdown fence and an explanation."""
    fence = re.search(r"\n?[ \t]*```", text)
    return text[: fence.start()] if fence else text


def drop_leading_blank(text: str, place: Place) -> str:
    """Blank lines before the first one, where the cursor's line is blank already."""
    if place.before.strip() or not text.startswith(("\n", "\r")):
        return text
    stripped = re.sub(r"^(?:[ \t]*\r?\n)+", "", text)
    return stripped.removeprefix(place.before) if stripped.startswith(place.before) else text


def cut_unit(text: str, place: Place) -> str:
    """What runs on behind the unit."""
    end = unit_end(text, place)
    return text if end is None else text[:end]


def cut_suffix(text: str, place: Place) -> str:
    """Last lines that repeat the lines below the cursor."""
    lines = text.split("\n")
    below = [line.rstrip() for line in place.after.split("\n")[1:]]
    while below and not below[0]:
        below.pop(0)
    for count in range(min(len(lines), len(below)), 0, -1):
        own = [line.rstrip() for line in lines[-count:]]
        if count == len(lines):
            own[0] = (place.before + lines[0]).rstrip()
        if own == below[:count] and any(own):
            return "\n".join(lines[:-count])
    return text


def fit_rest(text: str, place: Place) -> str:
    """Reconcile with what stands right of the cursor on its line.

    The model didn't see that rest, so it writes it again where it is right: that part is taken off. A rest of closing
    brackets, quotes and punctuation was put there by the editor, and may also be left out by the model. Any other rest
    that the model doesn't come to would be broken by the suggestion.
    """
    rest = place.rest.strip()
    if not rest:
        return text
    line = text.split("\n")[0]
    found = line.find(rest)
    if found >= 0:
        return line[:found]
    if not re.fullmatch(r"[\s)\]}>\"'`,;:]*", rest):
        return ""
    # The editor closed more than the model did, or the model less: take off what both closed.
    for length in range(min(len(rest), len(line)), 0, -1):
        if line.endswith(rest[:length]):
            return line[:-length]
    return line


def drop_echo(text: str, place: Place) -> str:
    """A suggestion that only says again what stands right below."""
    below = place.after.lstrip("\r\n")
    return "" if text.strip() and below.startswith((place.before + text).rstrip() + "\n") else text


def trim_end(text: str, place: Place) -> str:
    """Blank lines and spaces at the end; all of a blank suggestion."""
    return text.rstrip() if text.strip() else ""


FILTERS: dict[str, Filter] = {
    "chat": cut_chat,
    "leading-blank": drop_leading_blank,
    "unit": cut_unit,
    "suffix": cut_suffix,
    "rest-of-line": fit_rest,
    "echo": drop_echo,
    "blank": trim_end,
}
