"""How midline is doing: the shape of ``midline/status``, and ``midline status``, which asks a running engine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from msgspec.structs import replace
from rich.console import Console
from rich.filesize import decimal

from indexer.keeper import Freshness
from lsp.choice import engine_config
from lsp.completion.selftest import layout_of
from lsp.completion.stats import CompletionStats
from lsp.configuration import load
from lsp.engine import protocol
from lsp.engine.client import connect
from lsp.engine.config import EngineConfig
from lsp.engine.connect import engine_for
from lsp.engine.protocol import State
from lsp.engine.remote.config import RemoteConfig
from lsp.errors import MidlineError
from lsp.settings import Settings


def status_of(
    state: State,
    settings: Settings,
    stats: CompletionStats,
    last_completion: dict[str, Any] | None,
    index: Freshness = Freshness("disabled"),
    chat: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """As ``midline/status`` answers and ``midline/statusChanged`` says."""
    return {
        "engine": {
            "state": state.state,
            "detail": state.detail,
            "cure": state.cure,
            "progress": state.progress,
            "model": state.model.name if state.model else settings.model.completion,
            "layout": layout_of(state.model) if state.model else None,
            "pid": state.pid or None,
            "n_ctx": state.n_ctx,
            "gpu_layers": state.gpu_layers,
            "gpu_reason": state.gpu_reason,
            "sequences": state.sequences,
            "cells_used": state.cells_used,
            "threads": state.threads,
            "prefill_per_second": state.prefill_per_second,
            "remote": state.remote or None,
        },
        "index": asdict(index),
        "completion": stats.as_dict()
        | {"tokens_prewarmed": state.tokens_prewarmed, "tokens_restored": state.tokens_restored},
        "chat": chat or {"state": "disabled"},
        "memory": {
            "engine_bytes": state.rss_bytes,
            "server_bytes": psutil.Process().memory_info().rss,
        },
        "last_completion": last_completion,
    }


def status_command(as_json: bool) -> int:
    """Print the status of the engine that the settings here ask for; returns 0, also where none runs."""
    settings, _ = load(Path.cwd())
    state = asyncio.run(_state(settings))
    if as_json:
        print(json.dumps(status_of(state, settings, CompletionStats(), None)))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"engine     {state.state}{f': {state.detail}' if state.detail else ''}", markup=False)
    if state.cure:
        console.print(f"cure       {state.cure}", markup=False)
    if state.remote and state.model:
        console.print(f"model      {state.model.name} at {state.remote} ({state.backend})", markup=False)
    if state.pid:
        model = state.model.name if state.model else settings.model.completion
        console.print(
            f"model      {model}, process {state.pid}, {state.threads} threads, {state.gpu_layers} GPU layers"
        )
        console.print(f"KV cache   {state.cells_used} of {state.n_ctx} cells in {state.sequences} sequences")
        console.print(f"memory     {decimal(state.rss_bytes)}")
    return 0


async def _state(settings: Settings) -> State:
    try:
        config = engine_config(settings)
        return await (_remote_state(config) if isinstance(config, RemoteConfig) else _local_state(config))
    except MidlineError as error:
        return State("disabled", error.message, error.cure)


async def _remote_state(config: RemoteConfig) -> State:
    """How the server is, or the engine that answers in its place and why."""
    engine = engine_for(replace(config, infills=False, fallback=None))
    engine.start()
    try:
        return await engine.ready()
    except MidlineError as error:
        if config.fallback is None:
            raise
        local = await _local_state(config.fallback)
        return replace(local, detail=f"{error.message} The local model answers: {local.detail}", cure=error.cure)
    finally:
        await engine.close()


async def _local_state(config: EngineConfig) -> State:
    connection = await connect(config, load=False)
    if connection is None:
        return State("disabled", "no engine is running; an editor starts one when it needs it")
    reader, writer = connection
    try:
        line = await protocol.read_line(reader)
        message = protocol.decode_engine(line) if line else None
    finally:
        writer.close()
    return message if isinstance(message, State) else State("failed", "the engine did not answer")
