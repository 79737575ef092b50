"""Documents, places and an engine that only records what it is asked, for tests of bases."""

from __future__ import annotations

import asyncio

from lsp.completion.bases import Budget, DocumentBases
from lsp.completion.pieces import ContextPiece
from lsp.documents import Cursor
from lsp.engine.client import Generation
from lsp.engine.protocol import Done, Priority, Segment, Usage

URI = "file:///a.py"


class Recorder:
    """Answers requests when told to; `held` is what it recalls."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, list[Segment], Priority]] = []
        self.generations: list[Generation] = []
        self.forgotten: list[str] = []
        self.held: dict[str, list[Segment]] = {}

    def generate(
        self,
        key: str,
        prompt: list[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        self.requests.append((key, prompt, priority))
        self.generations.append(Generation(len(self.requests), lambda _: None))
        return self.generations[-1]

    def forget(self, key: str) -> None:
        self.forgotten.append(key)

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        return {name: prompt for name, prompt in self.held.items() if name.startswith(key)}

    async def answer(self, index: int = -1) -> None:
        self.generations[index].put(Done(1, "length", Usage()))
        for _ in range(5):
            await asyncio.sleep(0)


def text(count: int) -> str:
    return "".join(f"line_{i} = {i}\n" for i in range(count))


def at(line: int, document: str = text(400), typed: str = "") -> Cursor:
    offset = document.index("\n", document.index(f"line_{line} "))
    return Cursor(URI, None, "python", 1, document[:offset] + typed + document[offset:], offset + len(typed))


def piece(name: str, count: int = 10) -> ContextPiece:
    return ContextPiece(f"{name}.py", 1, count, "", "".join(f"{name}_{i}()\n" for i in range(count)), 1.0, "test")


class Shelf:
    """A source of context that has what it is told to."""

    def __init__(self, *pieces: ContextPiece) -> None:
        self.pieces = pieces
        self.epoch: object = 0
        self.asked: list[tuple[int, str]] = []
        self.private: set[str] = set()

    def permits(self, path: str) -> bool:
        return path not in self.private

    async def gather(
        self, cursor: Cursor, chars: int, shown: tuple[int, int] | None = None
    ) -> tuple[ContextPiece, ...]:
        assert shown is not None
        self.asked.append((chars, cursor.text[shown[0] : shown[1]]))
        return self.pieces


def document_bases(engine: Recorder, context: Shelf | None = None) -> DocumentBases:
    return DocumentBases(URI, engine, "psm", lambda: Budget(300, 3000, 900), context)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
