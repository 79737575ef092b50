"""A stand-in for the engine, for chats: it answers what it is told to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from lsp.chat.answer import OPENING
from lsp.engine.protocol import ChatFacts, Control, Priority, Segment, Special, State, Text, Token, Usage
from lsp.errors import MidlineError

CHATML = ChatFacts(architecture="qwen2", controls=("<|im_start|>", "<|im_end|>"))


def flat(prompt: Sequence[Segment]) -> str:
    """A prompt as one text."""
    return "".join("" if isinstance(segment, Special) else segment.text for segment in prompt)


class FakeGeneration:
    """Gives its pieces one by one; ``forever`` waits behind them until it is cancelled."""

    def __init__(self, pieces: Sequence[str], *, forever: bool = False, fails: bool = False) -> None:
        self.reason = ""
        self.usage = Usage()
        self.cancelled = asyncio.Event()
        self._pieces, self._forever, self._fails = list(pieces), forever, fails

    def cancel(self, branch: int | None = None) -> None:
        self.cancelled.set()

    def on_done(self, callback: object) -> None:
        """Nobody counts what a stand-in costs."""

    async def __aiter__(self) -> AsyncIterator[Token]:
        while self._pieces and not self.cancelled.is_set():
            yield Token(1, 0, self._pieces.pop(0), 0.0, 0.0)
            self.usage = Usage(7, 5, self.usage.tokens_generated + 1, first_token_ms=2.0, prefill_ms=1.0)
            await asyncio.sleep(0)
        if self._fails:
            raise MidlineError("The engine stopped unexpectedly; it is being restarted.")
        if self._forever:
            await self.cancelled.wait()
        self.reason = "cancelled" if self.cancelled.is_set() else "eog"


class FakeEngine:
    """Answers with ``answers`` in turn, each a text whose pieces are its words."""

    priority: Priority = "chat"

    def __init__(self, *answers: str, facts: ChatFacts = CHATML, n_ctx: int = 8192) -> None:
        self.answers = list(answers)
        self.facts = facts
        self.state = State("ready", n_ctx=n_ctx)
        self.prompts: list[list[Segment]] = []
        self.keys: list[str] = []
        self.limits: list[int] = []
        self.make: Callable[[list[str]], FakeGeneration] = FakeGeneration
        self.is_ready = asyncio.Event()
        self.is_ready.set()

    async def ready(self) -> State:
        await self.is_ready.wait()
        return self.state

    async def describe(self) -> ChatFacts:
        return self.facts

    def generate(
        self,
        key: str,
        prompt: Sequence[Segment],
        *,
        max_tokens: int,
        heal: bool = True,
        branches: int = 1,
        priority: Priority = "completion",
        movable: bool = False,
    ) -> FakeGeneration:
        assert not heal
        assert priority == self.priority
        self.keys.append(key)
        self.prompts.append(list(prompt))
        self.limits.append(max_tokens)
        answer = self.answers.pop(0) if self.answers else "fine"
        words = answer.split(" ")
        return self.make([word + " " * (i < len(words) - 1) for i, word in enumerate(words)])

    @property
    def asked(self) -> str:
        """The last prompt as one text."""
        return flat(self.prompts[-1])

    @property
    def said(self) -> list[str]:
        """What the last prompt holds of the conversation: neither the template's text nor what all open with."""
        texts = [segment.text for segment in self.prompts[-1] if isinstance(segment, Text)]
        opening = [turn.text for turn in OPENING]
        assert texts[0] == opening[0]
        return texts[len(opening) :] if texts[1:3] == opening[1:3] else texts[1:]

    @property
    def around(self) -> list[str]:
        """What the template wrote into it."""
        return [segment.text for segment in self.prompts[-1] if isinstance(segment, Control)]
