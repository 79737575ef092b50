"""Small models get caught in loops, or write again what stands above."""

from __future__ import annotations

import re

from lsp.completion.place import Place

_LONGEST_BLOCK = 8  # lines
_TELLING = re.compile(r"\w.*\w")
# Something written at least four times over at a line's end.
_LOOP = re.compile(r"(.{3,40}?)\1{3,}.{0,40}$")
_LOOP_CHARS = 400


def cut_repetition(text: str, place: Place) -> str:
    """A line, or block of lines, that comes three times or more in a row: it is kept once."""
    lines = text.split("\n")
    for size in range(1, min(_LONGEST_BLOCK, len(lines) // 3) + 1):
        for start in range(len(lines) - 3 * size + 1):
            block = [line.strip() for line in lines[start : start + size]]
            if start == 0:
                block[0] = (place.before.lstrip() + lines[0]).strip()
            again = [[line.strip() for line in lines[at : at + size]] for at in (start + size, start + 2 * size)]
            if again == [block, block] and any(_TELLING.search(line) for line in block):
                return "\n".join(lines[: start + size]).rstrip()
    return text


def cut_loop(text: str, place: Place) -> str:
    """Something in a line that comes again and again: what follows the first time is cut."""
    line = text.rpartition("\n")[2][-_LOOP_CHARS:]
    found = _LOOP.search(line)
    if not found or not re.search(r"\w", found.group(1)):
        return text
    cut = text[: len(text) - len(line) + found.start()]
    return cut[: cut.rfind("\n")] if "\n" in cut else ""


def drop_echo(text: str, place: Place) -> str:
    """First lines that are those above the cursor again."""
    if place.before.strip() and text[:1] not in ("\n", "\r"):
        return text
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    written = [line.strip() for line in lines[first:]]
    above = [line.strip() for line in (place.above + place.before).splitlines()[-40:] if line.strip()]
    for count in range(min(len(written), len(above), 20), 0, -1):
        same = written[:count] == above[-count:]
        if same and (count > 1 or len(written[0]) >= 8) and any(_TELLING.search(line) for line in written[:count]):
            kept = lines[first + count :]
            head = "\n" if first and kept else ""
            return head + "\n".join(kept) if place.before.strip() else "\n".join(kept).removeprefix(place.before)
    return text
