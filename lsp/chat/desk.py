"""Where questions are taken: context is looked for as far as the machine can read it, then the answerer answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from lsp.chat.answer import Answer, Answerer, Engine, OnText, Question
from lsp.chat.context import gather
from lsp.chat.conversations import Conversation, Conversations
from lsp.chat.library import Library, Place
from lsp.engine.protocol import State
from lsp.errors import MidlineError
from lsp.settings import ChatSettings

# Before the engine has measured how fast it reads.
_USUAL_SPEED = 100.0
_CHARS_PER_TOKEN = 3.0
_LEAST_TOKENS, _MOST_TOKENS = 300, 6_000
# So much of the model's context one question's sources may take.
_CONTEXT_SHARE = 0.3


class Desk:
    """Answers questions with one engine.

    Args:
        engine: runs the model.
        model: its name.
        kept: where conversations are.
    """

    def __init__(self, engine: Engine, model: str, kept: Conversations) -> None:
        self._engine = engine
        self._kept = kept
        self._answerer = Answerer(engine, model, kept)

    async def ask(
        self,
        message: str,
        library: Library,
        options: ChatSettings,
        *,
        conversation: str = "",
        workspace: Path | None = None,
        place: Place | None = None,
        notes: str = "",
        on_begin: Callable[[Conversation], None] = lambda conversation: None,
        on_text: OnText = lambda kind, text: None,
    ) -> Answer:
        """Answer a message.

        Args:
            message: with its mentions.
            library: the workspace's files.
            options: how to.
            conversation: the id of the one to go on with; empty for a new one.
            workspace: the folder that a new conversation belongs to.
            place: where the user is, if that counts.
            notes: what else the model is to know of that place.
            on_begin: told of the conversation before its answer begins.
            on_text: told of each piece as it comes.

        Raises:
            MidlineError: it can't be answered; the text says why.
            asyncio.CancelledError: the caller was cancelled; what came is kept.
        """
        if not message.strip():
            raise MidlineError("The message is empty.", "Write a question.")
        held: Conversation | None = None
        if conversation:
            held = await asyncio.to_thread(self._kept.get, conversation)
        state = await self._engine.ready()
        began = time.perf_counter()
        gathered = await asyncio.to_thread(
            gather,
            message,
            library,
            place,
            context_chars(state, options),
            follow_up=bool(held and held.messages),
            search=options.context_seconds > 0,
        )
        if held is None:
            held = await asyncio.to_thread(self._kept.begin, workspace, message)
        on_begin(held)
        context_ms = (time.perf_counter() - began) * 1000
        question = Question(message, gathered.sources, library.line_count, context_ms, notes)
        try:
            return await self._answerer.answer(held, question, on_text, max_tokens=options.answer_tokens)
        finally:
            if not conversation:
                await asyncio.shield(asyncio.to_thread(self._drop_empty, held))

    def _drop_empty(self, conversation: Conversation) -> None:
        """Remove a conversation whose first question was refused."""
        with contextlib.suppress(MidlineError):
            if not self._kept.get(conversation.id).messages:
                self._kept.delete(conversation.id)


def context_chars(state: State, options: ChatSettings) -> int:
    """How many characters of sources a question may have: what the model reads in the time that was set."""
    speed = state.prefill_per_second or _USUAL_SPEED
    tokens = min(max(speed * options.context_seconds, _LEAST_TOKENS), _MOST_TOKENS, state.n_ctx * _CONTEXT_SHARE)
    return int(tokens * _CHARS_PER_TOKEN)
