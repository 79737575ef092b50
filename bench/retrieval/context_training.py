"""Learns the linear model of completion contexts, on packages that the benchmark doesn't ask.

A candidate is right if its name is about to be typed (see `places`). Logistic regression by Newton's method, each place
counting alike, a little ridge; all candidates count, not a sample, since a signature has to beat all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.train_embedder import sources
from indexer.context import ContextFinder, Request
from indexer.cursor import cursor_at
from indexer.relevance import FEATURES
from indexer.view import View

PACKAGES = ("distributed", "luigi", "mitmproxy", "optuna", "poetry", "tortoise-orm")
"""Of those pinned for the embedder's training."""

REPOSITORIES = ("scrapy", "sphinx")
"""Of those that the search's weights were chosen on."""

PLACES = 70
"""Places of each."""

_RIDGE = 1e-4
_STEPS = 30


@dataclass(frozen=True)
class Example:
    """One place's candidates; ``n`` of them."""

    features: NDArray[np.float32]
    """``[n, len(FEATURES)]``."""
    right: NDArray[np.bool_]
    """``[n]``: whether the name is about to be typed."""


def packages(cache: Path) -> Iterator[Path]:
    """The training packages' folders, downloaded if need be."""
    for package in sources.packages():
        if package.name in PACKAGES:
            yield from sources.trees(package, cache)


def example(view: View, path: str, prefix: str, suffix: str, wanted: frozenset[str]) -> Example:
    """What the model is to tell apart at one place."""
    request = Request(ContextFinder(), view, cursor_at(path, view.by_path[path], prefix, suffix))
    windows = request.windows()
    found = request.candidates(windows)
    files, places, matrix = request.features(found, windows)
    names = [
        found.offers[file].definitions[place].name for file, place in zip(files.tolist(), places.tolist(), strict=True)
    ]
    return Example(matrix, np.array([name in wanted for name in names], np.bool_))


def fit(examples: list[Example]) -> dict[str, float]:
    """The weights, by the names of `relevance.FEATURES`; places where no candidate is right teach nothing."""
    useful = [one for one in examples if one.right.any()]
    x = np.concatenate([one.features for one in useful]).astype(np.float64)
    x = np.hstack([x, np.ones((len(x), 1))])
    y = np.concatenate([one.right for one in useful]).astype(np.float64)
    weight = np.concatenate([np.full(len(one.right), 1 / len(one.right)) for one in useful]) / len(useful)
    w = np.zeros(x.shape[1])
    ridge = _RIDGE * np.eye(len(w))
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(x @ w)))
        gradient = x.T @ (weight * (p - y)) + ridge @ w
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        w -= np.linalg.solve(curvature, gradient)
    return {name: round(value, 2) for name, value in zip(FEATURES, w.tolist(), strict=False)}
