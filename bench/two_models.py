"""Two models in one engine, one that completes and one that chats: what each costs the other, and how long a switch is.

The second model is the first, quantized again to Q3_K_M: another file of about the same speed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import msgspec

from bench.common import bench_home, engine_config, machine, percentiles, print_report
from bench.common import running_engine as running
from bench.latency import NEW, completion_prompt, drain
from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import Text
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.quantize import quantize

CHAT_TOKENS = 100
PAUSE_SECONDS = 1.0


@contextlib.asynccontextmanager
async def joined(config: EngineConfig) -> AsyncIterator[EngineClient]:
    """A client of an engine that others use, too."""
    client = EngineClient(config)
    client.start()
    try:
        await client.ready()
        yield client
    finally:
        await client.close()


async def answer(engine: EngineClient) -> float:
    """Write an answer; tokens a second, from its first to its last."""
    generation = engine.generate("chat", [Text(NEW)], max_tokens=CHAT_TOKENS, heal=False, priority="chat")
    times = [time.perf_counter() async for _ in generation]
    return (len(times) - 1) / (times[-1] - times[0])


async def complete(engine: EngineClient, waits: list[float], until: asyncio.Event | None, rounds: int = 0) -> None:
    """Complete now and then; milliseconds until the first token, as the engine counts them."""
    prompt = completion_prompt(600)
    turn = 0
    while not (until.is_set() if until else turn >= rounds):
        turn += 1
        generation = engine.generate("file", prompt, max_tokens=8)
        await drain(generation)
        waits.append(generation.usage.first_token_ms)
        await asyncio.sleep(PAUSE_SECONDS)


async def together(first: EngineConfig, second: EngineConfig, rounds: int) -> dict[str, object]:
    """Chat with ``second`` alone, and while ``first`` completes; complete with ``first`` alone, and behind the chat."""
    alone: list[float] = []
    behind: list[float] = []
    chat_alone: list[float] = []
    chat_beside: list[float] = []
    async with running(first) as completing:
        began = time.perf_counter()
        async with joined(second) as chatting:
            loaded = time.perf_counter() - began
            await drain(completing.generate("file", completion_prompt(600), max_tokens=1))
            await answer(chatting)
            for _ in range(rounds):
                await complete(completing, alone, None, 5)
                chat_alone.append(await answer(chatting))
                ended = asyncio.Event()
                typing = asyncio.create_task(complete(completing, behind, ended))
                chat_beside.append(await answer(chatting))
                ended.set()
                await typing
            step = 1000 / median(chat_alone)
            return {
                "loading the second model, ms": round(loaded * 1000),
                "completion's first token alone, ms": percentiles(alone),
                "behind the other model's answer, ms": percentiles(behind),
                "the difference of medians in its decode steps": round((median(behind) - median(alone)) / step, 2),
                "chat alone, tokens/s": round(median(chat_alone), 2),
                "chat while the other completes each second, tokens/s": round(median(chat_beside), 2),
            }


async def switching(first: EngineConfig, second: EngineConfig, rounds: int) -> dict[str, object]:
    """From one model to the other and back, as a changed setting does: until it has written a first token."""
    new: list[float] = []
    back: list[float] = []
    async with running(first):
        for turn in range(rounds):
            # Another size of the context: a model that isn't in memory.
            fresh = msgspec.structs.replace(second, n_ctx=4096 + 256 * turn)
            for config, times in ((fresh, new), (first, back)):
                began = time.perf_counter()
                async with joined(config) as engine:
                    await drain(engine.generate("switch", [Text("import os\n")], max_tokens=1))
                    times.append((time.perf_counter() - began) * 1000)
    return {"to a model on the disk, ms": percentiles(new), "to one still in memory, ms": percentiles(back)}


async def measure(first: EngineConfig, second: EngineConfig, rounds: int) -> dict[str, object]:
    """All of it."""
    return {
        "together": await together(first, second, rounds),
        "switching": await switching(first, second, rounds),
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.two_models", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with bench_home() as home:
        first = engine_config(home)
        smaller = quantize(DEFAULT_MODEL.name, "Q3_K_M", requantize=True)
        second = msgspec.structs.replace(first, model=str(Path(first.model).with_name(smaller.model.path.name)))
        report = asyncio.run(measure(first, second, options.rounds))
    print_report({"bench": "two models", "rounds": options.rounds} | report | {"machine": machine()}, options.json)


if __name__ == "__main__":
    main()
