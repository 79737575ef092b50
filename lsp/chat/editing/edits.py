"""``midline/edit``: lines of a document rewritten by the model, as hunks that the user accepts or rejects.

Nothing here changes a document. What is proposed is for the text as it is at that moment: should the lines, or what is
both above and below them, have changed while the model wrote, nothing is proposed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from indexer.secrets import redact
from lsp.chat.context import definitions_used
from lsp.chat.desk import context_chars
from lsp.chat.editing.rewriting import Rewritten, Task, rewrite
from lsp.chat.editing.target import Target
from lsp.chat.editing.testfiles import TestFile
from lsp.chat.editing.workspace_edit import Abilities, Change
from lsp.chat.library import Library, Place
from lsp.chat.model import ChatModel
from lsp.chat.requests import Diagnostic, DocumentId, Host, Opened, Range, as_named
from lsp.chat.sources import Source
from lsp.errors import MidlineError

_TITLES = {
    "edit": "Edit",
    "fix": "Fix",
    "document": "Document",
    "types": "Add type hints",
    "tests": "Write tests",
}
# What is about the cursor's lines more than about the definition that they are in.
_NEAR = ("edit", "fix")
_MOST_DIAGNOSTICS = 10
_LABEL_CHARS = 60
# So much of the time for reading context the definitions used may take.
_CONTEXT_SHARE = 0.3

Told = Callable[[dict[str, Any]], None]


class EditParams(msgspec.Struct, rename="camel", frozen=True):
    """The parameters of ``midline/edit``; what is written is streamed to ``partial_result_token``, if there is one."""

    text_document: DocumentId
    selection: Range | None = None
    command: str = "edit"
    message: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    partial_result_token: int | str | None = None


@dataclass(frozen=True)
class Proposal:
    """What the model proposes.

    Args:
        change: in the text of now.
        command: what was asked for.
        model: who wrote it.
        written: what it cost.
        context_ms: how long it took to find the sources.
    """

    change: Change
    command: str
    model: str
    written: Rewritten
    context_ms: float

    def as_dict(self, able: Abilities) -> dict[str, Any]:
        """As ``midline/edit`` answers."""
        written = self.written
        ms = written.ms | {"context": self.context_ms, "total": round(written.ms["total"] + self.context_ms, 1)}
        return {
            "edit": self.change.as_edit(able),
            "hunks": self.change.hunks_as_dicts(),
            "uri": self.change.document.uri,
            "version": self.change.document.version,
            "command": self.command,
            "model": self.model,
            "attempts": written.attempts,
            "reason": written.reason,
            "tokens_evaluated": written.usage.tokens_evaluated,
            "tokens_reused": written.usage.tokens_reused,
            "tokens_generated": written.usage.tokens_generated,
            "ms": ms,
        }


class Edits:
    """Has edits made for an editor.

    Args:
        host: the session.
        model: the model that writes them.
    """

    def __init__(self, host: Host, model: ChatModel) -> None:
        self.able = Abilities()
        self.counts = dict.fromkeys(("requests", "proposed", "applied", "refused", "cancelled"), 0)
        self._host = host
        self._model = model
        self._under_way: set[str] = set()

    async def edit(
        self, params: EditParams, opened: Opened, progress: Callable[[int | str, Any], None]
    ) -> dict[str, Any]:
        """Answer ``midline/edit``: see `propose`; ``progress`` sends ``$/progress`` with a token and a value."""
        token = params.partial_result_token
        proposal = await self.propose(params, opened, lambda told: None if token is None else progress(token, told))
        return proposal.as_dict(self.able)

    async def propose(self, params: EditParams, opened: Opened, told: Told = lambda value: None) -> Proposal:
        """Have an edit written.

        Args:
            params: the request.
            opened: gives the document of a URI, if the editor has it open.
            told: told of what is written while it comes: ``{"kind": "attempt", "number"}`` where the model begins, from
                1, and ``{"kind": "edit", "text"}`` for each piece.

        Raises:
            MidlineError: it can't be done, or the text has changed meanwhile.
            asyncio.CancelledError: the caller was cancelled.
        """
        self.counts["requests"] += 1
        uri = params.text_document.uri
        try:
            if uri in self._under_way:
                raise MidlineError("An edit of this document is being written already.", "Wait for it, or stop it.")
            self._under_way.add(uri)
            try:
                proposal = await self._propose(params, opened, told)
            finally:
                self._under_way.discard(uri)
        except asyncio.CancelledError:
            self.counts["cancelled"] += 1
            raise
        except MidlineError:
            self.counts["refused"] += 1
            raise
        self.counts["proposed"] += 1
        return proposal

    async def _propose(self, params: EditParams, opened: Opened, told: Told) -> Proposal:
        if params.command not in _TITLES:
            raise MidlineError(f"There is no command {params.command!r}.", f"There are {', '.join(_TITLES)}.")
        document = as_named(params.text_document, opened(params.text_document.uri))
        library = self._host.library()
        # Raises where the file is private.
        path = library.place_at(document.file, "").path if document.file else document.uri
        target = Target.of(document, params.selection, near=params.command in _NEAR)
        tests: TestFile | None = None
        if params.command == "tests":
            tests = await asyncio.to_thread(TestFile.of, path, document, library, opened, self.able)
        model = await self._model.chosen()
        template = await self._model.template(model)
        began = time.perf_counter()
        room = int(context_chars(model.engine.state, self._host.settings.chat) * _CONTEXT_SHARE)
        sources = await asyncio.to_thread(_sources, path, target, library, room)
        context_ms = round((time.perf_counter() - began) * 1000, 1)
        task = Task(
            params.command,
            params.message,
            document.language,
            path,
            target.text,
            target.start_line,
            target.end_line,
            tuple(one.told for one in params.diagnostics[:_MOST_DIAGNOSTICS]),
            sources,
        )
        written = await rewrite(
            model.engine,
            template,
            task,
            on_text=lambda text: told({"kind": "edit", "text": text}),
            on_attempt=lambda number: told({"kind": "attempt", "number": number}),
        )
        if tests:
            hunks, edited = tests.with_more(written.text, opened), tests.document
        else:
            # It may have been closed and opened again.
            now = opened(document.uri)
            hunks, edited = target.hunks(written.text, now), now or document
        if not hunks:
            raise MidlineError("The model changed nothing.", "Say it in other words.")
        change = Change(edited, hunks, label_of(params), f"{path}, by {model.name}", bool(tests and tests.is_new))
        return Proposal(change, params.command, model.name, written, context_ms)


def _sources(path: str, target: Target, library: Library, chars: int) -> tuple[Source, ...]:
    """What the names in the lines stand for."""
    return definitions_used(Place(path, redact(target.text)[0], target.start_line, target.end_line), library, chars)


def label_of(params: EditParams) -> str:
    """An edit in few words, for whoever is asked to confirm it."""
    said = " ".join(params.message.split()) or " ".join(one.text for one in params.diagnostics)
    name = _TITLES.get(params.command, params.command)
    title = f"{name}: {said}" if said else name
    return title if len(title) <= _LABEL_CHARS else f"{title[: _LABEL_CHARS - 1]}…"
