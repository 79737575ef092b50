"""The models that the API serves: those that the settings name, each with its engine, which starts when it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from lsp.api.refused import RefusedError
from lsp.api.slots import Slots
from lsp.chat.renderer import Renderer
from lsp.chat.templates import ChatPrompt, ChatTemplate, Turn
from lsp.choice import local_chat_config, local_config
from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import ChatFacts, State
from lsp.errors import MidlineError
from lsp.models import store
from lsp.settings import Settings

# A model's name may be followed by this and the folder that questions are about.
WORKSPACE_MARK = "@"
_DEFAULT_TAG = ":latest"

Connect = Callable[[EngineConfig], EngineClient]


class Served:
    """A model and its engine.

    Args:
        config: which engine.
        installed: what is known of the file.
        renderer: renders its template.
        connect: makes a client of an engine.
    """

    def __init__(
        self, config: EngineConfig, installed: store.InstalledModel, renderer: Renderer, connect: Connect
    ) -> None:
        self.name = installed.name
        self.installed = installed
        self.slots = Slots()
        self._config = config
        self._renderer = renderer
        self._connect = connect
        self._starting = asyncio.Lock()
        self._engine: EngineClient | None = None
        self._template: ChatTemplate | None = None

    async def engine(self) -> EngineClient:
        """Its engine, once it is ready; one that has failed is started anew.

        Raises:
            MidlineError: it can't be started.
        """
        async with self._starting:
            if self._engine is None or self._engine.state.state == "failed":
                await self.close()
                self._engine = self._connect(self._config)
                self._engine.start()
            engine = self._engine
        await engine.ready()
        return engine

    @property
    def added(self) -> int:
        """When the model came to this machine, in seconds since 1970; 0 where nobody knows."""
        added = self.installed.added
        return int(datetime.fromisoformat(added).timestamp()) if added else 0

    @property
    def state(self) -> State:
        """The engine's, as far as it is known."""
        return self._engine.state if self._engine else State("disabled")

    async def template(self) -> ChatTemplate:
        """How it is chatted with.

        Raises:
            RefusedError: it can't chat.
            MidlineError: its engine can't be started.
        """
        engine = await self.engine()
        if self._template is None:
            facts: ChatFacts = await engine.describe()
            try:
                self._template = ChatTemplate(facts, self.name, self._renderer)
            except MidlineError as error:
                raise RefusedError(error.message, error.cure, param="model") from error
        return self._template

    async def prompt(self, turns: list[Turn], tools: list[dict[str, object]]) -> ChatPrompt:
        """What its template makes of a chat.

        Raises:
            RefusedError: the template can't take it.
            MidlineError: its engine can't be started.
        """
        template = await self.template()
        if tools and not template.knows_tools:
            raise RefusedError(
                f"The model {self.name} does not support tools: its chat template has no place for them.",
                "Ask without tools, or set `model.chat` to a model that was trained for them.",
                param="tools",
            )
        # Templates that tell the date tell it all day: another minute would be another prompt.
        today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            return await asyncio.to_thread(template.prompt, turns, today, tools)
        except MidlineError as error:
            raise RefusedError(error.message, error.cure, param="messages") from error

    async def close(self) -> None:
        """Leave the engine, which forgets what it was asked."""
        engine, self._engine = self._engine, None
        self._template = None
        if engine:
            engine.forget(self.slots.prefix, erase=True)
            await engine.close()


class Models:
    """The models by their names.

    Args:
        settings: which.
        connect: makes a client of an engine.

    Raises:
        MidlineError: one of them can't be used.
    """

    def __init__(self, settings: Settings, connect: Connect = EngineClient) -> None:
        self._renderer = Renderer()
        self._connect = connect
        self._served: dict[str, Served] = {}
        names = settings.model
        self._add(names.chat or names.completion, local_chat_config(settings), names.folders)
        if names.chat:
            self._add(names.completion, local_config(settings), names.folders)

    def _add(self, name: str, config: EngineConfig, folders: Sequence[str]) -> None:
        one = Served(config, store.find(name, folders), self._renderer, self._connect)
        self._served.setdefault(one.name, one)

    @property
    def served(self) -> list[Served]:
        """All of them, the one that chats first."""
        return list(self._served.values())

    @property
    def names(self) -> list[str]:
        """Their names."""
        return list(self._served)

    def named(self, name: str) -> Served:
        """The model of this name; ``:latest``, which Ollama's clients append, doesn't count.

        Raises:
            RefusedError: there is none.
        """
        if found := self._served.get(name) or self._served.get(name.removesuffix(_DEFAULT_TAG)):
            return found
        raise RefusedError(
            f"model {name[:200]!r} not found: the settings name {', '.join(self._served)}.",
            "Ask for that one, or set `model.chat`.",
            status=404,
            code="model_not_found",
            param="model",
        )

    async def close(self) -> None:
        """Leave all engines."""
        for one in self.served:
            await one.close()
        await asyncio.to_thread(self._renderer.close)


def split_name(name: str) -> tuple[str, str]:
    """A model's name, and the folder behind it: ``qwen@/home/ada/shop``; empty where there is none."""
    model, mark, folder = name.partition(WORKSPACE_MARK + "/")
    return model, f"/{folder}" if mark else ""
