"""What the API costs: its way to the first token against the engine's own, and the editor's completions beside it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.common import bench_home, end_engine, engine_config, machine, percentiles, print_report
from bench.latency import completion_prompt, drain
from indexer.chunk import Chunk
from indexer.embedding import default_embedder
from indexer.outline import outline
from lsp.api.token import token_file
from lsp.chat.templates import ChatTemplate, Turn
from lsp.engine.client import EngineClient, Generation
from lsp.models.catalogue import DEFAULT_MODEL

CHAT_TOKENS = 400
COMPLETION_TOKENS = 8
PACKAGES = ("pygls", "rich", "starlette", "hypothesis", "email", "_pytest")
STORY = "Write a long story about a lighthouse keeper."


Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class Stream:
    """A streamed chat over a bare socket: as little of a client's own time as can be.

    Args:
        port: the API's.
        token: what it wants to be shown.
    """

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self._head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        self.times: list[float] = []
        self.begun = asyncio.Event()

    def request(self, body: bytes) -> bytes:
        """A request for a chat."""
        return f"POST /v1/chat/completions {self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def version(self) -> float:
        """Ask for the version: milliseconds to the answer's first line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = time.perf_counter()
        writer.write(f"GET /api/version {self._head}\r\n".encode())
        await reader.readline()
        writer.close()
        return (time.perf_counter() - began) * 1000

    async def read(self, messages: list[dict[str, str]], max_tokens: int) -> float:
        """Ask, and read to the end; milliseconds to the first piece of text. The connection is there before."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        wanted = {"model": DEFAULT_MODEL.name, "messages": messages, "max_tokens": max_tokens, "stream": True}
        body = json.dumps(wanted).encode()
        try:
            began = time.perf_counter()
            writer.write(self.request(body))
            while b"[DONE]" not in (line := await reader.readline()):
                if not line:
                    raise SystemExit("the API closed the connection")
                if b'"content":"' in line and b'"content":""' not in line:
                    self.times.append(time.perf_counter())
                    if len(self.times) == 8:
                        self.begun.set()
            return (self.times[0] - began) * 1000
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Callable[[], Stream]]:
    """`midline serve-api`, and what asks it."""
    command = [sys.executable, "-m", "lsp.cli", "serve-api", "--port", "0", "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        told = json.loads(await process.stdout.readline())
        token = token_file().read_text().strip()
        port = int(told["url"].rpartition(":")[2])
        yield lambda: Stream(port, token)
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def both(home: Path) -> AsyncIterator[tuple[EngineClient, Callable[[], Stream]]]:
    """A client of the engine, and the API of the same one."""
    engine = EngineClient(engine_config(home))
    engine.start()
    state = await engine.ready()
    try:
        async with serving() as ask:
            yield engine, ask
    finally:
        await engine.close()
        await end_engine(state.pid)


async def first_token(home: Path, rounds: int) -> dict[str, Any]:
    """The same question directly and through the API, by turns; the engine computes one token of the prompt each time.

    ``empty``: a request that the API answers by itself, which tells what the system takes to wake another process.
    ``new shape``: each round's chat has another number of messages, so that its template is rendered anew; all of it
    but the last question was read before.
    """
    async with both(home) as (engine, ask):
        template = ChatTemplate(await engine.describe(), DEFAULT_MODEL.name)
        today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        results: dict[str, Any] = {}
        for name in ("same shape", "new shape"):
            direct: list[float] = []
            through: list[float] = []
            empty: list[float] = []
            for turn in range(rounds + 1):
                messages = [{"role": "system", "content": "Be brief."}]
                for i in range(turn if name == "new shape" else 1):
                    messages += [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": f"{i}."}]
                messages.append({"role": "user", "content": "hi"})
                turns = [Turn(one["role"], one["content"]) for one in messages]  # type: ignore[arg-type]
                segments = template.prompt(turns, today).segments
                await drain(engine.generate("bench", segments, max_tokens=0, heal=False))  # both find it computed
                arms = [_direct(engine, segments, direct), _through(ask, messages, through), _empty(ask, empty)]
                for arm in arms if turn % 2 else reversed(arms):
                    await arm
            # The first round of each is the first of its process.
            differences = [b - a for a, b in zip(direct[1:], through[1:], strict=True)]
            results[name] = {
                "directly, ms": percentiles(direct[1:]),
                "through the API, ms": percentiles(through[1:]),
                "empty request, ms": percentiles(empty[1:]),
                "median of the differences, ms": round(median(differences), 2),
            }
        return results


async def _direct(engine: EngineClient, segments: Any, times: list[float]) -> None:
    began = time.perf_counter()
    generation = engine.generate("bench", segments, max_tokens=2, heal=False, priority="chat")
    async for _ in generation:
        times.append((time.perf_counter() - began) * 1000)
        break
    async for _ in generation:
        pass


async def _empty(ask: Callable[[], Stream], times: list[float]) -> None:
    times.append(await ask().version())


async def _through(ask: Callable[[], Stream], messages: list[dict[str, str]], times: list[float]) -> None:
    times.append(await ask().read(messages, 2))


async def beside_chat(home: Path, rounds: int) -> dict[str, Any]:
    """A completion while nothing else goes on, while a client chats through the API, while the editor itself chats.

    The three by turns. A completion is that of `bench.latency`: its base is computed, some tokens are generated.
    """
    quiet: list[float] = []
    api: list[float] = []
    chat: list[float] = []
    first: dict[str, list[float]] = {"quiet": [], "api": [], "chat": []}
    async with both(home) as (engine, ask):
        prompt = completion_prompt(600)
        await drain(engine.generate("file", prompt, max_tokens=1))
        for turn in range(rounds):
            await _complete(engine, prompt, quiet, first["quiet"])
            stream = ask()
            reading = asyncio.create_task(stream.read([{"role": "user", "content": f"{turn}. {STORY}"}], CHAT_TOKENS))
            await stream.begun.wait()
            await asyncio.sleep(0.013 * (turn % 8))
            await _complete(engine, prompt, api, first["api"])
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            await asyncio.sleep(0.2)
            async with _chatting(engine, turn):
                await asyncio.sleep(0.013 * (turn % 8))
                await _complete(engine, prompt, chat, first["chat"])
            await asyncio.sleep(0.2)
    return {
        f"{COMPLETION_TOKENS} tokens, quiet, ms": percentiles(quiet),
        f"{COMPLETION_TOKENS} tokens, API chats, ms": percentiles(api),
        f"{COMPLETION_TOKENS} tokens, editor chats, ms": percentiles(chat),
        "first token, quiet, ms": percentiles(first["quiet"]),
        "first token, API chats, ms": percentiles(first["api"]),
        "first token, editor chats, ms": percentiles(first["chat"]),
    }


async def _complete(engine: EngineClient, prompt: Any, times: list[float], first: list[float]) -> None:
    began = time.perf_counter()
    generation = engine.generate("file", prompt, max_tokens=COMPLETION_TOKENS)
    await drain(generation)
    times.append((time.perf_counter() - began) * 1000)
    first.append(generation.usage.first_token_ms)


@contextlib.asynccontextmanager
async def _chatting(engine: EngineClient, turn: int) -> AsyncIterator[Generation]:
    template = ChatTemplate(await engine.describe(), DEFAULT_MODEL.name)
    segments = template.prompt([Turn("user", f"{turn}. {STORY}")], datetime(2026, 1, 1)).segments
    answer = engine.generate("chat", segments, max_tokens=CHAT_TOKENS, heal=False, priority="chat")
    begun = asyncio.Event()

    async def read() -> None:
        count = 0
        async for _ in answer:
            count += 1
            if count == 8:
                begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    try:
        yield answer
    finally:
        answer.cancel()
        await reading


async def crowd(home: Path, rounds: int) -> dict[str, Any]:
    """A thousand requests at once, and completions meanwhile."""
    alone: list[float] = []
    crowded: list[float] = []
    async with both(home) as (engine, ask):
        prompt = completion_prompt(600)
        await drain(engine.generate("file", prompt, max_tokens=1))
        for _ in range(rounds):
            await _complete(engine, prompt, alone, [])
        body = json.dumps({"model": DEFAULT_MODEL.name, "messages": [{"role": "user", "content": STORY}]}).encode()
        stream = ask()
        request = stream.request(body)
        loop = asyncio.get_running_loop()
        sockets = [socket.create_connection(("127.0.0.1", stream.port)) for _ in range(1_000)]
        began = time.perf_counter()
        for one in sockets:
            one.setblocking(False)
            await loop.sock_sendall(one, request)
        for _ in range(rounds):
            await _complete(engine, prompt, crowded, [])
        answered: dict[str, int] = {}
        for one in sockets:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                status = one.recv(12).decode()[9:]
                answered[status] = answered.get(status, 0) + 1
        seconds = time.perf_counter() - began
        for one in sockets:
            one.close()
        api = next(p for p in psutil.Process().children() if "serve-api" in p.cmdline())
        memory = api.memory_info().rss
    return {
        "completion before, ms": percentiles(alone),
        "completion meanwhile, ms": percentiles(crowded),
        "answered at once": answered,
        "seconds": round(seconds, 1),
        "memory of the API's process, MB": round(memory / 1e6),
    }


def vectors(_: Path, __: int) -> dict[str, Any]:
    """What a text is best taken for that comes without its place: the function of each docstring is looked for.

    The docstring is taken out of its function; all functions of a package are ranked. MRR@10.
    """
    embedder = default_embedder()
    as_body: Embed = lambda texts: embedder.embed_chunks("", [Chunk(1, 1, "text", "", "", "", text) for text in texts])  # noqa: E731
    as_question: Embed = lambda texts: np.stack([embedder.embed_query(text) for text in texts])  # noqa: E731
    ranks: dict[str, list[float]] = {}
    for package in PACKAGES:
        questions, functions = _documented(Path(str(import_module(package).__file__)).parent)
        for name, ask, hold in (
            ("all as questions", as_question, as_question),
            ("questions, bodies", as_question, as_body),
            ("all as bodies", as_body, as_body),
        ):
            scores = ask([text for text, _ in questions]) @ hold(functions).T
            for row, (_, right) in zip(scores, questions, strict=True):
                rank = int((row > row[right]).sum()) + 1
                ranks.setdefault(name, []).append(1 / rank if rank <= 10 else 0.0)
    count = len(next(iter(ranks.values())))
    return {"questions": count} | {name: round(sum(found) / count, 3) for name, found in ranks.items()}


def _documented(folder: Path) -> tuple[list[tuple[str, int]], list[str]]:
    """First sentences of docstrings, each with the number of its function; and all functions without docstrings."""
    questions: list[tuple[str, int]] = []
    functions: list[str] = []
    for file in sorted(folder.rglob("*.py")):
        for chunk in outline(file.read_text("utf-8", "replace"), "python").chunks:
            if chunk.kind in ("function", "method"):
                sentence = chunk.docstring.strip().split(". ")[0].split("\n\n")[0]
                if len(sentence.split()) >= 4:
                    questions.append((sentence, len(functions)))
                before, _, rest = chunk.text.partition('"""')
                functions.append(before + rest.partition('"""')[2] if chunk.docstring and rest else chunk.text)
    return questions, functions


PARTS: dict[str, Callable[[Path, int], Any]] = {
    "first_token": first_token,
    "beside_chat": beside_chat,
    "crowd": crowd,
    "vectors": vectors,
}


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="default: all")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report: dict[str, Any] = {"bench": "api", "rounds": options.rounds}
    for part in options.parts or PARTS:
        with bench_home() as home:
            figures = PARTS[part](home, options.rounds)
            report[part] = asyncio.run(figures) if asyncio.iscoroutine(figures) else figures
            print(part, json.dumps(report[part]), file=sys.stderr)  # what follows may fail
    print_report(report | {"machine": machine()}, options.json)


if __name__ == "__main__":
    main()
