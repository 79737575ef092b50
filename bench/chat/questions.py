"""Questions to chat: what is shown of the repository for them, and what the model's answers cite.

``python -m bench.chat questions`` asks the written questions of `bench.retrieval` as an editor's chat does: what is
looked for is `lsp.chat.context.gather`'s, in the room that a machine of average speed has. All of it counts as shown.

- recall@5: the share of questions of whose places one of the first five sources shows lines; recall: any source.
- not looked for: the share of them that were taken for needing no source.
- precision of citations: the share of all places that answers cite which meet (share lines with) a place that answers
  the question; ``by file``: which are at least in a file that has such a place. A question's list of places isn't
  complete, so a reader would accept more than the first and fewer than the second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from bench.chat.answering import Answered, Asker
from bench.chat.need import need_report
from bench.common import machine, print_report
from bench.retrieval import data
from bench.retrieval.questions import Place, Written, placed, written
from lsp.chat.context import gather
from lsp.chat.desk import context_chars
from lsp.chat.library import Library
from lsp.chat.sources import Source
from lsp.engine.protocol import State
from lsp.settings import ChatSettings

_AVERAGE = State("ready", n_ctx=16_384, prefill_per_second=100.0)
"""What the machine is said to be, so that as much is shown wherever this runs."""
_FIRST = 5


@dataclass
class Asked:
    """A question, and what came of it."""

    written: Written
    places: tuple[Place, ...]
    library: Library
    sources: tuple[Source, ...] = ()
    looked: bool = True
    answered: Answered | None = None

    @property
    def rank(self) -> int:
        """Which source is the first that shows a place that answers, from 1; 0 for none."""
        right = (n for n, source in enumerate(self.sources, 1) if any(place.is_met(source) for place in self.places))
        return next(right, 0)


def main(arguments: Sequence[str]) -> int:
    """``python -m bench.chat questions``; returns the exit code."""
    options = _parser().parse_args(arguments)
    asked = _gathered(options.data, options.part)
    report: dict[str, object] = {"machine": machine(), "characters": context_chars(_AVERAGE, ChatSettings())}
    report["sources"] = {name: _recall(some) for name, some in _groups(asked)}
    report["needed"] = need_report()
    if options.answers:
        chosen = _spread(asked, options.answers)
        asyncio.run(_answer(chosen, options))
        report["citations"] = {name: _precision(some) for name, some in _groups(chosen)}
    print_report(report, options.json)
    if options.out:
        options.out.write_text(json.dumps([_told(one) for one in asked], ensure_ascii=False, indent=1))
    return 0


def _parser() -> argparse.ArgumentParser:
    folder = user_cache_path("midline-bench")
    parser = argparse.ArgumentParser(prog="python -m bench.chat questions")
    parser.add_argument("--data", type=Path, default=folder / "retrieval", help="downloads and indexes")
    parser.add_argument("--part", choices=("tune", "final"), help="one half of the questions; both by default")
    parser.add_argument("--answers", type=int, default=0, metavar="N", help="have the model answer at most so many")
    parser.add_argument("--tokens", type=int, default=160, help="the most of an answer")
    parser.add_argument("--recordings", type=Path, default=folder / "chat", help="what the model wrote, to replay")
    parser.add_argument("--no-model", action="store_true", help="leave out what isn't recorded")
    parser.add_argument("--out", type=Path, help="write each question and what came of it, as JSON")
    parser.add_argument("--json", action="store_true")
    return parser


# -- what is shown --------------------------------------------------------------------------------------------------


def _gathered(folder: Path, part: str | None) -> list[Asked]:
    """The written questions, with what is shown for them."""
    found = []
    for repository in data.repositories():
        about = [one for one in written() if one.repository == repository.name and part in (None, one.part)]
        tree = data.tree(repository, folder) if about else None
        if tree is None:
            continue
        print(f"indexing {repository.name}", file=sys.stderr)
        library = Library(data.indexed(tree, folder), tree)
        assert library.index is not None
        for one in about:
            asked = Asked(one, placed(one, library.index, repository.package).answers, library)
            gathered = gather(one.text, library, None, context_chars(_AVERAGE, ChatSettings()))
            asked.sources, asked.looked = gathered.sources, "needs nothing" not in gathered.reason
            found.append(asked)
    return found


def _recall(asked: Sequence[Asked]) -> dict[str, object]:
    n = max(1, len(asked))
    return {
        "questions": len(asked),
        "recall@1": round(sum(one.rank == 1 for one in asked) / n, 3),
        "recall@5": round(sum(0 < one.rank <= _FIRST for one in asked) / n, 3),
        "recall": round(sum(one.rank > 0 for one in asked) / n, 3),
        "not looked for": round(sum(not one.looked for one in asked) / n, 3),
        "sources": round(sum(len(one.sources) for one in asked) / n, 1),
        "characters": round(sum(len(source.text) for one in asked for source in one.sources) / n),
    }


def _groups(asked: Sequence[Asked]) -> list[tuple[str, list[Asked]]]:
    """All of a language, and each half."""
    kinds: dict[str, Callable[[Written], bool]] = {
        "English": lambda one: not one.is_chinese,
        "Chinese": lambda one: one.is_chinese,
    }
    halves = ("", "tune", "final")
    return [
        (f"{kind} {half}".strip(), some)
        for kind, fits in kinds.items()
        for half in halves
        if (some := [one for one in asked if fits(one.written) and half in ("", one.written.part)])
    ]


# -- what is answered -----------------------------------------------------------------------------------------------


async def _answer(asked: Sequence[Asked], options: argparse.Namespace) -> None:
    async with Asker(options.recordings, options.tokens, allowed=not options.no_model) as asker:
        for number, one in enumerate(asked, 1):
            one.answered = await asker.ask(one.written.text, one.sources, one.library.line_count)
            print(f"answered {number} of {len(asked)}", file=sys.stderr)


def _spread(asked: Sequence[Asked], most: int) -> list[Asked]:
    """At most so many of them, evenly over all."""
    step = max(1.0, len(asked) / most)
    return [asked[int(i * step)] for i in range(min(most, len(asked)))]


def _precision(asked: Sequence[Asked]) -> dict[str, object]:
    done = [(one, one.answered) for one in asked if one.answered]
    cited = [(one, place) for one, answered in done for place in answered.citations]
    written_down = [(one, place) for one, answered in done if answered.cites for place in answered.citations]
    right = sum(_meets(one, place) for one, place in cited)
    n, answers = max(1, len(cited)), max(1, len(done))
    return {
        "answers": len(done),
        "citations": len(cited),
        "precision": round(right / n, 3),
        "by file": round(sum(_meets(one, place, by_file=True) for one, place in cited) / n, 3),
        "of those written down": round(
            sum(_meets(one, place) for one, place in written_down) / max(1, len(written_down)), 3
        ),
        "answers that cite a right place": round(
            sum(any(_meets(one, place) for place in answered.citations) for one, answered in done) / answers, 3
        ),
        "answers that write no citation down": round(sum(not answered.cites for _, answered in done) / answers, 3),
        "answers without any": round(sum(not answered.citations for _, answered in done) / answers, 3),
        "removed": sum(answered.removed for _, answered in done),
        "that don't exist": sum(not _exists(one, place) for one, place in cited),
    }


def _meets(one: Asked, cited: dict[str, Any], *, by_file: bool = False) -> bool:
    """Whether a citation shares lines, or a file, with a place that answers."""
    shown = Source(0, cited["path"], cited["start_line"], cited["end_line"], "", "", "")
    return any(place.path == shown.path and (by_file or place.is_met(shown)) for place in one.places)


def _exists(one: Asked, cited: dict[str, Any]) -> bool:
    return bool(1 <= cited["start_line"] <= cited["end_line"] <= one.library.line_count(cited["path"]))


def _told(one: Asked) -> dict[str, Any]:
    return {
        "repository": one.written.repository,
        "part": one.written.part,
        "question": one.written.text,
        "rank": one.rank,
        "sources": [
            source.as_dict() | {"right": any(place.is_met(source) for place in one.places)} for source in one.sources
        ],
        "answer": one.answered.as_dict() if one.answered else None,
    }
