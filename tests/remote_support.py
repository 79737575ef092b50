"""Servers for tests of remote engines: real ones in processes of their own, and small ones that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsp.engine.config import EngineConfig
from lsp.engine.protocol import Segment, State
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.engine import RemoteEngine

START_SECONDS = 120.0
DEADLINE = 120.0

_LLAMA_SERVER = """
import sys, threading, xllamacpp
model, port, slots, key = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ["127.0.0.1"]
params.port = port
params.n_ctx = 2048 * slots
params.n_parallel = slots
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.api_keys = key
server = xllamacpp.Server(params)
threading.Event().wait()
"""


def free_port() -> int:
    """A port of the loopback interface that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def llama_server(model: Path, *, slots: int = 2, key: str = "", port: int = 0) -> Iterator[str]:
    """llama.cpp's own server, from the wheel ``xllamacpp``; yields its address."""
    port = port or free_port()
    command = [sys.executable, "-c", _LLAMA_SERVER, str(model), str(port), str(slots), *([key] if key else [])]
    with _running(command, port, "/health"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def llama_cpp_python(model: Path, alias: str, *, key: str = "") -> Iterator[str]:
    """llama-cpp-python's own server."""
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", alias]
    command += ["--host", "127.0.0.1", "--port", str(port), "--n_ctx", "2048"]
    command += ["--n_threads", "1", "--n_threads_batch", "1", *(["--api_key", key] if key else [])]
    with _running(command, port, "/docs"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], port: int, path: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port, path):
            assert process.poll() is None and time.monotonic() < deadline, f"{command[1:3]} doesn't start"
            time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@dataclass
class Asked:
    """A request as a scripted server got it."""

    path: str
    headers: dict[str, str]
    body: Any


class Reply:
    """How a scripted server answers one request."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, body: Any, status: int = 200, headers: str = "") -> None:
        """A whole answer: bytes as they are, all else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.begin(status, f"Content-Length: {len(data)}\r\n{headers}")
        await self.write(data)

    async def begin(self, status: int = 200, headers: str = "") -> None:
        """The head alone; without a length it ends with the connection."""
        self._writer.write(f"HTTP/1.1 {status} X\r\n{headers}Connection: close\r\n\r\n".encode())
        await self._writer.drain()

    async def write(self, data: bytes) -> None:
        """A part of the body."""
        self._writer.write(data)
        await self._writer.drain()


Script = Callable[[Asked, Reply], Awaitable[None]]


@dataclass
class Scripted:
    """A scripted server at work.

    Args:
        url: its address.
        asked: the requests so far.
        closed: set when a client has closed a request's connection before its answer ended.
    """

    url: str
    asked: list[Asked] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def scripted(script: Script, *, tls: Any = None, port: int = 0) -> AsyncIterator[Scripted]:
    """A server that answers by ``script``, on loopback."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            asked = await _read(reader)
            server.asked.append(asked)
            answering = asyncio.ensure_future(script(asked, Reply(writer)))
            left = asyncio.ensure_future(reader.read())
            await asyncio.wait({answering, left}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                server.closed.set()
            answering.cancel()
            left.cancel()
        finally:
            writer.close()

    tasks: set[Any] = set()
    listening = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server = Scripted(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    data = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split()[1], headers, json.loads(data) if data else None)


@asynccontextmanager
async def remote(url: str, *, fallback: EngineConfig | None = None, **options: Any) -> AsyncIterator[RemoteEngine]:
    """A remote engine, which need not be ready."""
    engine = RemoteEngine(RemoteConfig(url, fallback=fallback, **options))
    engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ready(engine: RemoteEngine) -> State:
    """Its state once it is ready."""
    return await asyncio.wait_for(engine.ready(), DEADLINE)


async def written(engine: RemoteEngine, prompt: list[Segment], tokens: int = 8, **options: Any) -> str:
    """What the first alternative is."""

    async def read() -> str:
        generation = engine.generate("file", prompt, max_tokens=tokens, **options)
        return "".join([token.text async for token in generation if token.branch == 0])

    return await asyncio.wait_for(read(), DEADLINE)


def sse(*chunks: Any) -> bytes:
    """Server-sent events."""
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


async def forever() -> None:
    """Never returns."""
    with contextlib.suppress(TimeoutError):
        await asyncio.Event().wait()
