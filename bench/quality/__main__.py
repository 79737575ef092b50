"""``python -m bench.quality humaneval | repository | calibrate``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from bench.common import machine, print_report
from bench.quality import calibrate, contexts, humaneval, repository
from bench.quality.recording import Model, RecordedEngine, Recordings
from lsp.errors import MidlineError
from lsp.settings import Settings

_CHECKOUT = Path(__file__).resolve().parents[2]
_USUAL = Settings().completion.max_tokens
DATA = _CHECKOUT.parent / "shared" / "data"


Outcome = tuple[dict[str, Any], list[dict[str, Any]], str]
"""The report, each result, and the report for people where it has a form of its own."""


def main() -> int:
    """Run the bench; returns the exit code."""
    options = _parser().parse_args()
    try:
        report, results, text = asyncio.run(_run(options))
    except MidlineError as error:
        print(error, file=sys.stderr)
        return 1
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"report": report, "results": results}, ensure_ascii=False, indent=1))
    if text and not options.json:
        print(text)
    else:
        print_report(report, options.json)
    return 0


async def _run(options: argparse.Namespace) -> Outcome:
    model = Model(allowed=not options.no_model)
    engine = RecordedEngine(Recordings(options.recordings), model, length=0)
    try:
        return await options.run(options, engine)
    finally:
        await model.close()
        print(f"the model was asked {model.asked} times", file=sys.stderr)


async def _humaneval(options: argparse.Namespace, engine: RecordedEngine) -> Outcome:
    chosen = humaneval.tasks(options.data)[: options.tasks]
    variants = options.variants or list(humaneval.VARIANTS)
    results = await humaneval.run(engine, chosen, variants, options.max_tokens, options.parallel)
    if options.verbose:
        humaneval.tell_failures(results)
    about = {"bench": "humaneval", "max_tokens": options.max_tokens}
    return about | humaneval.summary(results) | {"machine": machine()}, results, ""


async def _repository(options: argparse.Namespace, engine: RecordedEngine) -> Outcome:
    found = repository.chosen(options.data, options.languages, options.places, options.seed)
    sources = contexts.Contexts(options.data)
    variants = options.variants or ["bare", contexts.WITHOUT, contexts.WITH]
    try:
        results = await repository.run(engine, found, variants, sources, options.max_tokens, options.parallel)
    finally:
        sources.close()
    if options.verbose:
        print(repository.tell_failures(results), file=sys.stderr)
    report = repository.summary(results)
    about = {"bench": "repository", "seed": options.seed, "places": len(found), "max_tokens": options.max_tokens}
    return about | report | {"machine": machine()}, results, repository.table(report)


async def _calibrate(options: argparse.Namespace, _: RecordedEngine) -> Outcome:
    results = calibrate.read(options.files, options.variant)
    if not results:
        raise MidlineError(f"There are no results of {options.variant!r}.", "Name files written with --out.")
    report = calibrate.report(results)
    return {"bench": "calibrate", "variant": options.variant} | report, [], calibrate.table(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        cache = user_cache_path("midline") / "quality"
        one.add_argument("--recordings", type=Path, default=cache, help="where the model's output is kept")
        one.add_argument("--no-model", action="store_true", help="only what is recorded")
        one.add_argument("--parallel", type=int, default=6, help="completions at once (default 6)")
        one.add_argument("--out", type=Path, help="write the report and each result to this file")
        one.add_argument("--json", action="store_true")
        return one

    one = command("humaneval", _humaneval, "HumanEval infilling: pass@1")
    one.add_argument("--data", type=Path, default=DATA, help="the folder that humaneval_infilling is in")
    one.add_argument("--variants", nargs="*", choices=humaneval.VARIANTS)
    one.add_argument("--tasks", type=int, default=164, help="only the first so many")
    one.add_argument("--max-tokens", type=int, default=128, help="of the pipeline (default 128)")
    one.add_argument("--verbose", action="store_true", help="tell of each failed task what was expected and given")

    one = command("repository", _repository, "lines and blocks of real packages")
    one.add_argument("--data", type=Path, default=user_cache_path("midline") / "quality", help="downloads")
    one.add_argument("--languages", nargs="*", default=[])
    one.add_argument("--variants", nargs="*", choices=("bare", *contexts.variants()))
    one.add_argument("--places", type=int, default=20, help="of each language (default 20)")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--max-tokens", type=int, default=_USUAL, help=f"as completion.max_tokens (default {_USUAL})")
    one.add_argument("--verbose", action="store_true", help="tell where it wasn't right what was expected and given")

    one = command("calibrate", _calibrate, "precision against share shown, by confidence")
    one.add_argument("files", nargs="+", type=Path, help="results written with --out")
    one.add_argument("--variant", default=contexts.WITH, help=f"whose results (default {contexts.WITH!r})")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
