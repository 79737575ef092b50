"""Completion to definition: how much of what is about to be typed a context holds. ``python -m bench.retrieval.context``.

Places are calls whose target another file of the repository defines. The file is indexed as it would be when the line
is typed: without the line and the next; what the file says below the cursor never counts as context.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
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
"""Not among the issue's seven packages, but among DESIGN's eight."""

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


def situations(index: Index, found: Sequence[Place], *, at_name: bool) -> Iterator[Situation]:
    """The places one by one; the cursor at the start of the line's code, or where the called name begins."""
    for place in found:
        text = (index.workspace / place.path).read_text("utf-8", "replace")
        column = place.column if at_name else place.indent
        prefix, suffix = place.split(text, column)
        index.overlay(place.path, prefix + suffix)
        yield Situation(place, index.view(), prefix, suffix, frozenset(place.wanted(text, column)))
        index.overlay(place.path, None)


def measure(finder: ContextFinder, situation: Situation, budget: int, mix: Mix, tally: Tally) -> None:
    """Make one context and add to the tally what it holds."""
    place = situation.place
    started = time.perf_counter()
    pieces = finder.find(situation.view, place.path, situation.prefix, situation.suffix, budget, mix)
    tally.seconds.append(time.perf_counter() - started)
    fair = [piece for piece in pieces if piece.path != place.path or piece.start_line < place.line]
    held = {name for piece in fair for name in _NAME.findall(piece.text)}
    tally.wanted += len(situation.wanted)
    tally.held += len(situation.wanted & held)
    tally.ranks[place.kind].append(_rank(fair, place))


def _rank(pieces: Sequence[Piece], place: Place) -> int:
    signatures = sorted((piece for piece in pieces if piece.reason != "similar code"), key=lambda piece: -piece.score)
    meant = {(target.path, target.name) for target in place.targets}
    right = (rank for rank, piece in enumerate(signatures, 1) if (piece.path, piece.symbol.rpartition(".")[2]) in meant)
    return next(right, 0)


def main() -> None:
    """Measures contexts on pinned packages; with --train, learns the linear model on others."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval.context", description=main.__doc__)
    parser.add_argument(
        "--cache", type=Path, default=user_cache_path("midline") / "retrieval", help="downloads, indexes"
    )
    parser.add_argument("--budget", type=int, default=3_000, help="characters of a context")
    parser.add_argument("--train", action="store_true", help="learn the model anew, and print it")
    parser.add_argument("--ablations", action="store_true", help="leave out one thing after the other")
    options = parser.parse_args()


if __name__ == "__main__":
    main()
