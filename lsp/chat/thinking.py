"""Reasoning told apart from the answer while both are streamed: ``<think>…</think>`` before an answer's first word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["reasoning", "answer"]

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass
class Thinking:
    """Takes what a model writes, piece by piece.

    Args:
        inside: whether the prompt has opened the reasoning already.
    """

    inside: bool = False
    reasoning: str = ""
    answer: str = ""
    _held: str = field(default="", repr=False)  # what may be a part of a mark
    _begun: bool = field(default=False, repr=False)  # whether it is known how the text begins

    def feed(self, text: str) -> Iterator[tuple[Kind, str]]:
        """The next piece of text; gives back what of it can be shown now, and as what."""
        self._held += text
        if not self._begun and not self.inside:
            start = self._held.lstrip()
            if _OPEN.startswith(start[: len(_OPEN)]) and len(start) < len(_OPEN):
                return
            self.inside = start.startswith(_OPEN)
            self._held = start.removeprefix(_OPEN) if self.inside else self._held
        self._begun = True
        if self.inside:
            before, mark, after = self._held.partition(_CLOSE)
            if not mark:
                keep = _overlap(before, _CLOSE)
                before, after = before[: len(before) - keep], before[len(before) - keep :]
            self.reasoning += before
            self._held = after.lstrip() if mark else after
            self.inside = not mark
            if before:
                yield "reasoning", before
            if self.inside:
                return
        if not self.answer and self.reasoning:
            self._held = self._held.lstrip()  # the lines between the mark and the answer
        if self._held:
            shown, self._held = self._held, ""
            self.answer += shown
            yield "answer", shown

    def finish(self) -> Iterator[tuple[Kind, str]]:
        """There is no more; gives back what was held."""
        held, self._held = self._held, ""
        if held and self.inside:
            self.reasoning += held
            yield "reasoning", held
        elif held:
            self.answer += held
            yield "answer", held


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``mark``."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-n:])), 0)
