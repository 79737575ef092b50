"""What requests may know of repositories: those that were named when the API was started, each with its index."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from lsp.api.refused import RefusedError
from lsp.chat.context import gather
from lsp.chat.desk import context_chars
from lsp.chat.library import Library
from lsp.chat.sources import question_with
from lsp.chat.templates import Turn
from lsp.completion.context import WorkspaceContext
from lsp.completion.recent import RecentEdits
from lsp.engine.protocol import State
from lsp.indexing import WorkspaceIndex
from lsp.terminal import settings_for, tell

# What earlier questions were told, so that a conversation goes on with the prompt that it began with.
_MOST_TOLD = 256


class Workspace:
    """A repository: its settings, its index, kept fresh, and what the model may see of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settings, self._privacy = settings_for(folder)
        self._index = WorkspaceIndex(lambda freshness: None, tell)
        self._opened = False
        self._opening = asyncio.Lock()
        self._told: OrderedDict[bytes, str] = OrderedDict()
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

    async def open(self) -> None:
        """Open its index, which is brought up to date in the background.

        Raises:
            MidlineError: there can be none.
        """
        async with self._opening:
            if not self._opened:
                await self._index.configure(self.folder, self._settings)
                self._opened = True

    async def told(self, turns: Sequence[Turn], state: State) -> list[Turn]:
        """``turns`` with sources before each question: newly found for the last one, as they were for those before.

        Raises:
            MidlineError: a mention in the question stands for nothing.
        """
        seen = hashlib.blake2b()
        found: list[Turn] = []
        last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
        for i, turn in enumerate(turns):
            seen.update(f"{turn.role}\0{len(turn.text)}\0{turn.text}".encode(errors="replace"))
            if turn.role == "user":
                key = seen.digest()
                text = self._told.get(key, turn.text)
                if i == last and key not in self._told:
                    text = await asyncio.to_thread(self._question, turn.text, state, follow_up=i > 1)
                    self._told[key] = text
                    if len(self._told) > _MOST_TOLD:
                        self._told.popitem(last=False)
                turn = Turn("user", text)
            found.append(turn)
        return found

    def _question(self, text: str, state: State, *, follow_up: bool) -> str:
        index = self._index
        library = Library(index.index, self.folder, self._privacy.covers, index.documents, index.packages)
        chars = context_chars(state, self._settings.chat)
        gathered = gather(
            text, library, None, chars, follow_up=follow_up, search=self._settings.chat.context_seconds > 0
        )
        return question_with(gathered.sources, text)

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
