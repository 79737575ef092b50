"""The engine's process: one model behind a user-private socket, shared by all of the user's editors."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import psutil

from lsp.engine import protocol, snapshots
from lsp.engine.batching import PREFILL_BATCH
from lsp.engine.config import EngineConfig
from lsp.engine.llama import Llama, backend_features, can_offload, gpu_free_bytes, llama_build
from lsp.engine.offload import choose_threads, place_layers
from lsp.engine.protocol import (
    Ask,
    Cancel,
    Describe,
    Described,
    EngineMessage,
    Failed,
    Forget,
    Generate,
    Recall,
    Recalled,
    State,
)
from lsp.engine.scheduler import Scheduler
from lsp.engine.snapshots import Snapshots
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

SEQUENCES = 16
DEFAULT_N_CTX = 8192
# A client that stopped reading is cut off before its unread tokens fill the memory.
MAX_UNREAD_BYTES = 4 * 1024 * 1024
# An engine that nobody came to has lost the race to another, or its starter died.
FIRST_CLIENT_SECONDS = 60.0
# What may be saved at the end is saved within so long.
STOP_SECONDS = 10.0
CRASHED = 70


class Service:
    """Accepts clients and passes their messages to the scheduler and back.

    Args:
        config: what to run.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._ids = itertools.count()
        self._scheduler: Scheduler | None = None
        self._llama: Llama | None = None
        self._snapshots: Snapshots | None = None
        self._state = State("starting", "loading the model", pid=os.getpid(), backend=backend_features())
        self._stop = asyncio.Event()
        self._leaving: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def run(self, path: Path) -> None:
        """Serve on the socket at ``path`` until nobody is left."""
        path.unlink(missing_ok=True)  # ours is the lock, so whoever left it is dead
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._on_client, path, limit=protocol.MAX_MESSAGE_BYTES)
        finally:
            os.umask(mask)
        self._leave_after(FIRST_CLIENT_SECONDS)
        thread = threading.Thread(target=self._own_model, name="model", daemon=True)
        thread.start()
        self._loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        await self._stop.wait()
        # Gone from the folder first: a client that comes now starts another engine instead of meeting a dying one.
        path.unlink(missing_ok=True)
        server.close()
        if self._scheduler:
            self._scheduler.stop()
            await asyncio.to_thread(thread.join, STOP_SECONDS)

    # -- the model's thread ----------------------------------------------------------------------------------------

    def _own_model(self) -> None:
        """Load the model and run the scheduler; a failure to load is told, a crash ends the process."""
        try:
            self._load()
        except MidlineError as error:
            logger.error("%s", error)
            self._update(state="failed", detail=error.message, cure=error.cure)
            return
        except BaseException:
            logger.exception("loading the model crashed")
            os._exit(CRASHED)
        try:
            assert self._scheduler is not None
            self._scheduler.loop()
            if self._snapshots:
                self._snapshots.save_all()
        except BaseException:
            logger.exception("the scheduler crashed")
            os._exit(CRASHED)

    def _load(self) -> None:
        config = self._config
        path = Path(config.model)
        placement = place_layers(config.gpu_layers, can_offload(), path, gpu_free_bytes())
        logger.info("%s", placement.reason)
        threads = choose_threads(config.threads)
        self._llama = Llama(
            path,
            n_ctx=config.n_ctx or DEFAULT_N_CTX,
            n_seq=SEQUENCES,
            n_batch=max(PREFILL_BATCH, 512),
            threads=threads,
            gpu_layers=placement.gpu_layers,
            progress=self._on_progress(),
            log=_log_llama,
        )
        self._scheduler = Scheduler(self._llama, self._llama.n_seq, self._on_busy, self._on_idle)
        if self._llama.saves_all:  # what can't be cut afterwards is of use only at its very end: not worth its bytes
            self._snapshots = Snapshots(self._llama, self._scheduler.ledger, self._identity(path))
            self._snapshots.restore()
        self._update(
            state="ready",
            detail="",
            progress=1.0,
            model=self._llama.facts,
            n_ctx=self._llama.n_ctx,
            gpu_layers=placement.gpu_layers,
            gpu_reason=placement.reason,
            threads=threads,
        )

    def _identity(self, path: Path) -> str:
        """All that the numbers in a KV snapshot depend on."""
        status = path.stat()
        return f"{path} {status.st_size} {status.st_mtime_ns} {llama_build()}"

    def _on_idle(self) -> bool:
        return self._snapshots.save_one() if self._snapshots else False

    def _on_progress(self) -> Callable[[float], None]:
        told = 0.0

        def tell(share: float) -> None:
            nonlocal told
            if share >= told + 0.05:
                told = share
                self._update(progress=round(share, 2))

        return tell

    def _on_busy(self, busy: bool) -> None:
        self._update(state="busy" if busy else "ready")

    def _update(self, **changes: object) -> None:
        self._loop.call_soon_threadsafe(self._set_state, changes)

    # -- the event loop's thread -----------------------------------------------------------------------------------

    def _set_state(self, changes: dict[str, object]) -> None:
        self._state = self._measure(msgspec.structs.replace(self._state, **changes))
        for client in list(self._writers):
            self._send(client, self._state)

    def _measure(self, state: State) -> State:
        scheduler = self._scheduler
        return msgspec.structs.replace(
            state,
            rss_bytes=psutil.Process().memory_info().rss,
            cells_used=scheduler.ledger.cells_used if scheduler else 0,
            sequences=len(scheduler.ledger) if scheduler else 0,
            tokens_prewarmed=scheduler.tokens_prewarmed if scheduler else 0,
            tokens_restored=self._snapshots.tokens_restored if self._snapshots else 0,
            prefill_per_second=round(scheduler.prefill_per_second, 1) if scheduler else 0.0,
        )

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _same_user(writer.get_extra_info("socket")):
            logger.warning("refused a client of another user")
            writer.close()
            return
        client = next(self._ids)
        self._writers[client] = writer
        if self._leaving:
            self._leaving.cancel()
        self._send(client, self._measure(self._state))
        try:
            while (line := await protocol.read_line(reader)) is not None:
                self._handle(client, protocol.decode_client(line))
        except MidlineError as error:
            logger.warning("closing a client's connection: %s", error)
        finally:
            self._drop(client)

    def _handle(self, client: int, message: protocol.ClientMessage) -> None:
        scheduler = self._scheduler
        if isinstance(message, Ask):
            self._send(client, self._measure(self._state))
        elif isinstance(message, Describe):
            self._send(client, Described(message.id, self._llama.chat_facts if scheduler and self._llama else None))
        elif isinstance(message, Generate):
            if scheduler is None:
                detail = self._state.detail.removesuffix(".")
                self._send(client, Failed(message.id, f"The engine is not ready: {detail}.", self._state.cure))
            else:
                scheduler.submit(client, message, partial(self._send_threadsafe, client))
        elif scheduler and isinstance(message, Cancel):
            scheduler.cancel(client, message.id, message.branch)
        elif scheduler and isinstance(message, Forget):
            scheduler.forget(message.key, partial(_erase, message.key) if message.erase else None)
        elif isinstance(message, Recall):
            if scheduler:
                scheduler.recall(message.id, message.key, partial(self._send_threadsafe, client))
            else:
                self._send(client, Recalled(message.id, {}))

    def _send_threadsafe(self, client: int, message: EngineMessage) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(self._send, client, message)

    def _send(self, client: int, message: EngineMessage) -> None:
        writer = self._writers.get(client)
        if writer is None or writer.is_closing():
            return
        writer.write(protocol.encode(message))
        if writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            logger.warning("cutting off a client that doesn't read")
            writer.transport.abort()

    def _drop(self, client: int) -> None:
        writer = self._writers.pop(client, None)
        if writer:
            writer.close()
        if self._scheduler:
            self._scheduler.cancel_all(client)
        if not self._writers:
            failed = self._state.state == "failed"
            self._leave_after(0.0 if failed else self._config.idle_seconds)

    def _leave_after(self, seconds: float) -> None:
        if self._leaving:
            self._leaving.cancel()
        self._leaving = self._loop.call_later(seconds, self._stop.set)


def _same_user(connection: socket.socket) -> bool:
    """Whether the peer runs as this user; where the system can't tell, the socket's permissions must do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())


def _log_llama(level: int, line: str) -> None:
    # llama.cpp's levels: 1 debug, 2 info, 3 warning, 4 error. Its information is of use to its developers only.
    logger.log({3: logging.WARNING, 4: logging.ERROR}.get(level, logging.DEBUG), "llama.cpp: %s", line)


async def serve(config: EngineConfig, path: Path) -> None:
    """Run the engine's process to its end."""
    await Service(config).run(path)


def quiet_stdio() -> None:
    """llama.cpp prints some things straight to file descriptor 1; send them where the log goes."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _erase(key: str) -> None:
    """In the thread that runs the model, which must not die of a folder that is read-only: the client tells of it."""
    try:
        snapshots.erase(key)
    except MidlineError as error:
        logger.warning("%s", error)
