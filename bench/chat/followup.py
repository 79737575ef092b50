"""Follow-ups: tokens that each turn of a conversation evaluates, also once its oldest turns no longer fit."""

from __future__ import annotations

import argparse
import asyncio
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from bench.common import bench_home, engine_config, machine, print_report, running_engine
from lsp.chat.answer import Answer, Answerer, Question
from lsp.chat.conversations import Conversations
from lsp.chat.sources import Source
from lsp.models.catalogue import DEFAULT_MODEL

N_CTX = 2048
SOURCE = Source(
    1,
    "app/cache.py",
    1,
    6,
    "Cache",
    "class Cache:\n    def __init__(self, size):\n        self.size = size\n        self.kept = {}\n\n"
    "    def get(self, key):\n        return self.kept.get(key)",
    "words",
)
QUESTIONS = (
    "What does `Cache.get` return for a key that it doesn't hold?",
    "And what is `size` for?",
    "How would you drop the oldest entry?",
    "Why not use functools.lru_cache?",
    "Show me a test of `get`.",
    "What is an eviction policy?",
    "Which ones are usual?",
    "Is a dict ordered in Python?",
    "Since which version?",
    "How large is an empty dict?",
    "What is a weak reference?",
    "When would a cache use one?",
    "How do I make the cache safe for threads?",
    "What is a deadlock?",
    "How is it avoided?",
    "Write a docstring for `Cache`.",
)


async def converse(home: Path, turns: int, most: int) -> list[Answer]:
    """Ask the questions, one after the other, in a conversation that begins with a source."""
    kept = Conversations(home / "conversations.sqlite3")
    answers = []
    async with running_engine(msgspec.structs.replace(engine_config(home), n_ctx=N_CTX)) as engine:
        answerer = Answerer(engine, DEFAULT_MODEL.name, kept)
        conversation = kept.begin(None, QUESTIONS[0])
        for number in range(turns):
            sources = () if number else (SOURCE,)
            question = Question(QUESTIONS[number % len(QUESTIONS)], sources, line_count=lambda path: 99)
            answers.append(await answerer.answer(conversation, question, max_tokens=most))
            print(f"{number + 1}: {answers[-1].usage}, left out: {answers[-1].dropped}", file=sys.stderr)
    return answers


def main(arguments: list[str]) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.chat followup", description=__doc__)
    parser.add_argument("--turns", type=int, default=len(QUESTIONS))
    parser.add_argument("--tokens", type=int, default=120, help="at most so many an answer")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with bench_home() as home:
        answers = asyncio.run(converse(home, options.turns, options.tokens))
    print_report(_report(answers), options.json)
    return 0


def _report(answers: list[Answer]) -> dict[str, Any]:
    cut = [one.dropped > before.dropped for before, one in pairwise(answers)]
    follow_ups = list(zip(answers[1:], cut, strict=True))
    return {
        "machine": machine(),
        "context": N_CTX,
        "turns": len(answers),
        "tokens evaluated at the first turn": answers[0].usage.tokens_evaluated,
        "at follow-ups": [one.usage.tokens_evaluated for one, was_cut in follow_ups if not was_cut],
        "at those that leave turns out": [one.usage.tokens_evaluated for one, was_cut in follow_ups if was_cut],
        "tokens reused at those": [one.usage.tokens_reused for one, was_cut in follow_ups if was_cut],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
