"""Where the model's layers, its KV cache and the threads go on this machine, and why."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import psutil

from lsp.engine.config import EngineConfig
from lsp.engine.planning.memory import Gpu, KvType, Machine
from lsp.engine.planning.plan import Plan, Planned, Purpose, Wanted, plan
from lsp.engine.planning.shape import shape_of
from lsp.errors import MidlineError
from lsp.models.header import read_header

logger = logging.getLogger(__name__)

DEFAULT_N_CTX = 8192
# What a second try does without, of what the backends say is free.
_STEP_DOWN = 0.75

T = TypeVar("T")


class NoMemoryError(MidlineError):
    """An allocation failed: less of the model on the GPU, or a smaller context, may go in."""


@dataclass(frozen=True)
class Placement:
    """A decision with its reason.

    Args:
        n_ctx: cells of the KV cache.
        gpu_layers: layers to offload, the output being one of them.
        kv_type: of the KV cache.
        flash_attention: whether it is used.
        split: how many of the layers each GPU takes; empty: llama.cpp divides them.
        experts_on_cpu: layers whose routed experts stay on the CPU.
        copied: whether weights on the CPU may be copied and rearranged, for speed, instead of only mapped.
        reason: a sentence or two for the log and for ``midline doctor``.
        lower: what to try where the memory isn't enough all the same.
    """

    n_ctx: int = DEFAULT_N_CTX
    gpu_layers: int = 0
    kv_type: KvType = "f16"
    flash_attention: bool = True
    split: tuple[int, ...] = ()
    experts_on_cpu: tuple[int, ...] = ()
    copied: bool = True
    reason: str = ""
    lower: Placement | None = None


def place(config: EngineConfig, machine: Machine, loaded: Collection[str] = ()) -> Placement:
    """Decide where a model goes, so that the others that the settings name have room, too.

    Args:
        config: the model, what is wished of it, and the others.
        machine: what is free now.
        loaded: paths of models in memory: what is free is free beside them.
    """
    try:
        wanted = [_wanted(config, config.model, config.purpose)]
    except MidlineError as error:  # llama.cpp may know better
        logger.warning("%s", error)
        reason = f"its memory can't be planned, so it goes where the settings say: {error.message}"
        return Placement(config.n_ctx or DEFAULT_N_CTX, max(config.gpu_layers, 0), reason=reason)
    other: Purpose = "completion" if config.purpose == "chat" else "chat"
    for path in config.beside:
        if path not in loaded and path != config.model:
            try:
                wanted.append(_wanted(config, path, other))
            except MidlineError as error:
                logger.warning("%s", error)
    decided = _placement(wanted, machine, config.gpu_reserve)
    return replace(decided, lower=_step_down(wanted, machine, config.gpu_reserve, decided))


def with_step_down(placement: Placement, load: Callable[[Placement], T]) -> tuple[T, Placement]:
    """What ``load`` makes of a placement, or of the next one down where the memory isn't enough; and which it was.

    Raises:
        MidlineError: whatever ``load`` raises, of the second try where there was one.
    """
    try:
        return load(placement), placement
    except NoMemoryError as error:
        lower = placement.lower
        if lower is None:
            raise
        logger.warning("%s One step down: %s", error.message, lower.reason)
        return load(lower), replace(lower, reason=f"the memory was not enough for more. {lower.reason}")


def choose_threads(wanted: int) -> int:
    """Compute threads: the setting, or one fewer than the physical cores, so that the editor keeps one."""
    if wanted > 0:
        return wanted
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 2
    usable = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else physical
    return max(1, min(physical, usable) - 1)


def _wanted(config: EngineConfig, path: str, purpose: Purpose) -> Wanted:
    shape = shape_of(read_header(Path(path)))
    mine = path == config.model
    return Wanted(
        config.name if mine else Path(path).stem,
        purpose,
        shape,
        n_ctx=config.n_ctx,
        gpu_layers=config.gpu_layers if mine else -1,
        kv_type=config.kv_type,
        flash_attention=config.flash_attention,
    )


def _placement(wanted: list[Wanted], machine: Machine, gpu_reserve: int) -> Placement:
    """The first model's part of a plan."""
    planned = plan(wanted, machine, gpu_margin=gpu_reserve if gpu_reserve >= 0 else None)
    mine = next(model for model in planned.models if model.wanted is wanted[0])
    mixed = [i for i, layer in enumerate(mine.wanted.shape.layers) if layer.experts]
    weights = mine.cpu.weights
    return Placement(
        n_ctx=mine.choice.n_ctx,
        gpu_layers=mine.choice.gpu_layers,
        kv_type=mine.choice.kv_type,
        flash_attention=mine.choice.flash_attention,
        split=mine.choice.split,
        experts_on_cpu=tuple(mixed[: mine.choice.experts_on_cpu]),
        # Beside a GPU the weights stay mapped, which is how they can be given to it; without one, copies are faster.
        copied=not mine.choice.gpu_layers and 2 * weights + mine.cpu.kv + mine.cpu.compute <= machine.ram_bytes,
        reason=_reason(planned, mine, machine),
    )


def _reason(planned: Plan, mine: Planned, machine: Machine) -> str:
    """The plan's sentences about one model, and what they follow from."""
    wished = mine.wanted.gpu_layers
    if not machine.gpus:
        start = "llama.cpp has no GPU to use, so all layers stay on the CPU"
        start += f" (`engine.gpu_layers` is {wished})." if wished > 0 else "."
    else:
        start = f"`engine.gpu_layers` is {wished}." if wished >= 0 else planned.steps[0]
    others = {model.wanted.name for model in planned.models} - {mine.wanted.name}
    steps = [step for step in planned.steps[1:] if not step.startswith(tuple(others) or ("\0",))]
    return " ".join([start, *steps])


def _step_down(wanted: list[Wanted], machine: Machine, gpu_reserve: int, first: Placement) -> Placement | None:
    """The plan for three quarters of the GPUs' memory; on the CPU, one for half of the context."""
    if first.gpu_layers:
        less = tuple(Gpu(gpu.name, int(gpu.free_bytes * _STEP_DOWN), gpu.shared) for gpu in machine.gpus)
        free = [replace(wanted[0], gpu_layers=-1), *wanted[1:]]
        lower = _placement(free, Machine(less, machine.ram_bytes), gpu_reserve)
        same = (lower.gpu_layers, lower.experts_on_cpu, lower.kv_type, lower.n_ctx)
        if same != (first.gpu_layers, first.experts_on_cpu, first.kv_type, first.n_ctx):
            return lower
        return replace(first, gpu_layers=0, split=(), experts_on_cpu=(), reason="all layers stay on the CPU")
    if first.n_ctx <= 1024:
        return None
    half = max(first.n_ctx // 2, 1024)
    return replace(first, n_ctx=half, copied=False, reason=f"it has a context of {half:,} tokens")
