"""A client's connection to the engine: finds or starts it, streams results, and gets over its crashes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import IO

from lsp import paths
from lsp.engine import protocol
from lsp.engine.config import EngineConfig, socket_path
from lsp.engine.protocol import (
    Ask,
    Cancel,
    ChatFacts,
    Describe,
    Described,
    Done,
    Failed,
    Forget,
    Generate,
    Open,
    Priority,
    Recall,
    Recalled,
    Sampling,
    Segment,
    State,
    Token,
    Usage,
)
from lsp.engine.requestlog import RequestLog
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 30.0
# Waits before the engine is started again, after its first crash, its second, …; then midline gives up.
BACKOFF_SECONDS = (0.1, 1.0, 5.0, 15.0)
# A crash this long after the engine was ready is a new one, not a continuation of those before.
CALM_SECONDS = 120.0
MAX_LOG_BYTES = 1024 * 1024


class Generation:
    """A request under way: iterate over its tokens; ``usage`` and ``reason`` stand after the last.

    Iterating raises ``MidlineError`` where the request failed or the engine died.
    """

    def __init__(self, request_id: int, send: Callable[[protocol.ClientMessage], None]) -> None:
        self.reason: str = ""
        self.usage = Usage()
        self._id = request_id
        self._send = send
        self._messages: asyncio.Queue[Token | Done | Failed] = asyncio.Queue()
        self._on_done: Callable[[Done], None] = lambda _: None

    def put(self, message: Token | Done | Failed) -> None:
        """Deliver a message of the engine."""
        self._messages.put_nowait(message)
        if isinstance(message, Done):
            self.usage = message.usage
            self._on_done(message)

    def on_done(self, callback: Callable[[Done], None]) -> None:
        """Have ``callback`` called once with how it ended and what it cost, also where its reader has gone by then."""
        self._on_done = callback

    def cancel(self, branch: int | None = None) -> None:
        """Stop, or stop one branch; the iteration then ends after what had already come."""
        if not self.reason:
            self._send(Cancel(self._id, branch))

    async def __aiter__(self) -> AsyncIterator[Token]:
        while True:
            message = await self._messages.get()
            if isinstance(message, Token):
                yield message
            elif isinstance(message, Done):
                self.reason = message.reason
                return
            else:
                self.reason = "failed"
                raise MidlineError(message.message, message.cure)


class EngineClient:
    """Keeps a connection to the engine, about one model.

    Args:
        config: the model, and how it is to be run.
        on_state: called with each change of the engine's state.
    """

    def __init__(self, config: EngineConfig, on_state: Callable[[State], None] = lambda _: None) -> None:
        self.config = config
        self.state = State("starting", "starting the engine")
        self._on_state = on_state
        self._log = RequestLog.from_environment()
        self._changed = asyncio.Event()
        self._ids = itertools.count(1)
        self._pending: dict[int, Generation] = {}
        self._recalls: dict[int, asyncio.Future[dict[str, list[Segment]]]] = {}
        self._descriptions: dict[int, asyncio.Future[ChatFacts | None]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._supervisor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect in the background, starting the engine where none runs."""
        if self._supervisor is None or self._supervisor.done():
            self._supervisor = asyncio.get_running_loop().create_task(self._supervise())

    async def close(self) -> None:
        """Leave the engine; it ends by itself some time after its last client."""
        if self._supervisor:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        self._disconnect("The connection to the engine was closed.")

    async def ready(self) -> State:
        """Wait until the engine can take requests.

        Raises:
            MidlineError: it failed.
        """
        while self.state.state not in ("ready", "busy"):
            if self.state.state == "failed":
                raise MidlineError(self.state.detail, self.state.cure)
            await self._changed.wait()
        return self.state

    def generate(
        self,
        key: str,
        prompt: Sequence[Segment],
        *,
        max_tokens: int,
        heal: bool = True,
        branches: int = 1,
        priority: Priority = "completion",
        movable: bool = False,
        sampling: Sampling | None = None,
    ) -> Generation:
        """Ask for a generation; see ``protocol.Generate``."""
        request = Generate(
            next(self._ids),
            key,
            list(prompt),
            max_tokens,
            heal,
            branches,
            priority,
            movable,
            self.config.adapters,
            sampling,
        )
        generation = Generation(request.id, self._send)
        if self._writer is None:
            generation.put(Failed(request.id, f"The engine is not running: {self.state.detail}", self.state.cure))
        else:
            self._pending[request.id] = generation
            self._log.sent(request)
            self._send(request)
        return generation

    def forget(self, key: str, *, erase: bool = False) -> None:
        """Tell the engine that the sequences whose key starts with ``key`` are no longer needed.

        With ``erase`` their snapshots go from the disk, too.
        """
        self._send(Forget(key, erase))

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        """The prompts that the engine's sequences hold whose key starts with ``key``; none where it is away."""
        if self._writer is None:
            return {}
        request_id = next(self._ids)
        answer: asyncio.Future[dict[str, list[Segment]]] = asyncio.get_running_loop().create_future()
        self._recalls[request_id] = answer
        self._send(Recall(request_id, key))
        return await answer

    async def describe(self) -> ChatFacts:
        """How the model is chatted with; to be called once the engine is ready.

        Raises:
            MidlineError: the engine is away.
        """
        if self._writer is not None:
            request_id = next(self._ids)
            answer: asyncio.Future[ChatFacts | None] = asyncio.get_running_loop().create_future()
            self._descriptions[request_id] = answer
            self._send(Describe(request_id))
            if facts := await answer:
                return facts
        raise MidlineError(f"The engine is not running: {self.state.detail}", self.state.cure)

    async def ask(self) -> State:
        """The engine's state as it is now."""
        if self._writer is not None:
            self._changed.clear()
            self._send(Ask())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 1.0)
        return self.state

    # -- the connection --------------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        crashes = 0
        while True:
            loop = asyncio.get_running_loop()
            ready_at = loop.time()
            try:
                reader, self._writer = await connect_or_launch(self.config)
                await self._read(reader)
            except MidlineError as error:
                self._set_state(State("failed", error.message, error.cure))
            self._disconnect("The engine stopped unexpectedly; it is being restarted.")
            if self.state.state == "failed":
                return
            crashes = 1 if loop.time() - ready_at > CALM_SECONDS else crashes + 1
            if crashes > len(BACKOFF_SECONDS):
                self._set_state(
                    State(
                        "failed",
                        f"The engine crashed {crashes} times in a row.",
                        f"Its log is {log_path()}. Restart midline to try again.",
                    )
                )
                return
            self._set_state(State("restarting", "the engine stopped unexpectedly"))
            await asyncio.sleep(BACKOFF_SECONDS[crashes - 1])

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while (line := await protocol.read_line(reader)) is not None:
            message = protocol.decode_engine(line)
            if isinstance(message, State):
                self._set_state(message)
                if message.state == "failed":
                    return
                continue
            if isinstance(message, Recalled):
                answer = self._recalls.pop(message.id, None)
                if answer and not answer.done():
                    answer.set_result(message.prompts)
                continue
            if isinstance(message, Described):
                described = self._descriptions.pop(message.id, None)
                if described and not described.done():
                    described.set_result(message.facts)
                continue
            generation = self._pending.get(message.id)
            if not isinstance(message, Token):
                self._pending.pop(message.id, None)
                self._log.ended(message)
            if generation:
                generation.put(message)

    def _send(self, message: protocol.ClientMessage) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(protocol.encode(message))

    def _disconnect(self, reason: str) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None
        pending, self._pending = self._pending, {}
        for request_id, generation in pending.items():
            generation.put(Failed(request_id, reason))
        recalls, self._recalls = self._recalls, {}
        for answer in recalls.values():
            if not answer.done():
                answer.set_result({})
        descriptions, self._descriptions = self._descriptions, {}
        for described in descriptions.values():
            if not described.done():
                described.set_result(None)

    def _set_state(self, state: State) -> None:
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._on_state(state)


# -- finding and starting the engine's process -----------------------------------------------------------------------


async def connect(
    config: EngineConfig, *, load: bool = True
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Connect to the engine if one runs, about the model of ``config``; ``load``: which is to be loaded, if it isn't.

    Raises:
        MidlineError: the socket belongs to somebody else.
    """
    path = socket_path()
    try:
        owner = path.stat().st_uid
        if owner != os.getuid():
            raise MidlineError(
                f"The engine's socket {path} belongs to another user.", "Set MIDLINE_HOME to your own folder."
            )
        reader, writer = await asyncio.open_unix_connection(path, limit=protocol.MAX_MESSAGE_BYTES)
        writer.write(protocol.encode(Open(config, load)))
        return reader, writer
    except (FileNotFoundError, ConnectionError):
        return None


async def connect_or_launch(config: EngineConfig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the engine about the model of ``config``, starting it first if need be.

    Several clients may do so at once: the engines that lose the race for the lock end by themselves, and all clients
    meet the one that won.

    Raises:
        MidlineError: it can't be started.
    """
    try:
        deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        process: subprocess.Popen[bytes] | None = None
        while asyncio.get_running_loop().time() < deadline:
            if connection := await connect(config):
                return connection
            code = process.poll() if process else 0
            if code == 0:
                process = _launch()
            elif code is not None:
                raise MidlineError(
                    f"The engine can't start (exit code {code}): {_last_log_line()}",
                    f"Its log is {log_path()}; `midline doctor` checks what it needs.",
                )
            await asyncio.sleep(0.05)
    except OSError as error:
        raise MidlineError(f"The engine can't start: {error}.", "Run `midline doctor`.") from error
    raise MidlineError(f"The engine did not answer within {CONNECT_SECONDS:.0f} s.", f"Its log is {log_path()}.")


def _launch() -> subprocess.Popen[bytes]:
    # Not asyncio's: from Python 3.12 on, a loop that ends kills the processes that it started.
    environment = os.environ | {
        # Threads that busy-wait beside an editor cost more than half of the speed; these sleep.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
    }
    with _open_log() as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lsp.engine"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            # The engine outlives the editor that started it, and a Ctrl-C in that editor's terminal.
            start_new_session=True,
        )


def log_path() -> Path:
    """The engine's log: starts, crashes and their reasons; never code."""
    return paths.cache_dir() / "logs" / "engine.log"


def _open_log() -> IO[bytes]:
    """The log, begun anew when it has grown long; nowhere on a system that can't be written to."""
    path = log_path()
    try:
        paths.private_dir(path.parent)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".old.log"))
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    except (OSError, MidlineError):
        return Path(os.devnull).open("ab")


def _last_log_line() -> str:
    try:
        lines = log_path().read_text("utf-8", "replace").splitlines()
    except OSError:
        return "it left no log."
    return lines[-1] if lines else "it left no log."
