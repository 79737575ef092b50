"""``midline model list``: midline's own models, those that other programs have, and those that can be had."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from lsp.configuration import load
from lsp.models import catalogue, store
from lsp.models.catalogue import CatalogueEntry, HubFile
from lsp.models.dimensions import imagined_header
from lsp.models.discovery.discover import Discovery, Found, Owned, discover
from lsp.models.discovery.facts import Facts, facts
from lsp.models.discovery.memory import Memory
from lsp.models.progress import shown
from lsp.models.store import InstalledModel
from lsp.paths import models_dir

_MOST_PROBLEMS = 10


def list_command(*, hashing: bool, as_json: bool) -> int:
    """Print all models; ``hashing`` has the files of other programs read whole for their sha256. Returns 0."""
    models = store.installed()
    names = {model.name for model in models}
    others = [entry for entry in catalogue.CATALOGUE if entry.name not in names]
    discovery = find_all(models, load()[0].model.folders, hashing=hashing)
    rows = [
        *(row_of_installed(model, own.facts) for model, own in zip(models, discovery.own, strict=True)),
        *map(_row_of_found, discovery.found),
        *map(row_of_entry, others),
    ]
    if as_json:
        print(msgspec.json.encode(rows).decode())
    else:
        states = {model.name: "installed" if model.intact else "changed on disk" for model in models}
        _print_table(rows, states, others)
    for stray in store.strays():
        print(f"midline: {stray} isn't in use: add it (midline model add) or remove it", file=sys.stderr)
    _print_problems(discovery)
    return 0


def find_all(models: Sequence[InstalledModel], folders: Sequence[str], *, hashing: bool = False) -> Discovery:
    """What other programs have, also in ``folders``, compared with ``models``, midline's own."""
    own = [Owned(model.name, model.path, model.sha256 or "") for model in models]
    return discover(folders, own, _hash if hashing else None)


def row_of_installed(model: InstalledModel, known: Facts | None = None) -> dict[str, Any]:
    """A row of the list for one of midline's own; ``known`` is read from its file where it isn't given."""
    if known is None:
        with suppress(OSError):
            known = Memory().look(model.path).facts
    row = {
        "name": model.name,
        "path": str(model.path),
        "bytes": model.bytes,
        "quantization": model.info.quantization,
        "parameters": model.info.parameters,
        "fim": model.info.fim is not None,
        "chat": model.info.chat_template,
        "sha256": model.sha256,
        "source": model.source,
    }
    entry = catalogue.lookup(model.name)
    return {
        **row,
        **_more(known),
        "sha256_by": vouched(model),
        "licence": model.info.licence or (entry.licence if entry else None),
        "about": False,
        "same_as": None,
        "problem": None,
    }


def vouched(model: InstalledModel) -> Literal["catalogue", "hub", "store", "file"] | None:
    """Who says what the sha256 of an installed model is to be: None where there is none; "file": it was reckoned."""
    entry = catalogue.lookup(model.name)
    if model.claimed:
        return "store"
    if entry and entry.sha256 and entry.sha256 == model.sha256:
        return "catalogue"
    if model.source == HubFile.title:
        return "hub"
    return "file" if model.sha256 else None


def row_of_entry(entry: CatalogueEntry) -> dict[str, Any]:
    """A row for one that isn't installed: its path is null; ``about`` says that its size was reckoned."""
    return {
        "name": entry.name,
        "path": None,
        "bytes": entry.bytes,
        "quantization": entry.quantization,
        "parameters": entry.parameters,
        "fim": entry.fim,
        "chat": entry.chat,
        "sha256": entry.sha256,
        "source": "catalogue",
        **_more(facts_of_entry(entry)),
        "sha256_by": "catalogue" if entry.sha256 else None,
        "licence": entry.licence,
        "about": entry.about,
        "same_as": None,
        "problem": None,
    }


def facts_of_entry(entry: CatalogueEntry) -> Facts | None:
    """What the file of a catalogue entry will say, as far as its dimensions tell."""
    if entry.dimensions is None:
        return None
    reckoned = facts(imagined_header(entry.name, entry.dimensions, entry.bytes, entry.quantization))
    return msgspec.structs.replace(
        reckoned,
        fim=entry.layout or "",
        fim_sure=True,
        chat=entry.chat,
        tools=entry.tools,
        thinking=entry.thinking,
        quantization=entry.quantization,
    )


def _row_of_found(found: Found) -> dict[str, Any]:
    known = found.facts
    row = {
        "name": found.name,
        "path": str(found.path),
        "bytes": found.bytes,
        "quantization": known.quantization if known else None,
        "parameters": known.parameters if known else None,
        "fim": bool(known and known.fim),
        "chat": bool(known and known.chat),
        "sha256": found.sha256 or None,
        "source": found.source,
    }
    return {
        **row,
        **_more(known),
        "sha256_by": ("file" if found.hashed else "store") if found.sha256 else None,
        "licence": found.licence or None,
        "about": False,
        "same_as": found.same_as or None,
        "problem": found.problem or None,
    }


def _more(known: Facts | None) -> dict[str, Any]:
    """What only the file's header tells; nulls where it can't be read."""
    names = ("kind", "architecture", "context_length", "tools", "thinking", "active_parameters", "parts")
    return {name: getattr(known, name, None) for name in names} | {"fim_layout": (known.fim if known else "") or None}


def _hash(name: str, path: Path) -> str:
    with shown(name) as progress:
        return store.hash_file(path, progress)


def _print_table(rows: list[dict[str, Any]], states: dict[str, str], others: list[CatalogueEntry]) -> None:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("Model", overflow="fold")
    for heading in ("Size", "Weights"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Kind", "Good for"):
        table.add_column(heading, no_wrap=True)
    table.add_column("State")
    for row in rows:
        weights = f"{row['parameters'] / 1e9:.2f} B" if row["parameters"] else "?"
        size = f"{'about ' if row['about'] else ''}{decimal(row['bytes'])}"
        table.add_row(row["name"], size, weights, row["quantization"] or "?", _uses(row), _state(row, states))
    console = Console()
    console.print(table)
    console.print(f"Models are in {models_dir()}", style="dim", highlight=False, soft_wrap=True)
    if others:
        console.print(f"Install one: midline model pull {others[0].name}", style="dim", highlight=False)


def _uses(row: dict[str, Any]) -> str:
    if row["kind"] not in ("model", None):
        return str(row["kind"])
    uses = [use for use, has in (("code", row["fim"]), ("chat", row["chat"])) if has]
    return ", ".join(uses) or "nothing"


def _state(row: dict[str, Any], states: dict[str, str]) -> str:
    if row["source"] == "catalogue":
        return "not installed"
    if row["problem"]:
        return "unusable"
    if row["same_as"]:
        return f"same as {row['same_as']}"
    return states.get(row["name"], f"found ({row['source']})")


def _print_problems(discovery: Discovery) -> None:
    for problem in discovery.problems[:_MOST_PROBLEMS]:
        print(f"midline: {problem}", file=sys.stderr)
    if len(discovery.problems) > _MOST_PROBLEMS:
        print(f"midline: {len(discovery.problems) - _MOST_PROBLEMS} more files can't be used", file=sys.stderr)
