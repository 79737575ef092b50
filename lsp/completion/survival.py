"""How much of an accepted text is still there after a while.

Where a text stands is followed through the edits of its document. No timer runs: what is due is measured before the
next edit, in a text that has not changed since it was due.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from lsp.documents import Document

CHECKS = {"30s": 30.0, "5min": 300.0}
"""Seconds after which to look, by name."""
SAVED = "saved"
"""Name of the look that is had when the document is saved or closed first."""

_WORD = re.compile(r"\w+|[^\w\s]")
_MAX_WATCHED = 50  # in each document
_MAX_WORDS = 4000


@dataclass
class _Text:
    accepted: str
    start: int
    end: int
    since: float
    tell: Callable[[str, float], None]
    due: dict[str, float | None] = field(default_factory=lambda: {**CHECKS, SAVED: None})


@dataclass
class _Watched:
    source: str
    texts: dict[Hashable, _Text] = field(default_factory=dict)


class Survival:
    """Accepted texts of all open documents."""

    def __init__(self) -> None:
        self._documents: dict[str, _Watched] = {}

    def watches(self, uri: str) -> bool:
        """Whether there is anything to follow in a document."""
        return uri in self._documents

    def accepted(
        self, key: Hashable, document: Document, start: int, end: int, now: float, tell: Callable[[str, float], None]
    ) -> None:
        """What stands from ``start`` to ``end`` was accepted; what was known of ``key`` before is replaced.

        Args:
            key: names this text.
            document: where it is.
            start: its offset.
            end: the offset behind it.
            now: seconds.
            tell: called with a check's name and the share that is left, 0 to 1.
        """
        watched = self._documents.setdefault(document.uri, _Watched(document.source))
        before = watched.texts.pop(key, None)
        since = before.since if before else now
        watched.texts[key] = _Text(watched.source[start:end], start, end, since, tell)
        if len(watched.texts) > _MAX_WATCHED:
            del watched.texts[next(iter(watched.texts))]

    def edited(self, document: Document, now: float) -> None:
        """The document has another text."""
        if not (watched := self._documents.get(document.uri)):
            return
        self._look(document.uri, watched, now)
        start, removed, inserted = difference(watched.source, document.source)
        watched.source = document.source
        for text in watched.texts.values():
            _shift(text, start, removed, inserted)

    def saved(self, uri: str, now: float) -> None:
        """The document was saved."""
        if watched := self._documents.get(uri):
            for text in watched.texts.values():
                _measure(text, watched.source, SAVED)
            self._look(uri, watched, now)

    def closed(self, uri: str, now: float) -> None:
        """The document was closed."""
        self.saved(uri, now)
        self._documents.pop(uri, None)

    def _look(self, uri: str, watched: _Watched, now: float) -> None:
        for text in watched.texts.values():
            for name, after in CHECKS.items():
                if now - text.since >= after:
                    _measure(text, watched.source, name)
        watched.texts = {key: text for key, text in watched.texts.items() if text.due}
        if not watched.texts:
            del self._documents[uri]


def _measure(text: _Text, source: str, name: str) -> None:
    if name in text.due:
        del text.due[name]
        text.tell(name, left_of(text.accepted, source[text.start : text.end]))


def left_of(accepted: str, now: str) -> float:
    """The share of the words of ``accepted`` that are still there, in their order, by length; 0 to 1."""
    words, others = _WORD.findall(accepted), _WORD.findall(now)[:_MAX_WORDS]
    if not words:
        return 1.0
    blocks = SequenceMatcher(None, words, others, autojunk=False).get_matching_blocks()
    left = sum(len(word) for block in blocks for word in words[block.a : block.a + block.size])
    return left / sum(map(len, words))


def difference(before: str, after: str) -> tuple[int, int, int]:
    """The one edit that leads from a text to another: where, how many characters go, how many come."""
    size, new_size = len(before), len(after)
    shorter = min(size, new_size)
    start = _count(shorter, lambda low, high: after.startswith(before[low:high], low))
    end = _count(shorter - start, lambda low, high: after.endswith(before[size - high : size - low], 0, new_size - low))
    return start, size - start - end, new_size - start - end


def _count(most: int, equal: Callable[[int, int], bool]) -> int:
    """How many characters from 0 to ``most`` are equal before the first that isn't; by halving, so that C compares."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if equal(low, middle) else (low, middle - 1)
    return low


def _shift(text: _Text, start: int, removed: int, inserted: int) -> None:
    """Follow an edit; what is written over or into the text belongs to where it stands."""
    if start >= text.end:
        return
    by = inserted - removed
    if start + removed <= text.start:
        text.start, text.end = text.start + by, text.end + by
    else:
        text.start, text.end = min(text.start, start), max(text.end, start + removed) + by
