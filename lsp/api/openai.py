"""OpenAI's API: ``/v1/models``, ``/v1/chat/completions``, ``/v1/completions``, ``/v1/embeddings``; and Mistral's
``/v1/fim/completions``, with which Continue and others fill gaps.

Shapes as in https://platform.openai.com/docs/api-reference; ``reasoning_content`` as DeepSeek and llama.cpp have it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lsp.api.chats import tools_of, turns_of
from lsp.api.desk import PATH_HEADER, Desk, End, Event, Events, Gap, Piece, Wish, joined
from lsp.api.embeddings import Embeddings
from lsp.api.refused import RefusedError
from lsp.api.replies import Reply, as_json
from lsp.api.shapes import ChatRequest, CompletionRequest, EmbeddingRequest, read
from lsp.api.toolcalls import Called
from lsp.engine.protocol import Usage


class OpenAiApi:
    """The handlers of OpenAI's API.

    Args:
        desk: carries requests out.
        embeddings: makes vectors.
    """

    def __init__(self, desk: Desk, embeddings: Embeddings) -> None:
        self._desk = desk
        self._embeddings = embeddings

    async def models(self, request: Request) -> Response:
        """All models."""
        told = [_model(one.name, one.added) for one in self._desk.models.served]
        return JSONResponse({"object": "list", "data": [*told, _model(self._embeddings.name, 0)]})

    async def model(self, request: Request) -> Response:
        """One model."""
        name = request.path_params["name"]
        if name == self._embeddings.name:
            return JSONResponse(_model(name, 0))
        one = self._desk.models.named(name)
        return JSONResponse(_model(one.name, one.added))

    async def chat(self, request: Request) -> Response:
        """An answer in a chat."""
        wanted = await read(request, ChatRequest)
        _refuse_unknown(wanted)
        if wanted.functions:
            raise RefusedError("functions are not supported.", "Use tools.", param="functions")
        if wanted.response_format and wanted.response_format.get("type") != "text":
            raise RefusedError(
                "response_format may only be text.", "Say in the prompt what you want.", param="response_format"
            )
        tokens = wanted.max_completion_tokens if wanted.max_tokens is None else wanted.max_tokens
        wish = Wish.of(tokens, wanted.stop, wanted)
        turns, tools = turns_of(wanted.messages), tools_of(wanted.tools, wanted.tool_choice)
        model, workspace = await self._desk.named(wanted.model, request.headers)
        writer = ChatWriter(model.name, usage=_wants_usage(wanted))
        return Reply(self._desk.chat(model, turns, wish, tools, workspace), writer, stream=bool(wanted.stream))

    async def completions(self, request: Request) -> Response:
        """A text gone on with, or a gap in it filled."""
        return await self._complete(request, fim=False)

    async def fim(self, request: Request) -> Response:
        """A gap filled, as Mistral's API has it: told like an answer in a chat."""
        return await self._complete(request, fim=True)

    async def _complete(self, request: Request, *, fim: bool) -> Response:
        wanted = await read(request, CompletionRequest)
        _refuse_unknown(wanted)
        if not isinstance(wanted.prompt, str):
            raise RefusedError(
                "prompt is a text: one of them, and no tokens.", "Ask for each by itself.", param="prompt"
            )
        if wanted.echo:
            raise RefusedError("echo is not supported.", "Leave it out.", param="echo")
        wish = Wish.of(wanted.max_tokens, wanted.stop, wanted)
        model, workspace = await self._desk.named(wanted.model, request.headers)
        starting: Coroutine[Any, Any, Events]
        if wanted.suffix or fim:
            path = request.headers.get(PATH_HEADER, "")
            gap = Gap(wanted.prompt, wanted.suffix or "", path, bool(wanted.raw))
            starting = self._desk.filled(model, gap, wish, workspace)
        else:
            starting = self._desk.continued(model, wanted.prompt, wish)
        kind = ChatWriter if fim else CompletionWriter
        return Reply(starting, kind(model.name, usage=_wants_usage(wanted)), stream=bool(wanted.stream))

    async def embeddings(self, request: Request) -> Response:
        """Texts as vectors."""
        wanted = await read(request, EmbeddingRequest)
        vectors = await self._embeddings.vectors(wanted)
        data = [
            {"object": "embedding", "index": i, "embedding": self._embeddings.encoded(row, wanted.encoding_format)}
            for i, row in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}  # words are counted, no tokens
        return JSONResponse({"object": "list", "data": data, "model": self._embeddings.name, "usage": usage})


def _refuse_unknown(wanted: ChatRequest | CompletionRequest) -> None:
    """Refuse what would change the answer and isn't there."""
    if wanted.n not in (None, 1) or wanted.best_of not in (None, 1):
        raise RefusedError("n and best_of may only be 1.", "Ask several times.", param="n")
    if wanted.logprobs not in (None, False):
        raise RefusedError("logprobs are not supported.", "Leave them out.", param="logprobs")
    if wanted.logit_bias:
        raise RefusedError("logit_bias is not supported.", "Leave it out.", param="logit_bias")


def _wants_usage(wanted: ChatRequest | CompletionRequest) -> bool:
    return bool(wanted.stream_options and wanted.stream_options.include_usage)


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "midline"}


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.tokens_evaluated + usage.tokens_reused
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.tokens_generated,
        "total_tokens": prompt + usage.tokens_generated,
        "prompt_tokens_details": {"cached_tokens": usage.tokens_reused},
    }


class _SseWriter:
    """What both kinds of completion have in common: server-sent events."""

    media_type = "text/event-stream"
    kind = ""

    def __init__(self, model: str, *, usage: bool) -> None:
        self._wants_usage = usage
        self._about = {"id": "", "object": self.kind, "created": int(time.time()), "model": model}

    def failure(self, refusal: RefusedError) -> bytes:
        """OpenAI's clients raise what a chunk has under ``error``."""
        return _event(refusal.as_openai()) + b"data: [DONE]\n\n"

    def _chunk(self, *choices: dict[str, Any], **more: Any) -> bytes:
        return _event(self._about | {"choices": list(choices)} | more)

    def _last(self, usage: Usage) -> bytes:
        told = self._chunk(usage=_usage(usage)) if self._wants_usage else b""
        return told + b"data: [DONE]\n\n"


class ChatWriter(_SseWriter):
    """Writes chat completions."""

    kind = "chat.completion.chunk"

    def __init__(self, model: str, *, usage: bool) -> None:
        super().__init__(model, usage=usage)
        self._about["id"] = f"chatcmpl-{secrets.token_hex(12)}"
        self._calls = 0

    def whole(self, events: Sequence[Event]) -> dict[str, Any]:
        """A ``chat.completion``."""
        text, reasoning = joined(events, "answer"), joined(events, "reasoning")
        calls = [_call(event) for event in events if isinstance(event, Called)]
        end = events[-1]
        assert isinstance(end, End)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
        message |= {"reasoning_content": reasoning} if reasoning else {}
        message |= {"tool_calls": calls} if calls else {}
        choice = {"index": 0, "message": message, "finish_reason": end.reason, "logprobs": None}
        return self._about | {"object": "chat.completion", "choices": [choice], "usage": _usage(end.usage)}

    def begin(self, *, waiting: bool) -> bytes:
        """Whose answer it is."""
        return self._delta({"role": "assistant", "content": ""})

    def piece(self, event: Event) -> bytes:
        """A chunk."""
        if isinstance(event, End):
            return self._delta({}, event.reason) + self._last(event.usage)
        if isinstance(event, Called):
            self._calls += 1
            return self._delta({"tool_calls": [{"index": self._calls - 1} | _call(event)]})
        return self._delta({"content" if event.kind == "answer" else "reasoning_content": event.text})

    def _delta(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        return self._chunk({"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None})


class CompletionWriter(_SseWriter):
    """Writes text completions."""

    kind = "text_completion"

    def __init__(self, model: str, *, usage: bool) -> None:
        super().__init__(model, usage=usage)
        self._about["id"] = f"cmpl-{secrets.token_hex(12)}"

    def whole(self, events: Sequence[Event]) -> dict[str, Any]:
        """A ``text_completion``."""
        end = events[-1]
        assert isinstance(end, End)
        choice = _choice(joined(events, "answer"), end.reason)
        return self._about | {"choices": [choice], "usage": _usage(end.usage)}

    def begin(self, *, waiting: bool) -> bytes:
        """For those who wait a comment, a sign of life."""
        return b": computing\n\n" if waiting else b""

    def piece(self, event: Event) -> bytes:
        """A chunk."""
        if isinstance(event, End):
            return self._chunk(_choice("", event.reason)) + self._last(event.usage)
        return self._chunk(_choice(event.text, None)) if isinstance(event, Piece) else b""


def _choice(text: str, reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}


def _call(called: Called) -> dict[str, Any]:
    arguments = json.dumps(called.arguments, ensure_ascii=False)
    return {"id": called.id, "type": "function", "function": {"name": called.name, "arguments": arguments}}


def _event(value: object) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"
