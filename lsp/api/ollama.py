"""Ollama's API: its models, chats, prompts and vectors, and what its clients ask besides.

Shapes as in https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lsp import __version__
from lsp.api.chats import tools_of, turns_of
from lsp.api.desk import PATH_HEADER, Desk, End, Event, Gap, Piece, Tools, Wish, joined
from lsp.api.embeddings import Embeddings
from lsp.api.models import Served, split_name
from lsp.api.refused import RefusedError
from lsp.api.replies import Reply, as_json
from lsp.api.shapes import (
    EmbeddingRequest,
    OldEmbeddingRequest,
    OllamaChat,
    OllamaGenerate,
    Options,
    ShowRequest,
    read,
)
from lsp.api.toolcalls import Called
from lsp.chat.templates import Turn
from lsp.engine.protocol import Usage

# Clients ask for a version of Ollama's to know what they may send; this one's API is what is kept to here.
OLLAMA_VERSION = "0.12.0"


class OllamaApi:
    """The handlers of Ollama's API.

    Args:
        desk: carries requests out.
        embeddings: makes vectors.
    """

    def __init__(self, desk: Desk, embeddings: Embeddings) -> None:
        self._desk = desk
        self._embeddings = embeddings

    async def version(self, request: Request) -> Response:
        """The version of Ollama whose API this is."""
        return JSONResponse({"version": OLLAMA_VERSION, "midline": __version__})

    async def tags(self, request: Request) -> Response:
        """All models."""
        return JSONResponse({"models": [_listed(one) for one in self._desk.models.served] + [self._vectors()]})

    async def running(self, request: Request) -> Response:
        """The models that are loaded."""
        loaded = [one for one in self._desk.models.served if one.state.state in ("ready", "busy")]
        return JSONResponse({"models": [_listed(one) | _loaded(one) for one in loaded]})

    async def show(self, request: Request) -> Response:
        """What is known of a model."""
        wanted = await read(request, ShowRequest)
        name, _ = split_name(wanted.model or wanted.name or "")
        if name.removesuffix(":latest") == self._embeddings.name:
            return JSONResponse({"details": _VECTORS, "model_info": {}, "capabilities": ["embedding"]})
        return JSONResponse(await _shown(self._desk.models.named(name)))

    async def chat(self, request: Request) -> Response:
        """An answer in a chat; without messages, the model is loaded."""
        wanted = await read(request, OllamaChat)
        _refuse_format(wanted.format)
        model, workspace = await self._desk.named(wanted.model, request.headers)
        writer = ChatWriter(model.name)
        wish = _wish(wanted.options)
        if not wanted.messages:
            return await _load(model, writer)
        turns, tools = turns_of(wanted.messages), tools_of(wanted.tools, None)
        starting = self._desk.chat(model, turns, wish, tools, workspace)
        return Reply(starting, writer, stream=wanted.stream is not False)

    async def generate(self, request: Request) -> Response:
        """An answer to a prompt, a gap filled, or a raw text gone on with; without a prompt, the model is loaded."""
        wanted = await read(request, OllamaGenerate)
        _refuse_format(wanted.format)
        if wanted.images:
            raise RefusedError("Models here read text only, no images.", "Send text.", param="images")
        model, workspace = await self._desk.named(wanted.model, request.headers)
        wish = _wish(wanted.options)
        writer = GenerateWriter(model.name)
        if not wanted.prompt and not wanted.suffix:
            return await _load(model, writer)
        if wanted.suffix:
            gap = Gap(wanted.prompt, wanted.suffix, request.headers.get(PATH_HEADER, ""), bool(wanted.raw))
            starting = self._desk.filled(model, gap, wish, workspace)
        elif wanted.raw:
            starting = self._desk.continued(model, wanted.prompt, wish)
        else:
            system = [Turn("system", wanted.system)] if wanted.system else []
            asked = [*system, Turn("user", wanted.prompt)]
            starting = self._desk.chat(model, asked, wish, Tools(), workspace)
        return Reply(starting, writer, stream=wanted.stream is not False)

    async def embed(self, request: Request) -> Response:
        """Texts as vectors."""
        wanted = await read(request, EmbeddingRequest)
        rows = await self._embeddings.vectors(wanted)
        vectors = [self._embeddings.encoded(row, "float") for row in rows]
        return JSONResponse({"model": self._embeddings.name, "embeddings": vectors, "prompt_eval_count": 0})

    async def old_embeddings(self, request: Request) -> Response:
        """One text as a vector, as older clients ask."""
        wanted = await read(request, OldEmbeddingRequest)
        rows = await self._embeddings.vectors(EmbeddingRequest(model=wanted.model, input=wanted.prompt))
        return JSONResponse({"embedding": self._embeddings.encoded(rows[0], "float")})

    def _vectors(self) -> dict[str, Any]:
        name = self._embeddings.name
        return {"name": name, "model": name, "modified_at": _time(0), "size": 0, "digest": "", "details": _VECTORS}


_VECTORS = {"parent_model": "", "format": "table", "family": "static", "families": ["static"], "parameter_size": "",
            "quantization_level": "I8"}  # fmt: skip


async def _load(model: Served, writer: _LinesWriter) -> Response:
    await model.engine()
    return JSONResponse(writer.whole([End("stop", Usage())]) | {"done_reason": "load"})


def _wish(options: Options | None) -> Wish:
    given = options or Options()
    return Wish.of(given.num_predict, given.stop, given)


def _refuse_format(form: str | dict[str, Any] | None) -> None:
    if form:
        raise RefusedError("format is not supported.", "Say in the prompt what you want.", param="format")


def _listed(model: Served) -> dict[str, Any]:
    one = model.installed
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": _time(model.added),
        "size": one.bytes,
        "digest": one.sha256 or one.key,
        "details": _details(model),
    }


def _loaded(model: Served) -> dict[str, Any]:
    one, state = model.installed, model.state
    share = min(1.0, state.gpu_layers / (one.info.layers + 1))
    return {"size_vram": int(one.bytes * share), "context_length": state.n_ctx}


def _details(model: Served) -> dict[str, Any]:
    info = model.installed.info
    return {
        "parent_model": "",
        "format": "gguf",
        "family": info.architecture,
        "families": [info.architecture],
        "parameter_size": _size(info.parameters),
        "quantization_level": info.quantization,
    }


async def _shown(model: Served) -> dict[str, Any]:
    engine = await model.engine()
    info = model.installed.info
    fim = bool(engine.state.model and engine.state.model.fim)
    try:
        tools = (await model.template()).knows_tools
        chats = True
    except RefusedError:
        tools = chats = False
    able = {"completion": True, "tools": tools, "insert": fim}
    # Clients look for these words of Ollama's template language to know what a model can (Continue: `.Suffix`).
    words = [word for word, has in ((".Suffix", fim), (".Messages", chats), (".Tools", tools)) if has]
    return {
        "modelfile": "",
        "parameters": f"num_ctx {engine.state.n_ctx}",
        "template": "".join(f"{{{{ if {word} }}}}{{{{ {word} }}}}{{{{ end }}}}" for word in words) + "{{ .Prompt }}",
        "license": info.licence or "",
        "modified_at": _time(model.added),
        "details": _details(model),
        "model_info": {
            "general.architecture": info.architecture,
            "general.parameter_count": info.parameters,
            f"{info.architecture}.context_length": engine.state.n_ctx,
            f"{info.architecture}.embedding_length": info.embedding,
            f"{info.architecture}.block_count": info.layers,
        },
        "capabilities": [name for name, has in able.items() if has],
    }


def _size(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.2f}M"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class _LinesWriter:
    """What both kinds of answer have in common: a JSON document a line."""

    media_type = "application/x-ndjson"

    def __init__(self, model: str) -> None:
        self._model = model

    def failure(self, refusal: RefusedError) -> bytes:
        """Ollama's clients raise what a line has under ``error``."""
        return as_json(refusal.as_ollama()) + b"\n"

    def whole(self, events: Sequence[Event]) -> dict[str, Any]:
        """One document of all."""
        end = events[-1]
        assert isinstance(end, End)
        return self._about() | self._told(events) | _end(end)

    def begin(self, *, waiting: bool) -> bytes:
        """For those who wait an empty piece, a sign of life."""
        if not waiting:
            return b""
        return as_json(self._about() | self._told([Piece("")]) | {"done": False}) + b"\n"

    def piece(self, event: Event) -> bytes:
        """A line."""
        rest = _end(event) if isinstance(event, End) else {"done": False}
        return as_json(self._about() | self._told([event]) | rest) + b"\n"

    def _about(self) -> dict[str, Any]:
        return {"model": self._model, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}

    def _told(self, events: Sequence[Event]) -> dict[str, Any]:
        raise NotImplementedError


class ChatWriter(_LinesWriter):
    """Writes answers of chats."""

    def _told(self, events: Sequence[Event]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": joined(events, "answer")}
        if reasoning := joined(events, "reasoning"):
            message["thinking"] = reasoning
        if calls := [event for event in events if isinstance(event, Called)]:
            message["tool_calls"] = [
                {"id": one.id, "function": {"name": one.name, "arguments": one.arguments}} for one in calls
            ]
        return {"message": message}


class GenerateWriter(_LinesWriter):
    """Writes answers to prompts."""

    def _told(self, events: Sequence[Event]) -> dict[str, Any]:
        reasoning = joined(events, "reasoning")
        return {"response": joined(events, "answer")} | ({"thinking": reasoning} if reasoning else {})


def _end(end: End) -> dict[str, Any]:
    usage = end.usage
    return {
        "done": True,
        "done_reason": "length" if end.reason == "length" else "stop",
        "total_duration": _ns(usage.queue_ms + usage.prefill_ms + usage.generate_ms),
        "load_duration": 0,
        "prompt_eval_count": usage.tokens_evaluated + usage.tokens_reused,
        "prompt_eval_duration": _ns(usage.prefill_ms),
        "eval_count": usage.tokens_generated,
        "eval_duration": _ns(usage.generate_ms),
    }


def _ns(milliseconds: float) -> int:
    return int(milliseconds * 1e6)
