"""``midline model recommend``: the models on this disk and in the catalogue, ranked for this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.padding import Padding

from lsp.configuration import load
from lsp.engine.config import EngineConfig
from lsp.engine.planning.memory import Gpu, Machine
from lsp.engine.planning.shape import shape_of
from lsp.errors import MidlineError
from lsp.machine import this_machine
from lsp.models import catalogue, store
from lsp.models.benchmark import Measured, Probe, machine_speed
from lsp.models.dimensions import imagined_header
from lsp.models.discovery.discover import Found
from lsp.models.discovery.facts import Facts
from lsp.models.header import read_header
from lsp.models.listing import facts_of_entry, find_all
from lsp.models.ranking import PURPOSES, Option, Purpose, Ranked, rank
from lsp.plan import gpu_reserve
from lsp.settings import Settings

_SHOWN = 6
# Less than this says nothing of a larger model's speed.
_LEAST_PROBE_BYTES = 100_000_000


def recommend_command(*, vram: Sequence[int] | None, ram: int | None, again: bool, as_json: bool) -> int:
    """Rank all models for this machine and print the ranks; returns 0.

    Args:
        vram: bytes of each GPU, to reckon with instead of those that are here.
        ram: bytes of main memory, likewise.
        again: measure the machine's speed anew.
        as_json: print one JSON document.

    Raises:
        MidlineError: the engine failed while the speed was measured.
    """
    settings, _ = load(Path.cwd())
    options = list(_options(settings))
    here = this_machine()
    probe = _probe(options, settings)
    with Console(stderr=True).status("") as status:
        measured = machine_speed(probe, has_gpu=bool(here.gpus), again=again, say=lambda text: status.update(text))
    gpus = here.gpus if vram is None else tuple(Gpu(f"GPU {index}", size) for index, size in enumerate(vram) if size)
    machine = Machine(gpus, here.ram_bytes if ram is None else ram)
    reserve = gpu_reserve(settings)
    ranks = {purpose: rank(options, purpose, machine, measured, gpu_margin=reserve) for purpose in PURPOSES}
    if as_json:
        print(json.dumps(_document(machine, measured, ranks)))
    else:
        _print(machine, measured, ranks)
    return 0


def _options(settings: Settings) -> Iterator[Option]:
    installed = store.installed()
    discovery = find_all(installed, settings.model.folders)
    for model, own in zip(installed, discovery.own, strict=True):
        if own.facts and model.intact:
            yield from _on_disk(model.name, model.source, model.path, model.bytes, model.info.licence or "", own.facts)
    for found in discovery.found:
        if found.facts and not found.same_as:
            yield from _on_disk(found.name, found.source, found.path, found.bytes, found.licence, found.facts)
    names = {model.name for model in installed}
    names |= {entry.name for found in discovery.found if (entry := _entry_of(found))}
    for entry in catalogue.CATALOGUE:
        facts = facts_of_entry(entry)
        if entry.dimensions and facts and entry.name not in names:
            shape = shape_of(imagined_header(entry.name, entry.dimensions, entry.bytes, entry.quantization))
            licence, released = entry.licence, entry.released
            yield Option(entry.name, "catalogue", None, entry.bytes, entry.about, licence, released, facts, shape)


def _on_disk(name: str, source: str, path: Path, size: int, licence: str, facts: Facts) -> Iterator[Option]:
    entry = _entry_like(name, facts)
    try:
        shape = shape_of(read_header(path))
    except MidlineError:
        return  # whatever else it is, no language model
    yield Option(name, source, path, size, False, licence, entry.released if entry else "", facts, shape)


def _entry_of(found: Found) -> catalogue.CatalogueEntry | None:
    """The catalogue's entry that need not be pulled, since there is such a file."""
    entry = _entry_like(found.name, found.facts) if found.facts else None
    return entry if entry and found.facts and found.facts.quantization == entry.quantization else None


def _entry_like(name: str, facts: Facts) -> catalogue.CatalogueEntry | None:
    """The catalogue's entry for the same model, whoever made this file of it: its age is known."""
    called = _letters(f"{name} {facts.title}")
    fitting = [entry for entry in catalogue.CATALOGUE if _letters(entry.title) in called or entry.name == name]
    return max(fitting, key=lambda entry: len(entry.title), default=None)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _probe(options: Sequence[Option], settings: Settings) -> Probe | None:
    """The model to measure with: the one that completes, else the smallest that isn't tiny."""
    there = [option for option in options if option.path and option.facts.kind == "model"]
    there.sort(key=lambda option: (option.bytes < _LEAST_PROBE_BYTES, option.bytes))
    chosen = next((option for option in there if option.name == settings.model.completion), there[0] if there else None)
    if chosen is None:
        return None
    threads = settings.engine.threads
    config = EngineConfig(str(chosen.path), threads=0 if threads == "auto" else threads, idle_seconds=5)
    return Probe(chosen.name, chosen.facts, config)


def _document(machine: Machine, measured: Measured, ranks: dict[Purpose, list[Ranked]]) -> dict[str, Any]:
    return {
        "machine": {
            "ram_bytes": machine.ram_bytes,
            "gpus": [{"name": gpu.name, "free_bytes": gpu.free_bytes} for gpu in machine.gpus],
            "measured": _measured(measured),
        },
        **{purpose: [_row(place, one) for place, one in enumerate(ranked, 1)] for purpose, ranked in ranks.items()},
    }


def _measured(measured: Measured) -> dict[str, Any]:
    devices = {"cpu": measured.cpu, "gpu": measured.gpu}
    return {
        "when": measured.when,
        **{
            name: device
            and {
                "bytes_per_second": round(device.bandwidth),
                "writing_weights_per_second": round(device.writing) or None,
                "reading_weights_per_second": round(device.reading),
                "measured_with": device.measured_with or None,
            }
            for name, device in devices.items()
        },
    }


def _row(place: int, ranked: Ranked) -> dict[str, Any]:
    option, planned, speed = ranked.option, ranked.planned, ranked.speed
    said = planned.as_dict()
    return {
        "rank": place if ranked.fits else None,
        "name": option.name,
        "source": option.source,
        "path": str(option.path) if option.path else None,
        "bytes": option.bytes,
        "about": option.about,
        "licence": option.licence or None,
        "fits": ranked.fits,
        "tokens_per_second": round(speed.per_second, 2),
        "assumed": speed.assumed,
        "first_token_ms": round(1e3 * speed.first_seconds, 1),
        "cold_ms": round(1e3 * speed.cold_seconds),
        "memory_bytes": planned.cpu.total + sum(use.total for use in planned.gpus),
        "gpu_bytes": sum(use.total for use in planned.gpus),
        "gpu_layers": said["gpu_layers"],
        "experts_on_cpu": said["experts_on_cpu"],
        "n_ctx": said["n_ctx"],
        "kv_type": said["kv_type"],
        "score": round(ranked.score, 2),
        "reason": ranked.reason,
    }


def _print(machine: Machine, measured: Measured, ranks: dict[Purpose, list[Ranked]]) -> None:
    console = Console(highlight=False)
    gpus = ", ".join(f"{decimal(gpu.free_bytes)} on {gpu.name}" for gpu in machine.gpus) or "no GPU"
    console.print(f"{decimal(machine.ram_bytes)} of main memory, {gpus}; {_basis(measured)}.", soft_wrap=True)
    for purpose, ranked in ranks.items():
        fitting = [one for one in ranked if one.fits]
        console.print(f"\n[bold]For {purpose}[/]" + ("" if fitting else ": none fits"))
        if not fitting:
            continue
        for place, one in enumerate(fitting[:_SHOWN], 1):
            console.print(f"{place}. [bold]{one.option.name}[/]  {_figures(one)}", soft_wrap=True)
            console.print(Padding(one.reason, (0, 0, 0, 3)), style="dim")
        left = len(ranked) - min(len(fitting), _SHOWN)
        if left:
            console.print(f"{left} more, {len(ranked) - len(fitting)} of which don't fit: see --json", style="dim")


def _figures(ranked: Ranked) -> str:
    speed = ranked.speed
    memory = decimal(ranked.planned.cpu.total + sum(use.total for use in ranked.planned.gpus))
    about = "≈ " if speed.assumed else ""
    return f"{about}{speed.per_second:.3g} tokens/s, the first after {_time(speed.first_seconds)}, {memory} of memory"


def _basis(measured: Measured) -> str:
    day = measured.when.partition("T")[0]
    if not measured.cpu.measured_with:
        return "speeds are guessed from its memory's: install a model (midline model pull) to have them measured"
    unknown = "" if measured.gpu else ", on the CPU"
    return f"speeds follow from {measured.cpu.measured_with}, measured{unknown} on {day} (--measure: again)"


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
