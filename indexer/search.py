"""Where in the workspace is the answer to a question? Words, meaning, names and places, made one order."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from indexer import lexical, vectors
from indexer.chunk import last_name
from indexer.content import PROSE
from indexer.embedding.embedder import TextEmbedder, TextReranker
from indexer.query import Query, is_test, read_query
from indexer.segment import Segment
from indexer.store import FileRow
from indexer.view import View


@dataclass(frozen=True)
class Ranking:
    """What each source is worth, in standard deviations of a score; 0 switches it off.

    Chosen on repositories that are not among those of the final figure (``bench/retrieval``).
    """

    lexical: float = 1.0
    dense: float = 3.4
    symbol: float = 2.7
    """For a chunk whose name's words are in the query, by their share."""
    named: float = 6.0
    """For a chunk that defines an identifier of the query (one with a capital inside, an underscore, a dot)."""
    place: float = 1.5
    """For a file whose name and folder say what the query says."""
    neighbours: float = 0.03
    """For the file's other hits."""
    importance: float = 0.6
    """For a file that many others import."""
    recent: float = 0.2
    """For a file changed in the last days."""
    tests: float = -8.0
    """For tests, examples and benchmarks, unless the query asks for them."""
    kinds: tuple[float, ...] = (-5.0, -5.0, -4.0, -2.0, 0.0, 0.0)
    """By place in `rows.KINDS`."""
    again: float = 0.3
    """For each better hit in the same file: what its further ones lose."""


DOCUMENTS = Ranking(lexical=2.0, dense=1.7, kinds=(-5.0,) * 6)
"""For documents beside code: the table of meanings has learnt code, and knows few of the words that prose is about."""


@dataclass(frozen=True)
class Hit:
    """A chunk that was found."""

    path: str
    start_line: int
    """From 1."""
    end_line: int
    """Inclusive."""
    symbol: str
    kind: str
    score: float
    """Higher is better; comparable within one search only."""
    text: str
    reason: str
    """Why it is here, in a few words."""
    section: str = ""
    """Of a document: its headings down to this place, as ``Guide > Install``."""
    page: int = 0
    """Of a document that has pages, from 1."""


@dataclass
class _Found:
    """A candidate: a row of a segment, and what speaks for it."""

    view: int
    segment: Segment
    row: int
    file: int
    kind: int
    lexical: float
    dense: float
    score: float
    reasons: tuple[str, ...] = ()


_CANDIDATES = 200  # of words, and as many of meaning
_JUDGED = 120  # of the best of these, names and places are looked at
_RERANKED = 20
_TELLING = 200  # chunks whose scores tell what is usual
_DAY = 86_400.0
# Documents beside code have so many of any so many places in a row at the most: they have some words of every question.
_OF_DOCUMENTS, _IN_A_ROW = 2, 5


def search(
    view: View,
    query: str,
    embedder: TextEmbedder,
    count: int = 10,
    *,
    ranking: Ranking = Ranking(),
    importance: dict[str, float] | None = None,
    reranker: TextReranker | None = None,
) -> list[Hit]:
    """The best chunks for a question, best first, at most ``count``.

    Words (BM25) and meaning (cosine) are each made standard scores and added, which beats fusing ranks here; then come
    the rules of `Ranking`. With a ``reranker`` the best 20 are put in order again.
    """
    found = search_all([view], query, embedder, count, ranking=ranking, importance=importance, reranker=reranker)
    return [hit for _, hit in found]


def search_all(
    views: Sequence[View],
    query: str,
    embedder: TextEmbedder,
    count: int = 10,
    *,
    ranking: Ranking = Ranking(),
    importance: dict[str, float] | None = None,
    reranker: TextReranker | None = None,
) -> list[tuple[int, Hit]]:
    """As `search`, in a first view and in those of documents; each hit with the number of its view.

    The first view, to which ``ranking`` and ``importance`` belong, says what is usual: its hits have the scores that
    they have without the others, among which those of the others are placed.
    """
    asked = read_query(query)
    rankings = [ranking, *[DOCUMENTS] * (len(views) - 1)]
    found = _candidates(views, asked, embedder, rankings)
    files = {(one.view, one.file): views[one.view].files[one.file] for one in found}
    judged = {
        (view, file): _judge_file(row, asked, rankings[view], importance if importance and not view else {})
        for (view, file), row in files.items()
    }
    for candidate in found:
        _judge(candidate, judged[candidate.view, candidate.file], asked, rankings[candidate.view])
    found = _spread_over_files(found, ranking)
    if reranker is not None:
        found = _reranked(views, query, found, reranker)
    found = _rationed(found)
    hits = ((candidate.view, _hit(views[candidate.view], candidate)) for candidate in found)
    return list(islice(((view, hit) for view, hit in hits if hit is not None), count))


def _rationed(found: Sequence[_Found]) -> list[_Found]:
    """In the same order, but for documents that would crowd code out: they wait for their turn."""
    code = deque(one for one in found if not one.view)
    documents = deque(one for one in found if one.view)
    rank = {id(one): i for i, one in enumerate(found)}
    result: list[_Found] = []
    while code and documents:
        has_turn = sum(one.view > 0 for one in result[1 - _IN_A_ROW :]) < _OF_DOCUMENTS
        is_better = rank[id(documents[0])] < rank[id(code[0])]
        result.append(documents.popleft() if has_turn and is_better else code.popleft())
    return [*result, *code, *documents]


def _candidates(
    views: Sequence[View], asked: Query, embedder: TextEmbedder, rankings: Sequence[Ranking]
) -> list[_Found]:
    """The best of each view by words and meaning together, best first."""
    everything = [part for view in views for part in view.segments]
    usual = everything if len(views) > 1 and views[0].chunks < _TELLING else views[0].segments
    weighted = lexical.weights(everything, asked.terms) | lexical.weights(usual, asked.terms)
    wanted = embedder.embed_query(asked.text)
    moments = _moments([lexical.bm25(part, weighted) for part in usual])
    near = vectors.spread(max(usual, key=len), wanted)
    found: list[_Found] = []
    for number, view in enumerate(views):
        found += _best_of(view, number, weighted, wanted, (moments, near), rankings[number])
    return sorted(found, key=lambda candidate: -candidate.score)


def _best_of(
    view: View,
    number: int,
    weighted: dict[int, float],
    wanted: NDArray[np.float32],
    usual: tuple[tuple[float, float], tuple[float, float]],
    ranking: Ranking,
) -> list[_Found]:
    """The best of one view; ``usual`` are mean and standard deviation of BM25's scores, and of cosines."""
    (mean, deviation), (near_mean, near_deviation) = usual
    found: list[_Found] = []
    for part, dead in zip(view.segments, view.dead, strict=True):
        scores = lexical.bm25(part, weighted)
        rows = _union(part, dead, scores, wanted, ranking)
        words_score = (scores[rows] - mean) / (deviation or 1.0)
        meaning = (vectors.similarity(part, wanted, rows) - near_mean) / (near_deviation or 1.0)
        total = ranking.lexical * words_score + ranking.dense * meaning
        best = np.argsort(-total)[:_JUDGED]
        chosen = (
            rows[best],
            part.files[rows[best]],
            part.kinds[rows[best]],
            words_score[best],
            meaning[best],
            total[best],
        )
        found += [_Found(number, part, *values) for values in zip(*(array.tolist() for array in chosen), strict=True)]
    found.sort(key=lambda candidate: -candidate.score)
    return found[:_JUDGED]


def _union(
    part: Segment, dead: NDArray[np.bool_], scores: NDArray[np.float32], wanted: NDArray[np.float32], ranking: Ranking
) -> NDArray[np.intp]:
    """The rows worth a look: the best by words, and the best by meaning, without the dead."""
    spare = min(int(dead.sum()), _CANDIDATES)
    by_words = _best(np.where(dead, 0, scores), _CANDIDATES)
    near = vectors.nearest(part, wanted, _CANDIDATES + spare) if ranking.dense else by_words
    rows = np.union1d(by_words, near)
    return rows[~dead[rows]]


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The rows of the highest scores above zero, in no order."""
    rows = np.flatnonzero(scores)
    return rows if len(rows) <= count else rows[np.argpartition(scores[rows], -count)[-count:]]


def _moments(scored: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Mean and standard deviation over all segments."""
    n = max(1, sum(map(len, scored)))
    mean = sum(float(scores.sum()) for scores in scored) / n
    square = sum(float(scores @ scores) for scores in scored) / n
    return mean, math.sqrt(max(0.0, square - mean * mean))


def _judge_file(
    row: FileRow, asked: Query, ranking: Ranking, importance: dict[str, float]
) -> tuple[float, tuple[str, ...]]:
    """What a file's place, age and weight add to all of its candidates, and the reasons."""
    place = asked.match_of(row.path)
    score = (
        ranking.place * place
        + ranking.importance * importance.get(row.path, 0.0)
        + ranking.recent * math.exp(-max(0.0, time.time() - row.changed) / _DAY)
        + (ranking.tests if not asked.wants_tests and is_test(row.path) else 0.0)
    )
    return score, ("file",) if place > 0.5 else ()


def _judge(candidate: _Found, file: tuple[float, tuple[str, ...]], asked: Query, ranking: Ranking) -> None:
    """Add what its name and its file say."""
    symbol = candidate.segment.symbol(candidate.row)
    name = last_name(symbol)
    named = asked.names_symbol(symbol)
    share = asked.share_of(name)
    by_file, file_reasons = file
    candidate.score += by_file + ranking.named * named + ranking.symbol * share + ranking.kinds[candidate.kind]
    reasons = {
        f"defines {symbol}": named,
        "words": candidate.lexical > 1,
        "meaning": candidate.dense > 1,
        "name": share > 0.5 and not named,
    }
    candidate.reasons = (*(reason for reason, holds in reasons.items() if holds), *file_reasons)


def _spread_over_files(found: list[_Found], ranking: Ranking) -> list[_Found]:
    """Let a file's hits speak for each other, then let its further ones stand back, so that others are seen."""
    by_file: dict[tuple[int, int], list[_Found]] = {}
    for candidate in found:
        by_file.setdefault((candidate.view, candidate.file), []).append(candidate)
    for hits in by_file.values():
        hits.sort(key=lambda candidate: -candidate.score)
        bonus = ranking.neighbours * sum(max(0.0, hit.score) for hit in hits[1:4])
        for place, hit in enumerate(hits):
            hit.score += (bonus if place == 0 else 0.0) - ranking.again * place
    return sorted(found, key=lambda candidate: -candidate.score)


def _reranked(views: Sequence[View], query: str, found: list[_Found], reranker: TextReranker) -> list[_Found]:
    """The first 20 in a new order: their score and the re-ranker's, both as standard scores, half and half."""
    first, rest = found[:_RERANKED], found[_RERANKED:]
    hits = [_hit(views[candidate.view], candidate) for candidate in first]
    judged = reranker.scores(query, [f"{hit.path} {hit.symbol}\n{hit.text}" if hit else "" for hit in hits])
    own = np.array([candidate.score for candidate in first], np.float32)
    total = _standard(own) + _standard(judged)
    lowest = rest[0].score if rest else 0.0
    for candidate, above in zip(first, (total - total.min(initial=0)).tolist(), strict=True):
        candidate.score = lowest + above
    return sorted(first, key=lambda candidate: -candidate.score) + rest


def _standard(values: NDArray[np.float32]) -> NDArray[np.float32]:
    deviation = float(values.std()) if len(values) else 0.0
    return (values - values.mean()) / deviation if deviation else np.zeros_like(values)


def _hit(view: View, candidate: _Found) -> Hit | None:
    """What to show of a candidate; None if its file has gone meanwhile."""
    file = candidate.file
    try:
        chunk = view.chunk(file, int(candidate.segment.numbers[candidate.row]))
    except (KeyError, IndexError):
        return None
    return Hit(
        view.files[file].path,
        chunk.start_line,
        chunk.end_line,
        chunk.symbol,
        chunk.kind,
        round(candidate.score, 3),
        chunk.text,
        ", ".join(candidate.reasons) or "nearest",
        chunk.symbol if chunk.kind == "section" and view.files[file].language in PROSE else "",
        chunk.page,
    )
