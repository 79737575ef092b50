"""What waits for what: switching files, restarting the engine, completing behind a running chat, and cancelling."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from bench.common import (
    STDLIB,
    bench_home,
    end_engine,
    engine_config,
    machine,
    percentiles,
    print_report,
)
from bench.common import running_engine as running
from lsp.completion.prompt import make_base, match
from lsp.documents import cursor_from_file
from lsp.engine.client import EngineClient, Generation
from lsp.engine.ledger import Ledger
from lsp.engine.llama import Entry, Llama
from lsp.engine.offload import Placement
from lsp.engine.protocol import Segment, Text
from lsp.engine.snapshots import Snapshots
from lsp.replay.editor import Editor, editor
from lsp.replay.keystrokes import Edit

FILES = ("argparse.py", "tarfile.py", "typing.py")
TYPED = "        value = self"
CHAT_TOKENS = 200
SEQUENCE_TOKENS = 900
NAME = "midline-bench:"


async def type_text(window: Editor, path: Path, offset: int, text: str, pause: float = 0.15) -> list[int]:
    """Type ``text``, each key as soon as the last one was answered and ``pause`` seconds later; tokens for each."""
    costs = []
    for i, char in enumerate(text):
        before = await tokens(window)
        window.edit(path, [Edit(offset + i, offset + i, char)])
        await window.ask(path, offset + i + 1).task
        costs.append(await tokens(window) - before)
        await asyncio.sleep(pause)
    return costs


async def tokens(window: Editor) -> int:
    """Prompt tokens computed on the critical path up to now."""
    return int((await window.status())["completion"]["tokens_evaluated"])


async def quiet(window: Editor) -> None:
    """Wait until nothing is computed in the background any more."""
    before = -1
    while (now := (await window.status())["completion"]["tokens_prewarmed"]) != before:
        before = now
        await asyncio.sleep(1.0)


def line_start(text: str, share: float) -> int:
    """The start of a line about ``share`` of the way down."""
    return text.find("\n", int(len(text) * share)) + 1


async def switching(home: Path, rounds: int) -> dict[str, Any]:
    """Type in each file in turn; tokens for the first key after coming back, at once and without any pause."""
    paths = [STDLIB / name for name in FILES]
    places = {path: line_start(path.read_text(), 0.6) for path in paths}
    first_visit: list[int] = []
    back: list[int] = []
    async with editor(home, NAME) as window:
        for turn in range(rounds + 1):
            for path in paths:
                if turn == 0:
                    window.open(path, path.read_text())
                    window.edit(path, [Edit(places[path], places[path], "\n")])
                window.move(path, places[path])
                costs = await type_text(window, path, places[path], TYPED[: 8 + turn % 4] if turn else TYPED)
                places[path] += len(costs)
                (back if turn else first_visit).append(costs[0])
                await quiet(window)
    return {"first visit": percentiles(first_visit), "back again": percentiles(back), "switches": len(back)}


async def restarting(home: Path, rounds: int) -> dict[str, Any]:
    """Type, close everything, end the engine, and begin anew with the file as it was: tokens for the first key."""
    path = STDLIB / FILES[0]
    text = path.read_text()
    place = line_start(text, 0.6)
    costs: list[int] = []
    text = text[:place] + "\n" + text[place:]
    for turn in range(rounds + 1):
        async with editor(home, NAME) as window:
            window.open(path, text)
            window.move(path, place)
            if turn == 0:
                await type_text(window, path, place, TYPED)
                text = window.text(path)
                place += len(TYPED)
                await quiet(window)
            else:
                costs += (await type_text(window, path, place, ".", pause=0.0))[:1]
            pid = (await window.status())["engine"]["pid"]
        await end_engine(pid)
    return {"first key": percentiles(costs)} | restoring(home, rounds)


def restoring(home: Path, rounds: int) -> dict[str, Any]:
    """A sequence computed, saved and restored, without a process around it."""
    config = engine_config(home)
    llama = Llama(
        Path(config.model),
        Placement(SEQUENCE_TOKENS * 2),
        n_seq=1,
        n_batch=64,
        threads=config.threads,
        progress=lambda _: None,
        log=lambda *_: None,
    )
    wanted = llama.tokenize((STDLIB / FILES[0]).read_text())[:SEQUENCE_TOKENS]
    ledger = Ledger(1, llama.n_ctx)
    seq = ledger.reserve("bench")
    began = time.perf_counter()
    for start in range(0, len(wanted), 64):
        llama.decode([Entry(t, start + i, seq, False) for i, t in enumerate(wanted[start : start + 64])])
    computed = time.perf_counter() - began
    ledger.extend(seq, wanted)
    ledger.release(seq)
    began = time.perf_counter()
    Snapshots(llama, ledger, "bench").save_all()
    saved = time.perf_counter() - began
    restored: list[float] = []
    for _ in range(rounds):
        llama.cut(seq, 0)
        began = time.perf_counter()
        count = Snapshots(llama, Ledger(1, llama.n_ctx), "bench").restore()
        restored.append(time.perf_counter() - began)
        assert count == len(wanted)
    llama.close()
    return {
        "tokens of a sequence": len(wanted),
        "computing it, ms": round(computed * 1000, 1),
        "saving it, ms": round(saved * 1000, 1),
        "restoring it (reading, checking), ms": round(median(restored) * 1000, 1),
        "computing / restoring": round(computed / median(restored)),
    }


async def drain(generation: Generation) -> int:
    """Read a generation to its end; how many tokens came."""
    return sum([1 async for _ in generation])


def completion_prompt(line: int) -> list[Segment]:
    """A completion's prompt as the product makes it, of about 600 tokens."""
    cursor = cursor_from_file(STDLIB / FILES[0], line, None)
    base = make_base(cursor, 2000)
    found = match(cursor, base)
    assert found is not None
    return base.segments(found.middle, "psm")


NEW = "# A parser of command lines, in Python, with comments\n\nimport sys\n"


def copied() -> str:
    """A text whose second half the model copies from its first: guesses are right, and many at once."""
    code = (STDLIB / FILES[1]).read_text()[:3000]
    return f"{code}\n# ---- the same file once more ----\n{code[:600]}"


@contextlib.asynccontextmanager
async def chatting(engine: EngineClient, text: str = NEW) -> AsyncIterator[tuple[Generation, list[float]]]:
    """A chat answer under way, and when each of its tokens came."""
    question: list[Segment] = [Text(text)]
    answer = engine.generate("chat", question, max_tokens=CHAT_TOKENS, heal=False, priority="chat")
    times: list[float] = []

    under_way = asyncio.Event()

    async def read() -> None:
        async for _ in answer:
            times.append(time.perf_counter())
            if len(times) == 8:
                under_way.set()

    reading = asyncio.create_task(read())
    await under_way.wait()
    try:
        yield answer, times
    finally:
        answer.cancel()
        await reading


async def behind_chat(home: Path, rounds: int) -> dict[str, Any]:
    """A completion that comes while a chat answer is being written; and one while a long chat prompt is computed."""
    queue: list[float] = []
    first: list[float] = []
    steps: list[float] = []
    alone: list[float] = []
    behind_prompt: list[float] = []
    behind_copy: list[float] = []
    async with running(engine_config(home)) as engine:
        prompt = completion_prompt(600)
        await drain(engine.generate("file", prompt, max_tokens=4))
        for turn in range(rounds):
            await asyncio.sleep(0.3)
            generation = engine.generate("file", prompt, max_tokens=2)
            await drain(generation)
            alone.append(generation.usage.first_token_ms)
            async with chatting(engine) as (_, times):
                await asyncio.sleep(0.013 * turn)
                steps += [b - a for a, b in pairwise(times)]
                generation = engine.generate("file", prompt, max_tokens=2)
                await drain(generation)
                queue.append(generation.usage.queue_ms)
                first.append(generation.usage.first_token_ms)
            async with chatting(engine, copied()):
                await asyncio.sleep(0.5 + 0.1 * turn)  # by then, many tokens are guessed at once
                generation = engine.generate("file", prompt, max_tokens=2)
                await drain(generation)
                behind_copy.append(generation.usage.queue_ms)
            # A prompt that no sequence holds the beginning of.
            long = f"# {turn} {time.time_ns()}\n" + (STDLIB / FILES[1]).read_text()[turn * 3000 : turn * 3000 + 6000]
            chat = engine.generate(f"chat{turn}", [Text(long)], max_tokens=1, heal=False, priority="chat")
            await asyncio.sleep(0.25)
            generation = engine.generate("file", prompt, max_tokens=2)
            await drain(generation)
            behind_prompt.append(generation.usage.queue_ms)
            chat.cancel()
            await drain(chat)
    step = median(steps) * 1000
    return {
        "decode step, ms": round(step, 1),
        "waiting behind a chat answer, ms": percentiles(queue),
        "the same in decode steps": percentiles([wait / step for wait in queue]),
        "first token behind it, ms": percentiles(first),
        "first token alone, ms": percentiles(alone),
        "waiting behind an answer that copies code, ms": percentiles(behind_copy),
        "waiting behind a chat's prompt, ms": percentiles(behind_prompt),
        "its 64-token batch takes about, ms": round(64 / max(1e-9, engine.state.prefill_per_second) * 1000, 1),
    }


async def cancelling(home: Path, rounds: int) -> dict[str, Any]:
    """From the cancellation to the engine's word that the request has ended."""
    while_decoding: list[float] = []
    while_computing: list[float] = []
    steps: list[float] = []
    async with running(engine_config(home)) as engine:
        for turn in range(rounds):
            async with chatting(engine) as (answer, times):
                await asyncio.sleep(0.011 * turn)
                steps += [b - a for a, b in pairwise(times)]
                while_decoding.append(await _until_ended(answer))
            long = f"# {turn} {time.time_ns()}\n" + (STDLIB / FILES[1]).read_text()[turn * 3000 : turn * 3000 + 6000]
            chat = engine.generate(f"chat{turn}", [Text(long)], max_tokens=1, heal=False)
            await asyncio.sleep(0.2 + 0.05 * turn)
            while_computing.append(await _until_ended(chat))
            await drain(chat)
    step = median(steps) * 1000
    return {
        "decode step, ms": round(step, 1),
        "while decoding, ms": percentiles(while_decoding),
        "the same in decode steps": percentiles([wait / step for wait in while_decoding]),
        "while computing a prompt, ms": percentiles(while_computing),
        "that in decode steps": percentiles([wait / step for wait in while_computing]),
    }


async def _until_ended(generation: Generation) -> float:
    """Cancel; milliseconds until the engine said what it had cost, which is when it is free."""
    ended = asyncio.get_running_loop().create_future()
    generation.on_done(lambda _: ended.set_result(time.perf_counter()))
    began = time.perf_counter()
    generation.cancel()
    return (await asyncio.wait_for(ended, 30) - began) * 1000


PARTS: dict[str, Callable[[Path, int], Any]] = {
    "switching": switching,
    "restarting": restarting,
    "behind_chat": behind_chat,
    "cancelling": cancelling,
}


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report: dict[str, Any] = {"bench": "latency", "rounds": options.rounds}
    for part in options.parts or PARTS:
        with bench_home() as home:
            report[part] = asyncio.run(PARTS[part](home, options.rounds))
            print(part, json.dumps(report[part]), file=sys.stderr)  # what follows may fail
    print_report(report | {"machine": machine()}, options.json)


if __name__ == "__main__":
    main()
