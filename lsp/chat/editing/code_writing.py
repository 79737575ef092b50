"""Code asked of the model: it goes on behind a fence that is opened for it, and is stopped where it closes that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lsp.chat.answer import Engine, looping
from lsp.chat.editing.code_answers import Block, code_in
from lsp.chat.editing.prompts import fence_for
from lsp.chat.templates import ChatTemplate, Turn
from lsp.chat.thinking import Thinking
from lsp.engine.protocol import Text, Usage

SEQUENCE = "edit"
"""The key of the KV sequence of all edits: each goes on from what they open with."""

THINKING_TOKENS = 1024
"""So much may be written before the code by a model that thinks first."""

# The template is told one time for all edits, so that their prompts begin alike.
_BEGAN = datetime(2026, 1, 1)

OnText = Callable[[str], None]


@dataclass
class Written:
    """What the model wrote.

    Args:
        said: its answer, to be shown to it again.
        code: what stands in its block, with what was written for it (``begun``).
        reason: why it ended: ``eog``, ``length``, ``repetition``.
        pieces: the tokens of the code that are its own: where in ``code`` each begins, and its logprob.
        before: the logarithm of how likely ``begun`` is.
    """

    said: str
    code: str
    reason: str
    pieces: list[tuple[int, float]] = field(default_factory=list)
    before: float = 0.0

    @property
    def likelihood(self) -> float:
        """The logarithm of how likely the model finds it, what was written for it included."""
        return self.before + sum(sure for _, sure in self.pieces)


@dataclass
class Writer:
    """Asks one engine for code, and counts what that costs.

    Args:
        engine: runs the model.
        template: how it is chatted with.
        language: the code's, for the fence.
    """

    engine: Engine
    template: ChatTemplate
    language: str
    usage: Usage = field(default_factory=Usage)

    async def write(
        self,
        turns: Sequence[Turn],
        code: str,
        max_tokens: int,
        on_text: OnText = lambda text: None,
        *,
        begun: str = "",
        sure: float = 0.0,
        otherwise: bool = False,
        ended: Callable[[str], bool] = lambda code: False,
    ) -> Written:
        """Ask once.

        Args:
            turns: what is asked.
            code: what it is about: the fence is one that this code doesn't close.
            max_tokens: the most that it may write.
            on_text: told of each piece of code as it comes.
            begun: code that the answer begins with.
            sure: the logarithm of how likely that is.
            otherwise: whether to go on with the second best token instead of the best.
            ended: whether the code so far is all that is wanted.

        Raises:
            MidlineError: the engine failed.
            asyncio.CancelledError: the caller was cancelled.
        """
        prompt = await asyncio.to_thread(self.template.prompt, turns, _BEGAN)
        fence = fence_for(code)
        # One that thinks first opens its fence itself.
        opened = "" if prompt.thinking else f"{fence}{self.language}\n{begun}"
        segments = [*prompt.segments, Text(opened)] if opened else prompt.segments
        most = max_tokens if opened else max_tokens + THINKING_TOKENS
        branch = int(otherwise)
        generation = self.engine.generate(
            SEQUENCE, segments, max_tokens=most, heal=False, branches=branch + 1, priority="chat"
        )
        block, thinking, reason = Block(fence, begun), Thinking(prompt.thinking), ""
        pieces: list[tuple[int, float]] = []
        try:
            async for token in generation:
                if token.branch != branch:
                    generation.cancel(token.branch)
                    continue
                pieces.append((len(block.code), token.logprob))
                for kind, text in thinking.feed(token.text):
                    if kind == "answer" and opened and (piece := block.feed(text)):
                        on_text(piece)
                if not reason and (block.closed or (opened and ended(block.code))):
                    reason = "eog"
                    generation.cancel()
                elif not reason and (looping(thinking.answer) or looping(thinking.reasoning)):
                    reason = "repetition"
                    generation.cancel()
        except asyncio.CancelledError:
            generation.cancel()
            raise
        self.usage = added(self.usage, generation.usage)
        held = [text for _, text in thinking.finish()]
        if not opened:
            written = code_in(thinking.answer)
            on_text(written)
            return Written(thinking.answer, written, reason or generation.reason)
        block.feed("".join(held))
        said = f"{fence}{self.language}\n{block.code.rstrip()}\n{fence}"
        return Written(said, block.code.strip("\n"), reason or generation.reason, pieces, sure)


def added(one: Usage, other: Usage) -> Usage:
    """What both cost; the first token is that of the first."""
    return Usage(
        one.tokens_evaluated + other.tokens_evaluated,
        one.tokens_reused + other.tokens_reused,
        one.tokens_generated + other.tokens_generated,
        one.queue_ms + other.queue_ms,
        one.prefill_ms + other.prefill_ms,
        one.first_token_ms or other.first_token_ms,
        one.generate_ms + other.generate_ms,
    )
