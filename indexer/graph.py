"""Which files the others build upon: PageRank (Page et al., 1999) over the imports, as Aider's repo map does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from indexer.chunk import Import
from indexer.imports import Resolver

_DAMPING = 0.85
_ROUNDS = 20


def importance(files: Iterable[tuple[str, str, tuple[Import, ...]]]) -> dict[str, float]:
    """How much each file is built upon: 0 for an average file, 1 for ten times as much, below 0 for less.

    Args:
        files: path, language, and imports of each.
    """
    rows = list(files)
    resolver = Resolver({path for path, _, _ in rows})
    numbers = {path: number for number, (path, _, _) in enumerate(rows)}
    edges = [
        (numbers[path], numbers[target])
        for path, language, imports in rows
        for target in {target for imported in imports for target in resolver.resolve(imported, path, language)}
        if target in numbers and target != path
    ]
    n = len(rows)
    if not edges:
        return dict.fromkeys(numbers, 0.0)
    sources, targets = np.array(edges).T
    out = np.bincount(sources, minlength=n)
    rank = np.full(n, 1 / n)
    for _ in range(_ROUNDS):
        given = np.bincount(targets, rank[sources] / out[sources], minlength=n)
        # Files that import nothing give to all alike.
        rank = (1 - _DAMPING) / n + _DAMPING * (given + rank[out == 0].sum() / n)
    relative = np.log10(rank * n)
    return dict(zip(numbers, relative.tolist(), strict=True))
