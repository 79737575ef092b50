"""``python -m bench.retrieval [speed]``: figures for people, or one JSON document with ``--json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from bench.common import machine, print_report
from bench.retrieval import data, docstrings, speed
from bench.retrieval.questions import Question, Written, placed, places, score, written
from indexer.embedding import TextReranker, reranker
from indexer.index import Index
from indexer.search import Ranking

_SOURCES: dict[str, Ranking] = {
    "all": Ranking(),
    "without words": replace(Ranking(), lexical=0.0),
    "without meaning": replace(Ranking(), dense=0.0),
    "without the name's words": replace(Ranking(), symbol=0.0),
    "without names asked for": replace(Ranking(), named=0.0),
    "without file and folder": replace(Ranking(), place=0.0),
    "without the file's other hits": replace(Ranking(), neighbours=0.0),
    "without importance": replace(Ranking(), importance=0.0),
    "without recency": replace(Ranking(), recent=0.0),
    "tests as good as any": replace(Ranking(), tests=0.0),
    "kinds as good as any": replace(Ranking(), kinds=(0.0,) * 6),
    "without spreading over files": replace(Ranking(), again=0.0),
}
_BARE = replace(
    Ranking(), symbol=0.0, named=0.0, place=0.0, neighbours=0.0, importance=0.0, recent=0.0, tests=0.0,
    kinds=(0.0,) * 6, again=0.0,
)  # fmt: skip
_ALONE: dict[str, Ranking] = {
    "words alone (BM25)": replace(_BARE, dense=0.0),
    "meaning alone": replace(_BARE, lexical=0.0),
    "words and meaning, no rules": _BARE,
}


@dataclass(frozen=True)
class Asked:
    """A repository's index, and what is asked of it."""

    name: str
    index: Index
    questions: Sequence[Question]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("questions", "speed"), default="questions")
    parser.add_argument("--data", type=Path, default=user_cache_path("midline-bench") / "retrieval", help="downloads")
    parser.add_argument("--part", choices=("final", "tune"), default="final", help="whose docstrings are asked")
    parser.add_argument("--no-ablations", action="store_true", help="leave out what each source is worth")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.what == "speed":
        report = speed.report(options.data)
    else:
        report = _questions(options.data, options.part, not options.no_ablations)
    print_report({"machine": machine(), **report}, options.json)


def _questions(folder: Path, part: str, ablations: bool) -> dict[str, object]:
    asked = _docstring_questions(folder, part)
    hand = {name: _hand_written(folder, wanted) for name, wanted in _HALVES.items()}
    everything = _hand_written(folder, lambda _: True)
    report: dict[str, object] = {
        "docstrings": {"all": _scored(asked)} | {one.name: _scored([one]) for one in asked},
        "written by hand": {name: _scored(some) for name, some in hand.items()},
    }
    fewer = [replace(one, questions=one.questions[::3]) for one in asked]
    judge = reranker()
    if judge is not None:
        report["with the re-ranker"] = {
            "a third of the docstrings": _scored(fewer, judge=judge),
            "the same without": _scored(fewer),
        } | {name: _scored(some, judge=judge) for name, some in hand.items()}
    if ablations:
        report["what each source is worth, a third of the docstrings"] = {
            name: _scored(fewer, ranking) for name, ranking in (_SOURCES | _ALONE).items()
        }
        report["what each source is worth, written by hand"] = {
            name: _scored(everything, ranking) for name, ranking in (_SOURCES | _ALONE).items()
        }
    return report


_HALVES: dict[str, Callable[[Written], bool]] = {
    "English": lambda one: not one.is_chinese,
    "Chinese": lambda one: one.is_chinese,
    "English, final half": lambda one: not one.is_chinese and one.part == "final",
    "Chinese, final half": lambda one: one.is_chinese and one.part == "final",
    "TypeScript and Go": lambda one: one.repository in ("zod", "echo"),
}


def _docstring_questions(folder: Path, part: str) -> list[Asked]:
    """The packages of a part, indexed without docstrings, and what is asked of them."""
    found = []
    for repository in data.repositories():
        tree = data.tree(repository, folder) if repository.part == part and repository.package else None
        if tree is not None:
            package, stripped = tree / repository.package, folder / "stripped" / repository.name
            if not stripped.exists():
                docstrings.stripped_copy(package, stripped)
            found.append(Asked(repository.name, _indexed(stripped, folder), docstrings.questions(package)))
    return found


def _hand_written(folder: Path, wanted: Callable[[Written], bool]) -> list[Asked]:
    """Whole repositories, tests and documentation among them, and the wanted ones of the questions about them."""
    found = []
    for repository in data.repositories():
        about = [one for one in written() if one.repository == repository.name and wanted(one)]
        tree = data.tree(repository, folder) if about else None
        if tree is not None:
            index = _indexed(tree, folder)
            found.append(Asked(repository.name, index, [placed(one, index, repository.package) for one in about]))
    return found


@cache
def _indexed(workspace: Path, folder: Path) -> Index:
    print(f"indexing {workspace.name}", file=sys.stderr)
    return data.indexed(workspace, folder)


def _scored(
    asked: Sequence[Asked], ranking: Ranking = Ranking(), judge: TextReranker | None = None
) -> dict[str, object]:
    found = [place for one in asked for place in places(one.index, one.questions, ranking, judge)]
    return asdict(score(found))


if __name__ == "__main__":
    main()
