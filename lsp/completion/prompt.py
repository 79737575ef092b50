"""The fill-in-the-middle prompt, laid out so that a keystroke changes only its end.

PSM models read ``<PRE> prefix <SUF> suffix <MID>`` and write the middle. With the prefix ending at the cursor, each
typed character would move the suffix, and all of it would be computed again. Instead the prefix ends at an *anchor*, a
line start some lines above the cursor, and what stands between anchor and cursor follows ``<MID>``, as if the model
had written it::

    <PRE> text before the anchor <SUF> text after the cursor's line <MID> text from the anchor to the cursor
    └─────────────── base: the same for many keystrokes ──────────────┘    └─ grows by what is typed ─┘

What stands right of the cursor on its line is in neither: editors change it (auto-closed brackets), and post-processing
reconciles it with what the model wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsp.documents import Cursor
from lsp.engine.protocol import Segment, Special, Text

# Base and middle together are what a first completion has to compute; at 100 tokens/s and some 3.5 characters a token,
# these take about ten seconds on one core of a small machine.
PREFIX_CHARS = 3000
SUFFIX_CHARS = 900
# A kept window may grow by this before it is cut back: each cut computes all of it again.
PREFIX_SLACK = 1500
# A new anchor stands this many lines above the cursor. The lines between may then be edited at the price of what
# follows the edit, not of the suffix too; it also completed better than an anchor at the cursor's line.
ANCHOR_LINES = 16
# An anchor is held while the cursor is within so many lines below it: a long middle hides from the model that
# the suffix follows.
HOLD_LINES = 40
# Lines may be absurdly long: both distances are bounded in characters too.
ANCHOR_CHARS = 1500
HOLD_CHARS = 4500
# The suffix may be some edits old as long as it begins as the text after the cursor's line does.
SUFFIX_CHECK_CHARS = 120


@dataclass(frozen=True)
class Base:
    """What a document's prompts begin with: text before the anchor, and text after the cursor's line."""

    prefix: str
    suffix: str


@dataclass(frozen=True)
class FimPrompt:
    """A prompt and the base it stands on."""

    base: Base
    middle: str

    def segments(self) -> list[Segment]:
        """The PSM layout."""
        return [
            Special("bos"),
            Special("prefix"),
            Text(self.base.prefix),
            Special("suffix"),
            Text(self.base.suffix),
            Special("middle"),
            Text(self.middle),
        ]


def build_prompt(cursor: Cursor, held: Base | None) -> FimPrompt:
    """The prompt for ``cursor``, on the ``held`` base while that is still true to the text.

    A held base is true while its prefix ends within ``HOLD_LINES`` above the cursor, wherever in the file that now is,
    and its suffix begins as the text after the cursor's line does.
    """
    if held is not None and (anchor := _held_anchor(cursor, held)) is not None:
        return FimPrompt(held, cursor.text[anchor : cursor.offset])
    anchor = _new_anchor(cursor)
    start = _window_start(cursor.text, anchor, held)
    base = Base(cursor.text[start:anchor], _head(cursor.suffix))
    return FimPrompt(base, cursor.text[anchor : cursor.offset])


def _held_anchor(cursor: Cursor, base: Base) -> int | None:
    """Where in the text the base's prefix ends, if the base is still true."""
    check = SUFFIX_CHECK_CHARS
    if cursor.suffix[:check] != base.suffix[:check]:
        return None
    highest = max(0, cursor.offset - HOLD_CHARS)
    if highest > 0 and not base.prefix:  # it would end anywhere, but stands for the file's beginning
        return None
    # The first occurrence: typing again what stands above must not move the anchor.
    start = cursor.text.find(base.prefix, max(0, highest - len(base.prefix)), cursor.offset)
    if start < 0:
        return None
    anchor = start + len(base.prefix)
    return anchor if cursor.text.count("\n", anchor, cursor.offset) <= HOLD_LINES else None


def _new_anchor(cursor: Cursor) -> int:
    """The start of a line above the cursor's, or of its own; a place in it where that is too far away."""
    anchor = cursor.line_start
    if cursor.offset - anchor > ANCHOR_CHARS:
        # A multiple, so that typing doesn't move it with each character.
        return cursor.offset - (cursor.offset - anchor) % ANCHOR_CHARS
    for _ in range(ANCHOR_LINES):
        above = cursor.text.rfind("\n", 0, max(0, anchor - 1)) + 1
        if cursor.offset - above > ANCHOR_CHARS:
            break
        anchor = above
    return anchor


def _window_start(text: str, anchor: int, held: Base | None) -> int:
    """Where the prefix begins: where the held one does while that is near enough, else at a line start."""
    if held and held.prefix:
        start = text.find(held.prefix[:PREFIX_CHARS], max(0, anchor - PREFIX_CHARS - PREFIX_SLACK), anchor)
        if start >= 0:
            return start
    start = max(0, anchor - PREFIX_CHARS)
    newline = text.find("\n", start, anchor)
    return newline + 1 if start > 0 and newline >= 0 else start


def _head(suffix: str) -> str:
    """The suffix's beginning, cut at a line's end that leaves enough to tell whether the suffix is still true."""
    if len(suffix) <= SUFFIX_CHARS:
        return suffix
    newline = suffix.rfind("\n", SUFFIX_CHECK_CHARS, SUFFIX_CHARS)
    return suffix[: newline if newline > 0 else SUFFIX_CHARS]
