"""What requests may know of repositories: those that were named when the API was started, each with its index."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.keeper import Freshness
from lsp.api.refused import RefusedError
from lsp.chat.answer import OPENING
from lsp.chat.context import gather
from lsp.chat.desk import context_chars
from lsp.chat.library import Library
from lsp.chat.sources import Source, numbered, question_with
from lsp.chat.templates import Turn
from lsp.completion.context import WorkspaceContext
from lsp.completion.recent import RecentEdits
from lsp.engine.protocol import State
from lsp.indexing import WorkspaceIndex
from lsp.searching import INDEXING_SECONDS
from lsp.terminal import settings_for, tell

# What earlier questions were told, so that a conversation goes on with the prompt that it began with.
_MOST_TOLD = 256
_CITED = re.compile(r"\[(\d{1,3})\](?![(:])")


@dataclass(frozen=True)
class _Told:
    """A question as the model reads it, and the sources that it read with it first."""

    text: str
    fresh: Sequence[Source] = ()


class Workspace:
    """A repository: its settings, its index, kept fresh, and what the model may see of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings, self._privacy = settings_for(folder)
        self._index = WorkspaceIndex(self._on_index, tell)
        self._opening = asyncio.Lock()
        self._settled = asyncio.Event()
        self._told: OrderedDict[bytes, _Told] = OrderedDict()
        self.context = WorkspaceContext(RecentEdits(), lambda: self._index.index, folder, self._privacy.covers)

    def file(self, path: str) -> Path:
        """A file of it that a model may see.

        Raises:
            RefusedError: it lies outside, or is private.
        """
        file = (self.folder / path).resolve() if "\0" not in path else Path("/")
        if not file.is_relative_to(self.folder) or self._privacy.covers(file):
            raise RefusedError("This file is outside of the workspace, or `privacy.exclude` names it.", status=403)
        return file

    def _on_index(self, freshness: Freshness) -> None:
        if freshness.state in ("ready", "failed"):
            self._settled.set()

    async def open(self) -> None:
        """Open its index, and wait a while until it is up to date; it is kept so in the background.

        Raises:
            MidlineError: there can be none.
        """
        async with self._opening:
            await self._index.configure(self.folder, self._settings)
        if self._index.index is None:
            return
        try:
            await asyncio.wait_for(self._settled.wait(), INDEXING_SECONDS)
        except TimeoutError:
            self._settled.set()  # what is indexed by now counts

    async def told(self, turns: Sequence[Turn], state: State) -> tuple[list[Turn], list[Source]]:
        """``turns`` with sources before each question, and all of these sources.

        They are looked for where the last turn is a question; before earlier ones stands what stood there then.

        Raises:
            MidlineError: a mention in the question stands for nothing.
        """
        found: list[Turn] = []
        sources: list[Source] = []
        seen = hashlib.blake2b()
        for i, turn in enumerate(turns):
            seen.update(f"{turn.role}\0{len(turn.text)}\0{turn.text}".encode(errors="replace"))
            if turn.role == "user":
                key = seen.digest()
                if key not in self._told and i == len(turns) - 1:
                    read = [one.text for one in found]
                    self._keep(key, await asyncio.to_thread(self._question, turn.text, state, sources, read))
                told = self._told.get(key, _Told(turn.text))
                sources += told.fresh
                turn = Turn("user", told.text)
            found.append(turn)
        # What to do with sources a small model learns from an example, unless the client tells it what to do.
        return ([*OPENING, *found] if sources and found[0].role != "system" else found), sources

    def _keep(self, key: bytes, told: _Told) -> None:
        self._told[key] = told
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)

    def _question(self, text: str, state: State, earlier: Sequence[Source], read: Sequence[str]) -> _Told:
        index, options = self._index, self._settings.chat
        library = Library(index.index, self.folder, self._privacy.covers, index.documents, index.packages)
        chars, search = context_chars(state, options), options.context_seconds > 0
        gathered = gather(text, library, None, chars, follow_up=len(read) > 1, search=search)
        fresh, again = numbered(gathered.sources, earlier, read)
        return _Told(question_with(fresh, text, again), fresh)

    async def close(self) -> None:
        """Let go of the index."""
        await self._index.close()


class Workspaces:
    """The folders that requests may name, and no others: what a client could name, it could read.

    Args:
        folders: absolute.

    Raises:
        MidlineError: one is not there.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._known = {folder.resolve(): Workspace(folder.resolve()) for folder in folders}

    async def named(self, folder: str) -> Workspace | None:
        """The one that a request names, opened; None for an empty name.

        Raises:
            RefusedError: it wasn't named at the start.
            MidlineError: its index can't be kept.
        """
        if not folder:
            return None
        try:
            found = self._known.get(Path(folder).resolve()) if "\0" not in folder else None
        except (OSError, ValueError, RuntimeError):
            found = None
        if found is None:
            raise RefusedError(
                "This folder is not open to the API.", "Start `midline serve-api --workspace DIR`.", status=403
            )
        await found.open()
        return found

    async def close(self) -> None:
        """Let go of all."""
        for one in self._known.values():
            await one.close()


def footnotes(answer: str, sources: Sequence[Source]) -> str:
    """What the numbers in an answer stand for, a line each; empty where it has none."""
    places = {one.number: f"{one.path}:{one.start_line}-{one.end_line}" for one in sources}
    cited = dict.fromkeys(int(number) for number in _CITED.findall(answer))
    lines = [f"[{number}] {places[number]}" for number in cited if number in places]
    return "\n\n" + "\n".join(lines) if lines else ""
