"""Requests as OpenAI's and Ollama's clients send them: the fields that count here; all others are ignored."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from lsp.api.refused import RefusedError

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 30.0
# Of a body that is too large so much is read all the same: who still sends doesn't hear why it was refused.
_READ_BYTES = 4 * MAX_BODY_BYTES

_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class Part(msgspec.Struct):
    """A part of a message's content."""

    type: str
    text: str | None = None


class CalledFunction(msgspec.Struct):
    """A tool that the model asked for; OpenAI has the arguments as a text in JSON, Ollama as they are."""

    name: str
    arguments: str | dict[str, Any] = ""


class ToolCall(msgspec.Struct):
    """A call in an assistant's message."""

    function: CalledFunction
    id: str | None = None


class Message(msgspec.Struct):
    """A message of a chat, of either API."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    images: list[Any] | None = None


class Function(msgspec.Struct, omit_defaults=True):
    """What a tool is."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """A tool that the model may ask for."""

    function: Function
    type: str = "function"


class NamedFunction(msgspec.Struct):
    """The name of a tool."""

    name: str


class NamedTool(msgspec.Struct):
    """The tool that is to be called."""

    function: NamedFunction
    type: str = "function"


class StreamOptions(msgspec.Struct):
    """What a stream tells besides the answer."""

    include_usage: bool | None = False


class Chosen(msgspec.Struct, kw_only=True):
    """How tokens are chosen; without a temperature, greedily."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


class _Wanted(Chosen, kw_only=True):
    """What both of OpenAI's kinds of request have in common."""

    model: str
    max_tokens: int | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    n: int | None = 1
    best_of: int | None = 1
    logit_bias: dict[str, Any] | None = None
    raw: bool | None = False


class ChatRequest(_Wanted, kw_only=True):
    """``POST /v1/chat/completions``."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | NamedTool | None = None
    logprobs: bool | None = False
    response_format: dict[str, Any] | None = None
    functions: list[Any] | None = None


class CompletionRequest(_Wanted, kw_only=True):
    """``POST /v1/completions`` and ``/v1/fim/completions``."""

    prompt: str | list[Any]
    suffix: str | None = None
    echo: bool | None = False
    logprobs: int | bool | None = None


class EmbeddingRequest(msgspec.Struct, kw_only=True):
    """``POST /v1/embeddings``, and Ollama's ``/api/embed``."""

    model: str
    input: str | list[Any]
    encoding_format: str | None = "float"
    dimensions: int | None = None


class OldEmbeddingRequest(msgspec.Struct, kw_only=True):
    """``POST /api/embeddings``."""

    model: str
    prompt: str


class Options(Chosen, kw_only=True):
    """Those of Ollama's that count."""

    num_predict: int | None = None
    stop: str | list[str] | None = None


class _Ollama(msgspec.Struct, kw_only=True):
    """What both of Ollama's kinds of request have in common."""

    model: str
    stream: bool | None = True
    options: Options | None = None
    format: str | dict[str, Any] | None = None


class OllamaChat(_Ollama, kw_only=True):
    """``POST /api/chat``."""

    messages: list[Message] = []
    tools: list[Tool] | None = None


class OllamaGenerate(_Ollama, kw_only=True):
    """``POST /api/generate``."""

    prompt: str = ""
    suffix: str | None = None
    system: str | None = None
    raw: bool | None = False
    images: list[Any] | None = None


class ShowRequest(msgspec.Struct):
    """``POST /api/show``; older clients say ``name``."""

    model: str | None = None
    name: str | None = None


async def read(request: Request, shape: type[_Shape]) -> _Shape:
    """A request's body.

    Raises:
        RefusedError: it is too large, comes too slowly, or is not of that shape.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _body(request)
    except TimeoutError as error:
        raise RefusedError("The request's body didn't come in time.", status=408) from error
    except ClientDisconnect as error:
        raise RefusedError("The client left.", status=499) from error
    try:
        return _decoded(body, shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RefusedError(f"The request is not understood: {error}.") from error


def _decoded(body: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if b"\\u" not in body:
            raise
        # JavaScript leaves halves of characters behind where it cuts a text; Python's own parser reads them.
        whole = json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(whole, type=shape)


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        elif size > _READ_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise RefusedError(f"The request is larger than {MAX_BODY_BYTES >> 20} MiB.", "Send less text.", status=413)
    return b"".join(chunks)
