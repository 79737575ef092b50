"""What a remote engine costs and is worth: the rest of a line at each cursor position in some lines, by three ways.

``python -m bench.remote``: on llama.cpp's own server, as midline asks it (token ids, healing), the same without
healing, and by ``/infill`` as llama.vim asks. With ``--texts`` on llama-cpp-python's server, which takes texts, with
healing and without.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import inspect
import queue
import shelve
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from types import ModuleType

import httpx

from bench.common import THREADS, bench_home, engine_config, machine, percentiles, print_report
from bench.peers import N_CTX, llama_server
from lsp.completion.layout import LAYOUTS, Parts
from lsp.completion.prompt import ANCHOR_LINES
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.discovery import Found, find_server
from lsp.engine.remote.server import Outcome, Task
from lsp.errors import MidlineError

LINES: tuple[tuple[ModuleType, str], ...] = (
    (queue, "while self._qsize() >= self.maxsize:"),
    (textwrap, "self.wordsep_re.split(text)"),
    (shelve, "value = Unpickler(f).load()"),
)
PREFIX_CHARS, SUFFIX_CHARS = 1500, 700
MAX_TOKENS = 12
START_SECONDS = 120
# Nothing is left to be guessed of fewer characters.
LEFT = 3


@dataclasses.dataclass(frozen=True)
class Place:
    """A cursor in a text: where its line began, and whether it is the first of its line (which pays for the base)."""

    parts: Parts
    rest: str
    first: bool


Answer = Callable[[Parts], Awaitable[tuple[str, int]]]


def places(every: int) -> Iterator[Place]:
    """Each ``every``-th position of the lines."""
    for module, line in LINES:
        text = inspect.getsource(module)
        start = text.index(line)
        end = text.index("\n", start)
        anchor = len("".join(text[:start].splitlines(keepends=True)[: -ANCHOR_LINES - 1]))
        head = text.index("\n", max(0, anchor - PREFIX_CHARS)) + 1
        line = text[start:end]
        for typed in range(0, len(line) - LEFT, every):
            parts = Parts(text[head:anchor], text[end : end + SUFFIX_CHARS], text[anchor:start] + line[:typed])
            yield Place(parts, line[typed:], typed == 0)


async def measured(answer: Answer, every: int) -> dict[str, object]:
    """How many rests were found, and the tokens computed for each key."""
    exact, count, evaluated = 0, 0, []
    for place in places(every):
        text, tokens = await answer(place.parts)
        count += 1
        exact += text.partition("\n")[0] == place.rest
        evaluated += [] if place.first else [tokens]
        print(f"\r{count} positions", end="", file=sys.stderr)
    print(file=sys.stderr)
    return {"exact": f"{exact} of {count}", "tokens_evaluated": percentiles(evaluated)}


def asking(found: Found, *, heal: bool) -> Answer:
    """As midline asks."""

    async def answer(parts: Parts) -> tuple[str, int]:
        assert found.way is not None
        prompt, outcome, text = LAYOUTS[found.way.layout].write(parts), Outcome(), ""
        async with aclosing(found.server.stream(Task(prompt, MAX_TOKENS, heal, way=found.way), outcome)) as pieces:
            async for piece in pieces:
                text += piece.text
        return text, outcome.evaluated

    return answer


def infilling(url: str) -> Answer:
    """As llama.vim asks: the text up to the cursor's line, the line up to the cursor, and all behind."""

    async def answer(parts: Parts) -> tuple[str, int]:
        above, newline, line = (parts.prefix + parts.middle).rpartition("\n")
        request = {"input_prefix": above + newline, "prompt": line, "input_suffix": parts.suffix}
        request |= {"n_predict": MAX_TOKENS, "samplers": ["top_k"], "top_k": 1, "cache_prompt": True}
        async with httpx.AsyncClient(timeout=300, trust_env=False) as client:
            told = (await client.post(f"{url}/infill", json=request)).json()
        return told["content"], told["timings"]["prompt_n"]

    return answer


@contextlib.contextmanager
def texts_server(model: str) -> Iterator[str]:
    """llama-cpp-python's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "llama_cpp.server", "--model", model, "--model_alias", "qwen2.5-coder"]
    command += ["--port", port, "--n_ctx", str(N_CTX), "--n_threads", str(THREADS), "--n_threads_batch", str(THREADS)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def found_at(url: str) -> AsyncIterator[Found]:
    """The server at an address, once it is there."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                found = await find_server(RemoteConfig(url))
                break
            except MidlineError:
                await asyncio.sleep(0.5)
    try:
        yield found
    finally:
        await found.wire.close()


async def report(model: str, every: int, *, texts: bool) -> dict[str, object]:
    """All ways on one kind of server."""
    figures: dict[str, object] = {"machine": machine()}
    if texts:
        with texts_server(model) as url:
            async with found_at(url) as found:
                figures["texts, healed"] = await measured(asking(found, heal=True), every)
                figures["texts"] = await measured(asking(found, heal=False), every)
        return figures
    with llama_server(Path(model), THREADS) as server:
        async with found_at(server.url) as found:
            figures["tokens, healed"] = await measured(asking(found, heal=True), every)
            figures["tokens"] = await measured(asking(found, heal=False), every)
            figures["/infill"] = await measured(infilling(server.url), every)
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.remote", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="each N-th position only")
    parser.add_argument("--texts", action="store_true", help="a server that takes texts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with bench_home() as home:
        figures = asyncio.run(report(engine_config(home).model, options.every, texts=options.texts))
    print_report(figures, options.json)


if __name__ == "__main__":
    main()
