"""What a client does with a workspace edit: applies it, counting positions in its own units."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

_UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def applied(text: str, edits: Iterable[dict[str, Any]], encoding: str = "utf-16") -> str:
    """A text with edits applied: each with a ``range`` and a ``newText`` or ``new_text``; none may overlap another."""
    codec, width = _UNITS[encoding]
    starts = [0]
    for i, char in enumerate(text):
        if char == "\n" or (char == "\r" and text[i + 1 : i + 2] != "\n"):
            starts.append(i + 1)

    def offset(position: dict[str, int]) -> int:
        start = starts[position["line"]]
        before = text[start:].encode(codec)[: position["character"] * width]
        return start + len(before.decode(codec))

    places = [
        (offset(one["range"]["start"]), offset(one["range"]["end"]), one.get("newText", one.get("new_text")))
        for one in edits
    ]
    assert all(this[1] <= following[0] for this, following in itertools.pairwise(places))
    for start, end, new in reversed(places):
        text = text[:start] + new + text[end:]
    return text
