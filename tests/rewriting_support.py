"""A stand-in for the engine, for edits: it answers what it is told to, in any of its branches."""

from __future__ import annotations

from typing import Any

from chat_support import CHATML, FakeEngine, FakeGeneration

from lsp.chat.editing.rewriting import Rewritten, Task, rewrite
from lsp.chat.templates import ChatTemplate
from lsp.engine.protocol import ChatFacts

SHOP = '''\
import os


class Shop:
    @property
    def total(self):
        """The sum of all prices."""
        total = 0
        for item in self.items:
            total += item.price
        return total

    def close(self):
        self.open = False
'''
TOTAL = (5, 11)

MEAN = "def mean(values):\n    return sum(values) / len(values)\n"


class Engine(FakeEngine):
    """Answers in turn; what a branch is asked of comes from the answers too."""

    def __init__(self, *answers: str, facts: ChatFacts = CHATML, n_ctx: int = 8192) -> None:
        super().__init__(*answers, facts=facts, n_ctx=n_ctx)
        self.branches: list[int] = []

    def generate(self, *prompt: Any, branches: int = 1, **options: Any) -> Any:
        self.branches.append(branches)
        return _OfBranch(super().generate(*prompt, branches=branches, **options), branches - 1)


class _OfBranch:
    def __init__(self, generation: FakeGeneration, branch: int) -> None:
        self._generation, self._branch = generation, branch

    def cancel(self, branch: int | None = None) -> None:
        if branch is None:
            self._generation.cancel()

    @property
    def reason(self) -> str:
        return self._generation.reason

    @property
    def usage(self):  # type: ignore[no-untyped-def]
        return self._generation.usage

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        async for token in self._generation:
            token.branch = self._branch
            yield token


def task(instruction: str = "", text: str = MEAN, lines: tuple[int, int] = (1, 2), command: str = "edit") -> Task:
    return Task(command, instruction, "python", "app/shop.py", text, *lines)


async def rewritten(engine: FakeEngine, asked: Task, **options: object) -> Rewritten:
    return await rewrite(engine, ChatTemplate(engine.facts, "fake"), asked, **options)  # type: ignore[arg-type]


async def new_text(answer: str, asked: Task) -> str:
    """What the lines become where the model goes on so behind its opened fence."""
    return (await rewritten(Engine(answer), asked)).text
