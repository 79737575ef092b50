"""Which turns of a conversation the model reads again: as many whole ones as fit, the oldest left out first.

What is left out is a function of what was said alone, and leaves out much at once: so most turns begin with the same
prompt as the one before, of which nothing is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lsp.chat.conversations import Message
from lsp.chat.templates import Turn

# What a template puts around a question and its answer.
_AROUND_TOKENS = 16
# How much of the room the turns that stay may take, once some had to go.
_KEPT_SHARE = 0.5


class Exchange(NamedTuple):
    """A question and its answer."""

    question: Message
    answer: Message

    @property
    def tokens(self) -> int:
        """About how many tokens the model reads of it."""
        return estimated_tokens(self.question.prompt) + estimated_tokens(self.answer.prompt) + _AROUND_TOKENS


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is, rather too many: code has three to four characters to a token."""
    plain = sum(map(str.isascii, text)) if not text.isascii() else len(text)
    return round(plain / 2.8) + len(text) - plain


def exchanges(messages: Sequence[Message]) -> list[Exchange]:
    """The questions that were answered, with their answers; one whose answer never came isn't told again."""
    found: list[Exchange] = []
    question: Message | None = None
    for one in messages:
        if one.role == "assistant" and question and one.prompt:
            found.append(Exchange(question, one))
        question = one if one.role == "user" else None
    return found


def fitting(said: Sequence[Exchange], room: int) -> Sequence[Exchange]:
    """The latest exchanges that fit into ``room`` tokens, in such steps that the first of them seldom changes."""
    first, size = 0, 0
    for end, one in enumerate(said):
        size += one.tokens
        if size > room:
            while first <= end and size > room * _KEPT_SHARE:
                size -= said[first].tokens
                first += 1
    return said[first:]


def turns(opening: Sequence[Turn], said: Sequence[Exchange], question: str) -> list[Turn]:
    """What the model reads: what all conversations open with, what stays of this one, and the question."""
    told = list(opening)
    for one in said:
        told += [Turn("user", one.question.prompt), Turn("assistant", one.answer.prompt)]
    return [*told, Turn("user", question)]
