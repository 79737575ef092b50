"""``python -m bench.train_embedder``: downloads what is pinned, trains, judges, writes the table and its figures."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from platformdirs import user_cache_path

from bench.train_embedder import card, evaluate
from bench.train_embedder.pairs import Pair, pairs_of
from bench.train_embedder.sources import Package, packages, trees
from indexer.embedding.static import TABLE, StaticEmbedder

MOST = 5000
"""Pairs of one package: no one package shall say what words mean."""


def main() -> None:
    """Trains the table; half an hour on one core, most of it reading sources."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_embedder", description=main.__doc__)
    parser.add_argument("--cache", type=Path, default=user_cache_path("midline") / "train_embedder", help="downloads")
    parser.add_argument("--table", type=Path, default=TABLE, help="the folder to write to")
    parser.add_argument("--only-evaluate", action="store_true", help="judge the table that is there")
    options = parser.parse_args()
    pinned = packages()
    if not options.only_evaluate:
        from bench.train_embedder import train  # torch is there only with the extra `train`

        pairs = [pair for package in pinned if not package.judges for pair in _pairs(package, options.cache)]
        train.make(pairs, train.Options(), options.table)
    groups: dict[str, list[evaluate.Repository]] = {}
    for package in pinned:
        if package.judges:
            tree = list(trees(package, options.cache))
            groups.setdefault(package.judges, []).append(evaluate.repository(tree, package.name))
    card.write(pinned, evaluate.compare(groups, StaticEmbedder(options.table)), options.table.parent / "CARD.md")


def _pairs(package: Package, cache: Path) -> list[Pair]:
    found = [pair for tree in trees(package, cache) for pair in pairs_of(tree, package.name, MOST)]
    if len(found) > MOST:
        random.Random(0).shuffle(found)
        found = sorted(found[:MOST], key=lambda pair: (pair.path, pair.chunk.start_line))
    print(f"{package.name} {package.version}: {len(found)} pairs", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
