"""Code that is like the code around a cursor: the best chunks by BM25, and the best few lines of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import lexical
from indexer.rows import query_terms
from indexer.view import View

WINDOW = 14
"""Lines of a window."""

_TERMS = 56  # of a query, the weightiest: the others cost time and change nothing

_COMMON = 0.2  # a term in a larger share of the chunks says little and costs most,
_FEW = 400  # unless these are few
_CALLED = re.compile(r"([A-Za-z_]\w{2,})(?=\s*\()|\b([A-Z]\w{2,})")
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Similar:
    """A chunk that is like the code around the cursor."""

    file: int
    number: int
    """Which of its file's chunks."""
    symbol: str
    score: float


@dataclass(frozen=True)
class Window:
    """Some lines of such a chunk."""

    chunk: Similar
    first: int
    """From 1."""
    lines: tuple[str, ...]
    score: float

    @property
    def text(self) -> str:
        """The lines, with a line end behind each."""
        return "\n".join(self.lines) + "\n"


def weighted_terms(view: View, query: dict[int, float]) -> dict[int, float]:
    """A query's weightiest terms, weighted by how rare they are too."""
    terms = np.array([*query], np.uint32)
    found = lexical.document_frequencies(view.segments, terms)
    n = max(1, sum(map(len, view.segments)))
    weights = np.array([*query.values()]) * np.log(1 + (n - found + 0.5) / (found + 0.5))
    weights[(found == 0) | (found > max(_COMMON * n, _FEW))] = 0
    best = np.lexsort((terms, -weights))[:_TERMS]
    return {int(terms[at]): float(weights[at]) for at in best.tolist() if weights[at] > 0}


def scores(view: View, weighted: dict[int, float]) -> list[Scores]:
    """For each segment the chunks' BM25 scores, ``[n]``; 0 for those that are dead."""
    return [
        np.where(dead, np.float32(0), lexical.bm25(part, weighted))
        for part, dead in zip(view.segments, view.dead, strict=True)
    ]


def best_chunks(view: View, scored: Sequence[Scores], count: int) -> list[Similar]:
    """The chunks of the highest scores, best first."""
    found: list[Similar] = []
    for part, values in zip(view.segments, scored, strict=True):
        rows = _highest(values, count)
        found += [
            Similar(int(part.files[row]), int(part.numbers[row]), part.symbol(row), float(values[row]))
            for row in rows[values[rows] > 0].tolist()
        ]
    found.sort(key=lambda chunk: (-chunk.score, chunk.file, chunk.number))
    return found[:count]


def _highest(values: Scores, count: int) -> NDArray[np.intp]:
    """The rows of the highest values, in no order."""
    # Few chunks come near the best: they are told from the others at a fraction of the cost of partitioning all.
    most = values.max(initial=0)
    for share in (0.6, 0.4, 0.2, 0.0):
        rows = np.flatnonzero(values > share * most)
        if len(rows) >= count:
            break
    return rows[np.argpartition(values[rows], -count)[-count:]] if len(rows) > count else rows


class TermsOf(dict[str, list[int]]):
    """The terms of a query that a word has: found out once for each word."""

    def __init__(self, terms: Mapping[int, float]) -> None:
        super().__init__()
        self.terms = terms

    def __missing__(self, word: str) -> list[int]:
        self[word] = [term for term in query_terms(word) if term in self.terms]
        return self[word]


@dataclass(frozen=True)
class ChunkLines:
    """A chunk's lines, read once."""

    first: int
    """The number of its first line, from 1."""
    lines: list[str]
    words: list[list[str]]
    """The identifiers of each line."""


def best_window(chunk: Similar, held: ChunkLines, weighted: TermsOf) -> Window:
    """The lines of a chunk, at most `WINDOW`, that hold most of the query.

    Args:
        chunk: which one.
        held: its lines.
        weighted: the query's terms by words.
    """
    terms = [[term for word in words for term in weighted[word]] for words in held.words]
    at, score = max(_window_scores(terms, weighted.terms), key=lambda found: (found[1], -found[0]))
    return Window(chunk, held.first + at, tuple(held.lines[at : at + WINDOW]), score)


def _window_scores(terms: Sequence[Sequence[int]], weighted: Mapping[int, float]) -> Iterator[tuple[int, float]]:
    """For each window its place and the sum of its distinct terms' weights."""
    counts: dict[int, int] = {}
    score = 0.0
    for end, line in enumerate(terms):
        for term in line:
            counts[term] = counts.get(term, 0) + 1
            score += weighted[term] if counts[term] == 1 else 0.0
        for term in terms[end - WINDOW] if end >= WINDOW else ():
            counts[term] -= 1
            score -= weighted[term] if not counts[term] else 0.0
        if end >= WINDOW - 1 or end == len(terms) - 1:
            yield max(0, end - WINDOW + 1), score
    if not terms:
        yield 0, 0.0


def names_called(text: str) -> set[str]:
    """The names before an opening bracket, and those that begin with a capital."""
    return {called or capital for called, capital in _CALLED.findall(text)}
