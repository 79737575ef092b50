"""Drafting: decoded tokens a second while code is rewritten, with guesses from the prompt and without, in one run."""

from __future__ import annotations

import argparse
import ast
import random
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.common import STDLIB, THREADS, machine, print_report
from lsp.chat.editing.prompts import OPENING, question
from lsp.chat.templates import ChatTemplate, Turn
from lsp.engine.drafting import Drafter
from lsp.engine.llama import Llama
from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Token
from lsp.engine.scheduler import Scheduler
from lsp.models import store
from lsp.models.catalogue import DEFAULT_MODEL

MODULES = (
    "argparse",
    "calendar",
    "configparser",
    "csv",
    "difflib",
    "heapq",
    "pprint",
    "shlex",
    "statistics",
    "textwrap",
)
LINES = range(12, 36)
SEED = 7  # the constants of `lsp.engine.drafting` were fitted with 6


class Never(Drafter):
    """Never guesses."""

    def guess(self, tokens: Any, copying: Any) -> list[int]:
        """Nothing."""
        return []


# What is asked for of a parameter, by turns.
WISHES = (
    "Rename the parameter `{0}` to `{0}_value`.",
    "Raise a ValueError if `{0}` is None.",
    "Add a parameter `strict` with the default False behind `{0}`.",
    "Add type hints to the parameters and the return value.",
)


@dataclass(frozen=True)
class Task:
    """A function, and what is to be done with it."""

    code: str
    wish: str

    @property
    def turns(self) -> list[Turn]:
        """What the model is asked, as it is for an edit."""
        return [*OPENING, Turn("user", question(self.code, "python", self.wish))]


def tasks(count: int) -> list[Task]:
    """Functions of the standard library, drawn by lot."""
    found = [one for module in MODULES for one in _of(module)]
    drawn = random.Random(SEED).sample(found, min(count, len(found)))
    return [Task(code, WISHES[i % len(WISHES)].format(name)) for i, (code, name) in enumerate(drawn)]


def _of(module: str) -> Iterator[tuple[str, str]]:
    """The functions of a module that have parameters, each with its first one."""
    source = (STDLIB / f"{module}.py").read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno in LINES:
            names = [one.arg for one in node.args.args if one.arg not in ("self", "cls")]
            if names and (code := ast.get_source_segment(source, node, padded=True)):
                yield textwrap.dedent(code), names[0]


@dataclass
class Rewriting:
    """What one rewriting cost: decoded tokens, seconds from the first to the last, decode steps."""

    tokens: int = 0
    seconds: float = 0.0
    text: str = ""


def rewrite(scheduler: Scheduler, template: ChatTemplate, task: Task, most: int) -> Rewriting:
    """Have the model rewrite a function.

    Raises:
        RuntimeError: the engine refused.
    """
    messages: list[EngineMessage] = []
    prompt = template.prompt(task.turns, datetime.now()).segments
    scheduler.submit("bench", Generate(1, "rewriting", prompt, most, heal=False, priority="chat"), messages.append)
    written, first = Rewriting(), 0.0
    while not any(isinstance(one, Done | Failed) for one in messages):
        scheduler.step()
        first = first or (time.perf_counter() if messages else 0.0)
    if isinstance(messages[-1], Failed):
        raise RuntimeError(messages[-1].message)
    written.seconds = time.perf_counter() - first
    tokens = [one for one in messages if isinstance(one, Token)]
    written.tokens, written.text = len(tokens) - 1, "".join(one.text for one in tokens)
    return written


def main(arguments: list[str]) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.chat drafting", description=__doc__)
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=400, help="at most so many a task")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    model = store.find(DEFAULT_MODEL.name).path
    quiet = {"progress": lambda _: None, "log": lambda _level, _line: None}
    with closing(Llama(model, n_ctx=4096, n_seq=4, n_batch=128, threads=THREADS, gpu_layers=0, **quiet)) as llama:
        template = ChatTemplate(llama.chat_facts, DEFAULT_MODEL.name)
        scheduler = Scheduler(llama, 4)
        drafters = Never(), scheduler.drafter
        done = []
        for task in tasks(options.tasks):
            pair = []
            for scheduler.drafter in drafters:
                pair.append(rewrite(scheduler, template, task, options.tokens))
            done.append(pair)
            print(*(f"{one.tokens / one.seconds:.1f}" for one in pair), file=sys.stderr)
    print_report(_report(done), options.json)
    return 0


def _report(done: list[list[Rewriting]]) -> dict[str, object]:
    speeds = [sum(one[i].tokens for one in done) / sum(one[i].seconds for one in done) for i in (0, 1)]
    return {
        "machine": machine(),
        "tasks": len(done),
        "tokens": sum(one.tokens for one, _ in done),
        "the same text": sum(one.text == other.text for one, other in done),
        "plain, tokens a second": round(speeds[0], 2),
        "drafting, tokens a second": round(speeds[1], 2),
        "ratio": round(speeds[1] / speeds[0], 3),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
