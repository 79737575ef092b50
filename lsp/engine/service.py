"""The engine's process: models behind a user-private socket, shared by all of the user's editors."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import socket
import struct
import sys
from functools import partial
from pathlib import Path

from lsp.engine import protocol
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import (
    Ask,
    Cancel,
    Describe,
    Described,
    EngineMessage,
    Forget,
    Generate,
    Open,
    Recall,
    State,
)
from lsp.engine.turn import Turn
from lsp.engine.worker import Worker
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

# A client that stopped reading is cut off before its unread tokens fill the memory.
MAX_UNREAD_BYTES = 4 * 1024 * 1024
# An engine that nobody came to has lost the race to another, or its starter died.
FIRST_CLIENT_SECONDS = 60.0


class Service:
    """Accepts clients and passes their messages to the worker of the model that each wants, and back."""

    def __init__(self) -> None:
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._ids = itertools.count()
        self._workers: dict[str, Worker] = {}  # by their configuration's key
        self._turn = Turn()
        self._stop = asyncio.Event()
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def run(self, path: Path) -> None:
        """Serve on the socket at ``path`` until nobody is left."""
        path.unlink(missing_ok=True)  # ours is the lock, so whoever left it is dead
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._on_client, path, limit=protocol.MAX_MESSAGE_BYTES)
        finally:
            os.umask(mask)
        self._loop.call_later(FIRST_CLIENT_SECONDS, self._leave_if_empty)
        self._loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        await self._stop.wait()
        # Gone from the folder first: a client that comes now starts another engine instead of meeting a dying one.
        path.unlink(missing_ok=True)
        server.close()
        workers = list(self._workers.values())
        for worker in workers:
            worker.stop()
        for worker in workers:
            await asyncio.to_thread(worker.join)

    # -- connections -----------------------------------------------------------------------------------------------

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _same_user(writer.get_extra_info("socket")):
            logger.warning("refused a client of another user")
            writer.close()
            return
        client = next(self._ids)
        self._writers[client] = writer
        worker: Worker | None = None
        try:
            line = await protocol.read_line(reader)
            worker = self._open(client, protocol.decode_client(line)) if line is not None else None
            while worker and (line := await protocol.read_line(reader)) is not None:
                self._handle(client, worker, protocol.decode_client(line))
        except MidlineError as error:
            logger.warning("closing a client's connection: %s", error)
        finally:
            self._drop(client, worker)

    def _open(self, client: int, message: protocol.ClientMessage) -> Worker | None:
        """The worker that a connection is about; None where there is none.

        Raises:
            MidlineError: that isn't what the message is about.
        """
        if not isinstance(message, Open):
            raise MidlineError("A connection begins with the model that it is about.")
        try:
            key = message.config.key
        except OSError as error:
            self._send(client, State("failed", f"Can't read {message.config.model}: {error.strerror}."))
            return None
        worker = self._workers.get(key)
        if not message.load:
            self._send(client, worker.state if worker else State("disabled", "the model isn't loaded"))
            return None
        if worker is None:
            self._make_room(message.config)
            worker = self._workers[key] = Worker(message.config, self._turn, partial(self._tell, key))
        if timer := self._leaving.pop(key, None):
            timer.cancel()
        worker.clients.add(client)
        self._send(client, worker.state)
        return worker

    def _handle(self, client: int, worker: Worker, message: protocol.ClientMessage) -> None:
        emit = partial(self._send, client)
        if isinstance(message, Ask):
            emit(worker.state)
        elif isinstance(message, Describe):
            emit(Described(message.id, worker.chat_facts))
        elif isinstance(message, Generate):
            worker.submit(client, message, emit)
        elif isinstance(message, Cancel):
            worker.cancel(client, message.id, message.branch)
        elif isinstance(message, Forget):
            worker.forget(message.key, erase=message.erase)
        elif isinstance(message, Recall):
            worker.recall(message.id, message.key, emit)

    def _tell(self, key: str, state: State) -> None:
        worker = self._workers.get(key)
        for client in worker.clients if worker else ():
            self._send(client, state)

    def _send(self, client: int, message: EngineMessage) -> None:
        writer = self._writers.get(client)
        if writer is None or writer.is_closing():
            return
        writer.write(protocol.encode(message))
        if writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            logger.warning("cutting off a client that doesn't read")
            writer.transport.abort()

    def _drop(self, client: int, worker: Worker | None) -> None:
        self._writers.pop(client).close()
        if worker is None:
            self._leave_if_empty()
            return
        worker.leave(client)
        if not worker.clients:
            failed = worker.state.state == "failed"
            self._close_after(worker, 0.0 if failed else worker.config.idle_seconds)

    # -- models that nobody wants any more -------------------------------------------------------------------------

    def _make_room(self, config: EngineConfig) -> None:
        """Give back the memory of models that have no client, but for those that go with the one to be loaded."""
        for worker in list(self._workers.values()):
            if not worker.clients and worker.config.model not in config.beside:
                self._close_after(worker, 0.0)

    def _close_after(self, worker: Worker, seconds: float) -> None:
        key = next(key for key, other in self._workers.items() if other is worker)
        if timer := self._leaving.pop(key, None):
            timer.cancel()
        self._leaving[key] = self._loop.call_later(seconds, self._close, key)

    def _close(self, key: str) -> None:
        task = self._loop.create_task(self._closed(self._workers.pop(key)))
        self._closing.add(task)  # a task that nobody holds may be collected
        task.add_done_callback(self._closing.discard)

    async def _closed(self, worker: Worker) -> None:
        worker.stop()
        await asyncio.to_thread(worker.join)
        self._leave_if_empty()

    def _leave_if_empty(self) -> None:
        if not self._workers and not self._writers:
            self._stop.set()


def _same_user(connection: socket.socket) -> bool:
    """Whether the peer runs as this user; where the system can't tell, the socket's permissions must do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())


async def serve(path: Path) -> None:
    """Run the engine's process to its end."""
    await Service().run(path)


def quiet_stdio() -> None:
    """llama.cpp prints some things straight to file descriptor 1; send them where the log goes."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
