"""Gaps filled in as the editor's completions are: laid out, kept, ended and filtered by `lsp.completion`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from indexer.languages import language_of
from lsp.api.workspaces import Workspace
from lsp.completion.completer import Completer
from lsp.completion.completion import Completion
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.engine.client import EngineClient, Generation
from lsp.engine.protocol import Priority, Segment, State
from lsp.settings import CompletionSettings

MOST_TOKENS = 1_024
# Continue and others put the file's name into a comment above its text.
_NAMED = re.compile(r"^\s*(?:#|//|--|<!--|;+|%)\s*(?:Path:\s*)?([\w./\\-]+\.\w{1,5})\s*(?:-->)?\s*$", re.MULTILINE)
_HEAD = 500
# What is farther away from a gap no prompt has room for.
_FAR = 200_000


class _BehindTheEditor:
    """An engine whose completions, and what prepares them, wait for the editor's."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine

    @property
    def state(self) -> State:
        return self._engine.state

    def generate(
        self,
        key: str,
        prompt: Sequence[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        rank: Priority = "warm" if priority == "warm" else "guest"
        return self._engine.generate(key, prompt, max_tokens=max_tokens, branches=branches, priority=rank)

    def forget(self, key: str) -> None:
        self._engine.forget(key)

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        return await self._engine.recall(key)


class Infilling:
    """Fills gaps with one engine.

    Args:
        engine: what generates.
        model: its name.
        workspace: where context comes from, if from anywhere.
    """

    def __init__(self, engine: EngineClient, model: str, workspace: Workspace | None) -> None:
        self.engine = engine
        self._workspace = workspace
        context = workspace.context if workspace else None
        known = context.known_names if context else set
        self._completer = Completer(_BehindTheEditor(engine), model, CompletionStats(), context, known=known)

    async def fill(self, key: str, prefix: str, suffix: str, path: str, max_tokens: int | None) -> Completion:
        """What stands between two texts.

        Args:
            key: names the KV sequences; only one gap at a time is filled with each.
            prefix, suffix: the text before the gap, and behind it.
            path: of the file; empty where it isn't known.
            max_tokens: most tokens to generate; None: as in the editor.

        Raises:
            MidlineError: the engine can't.
        """
        cursor = self._cursor(key, prefix, suffix, path)
        wanted = CompletionSettings().max_tokens if max_tokens is None else min(max_tokens, MOST_TOKENS)
        return await self._completer.complete(cursor, max_tokens=wanted, patient=True)

    def _cursor(self, key: str, prefix: str, suffix: str, path: str) -> Cursor:
        named = _NAMED.search(prefix[:_HEAD])
        language = language_of(path or (named[1] if named else ""))
        file = Path(PurePath(path).name) if path else None  # its name is all that a prompt has of it
        if path and self._workspace:
            file = self._workspace.file(path)
        prefix, suffix = prefix[-_FAR:], suffix[:_FAR]
        # Not between a carriage return and its line feed, where no cursor stands.
        joined = prefix.endswith("\r") and suffix.startswith("\n")
        offset = len(prefix) + joined
        return Cursor(key, file, language, None, prefix + suffix, offset)
