"""What differs between lines as they are and as they are to be: few whole lines, at offsets into the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate

from lsp.documents import split_lines


@dataclass(frozen=True)
class Hunk:
    """Whole lines that become others: ``text[start:end]`` is ``old`` and is to be ``new``."""

    start: int
    end: int
    old: str
    new: str


def hunks_between(old: str, new: str, offset: int = 0) -> list[Hunk]:
    """What of ``old`` has to change to be ``new``: in order, none touching another, of whole lines of ``old``.

    Args:
        old: whole lines of a text.
        new: what they are to become.
        offset: where in the text they begin, in code points.
    """
    before, after = split_lines(old), split_lines(new)
    starts = list(accumulate(map(len, before), initial=offset))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return [
        Hunk(starts[first], starts[last], "".join(before[first:last]), "".join(after[start:end]))
        for tag, first, last, start, end in matcher.get_opcodes()
        if tag != "equal"
    ]


def apply_hunks(text: str, hunks: Sequence[Hunk]) -> str:
    """The text with its hunks carried out."""
    for hunk in reversed(hunks):
        text = text[: hunk.start] + hunk.new + text[hunk.end :]
    return text


def keeping_lines(old: str, new: str) -> str:
    """``new``, with lines as ``old`` has them where they differ only in the space or the line break at their end.

    Nobody asked for such changes, and they would be shown as if the whole line had changed.
    """
    before, after = split_lines(old), split_lines(new)
    matcher = SequenceMatcher(
        None, [line.rstrip() for line in before], [line.rstrip() for line in after], autojunk=False
    )
    for first, start, size in matcher.get_matching_blocks():
        for i in range(size):
            was, ends = before[first + i], _break_of(after[start + i])
            # Whether there is a break is a matter of where the line stands, and so not taken over.
            after[start + i] = was.rstrip("\r\n") + (_break_of(was) or ends if ends else "")
    kept = "".join(after)
    # Beside lone carriage returns, a kept one may have become one break with the line feed behind it.
    return kept if len(split_lines(kept)) == len(after) else new


def _break_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
