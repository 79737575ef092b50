"""``midline model …``: list, pull, add and verify models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from lsp.models import catalogue, store
from lsp.models import quantize as quantizing
from lsp.models.adding import add
from lsp.models.catalogue import DEFAULT_MODEL, CatalogueEntry
from lsp.models.download import pull
from lsp.models.progress import shown
from lsp.models.store import InstalledModel
from lsp.paths import models_dir

Handler = Callable[[argparse.Namespace], int]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``model`` and its commands; each parser's ``handler`` default takes the arguments and returns 0.

    The handlers raise ``MidlineError`` when they fail.
    """
    model = subparsers.add_parser("model", help="list, install and check models")
    commands = model.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, about: str, handler: Handler) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=about, description=about)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.set_defaults(handler=handler)
        return parser

    command("list", "show the models that are installed or can be", _list)
    parser = command("pull", "download a model of the catalogue, check it and install it", _pull)
    parser.add_argument("name", metavar="NAME", nargs="?", default=DEFAULT_MODEL.name, help="default: %(default)s")
    parser = command("add", "install a GGUF file that you have", _add)
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--name", help="what to call it; default: its file name")
    parser.add_argument("--move", action="store_true", help="move the file instead of copying it")
    parser = command("quantize", "make a smaller model of one that you have", _quantize)
    parser.add_argument("model", metavar="NAME|FILE", help="a model's name, or the path of a GGUF file")
    parser.add_argument("type", metavar="TYPE", help=f"of the weights: {', '.join(quantizing.TYPES)}")
    parser.add_argument("--output", metavar="NAME", help="what to call it; default: its source's name and the type")
    parser.add_argument("--threads", metavar="N", type=_threads, default=0, help="that compute; default: all but one")
    parser.add_argument("--requantize", action="store_true", help="even of what is quantized already, at a loss")
    parser = command("finetune-data", "write a repository as examples to train a model on elsewhere", _finetune_data)
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: the current one")
    parser.add_argument(
        "-o", "--output", metavar="OUT.jsonl|DIR", type=Path, required=True, help="one file, or a folder of several"
    )
    parser.add_argument("--seed", type=_whole, default=1, help="chooses gaps, and files for validation (default 1)")
    parser.add_argument(
        "--validation", metavar="SHARE", type=_share, default=0.05, help="of the files, for validation (default 0.05)"
    )
    parser.add_argument(
        "--licence", metavar="NAME", action="append", default=[], help="let files in that stand under it; SPDX's name"
    )
    parser = command("verify", "read a whole model again and compare its hash", _verify)
    parser.add_argument("name", metavar="NAME")


def _list(arguments: argparse.Namespace) -> int:
    models = store.installed()
    names = {model.name for model in models}
    others = [entry for entry in catalogue.CATALOGUE if entry.name not in names]
    if arguments.json:
        _print_json([*map(_of_installed, models), *map(_of_entry, others)])
    else:
        _print_table(models, others)
    for stray in store.strays():
        print(f"midline: {stray} isn't in use: add it (midline model add) or remove it", file=sys.stderr)
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    with shown(arguments.name) as progress:
        model = pull(arguments.name, progress)
    return _print_model(arguments, model, "is installed")


def _add(arguments: argparse.Namespace) -> int:
    with shown(arguments.file.name) as progress:
        model = add(arguments.file, arguments.name, arguments.move, progress)
    return _print_model(arguments, model, "is installed")


def _quantize(arguments: argparse.Namespace) -> int:
    with shown(arguments.model) as progress:
        made = quantizing.quantize(
            arguments.model,
            arguments.type,
            arguments.output,
            threads=arguments.threads,
            requantize=arguments.requantize,
            progress=progress,
        )
    if made.requantized:
        print("midline: it was quantized already: the result is worse than one of the original", file=sys.stderr)
    if made.fallbacks:
        print(
            f"midline: {made.fallbacks} of {made.tensors} tensors have a shape that {made.model.info.quantization}"
            " can't store: llama.cpp took larger types for them",
            file=sys.stderr,
        )
    counts = {
        "from": made.source,
        "tensors": made.tensors,
        "requantized": made.requantized,
        "fallbacks": made.fallbacks,
    }
    return _print_model(arguments, made.model, "is installed", counts)


def _finetune_data(arguments: argparse.Namespace) -> int:
    from lsp.finetune.command import finetune_command
    from lsp.finetune.export import Options

    options = Options(arguments.seed, arguments.validation, frozenset(arguments.licence))
    return finetune_command(arguments.folder, arguments.output, options, as_json=arguments.json)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 0.5")
    return share


def _threads(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 512")
    return int(text)


def _verify(arguments: argparse.Namespace) -> int:
    with shown(arguments.name) as progress:
        model = store.verify(arguments.name, progress)
    return _print_model(arguments, model, "is intact")


def _print_model(
    arguments: argparse.Namespace, model: InstalledModel, state: str, more: dict[str, Any] | None = None
) -> int:
    if arguments.json:
        _print_json(_of_installed(model) | (more or {}))
        return 0
    print(f"{model.name} {state}: {model.path}")
    print(f"sha256 {model.sha256}")
    if model.info.fim is None:
        print(
            "It has no tokens for filling in the middle: it can chat, but not complete code."
            if model.info.chat_template
            else "It has neither tokens for filling in the middle nor a chat template: midline can't use it."
        )
    return 0


def _of_installed(model: InstalledModel) -> dict[str, Any]:
    return {
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


def _of_entry(entry: CatalogueEntry) -> dict[str, Any]:
    """One that isn't installed: its path is null."""
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
    }


def _print_json(document: Any) -> None:
    print(msgspec.json.encode(document).decode())


def _print_table(models: list[InstalledModel], others: list[CatalogueEntry]) -> None:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("Model", overflow="fold")
    for heading in ("Size", "Weights"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Kind", "Good for", "State"):
        table.add_column(heading, no_wrap=True)
    states = {model.name: "installed" if model.intact else "changed on disk" for model in models}
    for row in [*map(_of_installed, models), *map(_of_entry, others)]:
        uses = [use for use, has in (("code", row["fim"]), ("chat", row["chat"])) if has]
        table.add_row(
            row["name"],
            decimal(row["bytes"]),
            f"{row['parameters'] / 1e9:.2f} B",
            row["quantization"],
            ", ".join(uses) or "nothing",
            states.get(row["name"], "not installed"),
        )
    console = Console()
    console.print(table)
    console.print(f"Models are in {models_dir()}", style="dim", highlight=False, soft_wrap=True)
    if others:
        console.print(f"Install one: midline model pull {others[0].name}", style="dim", highlight=False)
