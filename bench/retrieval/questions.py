"""What is asked, what answers it, and how far up a search finds that."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indexer.embedding import TextReranker
from indexer.index import Index
from indexer.search import Hit, Ranking

_WRITTEN = Path(__file__).with_name("questions.toml")
_HAN = re.compile("[\u4e00-\u9fff]")


class Shown(Protocol):
    """Lines of a file that something shows: a hit, a source of an answer."""

    @property
    def path(self) -> str:
        """Relative to the repository."""
        ...

    @property
    def start_line(self) -> int:
        """From 1."""
        ...

    @property
    def end_line(self) -> int:
        """Inclusive."""
        ...


@dataclass(frozen=True)
class Place:
    """Lines of a file that answer a question."""

    path: str
    start: int
    """From 1."""
    end: int
    """Inclusive."""

    def is_met(self, hit: Shown) -> bool:
        """Whether some of these lines are shown."""
        return hit.path == self.path and hit.start_line <= self.end and hit.end_line >= self.start


@dataclass(frozen=True)
class Question:
    """What is asked, and where the answers are: any of them will do."""

    text: str
    answers: tuple[Place, ...]


@dataclass(frozen=True)
class Written:
    """A question written by hand, as it stands in the file."""

    repository: str
    part: str
    text: str
    answers: tuple[str, ...]
    """Each a path within the package's folder and a qualified name."""

    @property
    def is_chinese(self) -> bool:
        """Whether it is asked in Chinese, English names in it or not."""
        return bool(_HAN.search(self.text))


def written() -> list[Written]:
    """The questions of ``questions.toml``."""
    listed = tomllib.loads(_WRITTEN.read_text("utf-8"))["question"]
    return [Written(**{**entry, "answers": tuple(entry["answers"])}) for entry in listed]


def placed(question: Written, index: Index, folder: str) -> Question:
    """A written question with its answers looked up in the index.

    Raises:
        ValueError: an answer isn't there.
    """
    places = [place for answer in question.answers for place in _places(answer, index, folder)]
    return Question(question.text, tuple(places))


def _places(answer: str, index: Index, folder: str) -> list[Place]:
    name, symbol = answer.split(" ")
    path = f"{folder}/{name}" if folder else name
    taken = index.outline(path)
    places = [
        Place(path, definition.line, definition.end_line)
        for definition in (taken[0].definitions if taken else ())
        if f"{definition.scope}.{definition.name}".strip(".") == symbol
    ]
    if not places:
        raise ValueError(f"{path} has no {symbol}")
    return places


@dataclass(frozen=True)
class Score:
    """How well questions were answered, each within its repository."""

    questions: int
    mrr: float
    """The mean of 1 / place of the first right hit, 0 behind the tenth."""
    recall: float
    """The share of questions with a right hit among the first five."""


def score(places: Sequence[int]) -> Score:
    """The score of the places of first right hits, 0 for none."""
    n = max(1, len(places))
    mrr = sum(1 / place for place in places if place) / n
    return Score(len(places), round(mrr, 4), round(sum(0 < place <= 5 for place in places) / n, 4))


def places(
    index: Index, asked: Iterable[Question], ranking: Ranking, reranker: TextReranker | None = None
) -> list[int]:
    """For each question the place, from 1, of the first right hit of ten; 0 if there is none."""
    return [_place(index.search(one.text, 10, ranking=ranking, reranker=reranker), one) for one in asked]


def _place(hits: Sequence[Hit], question: Question) -> int:
    right = (place for place, hit in enumerate(hits, 1) if any(answer.is_met(hit) for answer in question.answers))
    return next(right, 0)
