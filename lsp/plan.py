"""``midline plan``: where models would go on this machine or on one described, before any of them is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console

from lsp.configuration import load
from lsp.engine.planning.memory import Gpu, Machine
from lsp.engine.planning.plan import Plan, Purpose, Wanted, plan
from lsp.engine.planning.shape import shape_of
from lsp.machine import backend
from lsp.models import store
from lsp.models.header import read_header
from lsp.settings import Settings


def plan_command(
    models: Sequence[str], vram: Sequence[int] | None, ram: int | None, workspace: Path, *, as_json: bool
) -> int:
    """Print the plan; returns the exit code, 0 whether it fits or not.

    Args:
        models: names or paths, the first one for completion, the second for chat; none: those of the settings.
        vram: free bytes of each GPU; None: what this machine has.
        ram: bytes of main memory; None: what this machine has.
        workspace: whose settings count.

    Raises:
        MidlineError: a model can't be found or planned.
    """
    settings, _ = load(workspace)
    machine = Machine(_gpus(vram), psutil.virtual_memory().available if ram is None else ram)
    made = plan_for(settings, machine, models)
    if as_json:
        print(json.dumps(made.as_dict()))
    else:
        _print(made)
    return 0


def plan_for(settings: Settings, machine: Machine, models: Sequence[str] = ()) -> Plan:
    """Plan the models that are named, or those of the settings, all together.

    Raises:
        MidlineError: a model can't be found or planned.
    """
    named = models or [settings.model.completion, settings.model.chat]
    wanted = []
    for index, name in enumerate(dict.fromkeys(name for name in named if name)):
        path, called = Path(name).expanduser(), Path(name).stem
        if not path.is_file():  # a name; of a file, the header is all that is needed
            found = store.find(name, settings.model.folders)
            path, called = found.path, found.name
        shape = shape_of(read_header(path))
        purpose: Purpose = "completion" if index == 0 else "chat"
        wanted.append(
            Wanted(
                called,
                purpose if shape.cached else "embedding",
                shape,
                n_ctx=settings.model.n_ctx,
                gpu_layers=-1 if models or settings.engine.gpu_layers == "auto" else settings.engine.gpu_layers,
                kv_type="" if settings.model.kv_type == "auto" else settings.model.kv_type,
                flash_attention=settings.engine.flash_attention,
            )
        )
    return plan(wanted, machine, gpu_margin=gpu_reserve(settings))


def gpu_reserve(settings: Settings) -> int | None:
    """Bytes to leave free on each GPU; None lets the plan choose."""
    reserve = settings.engine.gpu_reserve_mib
    return None if reserve == "auto" else reserve << 20


def _gpus(vram: Sequence[int] | None) -> tuple[Gpu, ...]:
    if vram is None:
        return backend().gpus
    return tuple(Gpu(f"GPU {index}", free) for index, free in enumerate(vram))


def _print(made: Plan) -> None:
    console = Console(highlight=False)
    for number, step in enumerate(made.steps, 1):
        console.print(f"{number}. {step}", markup=False)
    console.print("It fits." if made.fits else "[bold red]It doesn't fit.[/]")
