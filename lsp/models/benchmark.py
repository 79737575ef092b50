"""What this machine reads and computes in a second, measured in some ten seconds and kept: other speeds follow from it.

Writing a token takes as long as its weights take to pass from memory, or to be computed with if that is longer (the
"roofline" of Williams et al. 2009); reading a prompt, whose tokens share each weight, takes the computing alone (Kaplan
et al. 2020, arXiv:2001.08361: two operations for each weight and token). So one model's speeds tell another's, by the
weights that a token goes through and their types (`lsp.models.costs`).
"""

from __future__ import annotations

import asyncio
import math
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.offload import choose_threads
from lsp.engine.protocol import Text, Usage
from lsp.errors import MidlineError
from lsp.models.discovery.facts import Facts
from lsp.paths import cache_dir, private_dir

_KEY = "midline:benchmark"
_LIBRARY = "llama-cpp-python"
_ALL_LAYERS = 999
_WORDS = ("state", "index", "value", "queue", "parse", "token", "input", "graph", "cache", "group", "start", "table")
_PREFILL_SECONDS = 4.0
_DECODE_SECONDS = 3.0
_FEWEST_WORDS, _MOST_TOKENS = 32, 1024
_FEWEST_STEPS, _MOST_STEPS = 6, 32

# How long memory and arithmetic are tried, and on how much.
_TRIAL_SECONDS = 1.0
_ARRAY_BYTES = 256 << 20
_MATRIX = 512
# A prompt's tokens share the unpacking of weights, and registers.
_WRITING_SHARE = 1 / 3


class Device(msgspec.Struct, frozen=True):
    """What the CPU, or the GPUs, do in a second.

    Args:
        bandwidth: bytes that are read from memory.
        writing: weights, as dear as those in Q4_K, that tokens are computed with one by one; 0: memory alone counts.
        reading: the same for the tokens of a prompt, times their number.
        measured_with: the model; empty where none is installed: then it is what numpy reaches.
    """

    bandwidth: float
    writing: float
    reading: float
    measured_with: str = ""

    def write_seconds(self, facts: Facts) -> float:
        """How long a token takes if all of the model is on this device."""
        computing = facts.writing_cost / self.writing if self.writing else 0.0
        return max(facts.active_bytes / self.bandwidth, computing)

    def read_seconds(self, facts: Facts) -> float:
        """How long a token of a prompt takes if all of the model is on this device."""
        return facts.reading_cost / self.reading


class Measured(msgspec.Struct, frozen=True):
    """This machine's speed; ``machine`` is what it depends on, ``when`` a date in ISO 8601."""

    machine: str
    when: str
    cpu: Device
    gpu: Device | None = None


Say = Callable[[str], None]


@dataclass(frozen=True)
class Probe:
    """An installed model to measure with: what it is called, what it is, and how it is run."""

    name: str
    facts: Facts
    config: EngineConfig


def machine_speed(probe: Probe | None, *, has_gpu: bool, again: bool, say: Say) -> Measured:
    """What was measured before, or is now.

    What was measured without a model gives way to a measurement with one, as soon as there is one.

    Args:
        probe: the model to measure with; None if there is none.
        has_gpu: whether this build of llama.cpp has a GPU to use.
        again: measure in any case.
        say: called with what is being done.

    Raises:
        MidlineError: the engine failed.
    """
    path = cache_dir() / "speed.json"
    threads = choose_threads(probe.config.threads if probe else 0)
    library = f"{_LIBRARY} {version(_LIBRARY)}"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {threads} threads, GPU {has_gpu}, {library}"
    kept = _kept(path)
    if kept and not again and kept.machine == machine and (kept.cpu.measured_with or probe is None):
        return kept
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if probe is None:
        say("measuring memory and arithmetic, since no model is installed …")
        bandwidth, reading = _bandwidth(threads), _repeated(threads, _multiply, _MATRIX) / 2
        measured = Measured(machine, now, Device(bandwidth, reading * _WRITING_SHARE, reading))
    else:
        say(f"measuring how fast {probe.name} is …")
        bandwidth = _bandwidth(threads)
        cpu = _on_cpu(probe, *asyncio.run(_run(probe, 0)), bandwidth)
        gpu = _on_gpu(probe, *asyncio.run(_run(probe, _ALL_LAYERS))) if has_gpu else None
        measured = Measured(machine, now, cpu, gpu)
    _keep(path, measured)
    return measured


def _kept(path: Path) -> Measured | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Measured)
    except (OSError, msgspec.DecodeError):
        return None


def _keep(path: Path, measured: Measured) -> None:
    with suppress(OSError, MidlineError):  # else it is measured again next time
        private_dir(path.parent)
        path.write_bytes(msgspec.json.encode(measured))


# -- with a model ----------------------------------------------------------------------------------------------------


def _on_cpu(probe: Probe, prefill: float, decode: float, bandwidth: float) -> Device:
    facts = probe.facts
    reached = max(bandwidth, facts.active_bytes * decode)
    return Device(reached, facts.writing_cost * decode, facts.reading_cost * prefill, probe.name)


def _on_gpu(probe: Probe, prefill: float, decode: float) -> Device:
    return Device(probe.facts.active_bytes * decode, 0.0, probe.facts.reading_cost * prefill, probe.name)


async def _run(probe: Probe, gpu_layers: int) -> tuple[float, float]:
    """Tokens of a prompt, and tokens written, in a second."""
    engine = EngineClient(msgspec.structs.replace(probe.config, gpu_layers=gpu_layers))
    engine.start()
    try:
        await engine.ready()
        return await _prefill(engine), await _decode(engine)
    finally:
        engine.forget(_KEY, erase=True)
        await engine.close()


async def _prefill(engine: EngineClient) -> float:
    """Tokens of a prompt that are read in a second."""
    await _ask(engine, "warm", _words(_FEWEST_WORDS))
    first = await _ask(engine, "short", _words(2 * _FEWEST_WORDS))
    tokens = min(_PREFILL_SECONDS * _per_second(first), _MOST_TOKENS, engine.state.n_ctx / 2)
    words = int(tokens * 2 * _FEWEST_WORDS / max(first.tokens_evaluated, 1))
    return _per_second(await _ask(engine, "long", _words(max(words, _FEWEST_WORDS))))


async def _decode(engine: EngineClient) -> float:
    """Tokens that are written in a second.

    Each is asked for alone, with a prompt longer by a word: a longer generation would be drafted in part. What is
    computed is the same: one token behind all others.
    """
    text = _words(_FEWEST_WORDS)
    seconds: list[float] = []
    begin = time.perf_counter()
    for step in range(_MOST_STEPS):
        usage = await _ask(engine, "steps", text)
        if step:
            seconds.append(usage.prefill_ms / 1e3 / max(usage.tokens_evaluated, 1))
        if len(seconds) >= _FEWEST_STEPS and time.perf_counter() - begin > _DECODE_SECONDS:
            break
        text += " a"
    return 1 / max(statistics.median(seconds), 1e-6)


async def _ask(engine: EngineClient, key: str, text: str) -> Usage:
    """What computing the prompt and one token behind it costs.

    Raises:
        MidlineError: the engine failed.
    """
    generation = engine.generate(f"{_KEY}:{key}", [Text(text)], max_tokens=1, heal=False, priority="chat")
    async for _ in generation:
        pass
    return generation.usage


def _per_second(usage: Usage) -> float:
    return usage.tokens_evaluated / max(usage.prefill_ms / 1e3, 1e-6)


def _words(count: int) -> str:
    """Some text of ``count`` words, of nearly as many tokens, that doesn't begin like one that was computed before."""
    return " ".join(random.choices(_WORDS, k=count))


# -- with numpy ------------------------------------------------------------------------------------------------------


def _bandwidth(threads: int) -> float:
    """Bytes that all threads read in a second, from more memory than caches hold."""
    return _repeated(threads, _sum, _ARRAY_BYTES // threads)


def _repeated(threads: int, work: Callable[[int, float], float], size: int) -> float:
    """The sum of what all threads do in a second; numpy lets other threads run meanwhile."""
    until = time.perf_counter() + _TRIAL_SECONDS
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _: work(size, until), range(threads)))


def _sum(count: int, until: float) -> float:
    array = np.ones(count // 8, np.int64)
    return count / _shortest(array.sum, until)


def _multiply(size: int, until: float) -> float:
    matrix = np.full((size, size), 0.5, np.float32)
    return 2 * size**3 / _shortest(lambda: matrix @ matrix, until)


def _shortest(work: Callable[[], object], until: float) -> float:
    """Seconds that ``work`` takes when no other program takes some of them."""
    shortest = math.inf
    while shortest == math.inf or time.perf_counter() < until:
        begin = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest
