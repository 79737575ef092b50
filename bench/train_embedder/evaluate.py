"""Question to code: how often, and how far up, a ranking finds the function that a docstring was written for."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.train_embedder.pairs import chunks_of, first_sentence, pairs_of, undocumented
from indexer.chunk import Chunk
from indexer.embedding import TextEmbedder
from indexer.tokens import words

Scores = NDArray[np.float32]

DENSE_SHARE = 2.0
"""How much the embedder's z-score counts beside BM25's; chosen by the repositories `for choosing`."""
FUNCTIONS = frozenset({"function", "method"})


@dataclass(frozen=True, slots=True)
class Repository:
    """Chunks to search, none of which says what is asked, and questions with the chunk that each is for."""

    name: str
    chunks: list[tuple[str, Chunk]]
    questions: list[tuple[str, int]]


def repository(
    roots: Sequence[Path], name: str, most: int = 250, seed: int = 0, others_keep: bool = False
) -> Repository:
    """A source tree with at most ``most`` of its docstrings as questions.

    All chunks lose their docstrings; with ``others_keep``, those alone that are asked for (much harder: the others then
    have more to be found by).
    """
    asked = {
        (pair.path, pair.chunk.start_line, pair.chunk.symbol): pair.query
        for root in roots
        for pair in pairs_of(root, name, kinds=FUNCTIONS)
    }
    chunks = [found for root in roots for found in chunks_of(root)]
    found = [
        (asked[key], at)
        for at, (path, chunk) in enumerate(chunks)
        if (key := (path, chunk.start_line, chunk.symbol)) in asked and first_sentence(chunk.docstring) == asked[key]
    ]
    chosen = random.Random(seed).sample(found, min(most, len(found)))
    bare = {at for _, at in chosen} if others_keep else set(range(len(chunks)))
    chunks = [(path, undocumented(chunk) if at in bare else chunk) for at, (path, chunk) in enumerate(chunks)]
    return Repository(name, chunks, chosen)


class Bm25:
    """BM25 (Robertson and Zaragoza 2009) over sub-tokens of text, qualified name and, twice, the file's stem."""

    def __init__(self, chunks: Sequence[tuple[str, Chunk]], k1: float = 1.2, b: float = 0.75) -> None:
        counted = [Counter(words(f"{c.text} {c.symbol} {Path(p).stem} {Path(p).stem}")) for p, c in chunks]
        length = np.array([sum(count.values()) for count in counted], np.float32)
        norm = k1 * (1 - b + b * length / length.mean())
        postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for at, count in enumerate(counted):
            for word, n in count.items():
                postings[word].append((at, n))
        self._size = len(chunks)
        self._weights = {}
        for word, hits in postings.items():
            at, n = np.array(hits).T
            idf = np.log(1 + (self._size - len(hits) + 0.5) / (len(hits) + 0.5))
            self._weights[word] = (at, (idf * n * (k1 + 1) / (n + norm[at])).astype(np.float32))

    def scores(self, query: str) -> Scores:
        """One score per chunk."""
        scores = np.zeros(self._size, np.float32)
        for word in set(words(query)) & self._weights.keys():
            at, weight = self._weights[word]
            scores[at] += weight
        return scores


def embed(embedder: TextEmbedder, repo: Repository) -> Scores:
    """The vectors of a repository's chunks, ``[chunks, dims]``; neighbours in the list share a file."""
    by_file: dict[str, list[int]] = defaultdict(list)
    for at, (path, _) in enumerate(repo.chunks):
        by_file[path].append(at)
    vectors = np.zeros((len(repo.chunks), embedder.dims), np.float32)
    for path, rows in by_file.items():
        vectors[rows] = embedder.embed_chunks(path, [repo.chunks[at][1] for at in rows])
    return vectors


def z(scores: Scores) -> Scores:
    """Scores in standard deviations from their mean, so that two rankings can be added."""
    return np.asarray((scores - scores.mean()) / max(float(scores.std()), 1e-9), np.float32)


def summary(found: Sequence[int]) -> tuple[float, float]:
    """MRR@10 and recall@5 of places."""
    places = np.array(found)
    return float(np.where(places <= 10, 1 / places, 0).mean()), float((places <= 5).mean())


@dataclass(frozen=True, slots=True)
class Figures:
    """MRR@10 and recall@5 of three rankings of the same questions."""

    questions: int
    bm25: tuple[float, float]
    dense: tuple[float, float]
    fused: tuple[float, float]
    """Of the z-scores' sum, the embedder's counting `DENSE_SHARE` times."""


def compare(groups: Mapping[str, Sequence[Repository]], embedder: TextEmbedder) -> dict[str, Figures]:
    """The rankings over each group's questions, and over each repository's of its own."""
    figures: dict[str, Figures] = {}
    for group, repos in groups.items():
        places = {repo.name: _places(repo, embedder) for repo in repos}
        figures[group] = _figures([place for of_one in places.values() for place in of_one])
        figures |= {name: _figures(of_one) for name, of_one in places.items()}
    return figures


def _places(repo: Repository, embedder: TextEmbedder) -> list[tuple[int, int, int]]:
    """The places that BM25, the embedder and both together give to each question's own chunk."""
    bm25, vectors, found = Bm25(repo.chunks), embed(embedder, repo), []
    for query, wanted in repo.questions:
        lexical, dense = bm25.scores(query), vectors @ embedder.embed_query(query)
        rankings = (lexical, dense, z(lexical) + DENSE_SHARE * z(dense))
        first, second, third = (int((scores > scores[wanted]).sum()) + 1 for scores in rankings)
        found.append((first, second, third))
    return found


def _figures(places: Sequence[tuple[int, int, int]]) -> Figures:
    bm25, dense, fused = (summary([of_one[way] for of_one in places]) for way in range(3))
    return Figures(len(places), bm25, dense, fused)
