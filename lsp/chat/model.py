"""The model that chats: a client of its engine, which may be the one that completes, and its template."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lsp.chat.templates import ChatTemplate
from lsp.choice import chat_config
from lsp.engine.client import EngineClient
from lsp.settings import Settings


class EngineHost(Protocol):
    """What choosing a model needs of the session."""

    settings: Settings

    @property
    def engine(self) -> EngineClient | None:
        """The client of the engine that completes, if there is one."""
        ...


@dataclass(frozen=True)
class Chosen:
    """A model at work: its engine, and its name."""

    engine: EngineClient
    name: str


class ChatModel:
    """Gives the engine that the settings ask for, as they are now.

    Args:
        host: the session.
    """

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._own: EngineClient | None = None  # where another model chats than the one that completes
        self._template: tuple[EngineClient, ChatTemplate] | None = None

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
                self._own = EngineClient(config)
                self._own.start()
            engine = self._own
        return Chosen(engine, Path(config.model).stem)

    async def template(self, model: Chosen) -> ChatTemplate:
        """How it is chatted with, once it is ready.

        Raises:
            MidlineError: its engine has failed, or it can't chat.
        """
        await model.engine.ready()
        if self._template is None or self._template[0] is not model.engine:
            self._template = model.engine, ChatTemplate(await model.engine.describe(), model.name)
        return self._template[1]

    async def close(self) -> None:
        """Leave an engine that only chats."""
        own, self._own = self._own, None
        if own:
            await own.close()
