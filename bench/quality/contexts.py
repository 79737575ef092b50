"""Where a completion's context comes from, in the variants that have one: all sources, or only one of them."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from bench.quality.places import Place
from bench.retrieval.data import indexed
from indexer.index import Index
from lsp.completion.context import ContextPiece, ContextSource, Sources, WorkspaceContext
from lsp.completion.recent import RecentEdits
from lsp.documents import Cursor, Document

WITHOUT, WITH, ONLY = "no context", "context", "only "
# Other files that the editor has open, as near to the target as can be.
_OPEN = 3


def variants() -> list[str]:
    """The names of the variants of context: what the bench's places have no history for is left out."""
    shown = ("outline", "counterpart", "documents", "signatures", "windows")
    return [WITHOUT, WITH, *(ONLY + one.name for one in fields(Sources) if one.name in shown)]


@dataclass
class Contexts:
    """The sources of context by variant and place; packages are indexed when first needed, under ``data``."""

    data: Path
    _indexes: dict[Path, Index] = field(default_factory=dict)
    _locks: defaultdict[Path, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def source(self, place: Place, variant: str) -> AsAtPlace | None:
        """The source for a place; None for a variant without context."""
        if variant == WITHOUT:
            return None
        wanted = Sources() if variant == WITH else Sources.only(variant.removeprefix(ONLY))
        if place.workspace not in self._indexes:
            self._indexes[place.workspace] = indexed(place.workspace, self.data)
        index = self._indexes[place.workspace]
        found = WorkspaceContext(_opened(place), lambda: index, place.workspace, wanted=wanted)
        return AsAtPlace(place, index, found, self._locks[place.workspace])

    def close(self) -> None:
        """Close the indexes."""
        for index in self._indexes.values():
            index.close()


@dataclass
class AsAtPlace:
    """Asks the index as it is when the place is reached: without what was taken out there."""

    place: Place
    index: Index
    inner: ContextSource
    lock: asyncio.Lock

    @property
    def epoch(self) -> object:
        """See `ContextSource`."""
        return self.inner.epoch

    async def gather(
        self, cursor: Cursor, chars: int, shown: tuple[int, int] | None = None
    ) -> tuple[ContextPiece, ...]:
        """See `ContextSource`."""
        assert self.place.cursor.path is not None
        path = self.place.cursor.path.relative_to(self.place.workspace).as_posix()
        async with self.lock:
            self.index.overlay(path, self.place.cursor.text)
            try:
                return await self.inner.gather(cursor, chars, shown)
            finally:
                self.index.overlay(path, None)

    def known(self, names: Iterable[str]) -> set[str]:
        """Which of these names the package knows."""
        wanted = list(names)
        return self.index.known_names(wanted) | self.index.mentioned_names(wanted)


def _opened(place: Place) -> RecentEdits:
    """An editor with some neighbours of the file open, and then the file itself."""
    target = place.cursor.path
    assert target is not None
    others = sorted(file for file in place.workspace.rglob(f"*{target.suffix}") if file != target and file.is_file())
    random.Random(place.name).shuffle(others)
    others.sort(key=lambda file: len(set(file.parents) ^ set(target.parents)))
    recent = RecentEdits()
    for file in reversed(others[:_OPEN]):
        recent.opened(Document(file.as_uri(), file.read_text("utf-8", "replace"), 1, place.cursor.language))
    recent.opened(Document(target.as_uri(), place.cursor.text, 1, place.cursor.language))
    return recent
