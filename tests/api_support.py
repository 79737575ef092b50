"""The API on a real port, with a stand-in for the engine that says what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from chat_support import FakeEngine, FakeGeneration
from starlette.types import ASGIApp
from tiny_gguf import write_tiny_gguf

from lsp.api.guard import Hosts
from lsp.api.models import Models
from lsp.api.server import application, listen
from lsp.api.workspaces import Workspaces
from lsp.engine.protocol import ChatFacts, ModelFacts, Sampling, Segment, State
from lsp.errors import MidlineError
from lsp.models import store
from lsp.models.gguf import inspect_gguf
from lsp.models.progress import ignore
from lsp.paths import models_dir, private_dir
from lsp.settings import ModelSettings, Settings

TOKEN = "the-token-of-these-tests"
QWEN = ("<|im_start|>", "<|im_end|>")
# As Qwen2.5's, but for the words.
TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "call in <tool_call><|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant{{ '\n' }}"
)
FACTS = ChatFacts(template=TEMPLATE, architecture="qwen2", controls=QWEN)
HELLO = [{"role": "user", "content": "hello"}]
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


class Scripted(FakeEngine):
    """Answers as it is told to, and keeps the generations that it gave."""

    priority = "guest"

    def __init__(self, *answers: str, facts: ChatFacts = FACTS, fim: bool = True, n_ctx: int = 8192) -> None:
        super().__init__(*answers, facts=facts, n_ctx=n_ctx)
        model = ModelFacts("tiny", "/tiny.gguf", "", 1, 4096, fim, "psm", False, False, False)
        self.state = replace_state(self.state, model)
        self.given: list[FakeGeneration] = []
        self.forgotten: list[str] = []
        self.sampled: list[Sampling | None] = []

    def start(self) -> None:
        """Nothing to start."""

    async def ready(self) -> State:
        if self.state.state == "failed":
            raise MidlineError(self.state.detail, self.state.cure)
        return await super().ready()

    async def close(self) -> None:
        """Nothing to close."""

    def forget(self, key: str, *, erase: bool = False) -> None:
        self.forgotten.append(key)

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        return {}

    def generate(self, key: str, prompt: Sequence[Segment], **options: Any) -> FakeGeneration:  # type: ignore[override]
        options["heal"] = False  # the stand-in is for chats; gaps are healed
        self.sampled.append(options.pop("sampling", None))
        self.given.append(super().generate(key, prompt, **options))
        return self.given[-1]


def install_tiny(folder: Path) -> None:
    """Install a model called ``tiny`` in MIDLINE_HOME, by way of ``folder``."""
    file = write_tiny_gguf(folder / "tiny.gguf", "full")
    info = inspect_gguf(file)
    private_dir(models_dir())
    store.install(file, "tiny", store.hash_file(file, ignore), "", info)


def replace_state(state: State, model: ModelFacts) -> State:
    return State(state.state, n_ctx=state.n_ctx, model=model)


@dataclass
class Api:
    """The API.

    Args:
        url: where it is.
        engine: what answers.
        app: what is asked without a server; None: the server at ``url`` is.
    """

    url: str
    engine: Scripted
    app: ASGIApp | None = None

    def client(self, token: str = TOKEN, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} | options.pop("headers", {})
        if self.app:
            options["transport"] = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False, **options)

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        async with self.client() as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.post(path, content=content, headers=headers)

    async def chat(self, **body: Any) -> httpx.Response:
        return await self.post("/v1/chat/completions", {"model": "tiny", "messages": HELLO} | body)


@asynccontextmanager
async def made(engine: Scripted, workspaces: Sequence[Path] = ()) -> AsyncIterator[ASGIApp]:
    """The API of ``engine`` without a server; the installed model ``tiny`` is what it tells about."""
    settings = replace(Settings(), model=ModelSettings(completion="tiny"))
    models = Models(settings, connect=lambda config: engine)  # type: ignore[arg-type,return-value]
    opened = Workspaces(workspaces)
    try:
        yield application(models, opened, TOKEN, Hosts())
    finally:
        await models.close()
        await opened.close()


@asynccontextmanager
async def serving(engine: Scripted, *, workspaces: Sequence[Path] = ()) -> AsyncIterator[Api]:
    """The same on a free port."""
    async with made(engine, workspaces) as app:
        listening = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="on", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            yield Api(f"http://127.0.0.1:{listening.getsockname()[1]}", engine)
        finally:
            server.should_exit = True
            await running


def events(text: str) -> list[dict[str, Any]]:
    """The documents of a stream of server-sent events, which ends with [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def told(chunks: Sequence[dict[str, Any]], kind: str = "content") -> str:
    """What the deltas of a stream add up to."""
    return "".join(choice["delta"].get(kind) or "" for chunk in chunks for choice in chunk["choices"])


def message(response: httpx.Response) -> Any:
    """What the assistant says in a whole answer."""
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]
