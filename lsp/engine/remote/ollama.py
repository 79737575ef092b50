"""Ollama's own API (https://github.com/ollama/ollama/blob/main/docs/api.md).

Infilling by ``raw``, with the layout that keeps what the server has computed, where the model's template tells its
special tokens; else by ``suffix``, where the server puts the parts together.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Sequence
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
from lsp.engine.remote.wire import Wire

_PROBABILITIES = 5
# In a template, what stands before, between and behind the parts, as in {{ .Prompt }}<|fim_suffix|>{{ .Suffix }}.
_GAP = re.compile(r"(?:\}\}|\A)([^{}]*)\{\{-?\s*\.Prompt\s*-?\}\}([^{}]*)\{\{-?\s*\.Suffix\s*-?\}\}([^{}]*)")


class _Model(msgspec.Struct):
    name: str = ""
    model: str = ""
    context_length: int = 0


class _Models(msgspec.Struct):
    models: list[_Model] | None


class _Shown(msgspec.Struct):
    template: str = ""
    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None


class _Message(msgspec.Struct):
    content: str = ""
    thinking: str = ""


class _Choice(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Choice] = []


class _Chunk(msgspec.Struct):
    model: str = ""
    response: str = ""
    message: _Message = msgspec.field(default_factory=_Message)
    done: bool = False
    done_reason: str = ""
    error: str = ""
    logprobs: list[_Choice] | None = None
    prompt_eval_duration: int = 0


class Ollama:
    """An Ollama.

    Args:
        wire: to it.
        model: by its name there; empty: the only one.
    """

    def __init__(self, wire: Wire, model: str = "", n_ctx: int = 0) -> None:
        self._wire = wire
        self._asked = model
        self._n_ctx = n_ctx
        self._model = ""

    async def facts(self) -> Facts:
        """As `Server.facts`."""
        listed = (await self._wire.ask("/api/tags", _Models)).models or []
        self._model = chosen_model(self._asked, (one.model or one.name for one in listed), self._wire)
        shown = await self._wire.ask("/api/show", _Shown, {"model": self._model})
        loaded = (await self._wire.ask("/api/ps", _Models)).models or []
        length = next((one.context_length for one in loaded if self._model in (one.name, one.model)), 0)
        ways: list[Way] = []
        if way := way_of(shown.template):
            ways.append(way)
        if "insert" in (shown.capabilities or ()) or ".Suffix" in shown.template:
            ways.append(Way("psm"))
        return Facts("Ollama", self._model, context_of(length or None, self._n_ctx), 1, tuple(ways), ROLES)

    def stream(self, task: Task, outcome: Outcome) -> AsyncGenerator[Piece, None]:
        """As `Server.stream`."""
        raw = {"raw": True} if task.way and task.way.marks else {}
        return answered(
            task,
            lambda body: self._pieces("/api/generate", body | raw, task, outcome),
            lambda body: self._pieces("/api/chat", body, task, outcome),
        )

    async def _pieces(
        self, path: str, body: dict[str, Any], task: Task, outcome: Outcome
    ) -> AsyncGenerator[Piece, None]:
        options: dict[str, Any] = {"temperature": TEMPERATURE if task.seed else 0.0, "seed": task.seed}
        options["num_predict"] = task.max_tokens or 1
        asked = {"model": self._model, "stream": True, "options": options}
        asked |= {"logprobs": True, "top_logprobs": _PROBABILITIES} | body
        thinking = False
        async with aclosing(self._wire.stream(path, asked)) as lines:
            async for line in lines:
                chunk = self._wire.decode(line, _Chunk)
                if chunk.error:
                    raise self._wire.failed(chunk.error)
                check_model(self._model, chunk.model, self._wire)
                text = chunk.response or chunk.message.content
                if chunk.message.thinking:
                    text = ("" if thinking else "<think>") + chunk.message.thinking
                    thinking = True
                elif thinking and text:
                    text, thinking = f"</think>{text}", False
                if text and task.max_tokens:
                    yield Piece(text, *_sure(chunk.logprobs or ()))
                if chunk.done:
                    outcome.reason = "length" if chunk.done_reason == "length" else "eog"
                    outcome.prefill_ms = chunk.prompt_eval_duration / 1e6
                    return
        raise self._wire.broken()


def way_of(template: str) -> Way | None:
    """How a model's template infills, where that is a way that is known; else the server does it."""
    for before, between, after in _GAP.findall(template):
        found = (before.strip(), between.strip(), after.strip())
        for family in spelled_families():
            if found == tuple(family.marks.get(mark, "") for mark in ("prefix", "suffix", "middle")):
                return Way("psm", family.marks)
    return None


def _sure(choices: Sequence[_Choice]) -> tuple[float, float]:
    """The logarithm of how likely tokens are; nothing is known of what would end the text."""
    return math.fsum(choice.logprob for choice in choices), 0.0
