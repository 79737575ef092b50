"""The fill-in-the-middle prompt, laid out so that a keystroke changes only its end.

PSM models read ``<PRE> prefix <SUF> suffix <MID>`` and write the middle. With the prefix ending at the cursor, each
typed character would move the suffix, and all of it would be computed again. Instead the prefix ends at an *anchor*, a
line start some lines above the cursor, and what stands between anchor and cursor follows ``<MID>``, as if the model
had written it::

    <PRE> text before the anchor <SUF> text after the cursor's line <MID> text from the anchor to the cursor
    └─────────────── base: the same for many keystrokes ──────────────┘    └─ grows by what is typed ─┘

Other models read the suffix first, or other files with separators before (`lsp/completion/layout`): in every order the
text from the anchor comes last.

What stands right of the cursor on its line is in neither where it is but brackets and punctuation: editors put that
there and change it, and post-processing reconciles it with what the model wrote. Words there, as when a call is put
around something, are the suffix's beginning.

Context, pieces of other files and of far away in this one, stands at the prefix's head as comments, unless the model
knows files with separators: it is the same for longer than all that follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from lsp.completion.layout import LAYOUTS, Parts
from lsp.completion.pieces import ContextPiece, as_comments, as_files, read_comments, read_files
from lsp.documents import Cursor
from lsp.engine.protocol import Segment
from lsp.models.fim import LayoutName

# Characters of code that a token stands for, on average.
CHARS_PER_TOKEN = 3.3
# A new anchor stands this many lines above the cursor. The lines between may then be edited at the price of what
# follows the edit, not of the suffix too; it also completed better than an anchor at the cursor's line.
ANCHOR_LINES = 16
# An anchor is held while the cursor is within so many lines below it: a long middle hides from the model that
# the suffix follows.
HOLD_LINES = 40
# Lines may be long, and the middle is computed whenever what is above the cursor's line changes.
HOLD_CHARS = 4000
# From here on the next base is prepared, so that it is there in time.
RENEW_LINES = 28
# Of a base's characters, so many go to the prefix; what stands before the cursor tells more than what follows.
PREFIX_SHARE = 0.75
# Of the suffix, where words right of the cursor make it another one while the user waits.
REST_CHARS = 300
# A line longer than this is no code that anybody writes; its beginning is left out.
MAX_LINE_CHARS = 400

# What a document is called that has no name.
UNTITLED = "untitled"

_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Base:
    """What a document's prompts begin with: context, text before the anchor, and text after the cursor's line.

    Args:
        prefix: the text before the anchor.
        suffix: the text after the cursor's line.
        context: what is shown of other code, in the order in which it stands.
        mark: what begins a comment in the document's language; needed for context.
        path: the document's name, for models that are told it.
    """

    prefix: str
    suffix: str
    context: tuple[ContextPiece, ...] = ()
    mark: str = ""
    path: str = UNTITLED

    @property
    def chars(self) -> int:
        """The size of what it has of the document."""
        return len(self.prefix) + len(self.suffix)

    @property
    def rest(self) -> str:
        """What its suffix has of the cursor's line."""
        return _first_line(self.suffix)

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """The context as paths and texts: what is the same in every layout, and can be read back."""
        return as_files(self.context)

    def segments(self, middle: str, layout: LayoutName) -> list[Segment]:
        """The whole prompt."""
        comments = as_comments(self.context, self.mark)
        return LAYOUTS[layout].write(Parts(self.prefix, self.suffix, middle, comments, self.shown, self.path))

    @classmethod
    def read(cls, segments: Sequence[Segment], layout: LayoutName) -> Base | None:
        """The base of a prompt, its context as one piece a file; None where it isn't one."""
        order = LAYOUTS[layout]
        parts = order.read(segments)
        if parts is None:
            return None
        if order.has_files:
            return cls(parts.prefix, parts.suffix, read_files(parts.files), path=parts.path)
        context, mark, prefix = read_comments(parts.prefix)
        if order.goes_on:  # any line start is an anchor: a few lines up, those that change are behind it
            prefix = prefix[: _lines_up(prefix, prefix.rfind("\n") + 1, ANCHOR_LINES)[-1]]
        return cls(prefix, parts.suffix, context, mark)


@dataclass(frozen=True)
class Match:
    """How a base fits a cursor.

    Args:
        middle: the text from the base's anchor to the cursor.
        exact: whether the text after the cursor's line is what the base says; otherwise it is a few edits or lines off.
        lines: how many line breaks the middle has.
    """

    middle: str
    exact: bool
    lines: int


def match(cursor: Cursor, base: Base) -> Match | None:
    """How ``base`` fits; None where it would tell the model something false.

    The base's prefix must end at a line start within ``HOLD_LINES`` and ``HOLD_CHARS`` above the cursor, wherever in
    the file that now is. Its suffix may be somewhat off: the model then knows a little less or more of what follows,
    and post-processing compares with what really does.
    """
    after = _after(cursor)
    rest = _first_line(after)
    if bool(rest) != bool(base.rest) or not rest.startswith(base.rest):
        return None  # other words right of the cursor, or none
    exact = after.startswith(base.suffix) and (bool(base.suffix) or not after.strip())
    if not exact and not _near(after, base.suffix):
        return None
    # From the farthest: where lines repeat themselves, a nearer anchor would hide what stands between.
    anchors = _lines_up(cursor.text, cursor.line_start, HOLD_LINES)
    for lines, anchor in reversed(list(enumerate(anchors))):
        # An empty prefix would end anywhere: it is the file's beginning.
        near = cursor.offset - anchor <= HOLD_CHARS
        if near and cursor.text.endswith(base.prefix, 0, anchor) and (base.prefix or anchor == 0):
            return Match(cursor.text[anchor : cursor.offset], exact, lines)
    return None


def make_base(cursor: Cursor, chars: int, near: Base | None = None) -> Base:
    """A base of about ``chars`` characters for ``cursor``, the middle's characters included.

    Args:
        cursor: the place.
        chars: the size to keep to.
        near: a base whose prefix is extended, if that is long enough then, instead of cut anew: what both begin with is
            computed already.
    """
    text = cursor.text
    room = int(chars * PREFIX_SHARE)
    anchors = _lines_up(text, cursor.line_start, ANCHOR_LINES)
    # With little room, the middle has half of it at the most, and at least the cursor's line.
    anchor = next((a for a in reversed(anchors) if cursor.offset - a <= room // 2), anchors[0])
    room = max(chars // 8, room - (cursor.offset - anchor))
    start = _line_start_after(text, max(0, anchor - room), anchor)
    if near and near.prefix:
        held = text.rfind(near.prefix, max(0, anchor - int(room * 1.5)), anchor)
        # One that is small even so would leave the model knowing little, and a better base wanted for ever.
        start = held if held >= 0 and anchor - held >= room * 2 // 3 else start
    suffix = _head(_after(cursor), chars - int(chars * PREFIX_SHARE))
    return Base(text[start:anchor], suffix, path=cursor.path.name if cursor.path else UNTITLED)


def has_words_right(cursor: Cursor) -> bool:
    """Whether more than brackets and punctuation stand right of the cursor on its line."""
    return bool(_WORD.search(cursor.rest_of_line))


def without_rest(cursor: Cursor) -> Cursor:
    """``cursor`` as if its line ended there."""
    return replace(cursor, text=cursor.prefix + cursor.suffix)


def with_rest(base: Base, cursor: Cursor) -> Base:
    """``base``, which fits but for the words right of ``cursor``, with those: all before them is computed already."""
    return replace(base, suffix=_head(_after(cursor), REST_CHARS))


def bounded(cursor: Cursor) -> Cursor:
    """``cursor`` without what stands far left of it on an absurdly long line."""
    return cursor.near(MAX_LINE_CHARS, len(cursor.text))


def _after(cursor: Cursor) -> str:
    """The text that the suffix begins with."""
    return cursor.text[cursor.offset :] if has_words_right(cursor) else cursor.suffix


def _first_line(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _near(actual: str, base: str) -> bool:
    """Whether two suffixes are a few lines or edits apart: one's first telling lines stand near the other's start."""
    return _appears(base, actual) or _appears(actual, base)


def _appears(head: str, text: str) -> bool:
    telling = {line for line in islice(_lines(head), 6) if len(line) > 3}
    return bool(telling) and not telling.isdisjoint(islice(_lines(text), 30))


def _lines(text: str) -> list[str]:
    return [line for raw in text[:4000].splitlines() if (line := raw.strip())]


def _lines_up(text: str, line_start: int, count: int) -> list[int]:
    """Starts of a line and of up to ``count`` lines above it, going up."""
    starts = [line_start]
    while starts[-1] > 0 and len(starts) <= count:
        starts.append(text.rfind("\n", 0, starts[-1] - 1) + 1)
    return starts


def _line_start_after(text: str, start: int, end: int) -> int:
    """The first line start from ``start`` on, if there is one before ``end``, itself a line start; else ``start``."""
    newline = text.find("\n", start, max(start, end - 1))
    return newline + 1 if start > 0 and newline >= 0 else start


def _head(suffix: str, chars: int) -> str:
    """The suffix's beginning, cut at a line's end."""
    if len(suffix) <= chars:
        return suffix
    newline = suffix.rfind("\n", 1, chars)
    return suffix[: newline if newline > 0 else chars]
