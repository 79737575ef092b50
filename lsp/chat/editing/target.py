"""The lines that an edit is about: as they were when it was asked for, and where they are once it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lsp.chat.editing.hunks import Hunk, hunks_between, keeping_lines
from lsp.chat.requests import Range, selected_lines
from lsp.documents import Document, split_lines
from lsp.errors import MidlineError

MAX_CHARS = 60_000
"""What is longer no model rewrites in one go."""

# A definition of more lines takes a small model minutes; so many above and below the cursor do instead.
_LONG, _AROUND = 80, 15


@dataclass(frozen=True)
class Target:
    """Whole lines of one version of a document.

    Args:
        text: the document.
        start_line, end_line: from 1, the last one included.
    """

    text: str
    start_line: int
    end_line: int

    @classmethod
    def of(cls, document: Document, selection: Range | None, *, near: bool = False) -> Target:
        """The lines of a selection, less empty ones at its ends; of an empty one, the definition around it or its line.

        Args:
            document: as it is open.
            selection: None for the whole document.
            near: whether some lines around an empty selection do where the definition is long.

        Raises:
            MidlineError: they are too long.
        """
        lines = document.lines
        start, end = selected_lines(selection, document)
        if selection is None:
            start, end = 1, len(lines)
        elif near and selection.start == selection.end and end - start >= _LONG:
            at = min(max(selection.start.line + 1, start), end)
            start, end = max(start, at - _AROUND), min(end, at + _AROUND)
        filled = [number for number in range(start, end + 1) if lines[number - 1].strip()]
        target = cls(document.source, *((filled[0], filled[-1]) if filled else (start, end)))
        if len(target.old) > MAX_CHARS:
            raise MidlineError(
                f"The {target.end_line - target.start_line + 1:,} lines are too long to be rewritten.", "Select less."
            )
        return target

    @cached_property
    def old(self) -> str:
        """The lines, with their line breaks."""
        return "".join(self._lines[self.start_line - 1 : self.end_line])

    @cached_property
    def _lines(self) -> list[str]:
        return split_lines(self.text)

    def hunks(self, new: str, now: Document | None) -> list[Hunk]:
        """What changes in the document as it is now where ``new`` takes the place of the lines.

        Raises:
            MidlineError: the document was closed, or has changed so that it isn't certain where the lines are.
        """
        if now is None:
            raise MidlineError("The document was closed meanwhile.", "Open it, and ask again.")
        first = self._first_line(now.lines)
        if first is None:
            raise MidlineError("The text has changed meanwhile, so nothing was edited.", "Ask again.")
        offset = sum(map(len, now.lines[:first]))
        return hunks_between(self.old, keeping_lines(self.old, new), offset)

    def _first_line(self, now: Sequence[str]) -> int | None:
        """The lines' index now, if they and all above them, or they and all below them, are as they were."""
        before = self._lines
        if now[: self.end_line] == before[: self.end_line]:
            return self.start_line - 1
        below = before[self.start_line - 1 :]
        return len(now) - len(below) if now[-len(below) :] == below else None
