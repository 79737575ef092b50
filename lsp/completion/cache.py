"""Suggestions made already: typing along with one, or accepting it, asks the model nothing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from lsp.completion.completion import Completion
from lsp.documents import Cursor, with_plain_breaks
from lsp.engine.protocol import Usage

# Suggestions remembered of each document.
REMEMBERED = 8


@dataclass(frozen=True)
class _Made:
    before: str
    after: str
    completion: Completion


class SuggestionCache:
    """The latest suggestions of one document."""

    def __init__(self) -> None:
        self._made: deque[_Made] = deque(maxlen=REMEMBERED)

    def add(self, cursor: Cursor, completion: Completion) -> None:
        """Remember what was suggested at ``cursor``, also that nothing was."""
        self._made.appendleft(_Made(cursor.prefix, cursor.text[cursor.offset :], completion))

    def find(self, cursor: Cursor) -> Completion | None:
        """What is left of a suggestion whose beginning has been typed since, all else being as it was."""
        for made in self._made:
            typed = typed_since(made.before, made.after, cursor)
            if typed is not None and (rest := _rest(made.completion, typed, cursor.offset)):
                return rest
        return None


def typed_since(before: str, after: str, cursor: Cursor) -> str | None:
    r"""What was typed since ``before`` and ``after`` were around the cursor; None where anything else changed.

    Line breaks are ``\n``, as in suggestions.
    """
    same = len(cursor.text) - cursor.offset == len(after) and cursor.text.endswith(after)
    if not same or cursor.offset < len(before) or not cursor.text.startswith(before):
        return None
    return with_plain_breaks(cursor.text[len(before) : cursor.offset])


def _rest(completion: Completion, typed: str, offset: int) -> Completion | None:
    """``completion`` less its beginning ``typed``; None where it doesn't begin so, or nothing is left."""
    if typed and not (completion.text.startswith(typed) and len(completion.text) > len(typed)):
        return None
    others = completion.alternatives
    return replace(
        completion,
        text=completion.text[len(typed) :],
        start=offset,
        end=offset,
        alternatives=tuple(text[len(typed) :] for text in others if text.startswith(typed) and text != typed),
        usage=Usage(),
        ms=dict.fromkeys(completion.ms, 0.0),
        cached=True,
    )
