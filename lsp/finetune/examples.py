"""The examples of one file: gaps to fill in, and functions with what their authors say that they do."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from textwrap import dedent
from typing import Literal

import msgspec

from indexer.cutting import Item
from indexer.outline import Parsed
from lsp.finetune.middles import Unit, middles, walk

Split = Literal["train", "validation"]

_PREFIX, _SUFFIX = 8_000, 3_000  # characters shown around a gap
_LEAST_WORDS = 3  # of a docstring that says anything
_FUNCTION_LINES = range(2, 121)


class Gap(msgspec.Struct, tag_field="kind", tag="fim", frozen=True):
    """A gap in a file. No model's special tokens are in it: who trains puts its own around the three parts.

    Args:
        split: what it is for.
        path: the file, relative to the repository.
        language: LSP's identifier.
        unit: what is missing.
        line: where it is missing, from 1.
        prefix: the text before it, from a line's start, at most some thousand characters.
        middle: what is missing.
        suffix: the text behind it, up to a line's end.
    """

    split: Split
    path: str
    language: str
    unit: Unit
    line: int
    prefix: str
    middle: str
    suffix: str


class Message(msgspec.Struct, frozen=True):
    """One message of a chat, in the form that chat templates take."""

    role: Literal["user", "assistant"]
    content: str


class Task(msgspec.Struct, tag_field="kind", tag="instruct", frozen=True):
    """A function asked for in its author's words, and the function; ``symbol`` is its qualified name."""

    split: Split
    path: str
    language: str
    symbol: str
    line: int
    messages: tuple[Message, Message]


Example = Gap | Task


def gaps(path: str, split: Split, parsed: Parsed, random: Random) -> Iterator[Gap]:
    """Gaps in a file."""
    text = parsed.text
    for middle in middles(parsed, random):
        start, end = max(0, middle.start - _PREFIX), min(len(text), middle.end + _SUFFIX)
        if start:
            start = text.find("\n", start, middle.start) + 1 or start
        if end < len(text):
            end = max(middle.end, text.rfind("\n", middle.end, end) + 1)
        yield Gap(
            split=split,
            path=path,
            language=parsed.lines.language,
            unit=middle.unit,
            line=text.count("\n", 0, middle.start) + 1,
            prefix=text[start : middle.start],
            middle=text[middle.start : middle.end],
            suffix=text[middle.end : end],
        )


def functions(parsed: Parsed) -> Iterator[tuple[Item, str]]:
    """The functions of a file, each with its code, from its decorators on, as it would stand at a line's start."""
    for item in walk(parsed.tops):
        if item.kind in ("function", "method") and item.body is not None and not item.body.has_error:
            first = item.row - _decorators(parsed, item)
            yield item, dedent(parsed.lines.text(first, item.last))


def _decorators(parsed: Parsed, item: Item) -> int:
    """How many lines are wrapped around a definition above it."""
    if item.node is None or item.start == item.node.start_byte:
        return 0
    return parsed.text.encode().count(b"\n", item.start, item.node.start_byte)


def task(path: str, split: Split, parsed: Parsed, item: Item, code: str) -> Task | None:
    """A function as a task; None where nothing is said of it, or it is too long or too short to ask for."""
    lines = code.count("\n") + 1
    if len(item.docstring.split()) < _LEAST_WORDS or lines not in _FUNCTION_LINES or not item.name:
        return None
    language = parsed.lines.language
    wish = (
        f"Write the {item.kind} `{item.symbol}` for `{path}`, in {language}.\n\n{item.docstring}\n\n"
        f"Its signature: `{item.signature}`"
    )
    return Task(
        split=split,
        path=path,
        language=language,
        symbol=item.symbol,
        line=item.row + 1,
        messages=(Message("user", wish), Message("assistant", f"```{language}\n{code}\n```")),
    )
