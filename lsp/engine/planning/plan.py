"""Where all models together go on a machine, decided step by step; each step says in a sentence what and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lsp.engine.planning.fitting import fit_experts, fit_layers, fit_most, fit_whole
from lsp.engine.planning.memory import (
    Choice,
    KvType,
    Machine,
    Use,
    can_quantize,
    cpu_use,
    gpu_use,
    kv_bytes,
)
from lsp.engine.planning.shape import ModelShape

Purpose = Literal["completion", "chat", "embedding"]

# What waits for a key has the first choice, what waits for nobody the last.
_URGENCY: dict[Purpose, int] = {"completion": 0, "chat": 1, "embedding": 2}
_CONTEXT: dict[Purpose, int] = {"completion": 8192, "chat": 16384, "embedding": 2048}
# Less of a context than this is no good for a repository's code.
_LEAST_CONTEXT = 4096
# A desktop, a browser and the driver's own needs: llama.cpp leaves 1 GiB by default, which is much of a small GPU.
_GPU_MARGIN = (512 << 20, 1 << 30)
_RAM_MARGIN = 1 << 30


@dataclass(frozen=True)
class Wanted:
    """A model to be planned for.

    Args:
        name: what sentences call it.
        purpose: completions come first, then chat, then embeddings.
        shape: its sizes.
        n_ctx: tokens of its context; 0: to be chosen.
        gpu_layers: layers on GPUs, the output being one; -1: to be chosen.
        kv_type: of its KV cache; empty: to be chosen.
        flash_attention: whether it may be used.
    """

    name: str
    purpose: Purpose
    shape: ModelShape
    n_ctx: int = 0
    gpu_layers: int = -1
    kv_type: KvType | Literal[""] = ""
    flash_attention: bool = True


@dataclass(frozen=True)
class Planned:
    """Where a model goes, and what it takes there."""

    wanted: Wanted
    choice: Choice
    gpus: tuple[Use, ...]
    cpu: Use

    def as_dict(self) -> dict[str, Any]:
        """As ``midline plan --json`` prints it."""
        return {
            "name": self.wanted.name,
            "purpose": self.wanted.purpose,
            "gpu_layers": self.choice.gpu_layers,
            "layers": len(self.wanted.shape.layers) + 1,
            "split": list(self.choice.split),
            "n_ctx": self.choice.n_ctx,
            "kv_type": self.choice.kv_type,
            "flash_attention": self.choice.flash_attention,
            "kv_bytes": kv_bytes(self.wanted.shape, self.wanted.shape.layers, self.choice),
            "weights_gpu_bytes": sum(use.weights for use in self.gpus),
            "weights_cpu_bytes": self.cpu.weights,
            "compute_bytes": sum(use.compute for use in self.gpus) + self.cpu.compute,
            "experts_on_cpu": self.choice.experts_on_cpu,
        }


@dataclass(frozen=True)
class Plan:
    """Where each model goes, in the order of their urgency; ``fits``: none is read from the disk again and again."""

    models: tuple[Planned, ...]
    steps: tuple[str, ...]
    fits: bool

    def as_dict(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {"models": [model.as_dict() for model in self.models], "steps": list(self.steps), "fits": self.fits}


def plan(wanted: Sequence[Wanted], machine: Machine, *, gpu_margin: int | None = None) -> Plan:
    """Decide where all models go.

    Args:
        wanted: the models, in any order.
        machine: what is free there.
        gpu_margin: bytes that are left free on each GPU; None: an eighth of what is free, from 512 MiB to 1 GiB.
    """
    return _Planner(machine, gpu_margin).plan(sorted(wanted, key=lambda one: _URGENCY[one.purpose]))


class _Planner:
    def __init__(self, machine: Machine, gpu_margin: int | None) -> None:
        self._machine = machine
        least, most = _GPU_MARGIN
        margins = [min(max(gpu.free_bytes // 8, least), most) for gpu in machine.gpus]
        self._margins = margins if gpu_margin is None else [gpu_margin] * len(margins)
        self._rooms = [max(gpu.free_bytes - margin, 0) for gpu, margin in zip(machine.gpus, self._margins, strict=True)]
        self._steps: list[str] = []

    def plan(self, wanted: Sequence[Wanted]) -> Plan:
        self._say_machine()
        for one in wanted:
            if one.kv_type and one.kv_type != (kept := _ladder(one)[0].kv_type):
                self._steps.append(f"{one.name} can't have a KV cache in {one.kv_type}: it is in {kept}.")
        choices = self._all_whole(wanted) if any(self._rooms) else None
        if choices is None:
            choices = self._one_after_another(wanted)
        choices = self._within_ram(wanted, choices)
        models = [
            Planned(one, choice, gpu_use(one.shape, choice), cpu_use(one.shape, choice))
            for one, choice in zip(wanted, choices, strict=True)
        ]
        self._steps += map(_sentence, models)
        fits = self._judge_ram(models)
        return Plan(tuple(models), tuple(self._steps), fits)

    def _say_machine(self) -> None:
        ram = f"{_size(self._machine.ram_bytes)} of main memory"
        gpus = [
            f"{gpu.name} has {_size(gpu.free_bytes)} free, {_size(min(margin, gpu.free_bytes))} are left to others"
            for gpu, margin in zip(self._machine.gpus, self._margins, strict=True)
            if gpu.free_bytes
        ]
        self._steps.append(f"{'; '.join(gpus)}; {ram}." if gpus else f"There is no GPU with free memory; {ram}.")

    # -- GPUs ------------------------------------------------------------------------------------------------------

    def _all_whole(self, wanted: Sequence[Wanted]) -> list[Choice] | None:
        """All models wholly on the GPUs, the least urgent giving way first; None where there is no way."""
        ladders = [_ladder(one) for one in wanted]
        rungs = [0] * len(wanted)
        order = [i for rung in range(1, 3) for i in reversed(range(len(wanted))) if rung < len(ladders[i])]
        for lowered in (None, *order):
            if lowered is not None:
                rungs[lowered] += 1
            choices = self._whole(wanted, [ladder[rung] for ladder, rung in zip(ladders, rungs, strict=True)])
            if choices:
                for one, ladder, choice in zip(wanted, ladders, choices, strict=True):
                    self._say_lowered(one, ladder[0], choice, "so that all models have room on the GPU")
                return choices
        return None

    def _whole(self, wanted: Sequence[Wanted], choices: Sequence[Choice]) -> list[Choice] | None:
        rooms = list(self._rooms)
        fitted = []
        for one, choice in zip(wanted, choices, strict=True):
            fit = self._as_wished(one, choice, rooms) if one.gpu_layers >= 0 else fit_whole(one.shape, choice, rooms)
            if fit is None:
                return None
            fitted.append(fit)
            rooms = _left(rooms, gpu_use(one.shape, fit))
        return fitted

    def _as_wished(self, one: Wanted, choice: Choice, rooms: Sequence[int]) -> Choice:
        """As many layers on the GPU as the settings say, whether they go in or not."""
        count = min(one.gpu_layers, len(one.shape.layers) + 1)
        if found := fit_layers(one.shape, choice, rooms, count):
            return found
        roomiest = max(range(len(rooms)), key=lambda i: rooms[i])
        forced = replace(choice, split=tuple(count if i == roomiest else 0 for i in range(len(rooms))))
        needed = sum(use.total for use in gpu_use(one.shape, forced))
        self._steps.append(
            f"{one.name} is to have {count} layers on the GPU, which take {_size(needed)} of {_size(max(rooms))}."
        )
        return forced

    def _one_after_another(self, wanted: Sequence[Wanted]) -> list[Choice]:
        """The most urgent model has the first choice; what is left goes to the others."""
        rooms = list(self._rooms)
        choices = []
        if any(rooms) and len(wanted) > 1:
            self._steps.append(f"Not all of it goes onto the GPU: {wanted[0].name} has the first choice.")
        for one in wanted:
            choice = self._best(one, rooms)
            choices.append(choice)
            rooms = _left(rooms, gpu_use(one.shape, choice))
        return choices

    def _best(self, one: Wanted, rooms: Sequence[int]) -> Choice:
        ladder = _ladder(one)
        on_cpu = replace(ladder[0], split=(0,) * len(rooms))
        if not any(rooms):
            return on_cpu
        if one.gpu_layers >= 0:
            return self._as_wished(one, ladder[0], rooms)
        for choice in ladder:
            if found := fit_whole(one.shape, choice, rooms):
                self._say_lowered(one, ladder[0], found, f"as {_size(sum(rooms))} are left on the GPU")
                return found
        whole = sum(use.total for use in gpu_use(one.shape, replace(ladder[-1], split=(len(one.shape.layers) + 1,))))
        self._steps.append(f"{one.name} would take {_size(whole)} on the GPU, where {_size(sum(rooms))} are left.")
        # A cache in q8_0 leaves room for more layers.
        choice = next((rung for rung in ladder[1:] if rung.n_ctx == ladder[0].n_ctx), ladder[0])
        bare = replace(choice, experts_on_cpu=sum(1 for layer in one.shape.layers if layer.experts))
        found = fit_experts(one.shape, choice, rooms) or fit_most(one.shape, bare, rooms)
        if found is None:
            self._steps.append(f"{one.name} stays on the CPU, as not one of its layers fits.")
            return on_cpu
        self._say_lowered(one, ladder[0], found, "which leaves room for more of its layers")
        return found

    def _say_lowered(self, one: Wanted, first: Choice, choice: Choice, why: str) -> None:
        changes = []
        if choice.kv_type != first.kv_type:
            changes.append(f"a KV cache in {choice.kv_type} instead of {first.kv_type}")
        if choice.n_ctx != first.n_ctx:
            changes.append(f"{choice.n_ctx:,} tokens of context instead of {first.n_ctx:,}")
        if changes:
            smaller, larger = (kv_bytes(one.shape, one.shape.layers, each) for each in (choice, first))
            changes[-1] += f" ({_size(smaller)} instead of {_size(larger)})"
            self._steps.append(f"{one.name} gives way with {' and '.join(changes)}, {why}.")

    # -- main memory -----------------------------------------------------------------------------------------------

    def _within_ram(self, wanted: Sequence[Wanted], choices: list[Choice]) -> list[Choice]:
        """Smaller KV caches on the CPU, the least urgent model's first, where the main memory is else too small."""
        room = self._machine.ram_bytes - _RAM_MARGIN
        lowered = list(choices)
        for index in reversed(range(len(wanted))):
            for rung in _ladder(wanted[index])[1:]:
                if self._ram_needed(wanted, lowered) <= room:
                    break
                if cpu_use(wanted[index].shape, lowered[index]).kv and rung.n_ctx <= lowered[index].n_ctx:
                    lowered[index] = replace(lowered[index], n_ctx=rung.n_ctx, kv_type=rung.kv_type)
        if self._ram_needed(wanted, lowered) > room:
            return choices  # it is the weights that are too large
        for one, first, choice in zip(wanted, choices, lowered, strict=True):
            self._say_lowered(one, first, choice, "to take less of the main memory")
        return lowered

    def _ram_needed(self, wanted: Sequence[Wanted], choices: Sequence[Choice]) -> int:
        total = 0
        for one, choice in zip(wanted, choices, strict=True):
            total += cpu_use(one.shape, choice).total
            uses = gpu_use(one.shape, choice)
            total += sum(use.total for use, gpu in zip(uses, self._machine.gpus, strict=True) if gpu.shared)
        return total

    def _judge_ram(self, models: Sequence[Planned]) -> bool:
        """Whether all that stays in the main memory goes in; says which model had better be left out."""
        room = self._machine.ram_bytes - _RAM_MARGIN
        needed = self._ram_needed([one.wanted for one in models], [one.choice for one in models])
        if needed <= room:
            return True
        heaviest = models[-1]
        without = self._ram_needed([one.wanted for one in models[:-1]], [one.choice for one in models[:-1]])
        advice = (
            f"leave {heaviest.wanted.name} out, and the rest fits"
            if len(models) > 1 and without <= room
            else f"use a smaller model than {max(models, key=lambda one: one.cpu.total).wanted.name}"
        )
        self._steps.append(
            f"{_size(needed)} of main memory are needed, {_size(max(room, 0))} are there: "
            f"weights would be read from the disk again and again. Better {advice}."
        )
        return False


def _ladder(one: Wanted) -> list[Choice]:
    """What a model may have of context and KV cache, the best first; what the settings say stays."""
    trained = one.shape.context or one.n_ctx or _CONTEXT[one.purpose]
    n_ctx = one.n_ctx or min(_CONTEXT[one.purpose], trained)
    flash = one.flash_attention and one.shape.architecture != "grok"  # which llama.cpp doesn't do it for
    possible = one.kv_type if flash and one.shape.head_key % 32 == 0 else "f16"
    ladder = [Choice(n_ctx, possible or "f16", flash_attention=flash)]
    if not one.kv_type and flash and can_quantize(one.shape):
        ladder.append(replace(ladder[-1], kv_type="q8_0"))
    if not one.n_ctx and n_ctx > _LEAST_CONTEXT:
        ladder.append(replace(ladder[-1], n_ctx=max(n_ctx // 2, _LEAST_CONTEXT)))
    return ladder


def _left(rooms: Sequence[int], uses: Sequence[Use]) -> list[int]:
    return [max(room - use.total, 0) for room, use in zip(rooms, uses, strict=True)]


def _sentence(model: Planned) -> str:
    """Where a model ends up."""
    choice, layers = model.choice, len(model.wanted.shape.layers) + 1
    kv = f"{choice.n_ctx:,} tokens of context in {choice.kv_type}"
    if not choice.gpu_layers:
        return f"{model.wanted.name} ({model.wanted.purpose}) runs on the CPU with {kv}: {_parts(model.cpu)}."
    gpu = Use(*(sum(getattr(use, part) for use in model.gpus) for part in ("weights", "kv", "compute")))
    where = "on the GPU" if sum(1 for size in choice.split if size) == 1 else f"over the GPUs ({_split(choice.split)})"
    what = f"all {layers} layers" if choice.gpu_layers == layers else f"{choice.gpu_layers} of {layers} layers"
    text = f"{model.wanted.name} ({model.wanted.purpose}) has {what} {where} with {kv}: {_parts(gpu)}"
    if choice.experts_on_cpu:
        text += f"; the experts of {choice.experts_on_cpu} layers stay on the CPU, as each token passes few of them"
    if choice.experts_on_cpu or choice.gpu_layers < layers:
        text += f"; {_size(model.cpu.weights)} of weights are mapped into the main memory"
    return text + "."


def _split(split: Sequence[int]) -> str:
    return " + ".join(map(str, split))


def _parts(use: Use) -> str:
    return f"{_size(use.weights)} of weights, {_size(use.kv)} of KV cache, {_size(use.compute)} to compute in"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"
