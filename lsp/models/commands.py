"""``midline model …``: list, pull, add and verify models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from lsp.models import quantize as quantizing
from lsp.models import store
from lsp.models.adding import add
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.download import pull
from lsp.models.listing import list_command, row_of_installed, vouched
from lsp.models.progress import shown
from lsp.models.store import InstalledModel
from lsp.sizes import size, sizes

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

    parser = command("list", "show the models that are on this disk, and those that can be had", _list)
    parser.add_argument("--hash", action="store_true", help="read the files of other programs whole for their sha256")
    parser = command("recommend", "rank models for this machine, by what fits and how fast it is", _recommend)
    parser.add_argument("--vram", metavar="SIZE[,SIZE]", type=sizes, help="as if its GPUs had that much: 8GiB,24GiB")
    parser.add_argument("--ram", metavar="SIZE", type=size, help="as if it had that much main memory: 16GiB")
    parser.add_argument("--measure", action="store_true", help="measure this machine's speed again (ten seconds)")
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
    return list_command(hashing=arguments.hash, as_json=arguments.json)


def _recommend(arguments: argparse.Namespace) -> int:
    from lsp.models.recommend import recommend_command

    return recommend_command(vram=arguments.vram, ram=arguments.ram, again=arguments.measure, as_json=arguments.json)


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
        _print_json(row_of_installed(model) | (more or {}))
        return 0
    print(f"{model.name} {state}: {model.path}")
    by_hub = " (the hub's own: midline has none to compare it with)" if vouched(model) == "hub" else ""
    print(f"sha256 {model.sha256}{by_hub}")
    if model.info.fim is None:
        print(
            "It has no tokens for filling in the middle: it can chat, but not complete code."
            if model.info.chat_template
            else "It has neither tokens for filling in the middle nor a chat template: midline can't use it."
        )
    return 0


def _print_json(document: Any) -> None:
    print(msgspec.json.encode(document).decode())
