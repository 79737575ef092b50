"""The model that chats: a client of its engine, which may be the one that completes, and its template."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lsp.chat.templates import ChatTemplate
from lsp.choice import chat_config
from lsp.engine.connect import Engine, engine_for, model_name
from lsp.engine.protocol import ModelFacts, State
from lsp.settings import Settings


class EngineHost(Protocol):
    """What choosing a model needs of the session."""

    settings: Settings

    @property
    def engine(self) -> Engine | None:
        """The client of the engine that completes, if there is one."""
        ...

    def notice(self, message: str) -> None:
        """Tell the user something, once."""
        ...


@dataclass(frozen=True)
class Chosen:
    """A model at work: its engine, and its name."""

    engine: Engine
    name: str


class ChatModel:
    """Gives the engine that the settings ask for, as they are now.

    Args:
        host: the session.
        on_state: called with each change of the engine of a model that only chats.
    """

    def __init__(self, host: EngineHost, on_state: Callable[[State], None] = lambda _: None) -> None:
        self._host = host
        self._on_state = on_state
        self._own: Engine | None = None  # where another model chats than the one that completes
        self._template: tuple[Engine, ModelFacts | None, ChatTemplate] | None = None

    async def chosen(self) -> Chosen:
        """The model that chats.

        Raises:
            MidlineError: it isn't installed, or is damaged.
        """
        config = await asyncio.to_thread(chat_config, self._host.settings)
        engine = self._host.engine
        if engine is None or engine.config != config:
            if self._own is None or self._own.config != config or self._own.state.state == "failed":
                await self.close()
                self._own = engine_for(config, self._on_state, self._host.notice)
                self._own.start()
            engine = self._own
        return Chosen(engine, model_name(engine))

    @property
    def own_state(self) -> State | None:
        """How the engine of a model that only chats is; None where the one that completes chats, or none was asked."""
        return self._own.state if self._own else None

    async def template(self, model: Chosen) -> ChatTemplate:
        """How it is chatted with, once it is ready.

        Raises:
            MidlineError: its engine has failed, or it can't chat.
        """
        await model.engine.ready()
        facts = model.engine.state.model  # of a remote engine, the model that answers may change
        if self._template is None or self._template[:2] != (model.engine, facts):
            self._template = model.engine, facts, ChatTemplate(await model.engine.describe(), model.name)
        return self._template[2]

    async def close(self) -> None:
        """Leave an engine that only chats."""
        own, self._own = self._own, None
        if own:
            await own.close()
