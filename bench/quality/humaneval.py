"""HumanEval infilling, random spans: does the function pass its tests with the suggestion put in?"""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench.quality import sandbox
from bench.quality.recording import RecordedEngine
from bench.quality.variants import Given, bare, crude_cut, inserted, pipeline
from bench.quality.work import in_parallel
from lsp.documents import Cursor
from lsp.errors import MidlineError

FILE = Path("humaneval_infilling") / "HumanEval-RandomSpanInfillingLight.jsonl.gz"
VARIANTS = ("bare", "bare-cut", "pipeline")
# What is recorded of the bare model: none of what ends later passes.
BARE_TOKENS = 160
# Tokens recorded of a prompt at first.
_LENGTH = 96


@dataclass(frozen=True)
class Task:
    """One task of the set."""

    task_id: str
    entry_point: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str

    @property
    def name(self) -> str:
        """Its number."""
        return self.task_id.split("HumanEval/")[-1]

    @property
    def cursor(self) -> Cursor:
        """The document with the cursor where the span was taken out."""
        path = Path(f"/humaneval/{self.name.replace('/', '_')}.py")
        return Cursor(path.as_uri(), path, "python", None, self.prompt + self.suffix, len(self.prompt))

    @property
    def span(self) -> str:
        """Whether the span has one line or more, and whether something stands right of it."""
        lines = "several lines" if "\n" in self.canonical_solution.strip("\n") else "one line"
        return f"{lines}, {'something' if self.cursor.rest_of_line.strip() else 'nothing'} right of it"


def tasks(data: Path) -> list[Task]:
    """All 164.

    Raises:
        MidlineError: the file isn't there.
    """
    file = data / FILE
    if not file.exists():
        raise MidlineError(f"{file} is not there.", "Name the folder of humaneval_infilling with --data.")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [msgspec.json.decode(line, type=Task) for line in lines]


async def run(
    engine: RecordedEngine, chosen: list[Task], variants: list[str], max_tokens: int, parallel: int
) -> list[dict[str, Any]]:
    """Each task by each variant: what was suggested, and how its tests failed, if they did."""

    async def one(pair: tuple[str, Task]) -> dict[str, Any]:
        variant, task = pair
        given = await _complete(engine.of_length(_LENGTH), variant, task.cursor, max_tokens)
        failure = await asyncio.to_thread(partial(_test, task, given))
        return {
            "task": task.name,
            "variant": variant,
            "passed": not failure,
            "failure": failure,
            "span": task.span,
            "expected": task.canonical_solution,
        } | msgspec.to_builtins(given)

    return await in_parallel(one, [(variant, task) for variant in variants for task in chosen], parallel)


async def _complete(engine: RecordedEngine, variant: str, cursor: Cursor, max_tokens: int) -> Given:
    if variant == "pipeline":
        return await pipeline(engine, cursor, max_tokens)
    text = await bare(engine, cursor, BARE_TOKENS)
    return inserted(cursor, crude_cut(text, cursor) if variant == "bare-cut" else text, text)


def _test(task: Task, given: Given) -> str:
    return sandbox.run(f"{given.applied(task.prompt + task.suffix)}\n{task.test}\ncheck({task.entry_point})\n")


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Pass@1 of each variant, in all and by the kind of span."""
    report: dict[str, Any] = {}
    for variant in dict.fromkeys(result["variant"] for result in results):
        own = [result for result in results if result["variant"] == variant]
        report[variant] = {
            "tasks": len(own),
            "passed": sum(result["passed"] for result in own),
            "pass@1": round(sum(result["passed"] for result in own) / len(own), 3),
            "shown": sum(bool(result["text"]) for result in own),
            "by_span": {
                span: f"{sum(r['passed'] for r in own if r['span'] == span)}/{count}"
                for span, count in sorted(Counter(result["span"] for result in own).items())
            },
        }
    return report


def tell_failures(results: list[dict[str, Any]]) -> None:
    """Print what was expected and what was given of each failed task."""
    for result in results:
        if not result["passed"]:
            print(f"\n=== {result['variant']} {result['task']}: {result['failure']}", file=sys.stderr)
            print(f"--- expected\n{result['expected']}\n--- given", file=sys.stderr)
            print(result["text"] or f"(nothing: {result['reason']})", file=sys.stderr)
            print(f"--- written by the model\n{result['raw']}", file=sys.stderr)
            print(f"--- filters {result['filters']}, confidence {result['confidence']:.2f}", file=sys.stderr)
