"""Answers of the real model, recorded: what is done with what it wrote can be changed and run again without it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.common import bench_home, engine_config, running_engine
from bench.quality.recording import Model, NotRecordedError, RecordedEngine, Recordings
from lsp.chat.answer import Answerer, Question
from lsp.chat.conversations import Conversations
from lsp.chat.sources import LineCount, Source, check_citations
from lsp.engine.client import Generation
from lsp.engine.protocol import ChatFacts, Priority, Segment
from lsp.models.catalogue import DEFAULT_MODEL


@dataclass(frozen=True)
class Answered:
    """What came of a question.

    Args:
        text: as the user reads it.
        citations: the places that the answer is said to be from.
        cites: whether it names them itself, by number or place.
        removed: how many citations were taken out.
    """

    text: str
    citations: list[dict[str, Any]]
    cites: bool
    removed: int

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


class RecordedChat(RecordedEngine):
    """Knows how the model is chatted with, too."""

    def __init__(self, recordings: Path, model: Model, tokens: int, *, allowed: bool) -> None:
        super().__init__(Recordings(recordings), model, tokens)
        self._facts = recordings / "facts.json"
        self._allowed = allowed

    async def describe(self) -> ChatFacts:
        """What its file says, kept with the recordings."""
        if not self._facts.exists():
            if not self._allowed:
                raise NotRecordedError("Nothing is recorded yet, and the model may not be asked.")
            with bench_home() as home:
                async with running_engine(engine_config(home)) as client:
                    self._facts.write_bytes(msgspec.json.encode(await client.describe()))
        return msgspec.json.decode(self._facts.read_bytes(), type=ChatFacts)

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
    ) -> Generation:
        """As the engine has it; each conversation here has one turn, so that nothing is ever moved."""
        return super().generate(key, prompt, max_tokens=max_tokens, heal=heal, branches=branches, priority=priority)


class Asker:
    """Has questions answered, each in a conversation of its own; used as a context.

    Args:
        recordings: the folder of what was written.
        tokens: the most of an answer.
        allowed: whether the model may be asked for what isn't recorded.
    """

    def __init__(self, recordings: Path, tokens: int, *, allowed: bool) -> None:
        self._model = Model(allowed=allowed)
        self._engine = RecordedChat(recordings, self._model, tokens, allowed=allowed)
        self._tokens = tokens
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Asker:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="midline-bench-"))
        self._kept = Conversations(Path(folder) / "conversations.sqlite")
        self._answerer = Answerer(self._engine, DEFAULT_MODEL.name, self._kept)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._model.close()
        await self._stack.aclose()

    async def ask(self, question: str, sources: Sequence[Source], line_count: LineCount) -> Answered | None:
        """The answer to a question from these sources; None where it isn't recorded and the model may not be asked."""
        conversation = self._kept.begin(None, question)
        try:
            answer = await self._answerer.answer(
                conversation, Question(question, sources, line_count), max_tokens=self._tokens
            )
        except NotRecordedError:
            return None
        own = check_citations(answer.text, sources, line_count).citations
        return Answered(answer.text, answer.citations, bool(own), answer.removed)
