"""Which models serve this machine best, for completion and for chat: what they need of it, and how fast they are.

What fits is the plan's (`lsp.engine.planning`), how fast follows from one measurement (`lsp.models.benchmark`). How
capable a model is, is guessed from its size and age: its worth grows with the logarithm of its weights (Kaplan et al.
2020, arXiv:2001.08361), those of a mixture being the geometric mean of all and of those in use; and models of one size
get better (Xiao et al. 2024, "Densing Law of LLMs", arXiv:2412.04315, find much more than the doubling a year that is
reckoned with here).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lsp.engine.planning.memory import Machine
from lsp.engine.planning.plan import Plan, Planned, Wanted, plan
from lsp.engine.planning.shape import ModelShape
from lsp.models.benchmark import Device, Measured
from lsp.models.discovery.facts import Facts

Purpose = Literal["completion", "chat"]
PURPOSES: tuple[Purpose, ...] = ("completion", "chat")

# A line of code has some ten tokens; people read five to ten a second. Who reasons writes hundreds before it answers.
_WANTED_PER_SECOND: dict[Purpose, float] = {"completion": 20.0, "chat": 10.0}
_REASONING_FACTOR = 4
# Tokens to read before the first is written: a key's with everything else at hand, a question with its sources.
_READ: dict[Purpose, int] = {"completion": 2, "chat": 300}
_COLD = 1200
_WANTED_FIRST_SECONDS: dict[Purpose, float] = {"completion": 0.3, "chat": 5.0}
_WANTED_COLD_SECONDS = 15.0
# What a missing doubling of speed weighs against a doubling of weights; typing doesn't wait.
_PENALTY: dict[Purpose, float] = {"completion": 2.0, "chat": 1.5}
_TOO_SLOW = 4  # times
# Where a GPU's speed isn't measured: what one of the smallest sold since 2019 has (GTX 1650: 128 GB/s, 3 TFLOPS).
_SMALL_GPU = Device(128e9, 0.0, 1.5e12)
_UNKNOWN_AGE = "2024-06"
_CODE = re.compile(r"code|codestral|devstral|mellum", re.IGNORECASE)
_FEW_BITS = 4.0


@dataclass(frozen=True)
class Option:
    """A model that may be recommended; ``path`` is None for one that would have to be pulled.

    ``facts`` are those of its file, reckoned where it isn't here; so is ``bytes`` if ``about``. ``released`` is a
    month, or "" if unknown.
    """

    name: str
    source: str
    path: Path | None
    bytes: int
    about: bool
    licence: str
    released: str
    facts: Facts
    shape: ModelShape

    def serves(self, purpose: Purpose) -> bool:
        """Whether it is made for that; tokens for infilling alone don't mean that a model has learnt it."""
        if self.facts.kind != "model":
            return False
        if purpose == "chat":
            return self.facts.chat
        return bool(self.facts.fim) and (self.facts.fim_sure or bool(_CODE.search(self.name + self.facts.title)))


@dataclass(frozen=True)
class Speed:
    """What is expected: tokens written in a second, and seconds to the first, at hand and cold.

    ``assumed``: a GPU has part in it whose speed isn't measured; it is taken for a small one.
    """

    per_second: float
    first_seconds: float
    cold_seconds: float
    assumed: bool


@dataclass(frozen=True)
class Ranked:
    """A model's place among those for a purpose; ``reason`` says in words why, ``score`` is what ranks it."""

    option: Option
    planned: Planned
    fits: bool
    speed: Speed
    score: float
    reason: str


def rank(
    options: Iterable[Option], purpose: Purpose, machine: Machine, measured: Measured, *, gpu_margin: int | None = None
) -> list[Ranked]:
    """The models that serve ``purpose``, the best first; those that don't fit come last.

    ``gpu_margin`` bytes of each GPU are left to others; None lets the plan choose.
    """
    ranked = [_judge(option, purpose, machine, measured, gpu_margin) for option in options if option.serves(purpose)]
    return sorted(ranked, key=lambda one: (not one.fits, -one.score, one.option.name))


def _judge(option: Option, purpose: Purpose, machine: Machine, measured: Measured, gpu_margin: int | None) -> Ranked:
    planned = plan([Wanted(option.name, purpose, option.shape)], machine, gpu_margin=gpu_margin)
    (where,) = planned.models
    speed = expected_speed(option, where, measured, purpose)
    score = capability(option) - _penalty(option, speed, purpose)
    return Ranked(option, where, planned.fits, speed, score, _reason(option, planned, speed, purpose))


def expected_speed(option: Option, planned: Planned, measured: Measured, purpose: Purpose) -> Speed:
    """What the model is expected to do, by the measured speed of the devices that its weights lie on."""
    on_gpu = _share_on_gpu(option.facts, planned)
    share = ((1 - on_gpu, measured.cpu), (on_gpu, measured.gpu or _SMALL_GPU))
    token = sum(part * device.write_seconds(option.facts) for part, device in share)
    read = sum(part * device.read_seconds(option.facts) for part, device in share)
    # A step reads all weights, however few tokens it computes.
    first = max(token, _READ[purpose] * read) + (token if purpose == "chat" else 0)
    return Speed(1 / token, first, _COLD * read + token, assumed=bool(on_gpu) and measured.gpu is None)


def _share_on_gpu(facts: Facts, planned: Planned) -> float:
    """The share of a token's weights that lie on GPUs."""
    shape, choice = planned.wanted.shape, planned.choice
    if not choice.gpu_layers:
        return 0.0
    start = len(shape.layers) + 1 - choice.gpu_layers
    left_out = [i for i, layer in enumerate(shape.layers) if layer.experts][: choice.experts_on_cpu]
    experts = sum(layer.experts for layer in shape.layers)
    dense = sum(layer.weights for layer in shape.layers) + shape.output + shape.tied
    used = min(max(facts.active_bytes - dense, 0) / experts, 1.0) if experts else 0.0
    there = shape.output + shape.tied
    for i in range(start, len(shape.layers)):
        layer = shape.layers[i]
        there += layer.weights + (0 if i in left_out else round(layer.experts * used))
    return min(there / max(dense + experts * used, 1), 1.0)


def capability(option: Option) -> float:
    """How much a model is likely to be capable of: doublings of its weights, as of today's best use of them."""
    facts = option.facts
    weights = math.sqrt(max(facts.parameters, 1) * max(facts.active_parameters, 1))
    year, month = (option.released or _UNKNOWN_AGE).split("-")
    bits = 8 * option.bytes / max(facts.parameters, 1)
    made_for_code = bool(_CODE.search(option.name + facts.title))
    return (
        math.log2(weights / 1e9)
        + int(year)
        - 2023
        + int(month) / 12
        + (0.5 if made_for_code else 0.0)
        - (max(_FEW_BITS - bits, 0.0))
    )


def _penalty(option: Option, speed: Speed, purpose: Purpose) -> float:
    """Doublings that are missing to a speed to work with."""
    wanted = _WANTED_PER_SECOND[purpose] * (_REASONING_FACTOR if _reasons(option, purpose) else 1)
    missing = max(math.log2(wanted / speed.per_second), 0.0)
    missing += max(math.log2(speed.first_seconds / _WANTED_FIRST_SECONDS[purpose]), 0.0)
    if purpose == "completion":
        missing += 0.5 * max(math.log2(speed.cold_seconds / _WANTED_COLD_SECONDS), 0.0)
    return _PENALTY[purpose] * missing


def _reasons(option: Option, purpose: Purpose) -> bool:
    return purpose == "chat" and option.facts.thinking


def _reason(option: Option, planned: Plan, speed: Speed, purpose: Purpose) -> str:
    if not planned.fits:
        return f"It doesn't fit: {planned.steps[-1]}"
    return f"{_speed_in_words(option, speed, purpose)} {_place_in_words(planned.models[0])} {_state_in_words(option)}"


def _speed_in_words(option: Option, speed: Speed, purpose: Purpose) -> str:
    per_second = f"{speed.per_second:.2g} tokens a second" if speed.per_second < 100 else "over 100 tokens a second"
    if speed.assumed:
        per_second += " if the GPU is as fast as a small one"
    if purpose == "completion":
        line = 10 / speed.per_second
        if speed.per_second >= _WANTED_PER_SECOND[purpose]:
            return f"It keeps up with typing: {per_second}."
        if speed.per_second * _TOO_SLOW >= _WANTED_PER_SECOND[purpose]:
            return f"It makes you wait: {per_second}, {line:.1f} s for a line."
        return f"It is too slow to type with: {per_second}, {line:.0f} s for a line."
    if _reasons(option, purpose):
        return f"It reasons before it answers, at {per_second}: some {400 / speed.per_second:.0f} s."
    if speed.per_second >= _WANTED_PER_SECOND[purpose]:
        return f"It answers as fast as one reads: {per_second}."
    return f"It answers slower than one reads: {per_second}."


def _place_in_words(planned: Planned) -> str:
    count, choice = len(planned.wanted.shape.layers) + 1, planned.choice
    if not choice.gpu_layers:
        return "All of it is on the CPU."
    if choice.experts_on_cpu:
        return f"Its experts of {choice.experts_on_cpu} layers stay on the CPU, the rest is on the GPU."
    return (
        "All of it is on the GPU."
        if choice.gpu_layers >= count
        else f"{choice.gpu_layers} of {count} layers are on the GPU."
    )


def _state_in_words(option: Option) -> str:
    if option.path is None:
        return f"To be pulled: {'about ' if option.about else ''}{option.bytes / 1e9:.1f} GB, {option.licence}."
    return "It is installed." if option.source not in _FOUND else f"It is there, in {_FOUND[option.source]}."


_FOUND = {
    "ollama": "Ollama's store",
    "lmstudio": "LM Studio's folder",
    "llama.cpp": "llama.cpp's cache",
    "huggingface": "Hugging Face's cache",
    "gpt4all": "GPT4All's folder",
    "jan": "Jan's folder",
    "folder": "a folder of the settings",
}
