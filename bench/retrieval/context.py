"""Completion to definition: how much of what is about to be typed a context holds.

``python -m bench.retrieval.context`` measures, and with ``--train`` learns.

Places are calls whose target another file of the repository defines. The file is indexed as it would be when the line
is typed: without the line and the next; what it says itself, above or below, doesn't count as context.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from bench.retrieval import context_training, data
from bench.retrieval.places import KINDS, Place, places
from indexer.context import ContextFinder, Mix, Piece
from indexer.index import Index
from indexer.view import View

APART = ("celery",)
"""Neither learnt from, nor among the seven packages of the figure."""

_NAME = re.compile(r"[A-Za-z_]\w+")
_MOST = 110  # places of a repository


@dataclass
class Tally:
    """What one way of making contexts achieved."""

    wanted: int = 0
    held: int = 0
    ranks: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By kind of place: the place of the definition among the signatures by score, 0 if it isn't there."""
    seconds: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the identifiers about to be typed, those that the context holds."""
        return self.held / max(1, self.wanted)

    def recall(self, kind: str = "") -> float:
        """How often the definition was among the five best signatures."""
        ranks = [rank for one, found in self.ranks.items() if one == kind or not kind for rank in found]
        return sum(0 < rank <= 5 for rank in ranks) / max(1, len(ranks))


@dataclass(frozen=True)
class Situation:
    """A place with the index as it is when the place is reached."""

    place: Place
    view: View
    prefix: str
    suffix: str
    wanted: frozenset[str]


def workspace(repository: data.Repository, cache: Path) -> Path | None:
    """A package as it is installed: its folder alone, in a folder of its own."""
    tree = data.tree(repository, cache)
    if tree is None:
        return None
    source = tree / repository.package
    copy = cache / "packages" / repository.name
    if not copy.exists():
        shutil.copytree(source, copy / source.name)
    return copy


def situations(index: Index, found: Sequence[Place], *, at_name: bool, below: bool = True) -> Iterator[Situation]:
    """The places one by one; the cursor at the start of the line's code, or where the called name begins.

    Without ``below`` there is nothing below the cursor, as when a file is written from the top down.
    """
    for place in found:
        text = (index.workspace / place.path).read_text("utf-8", "replace")
        column = place.column if at_name else place.indent
        prefix, suffix = place.split(text, column)
        suffix = suffix if below else ""
        index.overlay(place.path, prefix + suffix)
        yield Situation(place, index.view(), prefix, suffix, frozenset(place.wanted(text, column)))
        index.overlay(place.path, None)


def measure(finder: ContextFinder, situation: Situation, budget: int, mix: Mix, tally: Tally) -> None:
    """Make one context and add to the tally what it holds."""
    place = situation.place
    started = time.perf_counter()
    pieces = finder.find(situation.view, place.path, situation.prefix, situation.suffix, budget, mix)
    tally.seconds.append(time.perf_counter() - started)
    fair = [piece for piece in pieces if piece.path != place.path]
    held = {name for piece in fair for name in _NAME.findall(piece.text)}
    tally.wanted += len(situation.wanted)
    tally.held += len(situation.wanted & held)
    tally.ranks[place.kind].append(_rank(fair, place))


def _rank(pieces: Sequence[Piece], place: Place) -> int:
    signatures = sorted((piece for piece in pieces if piece.reason != "similar code"), key=lambda piece: -piece.score)
    meant = {(target.path, target.name) for target in place.targets}
    right = (rank for rank, piece in enumerate(signatures, 1) if (piece.path, piece.symbol.rpartition(".")[2]) in meant)
    return next(right, 0)


def measured(
    sources: Sequence[Path], cache: Path, budget: int, mixes: Mapping[str, Mix], below: bool
) -> dict[tuple[str, bool], Tally]:
    """For each mix, with the cursor at the line's start and (True) at the called name, what it achieved on packages."""
    tallies: dict[tuple[str, bool], Tally] = defaultdict(Tally)
    for source in sources:
        index, finder = data.indexed(source, cache), ContextFinder()
        found = places(source, _MOST)
        for at_name in (False, True):
            for situation in situations(index, found, at_name=at_name, below=below):
                for name, mix in mixes.items():
                    measure(finder, situation, budget, mix, tallies[name, at_name])
        index.close()
        shares = ", ".join(f"{name} {tally.share:.3f}" for (name, at_name), tally in tallies.items() if not at_name)
        print(f"{source.name}: {len(found)} places; so far {shares}", file=sys.stderr, flush=True)
    return tallies


def trained(cache: Path) -> dict[str, float]:
    """The linear model, learnt anew."""
    repositories = [one for one in data.repositories() if one.name in context_training.REPOSITORIES]
    sources = [source for one in repositories if (source := workspace(one, cache)) is not None]
    sources += context_training.packages(cache)
    examples = []
    for source in sources:
        index = data.indexed(source, cache)
        found = places(source, context_training.PLACES)
        for at_name in (False, True):
            examples += [
                context_training.example(one.view, one.place.path, one.prefix, one.suffix, one.wanted)
                for one in situations(index, found, at_name=at_name)
            ]
        index.close()
        print(f"{source.name}: {len(found)} places", file=sys.stderr, flush=True)
    return context_training.fit(examples)


def table(tallies: Mapping[tuple[str, bool], Tally]) -> str:
    """The tallies as Markdown."""
    heads = ["context", "cursor at", "share", "recall@5", *KINDS, "ms p50", "p95"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for (name, at_name), tally in tallies.items():
        times = np.percentile(np.array(tally.seconds) * 1000, [50, 95])
        recalls = [f"{tally.recall(kind):.2f}" for kind in KINDS]
        cells = [name, "called name" if at_name else "line start", f"{tally.share:.3f}", f"{tally.recall():.2f}"]
        lines.append("| " + " | ".join([*cells, *recalls, *(f"{time:.1f}" for time in times)]) + " |")
    counts = {kind: len(next(iter(tallies.values())).ranks[kind]) for kind in KINDS}
    return "\n".join([*lines, "", "Places: " + ", ".join(f"{kind} {n}" for kind, n in counts.items()) + "."])


MIXES = {
    "as shipped": Mix(),
    "signatures alone": Mix(signatures=1.0),
    "windows alone": Mix(signatures=0.0),
    "without receivers": Mix(receivers=False),
    "without the linear model": Mix(weights={"imported": 2.0, "similar": 1.0}),
}
"""What is measured; the last ranks definitions by whether they are imported, then by BM25."""


def main() -> None:
    """Measures contexts on pinned packages; with --train, learns the linear model on others and prints it."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval.context", description=main.__doc__)
    cache = user_cache_path("midline") / "retrieval"
    parser.add_argument("--cache", type=Path, default=cache, help="downloads, indexes")
    parser.add_argument("--budget", type=int, default=3_000, help="characters of a context")
    parser.add_argument("--train", action="store_true", help="learn the model anew")
    parser.add_argument("--apart", action="store_true", help="measure celery, which had no part in anything, instead")
    parser.add_argument("--top-down", action="store_true", help="nothing stands below the cursor yet")
    parser.add_argument("--only-shipped", action="store_true", help="leave nothing out in turn")
    options = parser.parse_args()
    if options.train:
        print(json.dumps(trained(options.cache), indent=4))
        return
    asked = [
        one
        for one in data.repositories()
        if one.registry == "sdist" and (one.name in APART if options.apart else one.part == "final")
    ]
    sources = [source for one in asked if (source := workspace(one, options.cache)) is not None]
    mixes = {"as shipped": Mix()} if options.only_shipped else MIXES
    print(table(measured(sources, options.cache, options.budget, mixes, not options.top_down)))


if __name__ == "__main__":
    main()
