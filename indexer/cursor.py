"""The place that a completion is asked for, as far as its own text tells: what is in sight, and what is looked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from indexer.chunk import split_lines
from indexer.receivers import Receivers, read
from indexer.rows import query_terms

VISIBLE = 60
"""Lines above and below the cursor that a model sees anyway."""

_READ = 8_000  # characters above and below in which names are looked for
_BELOW = 10  # lines below the cursor that say what is wanted
_ABOVE = 100  # lines above it that do
_DECAY = 0.93  # what a line counts less than the one below it; measured
_SUFFIX_COUNTS = 0.5
_NAME = re.compile(r"[A-Za-z_$]\w*")


@dataclass(frozen=True)
class Cursor:
    """A place in a file."""

    path: str
    file: int
    """Its id in the view."""
    line: int
    """From 1."""
    lines_visible: frozenset[str]
    """The lines in sight, without the space around them."""
    visible: frozenset[str]
    """Names in sight."""
    before: frozenset[str]
    """Names above."""
    after: frozenset[str]
    """Names below."""
    text: tuple[str, str]
    """All that stands above and below."""
    query: dict[int, float]
    """Search terms with their weights, nearer ones more, without regard to how rare they are."""
    receivers: Receivers


def cursor_at(path: str, file: int, prefix: str, suffix: str, *, receivers: bool = True) -> Cursor:
    """The place between a prefix and a suffix."""
    above, below = split_lines(prefix), split_lines(suffix)
    near = above[-VISIBLE - 1 :] + below[: VISIBLE + 1]  # both have a part of the cursor's own line
    return Cursor(
        path,
        file,
        line=prefix.count("\n") + 1,
        lines_visible=frozenset(line.strip() for line in near),
        visible=names_of("\n".join(near)),
        before=names_of(prefix[-_READ:]),
        after=names_of(suffix[:_READ]),
        text=(prefix, suffix),
        query=_query(above, below),
        receivers=read(prefix) if receivers else Receivers(),
    )


def names_of(text: str) -> frozenset[str]:
    """The distinct names in a text, comments and strings not told apart from code."""
    return frozenset(_NAME.findall(text))


def _query(above: list[str], below: list[str]) -> dict[int, float]:
    weighted: dict[int, float] = {}
    for distance, line in enumerate(below[:_BELOW]):
        _weigh(line, _SUFFIX_COUNTS * _DECAY**distance, weighted)
    for distance, line in enumerate(reversed(above[-_ABOVE:])):
        _weigh(line, _DECAY**distance, weighted)
    return weighted


def _weigh(line: str, weight: float, weighted: dict[int, float]) -> None:
    for term in query_terms(line):
        weighted[term] = max(weight, weighted.get(term, 0.0))
