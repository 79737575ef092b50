"""OpenAI's API, as LM Studio, vLLM, llama-cpp-python and others serve it: ``/v1/completions``, ``…/chat/completions``.

Nothing in it says whether a model infills: the ways are tried. With the model's special tokens written into the prompt
the layout is ours; ``suffix`` is the server's own way, which few servers have.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from lsp.engine.remote.server import (
    ROLES,
    TEMPERATURE,
    Facts,
    Outcome,
    Piece,
    Task,
    Way,
    check_model,
    chosen_model,
    context_of,
    spelled_families,
)
from lsp.engine.remote.texts import answered
from lsp.engine.remote.wire import RefusedError, Wire

# Families tried on a model whose name tells nothing: more would keep a server busy for a guess.
_MOST_WAYS = 6


class _Model(msgspec.Struct):
    id: str
    max_model_len: int | None = None  # vLLM


class _Models(msgspec.Struct):
    data: list[_Model]


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None  # vLLM, llama.cpp
    reasoning: str | None = None  # LM Studio


class _Logprobs(msgspec.Struct):
    token_logprobs: list[float | None] | None = None  # of completions
    content: list[dict[str, Any]] | None = None  # of chat


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class OpenAi:
    """A server of OpenAI's API.

    Args:
        wire: to it.
        model: by its name there; empty: the only one.
    """

    def __init__(self, wire: Wire, model: str = "", n_ctx: int = 0) -> None:
        self._wire = wire
        self._asked = model
        self._n_ctx = n_ctx
        self._model = ""
        self._probabilities = True  # until the server refuses to tell them

    async def facts(self) -> Facts:
        """As `Server.facts`."""
        models = (await self._wire.ask("/v1/models", _Models)).data
        self._model = chosen_model(self._asked, (one.id for one in models), self._wire)
        length = next((one.max_model_len for one in models if one.id == self._model), None)
        ways = ways_by_name(self._model)
        return Facts("OpenAI API", self._model, context_of(length, self._n_ctx), 1, ways, ROLES)

    def stream(self, task: Task, outcome: Outcome) -> AsyncGenerator[Piece, None]:
        """As `Server.stream`."""
        return answered(
            task,
            lambda body: self._completed(body, task, outcome),
            lambda body: self._pieces("/v1/chat/completions", body, task, outcome),
        )

    async def _completed(self, body: dict[str, Any], task: Task, outcome: Outcome) -> AsyncGenerator[Piece, None]:
        """Pieces with their probabilities, where the server tells them."""
        wanted = {"logprobs": 1} if self._probabilities else {}
        try:
            async with aclosing(self._pieces("/v1/completions", body | wanted, task, outcome)) as pieces:
                async for piece in pieces:
                    yield piece
                return
        except RefusedError as refusal:
            if not self._probabilities or "logprob" not in refusal.message:
                raise
        self._probabilities = False
        async with aclosing(self._pieces("/v1/completions", body, task, outcome)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(
        self, path: str, body: dict[str, Any], task: Task, outcome: Outcome
    ) -> AsyncGenerator[Piece, None]:
        asked: dict[str, Any] = {"model": self._model, "max_tokens": task.max_tokens or 1, "stream": True}
        asked |= {"temperature": TEMPERATURE, "seed": task.seed} if task.seed else {"temperature": 0.0}
        asked |= {"stream_options": {"include_usage": True}} | body
        thinking = False
        async with aclosing(self._wire.stream(path, asked)) as lines:
            async for line in lines:
                if not line.startswith(b"data:"):
                    continue  # an event's name, a comment that keeps the connection alive
                if (data := line[5:].strip()) == b"[DONE]":
                    break
                chunk = self._wire.decode(data, _Chunk)
                if chunk.error:
                    raise self._wire.failed(chunk.error)
                check_model(self._model, chunk.model, self._wire)
                if chunk.usage:
                    _count(chunk.usage, outcome)
                for choice in chunk.choices[:1]:
                    text = choice.text or choice.delta.content or ""
                    if reasoning := choice.delta.reasoning_content or choice.delta.reasoning:
                        text, thinking = ("" if thinking else "<think>") + reasoning, True
                    elif thinking and text:
                        text, thinking = f"</think>{text}", False
                    if text and task.max_tokens:
                        yield Piece(text, _logprob(choice.logprobs))
                    if choice.finish_reason:
                        outcome.reason = "length" if choice.finish_reason == "length" else "eog"
        if not outcome.reason:
            raise self._wire.broken()


def ways_by_name(model: str) -> tuple[Way, ...]:
    """Ways to infill that are worth trying: those of the model's family, else of all; the server's own at last."""
    families = spelled_families()
    known = [family for family in families if family.is_known(model)]
    ways: dict[tuple[str, ...], Way] = {}
    for family in known or families:
        marks = family.marks
        for layout in family.layouts[: 1 if known else 2]:
            ways.setdefault((layout, marks["prefix"], marks["suffix"], marks.get("middle", "")), Way(layout, marks))
    return (*list(ways.values())[:_MOST_WAYS], Way("psm"))


def _count(usage: _Usage, outcome: Outcome) -> None:
    details = usage.prompt_tokens_details
    if details and details.cached_tokens is not None:  # else nobody knows what was computed
        outcome.reused = details.cached_tokens
        outcome.evaluated = usage.prompt_tokens - details.cached_tokens


def _logprob(told: _Logprobs | None) -> float:
    """The sum over the tokens of a piece; 0, certain, where the server doesn't tell."""
    if told is None:
        return 0.0
    of_chat = [one.get("logprob") for one in told.content or ()]
    values = [one for one in (*(told.token_logprobs or ()), *of_chat) if isinstance(one, int | float)]
    return float(sum(values))
