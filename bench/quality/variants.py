"""The ways to complete that are compared: the bare model, the same with a crude end, and midline's pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.quality.recording import N_CTX, PREFILL_PER_SECOND, RecordedEngine
from lsp.completion.bases import Budget
from lsp.completion.completer import Completer
from lsp.completion.completion import Completion
from lsp.completion.prompt import PREFIX_SHARE
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.engine.protocol import Segment, Special, Text
from lsp.models.catalogue import DEFAULT_MODEL

WINDOW_CHARS = Budget.of(PREFILL_PER_SECOND, N_CTX).large
"""Characters of the file that each variant sees."""


@dataclass(frozen=True)
class Given:
    """What a variant suggests: ``text`` in the place of the document's text from ``start`` to ``end``."""

    text: str
    start: int
    end: int
    confidence: float = 1.0
    mode: str = ""
    filters: tuple[str, ...] = ()
    reason: str = ""
    context: tuple[str, ...] = ()
    raw: str = ""
    """All that the model wrote."""

    def applied(self, text: str) -> str:
        """The document with the suggestion accepted."""
        return text[: self.start] + self.text + text[self.end :]


def inserted(cursor: Cursor, text: str, raw: str = "") -> Given:
    """A text that is put in at the cursor, whatever stands right of it."""
    return Given(text, cursor.offset, cursor.offset, reason="" if text else "the model wrote nothing", raw=raw)


def bare_prompt(cursor: Cursor, chars: int = WINDOW_CHARS) -> list[Segment]:
    """The window split at the cursor, as everybody does it."""
    above = int(chars * PREFIX_SHARE)
    start = max(0, cursor.offset - above)
    if start and (newline := cursor.text.find("\n", start, cursor.offset)) >= 0:
        start = newline + 1
    below = cursor.text[cursor.offset :]
    if len(below) > chars - above:
        below = below[: below.rfind("\n", 1, chars - above)]
    return [
        Special("bos"),
        Special("prefix"),
        Text(cursor.text[start : cursor.offset]),
        Special("suffix"),
        Text(below),
        Special("middle"),
    ]


async def bare(engine: RecordedEngine, cursor: Cursor, max_tokens: int, *, one_line: bool = False) -> str:
    """What the model writes without healing, up to its end or the limit; or its first line."""
    # The pipeline's key: both prompts begin alike.
    generation = engine.generate(f"{cursor.uri}#1", bare_prompt(cursor), max_tokens=max_tokens, heal=False)
    text = ""
    async for token in generation:
        text += token.text
        if one_line and "\n" in text:
            generation.cancel()
    return text.split("\n")[0].rstrip() if one_line else text


def crude_cut(text: str, cursor: Cursor) -> str:
    """``text`` up to where it meets what follows the cursor, or leaves the block of the cursor's line."""
    rest = cursor.rest_of_line.strip()
    if rest:
        return text.split(rest)[0]
    following = next((line.strip() for line in cursor.suffix.splitlines() if line.strip()), None)
    lines = (cursor.text[cursor.line_start : cursor.offset] + text).split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = _indent(first)
    for number, line in enumerate(lines[1:], 1):
        leaves = line.strip() and _indent(line) < indent
        if leaves or (following and line.strip() == following):
            return "\n".join(lines[:number])[cursor.offset - cursor.line_start :]
    return text


async def pipeline(
    engine: RecordedEngine, cursor: Cursor, max_tokens: int, min_confidence: float = 0.0, context: Any = None
) -> Given:
    """What midline suggests, with a source of context or without one."""
    # As in an editor: without an index nothing tells which names are invented.
    known = context.known if context else set
    completer = Completer(engine, DEFAULT_MODEL.name, CompletionStats(), context, known=known)
    made = await completer.complete(cursor, max_tokens=max_tokens, min_confidence=min_confidence, patient=True)
    completer.forget(cursor.uri)
    return given(made, engine.raw)


def given(made: Completion, raw: str) -> Given:
    """A completion as a variant's suggestion."""
    return Given(
        made.text,
        made.start,
        made.end,
        made.confidence,
        getattr(made, "mode", ""),
        made.filters,
        made.reason,
        tuple(str(piece["reason"]) for piece in made.context),
        raw,
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
