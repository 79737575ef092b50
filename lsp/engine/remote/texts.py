"""What servers that take texts, not tokens, share: prompts that may be healed, and answers that are begun for them.

Such a server can't be told to take its last token back. So the word before the cursor is left out of the prompt, with
the space before it, and what the model writes must begin with it. Where it doesn't, the prompt is asked again as it
stands: the server has all of it but the last tokens.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from lsp.engine.protocol import Text
from lsp.engine.remote.server import Piece, Task, harmless, messages_of, written

_MOST_HEALED = 40
_LAST_WORD = re.compile(rf" ?\w{{0,{_MOST_HEALED}}}\Z")
_FENCE = re.compile(r"```+[^\n`]*\n")
# An answer that hasn't opened its code by then isn't going to.
_MOST_SAID = 2_000

Answer = Callable[[str], AsyncGenerator[Piece, None]]
Ask = Callable[[dict[str, Any]], AsyncGenerator[Piece, None]]


def answered(task: Task, infill: Ask, chat: Ask) -> AsyncGenerator[Piece, None]:
    """A task's answer.

    Args:
        task: what is asked.
        infill: asks the server, with ``prompt`` and maybe ``suffix``.
        chat: asks it, with ``messages``.
    """
    if task.way is None:
        messages = messages_of(task.prompt)
        begun = messages.pop()["content"] if messages and messages[-1]["role"] == "assistant" else ""
        pieces = chat({"messages": messages})
        return without_opening(begun, pieces) if begun else pieces
    last = task.prompt[-1]
    middle = last.text if isinstance(last, Text) else ""
    if task.heal:
        return healed(middle, lambda middle: infill(_gap(task, middle)))
    return infill(_gap(task, middle))


def _gap(task: Task, middle: str) -> dict[str, Any]:
    """What is sent for a gap, with ``middle`` as the text before the cursor."""
    assert task.way is not None
    if task.way.marks:
        return {"prompt": written([*task.prompt[:-1], Text(middle)], task.way.marks)}
    parts = task.way.read(task.prompt)
    return {"prompt": harmless(parts.comments + parts.prefix + middle), "suffix": harmless(parts.suffix)}


async def healed(middle: str, answer: Answer) -> AsyncGenerator[Piece, None]:
    """What follows ``middle``.

    Args:
        middle: the prompt's last text.
        answer: asks the server, with this in its place.
    """
    found = _LAST_WORD.search(middle)
    word = found[0] if found else ""
    if word:
        before, written = middle[: len(middle) - len(word)], ""
        async with aclosing(answer(before)) as pieces:
            async for piece in pieces:
                written += piece.text
                if written.startswith(word):
                    if rest := written[len(word) :]:
                        yield Piece(rest, piece.logprob, piece.eog)
                    async for later in pieces:
                        yield later
                    return
                if not word.startswith(written):
                    break
    async with aclosing(answer(middle)) as pieces:
        async for piece in pieces:
            yield piece


async def without_opening(begun: str, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """An answer that was to go on from ``begun``, from a server that always begins anew.

    ``begun`` opens a fence, and maybe writes the first of its code; what the server writes up to there is left out.
    """
    held, code = "", begun.partition("\n")[2]
    async for piece in pieces:
        held += piece.text
        found = _FENCE.search(held)
        if found is None and len(held) < _MOST_SAID:
            continue
        rest = held[found.end() :] if found else held
        if code.startswith(rest) and len(rest) < len(code):
            continue
        if text := rest.removeprefix(code):
            yield Piece(text, piece.logprob)
        async for later in pieces:
            yield later
        return
    if held:
        yield Piece(held)
