"""Edits: small changes of real functions, asked of the model by midline's loop and plainly, judged by running tests.

``python -m bench.chat edits``. What the model wrote is recorded, so that extraction and checks can be changed and run
again without it; ``--live`` asks anew, one task after the other, and tells times.

- loop: `lsp.chat.editing.rewriting.rewrite`, with its prompt, checks, repairs and retry.
- bare: the instruction and the function, nothing else; the answer's first block of code, indented as the function was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from bench.chat.answering import RecordedChat
from bench.chat.edits_judge import added_errors, verdict
from bench.chat.edits_tasks import Given, given, tasks
from bench.common import bench_home, engine_config, machine, percentiles, print_report, running_engine
from bench.quality.recording import Model, NotRecordedError
from bench.quality.work import in_parallel
from lsp.chat.answer import Engine, Generating
from lsp.chat.editing.rewriting import Task, rewrite
from lsp.chat.templates import ChatTemplate, Turn
from lsp.engine.protocol import ChatFacts, Priority, Segment, State
from lsp.errors import MidlineError
from lsp.models.catalogue import DEFAULT_MODEL

VARIANTS = ("loop", "bare")
BARE_TOKENS = 1024
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
# What the bare model is asked in the place of a command.
_PLAINLY = {"document": "Add a docstring to this function.", "types": "Add type hints to this function.", "fix": ""}


@dataclass
class Result:
    """What came of a task in one variant; ``failure`` is empty where its test passed."""

    task: str
    kind: str
    part: str
    variant: str
    code: str = ""
    failure: str = ""
    refused: bool = False
    parse_error: bool = False
    attempts: int = 1
    doubt: str = ""
    tokens_generated: int = 0
    tokens_evaluated: int = 0
    seconds: float = 0.0


class _Apart:
    """The engine with a KV sequence per task, so that several are decoded in one batch."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    async def ready(self) -> State:
        return await self._engine.ready()

    async def describe(self) -> ChatFacts:
        return await self._engine.describe()

    def generate(
        self,
        key: str,
        prompt: Sequence[Segment],
        *,
        max_tokens: int,
        heal: bool = True,
        branches: int = 1,
        priority: Priority = "chat",
    ) -> Generating:
        return self._engine.generate(
            f"{key}:{self._name}", prompt, max_tokens=max_tokens, heal=heal, branches=branches, priority=priority
        )


def main(arguments: Sequence[str]) -> int:
    """Run the bench; returns the exit code."""
    options = _parser().parse_args(arguments)
    chosen = [one for one in tasks() if options.part in (one.part, "all")]
    chosen = [one for one in chosen if not options.kinds or one.kind in options.kinds][: options.tasks]
    found = [one for one in (given(task, options.data) for task in chosen) if one]
    if options.check:
        return _check(found)
    results = asyncio.run(_live(options, found) if options.live else _recorded(options, found))
    report = summary(results) | {"machine": machine()}
    if options.verbose:
        tell_failures(results)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        told = {"report": report, "results": [asdict(one) for one in results]}
        options.out.write_text(json.dumps(told, ensure_ascii=False, indent=1))
    print_report(report, options.json)
    return 0


def _check(found: list[Given]) -> int:
    """Tell which tests pass without the edit, and which don't with a right one; returns the exit code."""
    wrong = 0
    for what in found:
        unedited, edited = verdict(what, what.code), verdict(what, what.solved())
        if not unedited or edited or added_errors(what, what.solved()):
            wrong += 1
            print(f"{what.task.name}: {'passes unedited' if not unedited else edited or 'the edit does not parse'}")
    print(f"{len(found)} tasks, {wrong} of them wrong")
    return int(wrong > 0)


async def _recorded(options: argparse.Namespace, found: list[Given]) -> list[Result]:
    model = Model(allowed=not options.no_model)
    engine = RecordedChat(options.recordings, model, BARE_TOKENS, allowed=not options.no_model)
    try:
        template = ChatTemplate(await engine.describe(), DEFAULT_MODEL.name)
        return await _run(options, engine, template, found, options.parallel)
    finally:
        await model.close()
        print(f"the model was asked {model.asked} times", file=sys.stderr)


async def _live(options: argparse.Namespace, found: list[Given]) -> list[Result]:
    async with AsyncExitStack() as stack:
        home = stack.enter_context(bench_home())
        engine = await stack.enter_async_context(running_engine(engine_config(home)))
        template = ChatTemplate(await engine.describe(), DEFAULT_MODEL.name)
        return await _run(options, engine, template, found, 1)


async def _run(
    options: argparse.Namespace, engine: Engine, template: ChatTemplate, found: list[Given], parallel: int
) -> list[Result]:
    async def one(item: tuple[str, Given]) -> Result:
        variant, what = item
        result = Result(what.task.name, what.task.kind, what.task.part, variant)
        began = time.perf_counter()
        own: Engine = engine if options.live else _Apart(engine, f"{variant}:{what.task.name}")
        await (_by_loop if variant == "loop" else _barely)(own, template, what, result)
        result.seconds = round(time.perf_counter() - began, 2)
        if not result.refused:
            result.parse_error = added_errors(what, result.code)
            judged = await asyncio.to_thread(verdict, what, result.code)
            result.failure = "it doesn't parse" if result.parse_error else judged
        return result

    items = [(variant, what) for variant in options.variants for what in found]
    # The first one alone: the chat template is rendered by then, which several at once may not be in time.
    return [*await in_parallel(one, items[:1], 1), *await in_parallel(one, items[1:], parallel)]


async def _by_loop(engine: Engine, template: ChatTemplate, what: Given, result: Result) -> None:
    task = Task(
        what.task.command,
        what.task.instruction,
        "python",
        what.task.file,
        what.text,
        what.start_line,
        what.end_line,
        what.diagnostics,
    )
    attempts: list[int] = []
    try:
        made = await rewrite(engine, template, task, on_attempt=attempts.append)
    except NotRecordedError:
        raise
    except MidlineError as error:
        result.refused, result.failure = True, f"refused: {error.message}"
    else:
        result.code, result.doubt = made.text, made.reason
        result.tokens_generated, result.tokens_evaluated = made.usage.tokens_generated, made.usage.tokens_evaluated
    result.attempts = max(attempts, default=0)


async def _barely(engine: Engine, template: ChatTemplate, what: Given, result: Result) -> None:
    asked = what.task.instruction or _PLAINLY[what.task.command] or f"Fix this: {what.task.diagnostic}."
    code = textwrap.dedent(what.code)
    prompt = template.prompt([Turn("user", f"{asked}\n\n```python\n{code}```")], datetime(2026, 1, 1))
    generation = engine.generate("bare", prompt.segments, max_tokens=BARE_TOKENS, heal=False, priority="chat")
    answer = "".join([token.text async for token in generation])
    block = _BLOCK.search(answer)
    indent = what.code[: len(what.code) - len(what.code.lstrip())]
    result.code = textwrap.indent(textwrap.dedent(block[1] if block else answer), indent).rstrip() + "\n"
    result.tokens_generated = generation.usage.tokens_generated
    result.tokens_evaluated = generation.usage.tokens_evaluated


def summary(results: list[Result]) -> dict[str, Any]:
    """Pass@1 of each variant, in all, by part and by kind, and what it cost."""
    report: dict[str, Any] = {"bench": "edits"}
    for variant in dict.fromkeys(one.variant for one in results):
        own = [one for one in results if one.variant == variant]
        report[variant] = {
            "tasks": len(own),
            "pass@1": round(sum(not one.failure for one in own) / len(own), 3),
            "passed": sum(not one.failure for one in own),
            "by_part": _shares(own, "part"),
            "by_kind": _shares(own, "kind"),
            "refused": sum(one.refused for one in own),
            "applied_with_parse_error": sum(one.parse_error for one in own),
            "asked_twice_or_more": sum(one.attempts > 1 for one in own),
            "tokens_generated": percentiles([one.tokens_generated for one in own if not one.refused]),
            "tokens_evaluated": percentiles([one.tokens_evaluated for one in own if not one.refused]),
            "seconds": percentiles([one.seconds for one in own]),
        }
    if {"loop", "bare"} <= report.keys() and report["bare"]["passed"]:
        report["loop / bare"] = round(report["loop"]["passed"] / report["bare"]["passed"], 2)
    return report


def _shares(results: list[Result], by: str) -> dict[str, str]:
    counts = Counter(getattr(one, by) for one in results)
    passed = Counter(getattr(one, by) for one in results if not one.failure)
    return {name: f"{passed[name]}/{count}" for name, count in sorted(counts.items())}


def tell_failures(results: list[Result]) -> None:
    """Print what was made of each failed task."""
    for one in results:
        if one.failure:
            print(f"\n=== {one.variant} {one.task} ({one.attempts} attempts): {one.failure}", file=sys.stderr)
            print(f"{one.doubt}\n{one.code}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.chat edits", description=__doc__)
    cache = user_cache_path("midline")
    parser.add_argument("--data", type=Path, default=cache / "retrieval", help="where downloads are kept")
    parser.add_argument("--recordings", type=Path, default=cache / "edits", help="where the model's output is kept")
    parser.add_argument("--part", choices=("tune", "final", "all"), default="all")
    parser.add_argument("--kinds", nargs="*", default=[], help="only tasks of these kinds")
    parser.add_argument("--tasks", type=int, default=1000, help="only the first so many")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--parallel", type=int, default=3, help="tasks at once (default 3)")
    parser.add_argument("--live", action="store_true", help="ask anew, one at a time, and tell times")
    parser.add_argument("--no-model", action="store_true", help="only what is recorded")
    parser.add_argument(
        "--check", action="store_true", help="only check the tasks: tests must tell edited from unedited"
    )
    parser.add_argument("--verbose", action="store_true", help="tell what was made of each failed task")
    parser.add_argument("--out", type=Path, help="write the report and each result to this file")
    parser.add_argument("--json", action="store_true")
    return parser
