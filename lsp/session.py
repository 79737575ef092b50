"""One editor's connection: its settings, its engine, what it may complete, and how all that is doing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pathspec
import psutil
from lsprotocol import types

from lsp import settings as settings_module
from lsp.completion.completer import Completer
from lsp.completion.completion import Completion
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor, Document
from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import State
from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.settings import Settings


@dataclass(frozen=True)
class Outbox:
    """How a session tells its editor things.

    Args:
        warn: show a message to the user.
        state: the engine's state changed.
    """

    warn: Callable[[str], None]
    state: Callable[[State], None]


def engine_config(settings: Settings) -> EngineConfig:
    """The engine that ``settings`` ask for.

    Raises:
        MidlineError: its model isn't installed, is damaged, or can't fill in the middle.
    """
    model = store.find(settings.model.completion)
    if model.info.fim is None:
        able = ", ".join(entry.name for entry in catalogue.CATALOGUE)
        raise MidlineError(
            f"The model {model.name} ({model.info.architecture}) can't complete code: "
            "its vocabulary has no fill-in-the-middle tokens.",
            f"Set `model.completion` to one that can: {able}.",
        )
    engine = settings.engine
    return EngineConfig(
        model=str(model.path),
        n_ctx=settings.model.n_ctx,
        threads=0 if engine.threads == "auto" else engine.threads,
        gpu_layers=-1 if engine.gpu_layers == "auto" else engine.gpu_layers,
        idle_seconds=engine.idle_minutes * 60,
    )


class Session:
    """What ``midline serve`` does, without LSP's wire.

    Args:
        outbox: where to tell the editor things.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.settings = Settings()
        self.stats = CompletionStats()
        self._outbox = outbox
        self._workspace: Path | None = None
        self._engine: EngineClient | None = None
        self._completer: Completer | None = None
        self._problem = State("starting")  # the engine's state where there is no client of it
        self._excluded = pathspec.GitIgnoreSpec([])
        self._last: dict[str, Any] | None = None
        self._running: dict[str, asyncio.Task[Completion]] = {}
        self._told: set[str] = set()

    # -- settings and engine ---------------------------------------------------------------------------------------

    async def configure(self, workspace: Path | None, client: Mapping[str, object] | None) -> None:
        """Take settings, telling what is wrong with them, and start or change the engine accordingly."""
        self._workspace = workspace
        before = self._engine.config if self._engine else None
        self.settings, problems = settings_module.load(workspace, client)
        for problem in problems:
            self._warn_once(problem)
        self._excluded = pathspec.GitIgnoreSpec.from_lines(self.settings.privacy.exclude)
        if not self.settings.completion.enabled:
            await self._leave_engine(State("disabled", "completion.enabled is false"))
            return
        try:
            config = await asyncio.to_thread(engine_config, self.settings)
        except MidlineError as error:
            await self._leave_engine(State("disabled", error.message, error.cure))
            self._warn_once(str(error))
            return
        if config != before or self.state.state == "failed":
            await self._leave_engine(State("starting", "starting the engine"))
            self._engine = EngineClient(config, self._on_state)
            self._completer = Completer(self._engine, Path(config.model).stem, self.stats)
            self._engine.start()

    async def close(self) -> None:
        """Leave the engine."""
        await self._leave_engine(State("disabled", "the session has ended"))

    async def _leave_engine(self, state: State) -> None:
        engine, self._engine, self._completer = self._engine, None, None
        if engine:
            await engine.close()
        self._problem = state
        self._outbox.state(state)

    def _on_state(self, state: State) -> None:
        if state.state == "failed":
            self._warn_once(f"{state.detail} {state.cure}".strip())
        self._outbox.state(state)

    def _warn_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._outbox.warn(message)

    # -- completion ------------------------------------------------------------------------------------------------

    async def complete(self, document: Document | None, position: types.Position) -> Completion | None:
        """A suggestion at ``position``; None where there is none to be had.

        The newest request of a document wins: one that is still running is cancelled and gives None.

        Raises:
            asyncio.CancelledError: the caller was cancelled.
        """
        self.stats.requests += 1
        if document is None or self._completer is None or self._refusal(document):
            return None
        if self.state.state not in ("ready", "busy"):
            return None
        cursor = document.cursor(position)
        loop = asyncio.get_running_loop()
        if older := self._running.get(document.uri):
            older.cancel()
        began = loop.time()
        task = loop.create_task(self._run(self._completer, cursor))
        self._running[document.uri] = task
        try:
            completion = await task
        except asyncio.CancelledError:
            self.stats.cancelled += 1
            if self._running.get(document.uri) is task:
                raise
            return None
        except MidlineError as error:
            self._warn_once(str(error))
            return None
        finally:
            if self._running.get(document.uri) is task:
                del self._running[document.uri]
        self.stats.took((loop.time() - began) * 1000)
        self.stats.shown += bool(completion.text)
        self._last = completion.as_dict(lambda offset: _position(document, offset))
        return completion

    async def _run(self, completer: Completer, cursor: Cursor) -> Completion:
        options = self.settings.completion
        return await completer.complete(cursor, max_tokens=options.max_tokens, min_confidence=options.min_confidence)

    async def warm_up(self, document: Document | None, position: types.Position) -> None:
        """The cursor came to ``position``: prepare for what may be typed there."""
        if document is None or self._completer is None or self._refusal(document):
            return
        if self.state.state in ("ready", "busy"):
            await self._completer.warm_up(document.cursor(position))

    def closed(self, uri: str) -> None:
        """The editor closed a document."""
        if task := self._running.get(uri):
            task.cancel()
        if self._completer:
            self._completer.forget(uri)

    def _refusal(self, document: Document) -> str:
        """Why nothing is ever completed in this document; empty where it is."""
        if not self.settings.completion.wanted_in(document.language):
            return f"completion.languages leaves out {document.language}"
        if document.oversized:
            return "the document is too large"
        if document.binary:
            return "the document is binary"
        if document.fs_path and self._is_private(document.fs_path):
            return "privacy.exclude names this file"
        return ""

    def _is_private(self, path: Path) -> bool:
        root = self._workspace
        inside = path.relative_to(root) if root and path.is_relative_to(root) else path.relative_to(path.anchor)
        return self._excluded.match_file(inside)

    # -- status ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The engine's state, or why there is no engine."""
        return self._engine.state if self._engine else self._problem

    async def status(self) -> dict[str, Any]:
        """As ``midline/status`` answers."""
        if self._engine:
            await self._engine.ask()
        return self.status_now()

    def status_now(self) -> dict[str, Any]:
        """As ``midline/statusChanged`` says, from what is known without asking the engine."""
        state = self.state
        return {
            "engine": {
                "state": state.state,
                "detail": state.detail,
                "cure": state.cure,
                "progress": state.progress,
                "model": state.model.name if state.model else self.settings.model.completion,
                "pid": state.pid or None,
                "n_ctx": state.n_ctx,
                "gpu_layers": state.gpu_layers,
                "gpu_reason": state.gpu_reason,
                "sequences": state.sequences,
                "cells_used": state.cells_used,
                "threads": state.threads,
            },
            "index": {"state": "disabled", "files": 0, "chunks": 0, "pending": 0},
            "completion": self.stats.as_dict() | {"tokens_prewarmed": state.tokens_prewarmed},
            "chat": {"state": "disabled"},
            "memory": {
                "engine_bytes": state.rss_bytes,
                "server_bytes": psutil.Process().memory_info().rss,
            },
            "last_completion": self._last,
        }


def _position(document: Document, offset: int) -> dict[str, int]:
    position = document.position_at(offset)
    return {"line": position.line, "character": position.character}


async def watch_parent(process_id: int | None, seconds: float = 2.0) -> None:
    """Return when the process that started this one has gone; never where it isn't known."""
    if not process_id:
        await asyncio.Event().wait()
        return
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(process_id)
        # No system tells of the death of a process that isn't one's child.
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(seconds)
