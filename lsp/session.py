"""One editor's connection: its settings, its engine, what it may complete, and how all that is doing."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from lsprotocol import types

from indexer.index import Index
from indexer.keeper import Freshness
from lsp import configuration
from lsp.chat.library import Library
from lsp.choice import engine_config
from lsp.completion import selftest
from lsp.completion.completer import Completer
from lsp.completion.completion import Completion
from lsp.completion.context import WorkspaceContext
from lsp.completion.feedback import Feedback
from lsp.completion.pace import Pace
from lsp.completion.recent import RecentEdits
from lsp.completion.stats import CompletionStats
from lsp.completion.tally import Tally
from lsp.documents import Cursor, Document, path_of
from lsp.engine.config import EngineConfig
from lsp.engine.connect import Engine, engine_for
from lsp.engine.protocol import ModelFacts, State
from lsp.errors import MidlineError
from lsp.indexing import WorkspaceIndex
from lsp.privacy import Privacy
from lsp.settings import Settings
from lsp.status import status_of

# A model that was missing may have been installed since: how often to look, while the editor asks for completions.
RECHECK_SECONDS = 5.0
# Who types on within so long after a suggestion has not taken it.
LOOK_AHEAD_SECONDS = 0.4
# A share of the index that has changed, from which on it is worth asking it for context anew.
NEWS = 0.1
# What who asks for suggestions is given to choose from.
ALTERNATIVES = 3


@dataclass(frozen=True)
class Outbox:
    """How a session tells its editor things.

    Args:
        warn: show a message to the user.
        state: the engine's state changed.
        index: the index's state changed.
        partial: a suggestion has grown, and will grow on: where it is, and its text so far.
    """

    warn: Callable[[str], None]
    state: Callable[[State], None]
    index: Callable[[Freshness], None]
    partial: Callable[[Cursor, str], None] = lambda cursor, text: None


@dataclass(frozen=True)
class _Running:
    """What is asked for at one place: editors may ask for ghost text and for their menu at once."""

    cursor: Cursor
    tasks: set[asyncio.Task[Completion]] = field(default_factory=set)


class Session:
    """What ``midline serve`` does, without LSP's wire.

    Args:
        outbox: where to tell the editor things.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.settings = Settings()
        self.stats = CompletionStats()
        self.feedback = Feedback()
        self._outbox = outbox
        self._engine: Engine | None = None
        self._completer: Completer | None = None
        self._trying: asyncio.Task[None] | None = None
        self.index = WorkspaceIndex(self._on_index, self._warn_once)
        self.recent = RecentEdits()
        self.earlier_cells: Callable[[str], Iterable[Document]] = lambda uri: ()
        self._context = WorkspaceContext(
            self.recent,
            lambda: self.index.index,
            is_private=self.is_private,
            earlier_cells=lambda uri: self.earlier_cells(uri),
        )
        self._problem = State("starting")  # the engine's state where there is no client of it
        self._privacy = Privacy()
        self._last: dict[str, Any] | None = None
        self._running: dict[str, _Running] = {}
        self._ahead: dict[str, asyncio.Task[None]] = {}
        self._told: set[str] = set()
        self._configuring = asyncio.Lock()  # settings may change while an earlier change is still being carried out
        self._recheck_at = 0.0
        self._known_chunks = 0
        self._pace = Pace()
        self.chat_status: Callable[[], dict[str, Any]] = lambda: {"state": "disabled"}

    # -- what others may ask of it ---------------------------------------------------------------------------------

    @property
    def workspace(self) -> Path | None:
        """The folder that the editor has open."""
        return self._privacy.workspace

    @property
    def engine(self) -> Engine | None:
        """The client of the engine that completes, if there is one."""
        return self._engine

    @property
    def search_index(self) -> Index | None:
        """The workspace's index, if there is one."""
        return self.index.index

    def is_private(self, path: Path) -> bool:
        """Whether ``privacy.exclude`` names a file."""
        return self._privacy.covers(path)

    def library(self) -> Library:
        """What chat may read: the workspace, and the user's documents."""
        index = self.index
        return Library(index.index, self.workspace, self.is_private, index.documents, index.packages)

    # -- settings and engine ---------------------------------------------------------------------------------------

    async def configure(self, workspace: Path | None, client: Any) -> None:
        """Take settings, telling what is wrong with them, and start or change the engine accordingly.

        Args:
            workspace: the folder that the editor has open.
            client: what the editor sends as midline's settings.
        """
        async with self._configuring:
            self._context.workspace = workspace
            before = self.settings.completion
            self.settings, problems = configuration.load(workspace, client)
            privacy, wrong = Privacy.of(self.settings.privacy.exclude, workspace)
            for problem in problems + wrong:
                self._warn_once(problem)
            if self._completer and privacy != self._privacy:
                self._completer.forget_all()  # prompts may hold what is private from now on
            elif self._completer and self.settings.completion != before:
                self._completer.forget_suggestions()  # made with another threshold, or another length
            self._privacy = privacy
            self.feedback.use(Tally() if self.settings.feedback.enabled else None)
            await self._choose_engine()
            try:
                await self.index.configure(workspace, self.settings)
            except MidlineError as error:
                self._warn_once(str(error))

    async def _choose_engine(self) -> None:
        if not self.settings.completion.enabled:
            await self._leave_engine(State("disabled", "completion.enabled is false"))
            return
        try:
            config = await asyncio.to_thread(engine_config, self.settings)
        except MidlineError as error:
            await self._leave_engine(State("disabled", error.message, error.cure))
            self._warn_once(str(error))
            self._recheck_at = asyncio.get_running_loop().time() + RECHECK_SECONDS
            return
        before = self._engine.config if self._engine else None
        if config != before or self.state.state == "failed":
            await self._leave_engine(State("starting", "starting the engine"))
            self._engine = engine_for(config, self._on_state, self.notice)
            self._completer = Completer(
                self._engine,
                config.name if isinstance(config, EngineConfig) else "",
                self.stats,
                self._context,
                known=self._known_names,
                threshold=self.feedback.threshold,
            )
            self._engine.start()

    def _known_names(self, names: Iterable[str]) -> set[str]:
        """Which of these the workspace defines; all of them before all of it was indexed once."""
        return self._context.known_names(names) if self.index.freshness.files else set(names)

    async def _look_again(self) -> None:
        """Start the engine where its model has come since it was missed."""
        missing = self._problem.state == "disabled" and self.settings.completion.enabled
        if self._engine or not missing or self._configuring.locked():
            return
        if asyncio.get_running_loop().time() >= self._recheck_at:
            async with self._configuring:
                await self._choose_engine()

    async def _leave_engine(self, state: State) -> None:
        engine, self._engine, self._completer = self._engine, None, None
        if self._trying:
            self._trying.cancel()
            self._trying = None
        for uri in [*self._running]:
            self._stop(uri)  # or it would fail for want of an engine, and say so
        for task in self._ahead.values():
            task.cancel()
        if engine:
            await engine.close()
        if engine or state != self._problem:
            self._problem = state
            self._outbox.state(state)

    def _on_state(self, state: State) -> None:
        if state.state == "failed":
            self._warn_once(f"{state.detail} {state.cure}".strip())
        if state.state == "ready" and state.model and state.model.layouts and self._trying is None:
            self._trying = asyncio.get_running_loop().create_task(self._try_layouts(state.model))
        self._outbox.state(state)

    async def _try_layouts(self, model: ModelFacts) -> None:
        """Find out, once for a model's file, how it infills where its name doesn't tell."""
        engine, completer = self._engine, self._completer
        if engine is None or completer is None:
            return
        try:
            result = await selftest.try_once(engine, model)
        except MidlineError:
            return  # the next time
        if result.layout != model.layout:
            completer.forget_all()
        if not result.infills:
            self._warn_once(f"The model {model.name} hardly fills in the middle ({result}). {selftest.CURE}")

    def _on_index(self, freshness: Freshness) -> None:
        news = abs(freshness.chunks - self._known_chunks) > NEWS * freshness.chunks
        if freshness.state == "ready" and news:
            self._known_chunks = freshness.chunks
            self._context.touch()
        self._outbox.index(freshness)

    def notice(self, message: str) -> None:
        """Tell the user something, once."""
        self._warn_once(message)

    def _warn_once(self, message: str, kind: str = "") -> None:
        """Warn, unless that was done before with this message, or with another of the same kind."""
        kind = kind or message
        if kind not in self._told:
            self._told.add(kind)
            self._outbox.warn(message)

    # -- completion ------------------------------------------------------------------------------------------------

    async def complete(
        self, document: Document | None, cursor: Cursor | None, *, explicit: bool = False
    ) -> Completion | None:
        """A suggestion at ``cursor`` in ``document``, once the engine is ready; None where midline has nothing to say.

        The newest request of a document wins: one for another place that is still running is cancelled and gives None.
        That is not to say that there is nothing to suggest.

        Args:
            document: what the editor has open.
            cursor: the place, in the text as it was when the request was read.
            explicit: whether the user asked, who then gets alternatives, and whatever the model is how unsure of.

        Raises:
            asyncio.CancelledError: the caller was cancelled.
        """
        self.stats.requests += 1
        await self._look_again()
        if document is None or cursor is None or self._completer is None or (refusal := self._refusal(document)):
            self._say_why(refusal if document and cursor and self._completer else self._no_engine(document))
            return None
        if self.state.state in ("failed", "disabled"):
            self._say_why(f"{self.state.detail} {self.state.cure}".strip())
            return None
        loop = asyncio.get_running_loop()
        if (older := self._running.get(document.uri)) and older.cursor != cursor:
            self._stop(document.uri)
        if ahead := self._ahead.get(document.uri):
            ahead.cancel()
        self.recent.visited(document.uri, cursor.prefix.count("\n") + 1)
        began = loop.time()
        task = loop.create_task(self._run(self._completer, cursor, explicit))
        running = self._running.setdefault(document.uri, _Running(cursor))
        running.tasks.add(task)
        try:
            completion = await task
        except asyncio.CancelledError:
            self.stats.cancelled += 1
            this = asyncio.current_task()
            if this and this.cancelling():
                raise
            return None  # a newer request came, the document was closed, or there is no engine any more
        except MidlineError as error:
            # With each key it may fail again, and say so with other numbers.
            self._warn_once(str(error), re.sub(r"\d+", "#", error.message))
            self._say_why(str(error))
            return None
        finally:
            running.tasks.discard(task)
            if not running.tasks and self._running.get(document.uri) is running:
                del self._running[document.uri]
        self.stats.took((loop.time() - began) * 1000)
        if document.version != cursor.version:
            return None  # its offsets are those of a text that is no more
        if completion.text:
            self.stats.shown += 1
            self._ahead[document.uri] = loop.create_task(self._look_ahead(self._completer, cursor, completion))
        self._last = completion.as_dict(document.position_at)
        return completion

    def _stop(self, uri: str) -> None:
        """Cancel what is being asked for in a document."""
        for task in self._running.pop(uri).tasks if uri in self._running else ():
            task.cancel()

    def why(self) -> dict[str, Any]:
        """All about the last suggestion, or the reason why there was none."""
        return self._last or {"text": "", "reason": "nothing has been asked for yet"}

    def _say_why(self, reason: str) -> None:
        """Nothing is suggested, and this is why."""
        self._last = Completion("", 0, 0, reason=reason).as_dict(lambda _: types.Position(0, 0))

    def _no_engine(self, document: Document | None) -> str:
        if document is None:
            return "the editor has not opened this document"
        return f"there is no engine: {self._problem.detail or self._problem.state} {self._problem.cure}".strip()

    async def _look_ahead(self, completer: Completer | None, cursor: Cursor, shown: Completion) -> None:
        """Once the user looks at a suggestion instead of typing on, prepare the one that follows it."""
        await asyncio.sleep(LOOK_AHEAD_SECONDS)
        options = self.settings.completion
        if completer:
            with contextlib.suppress(MidlineError):  # nobody asked for it yet
                await completer.look_ahead(
                    cursor, shown, max_tokens=options.max_tokens, min_confidence=options.min_confidence
                )

    async def _run(self, completer: Completer, cursor: Cursor, explicit: bool) -> Completion:
        if self._engine:
            await self._engine.ready()
        options = self.settings.completion
        return await completer.complete(
            cursor,
            max_tokens=options.max_tokens,
            min_confidence=0.0 if explicit else options.min_confidence,
            alternatives=ALTERNATIVES if explicit else 1,
            delay=0.0 if explicit else self._debounce(),
            on_growth=self._grown(cursor) if options.streaming else None,
        )

    def _debounce(self) -> float:
        """How long to wait for the next key before the engine is asked, in seconds."""
        chosen = self.settings.completion.debounce_ms
        return self._pace.debounce(self.stats.generation_ms) if chosen == "auto" else chosen / 1000

    def _grown(self, cursor: Cursor) -> Callable[[str], None]:
        """Tells the editor of a suggestion while it grows."""
        sent = ""

        def tell(text: str) -> None:
            nonlocal sent
            if not sent.startswith(text):  # the filters may take back for a token what they let through before
                sent = text
                self._outbox.partial(cursor, text)

        return tell

    async def warm_up(self, document: Document | None, position: types.Position) -> None:
        """The cursor came to ``position``: prepare for what may be typed there."""
        if document is None or self._completer is None or self._refusal(document):
            return
        self.recent.visited(document.uri, position.line + 1)
        if self.state.state in ("ready", "busy"):
            await self._completer.warm_up(document.cursor(position))

    def edited(self, document: Document | None, changes: int = 1) -> None:
        """The user changed a document, in so many changes that the editor sent at once."""
        if document is not None:
            self.feedback.edited(document, changes)
            self.recent.edited(document)
        self.index.typed()
        self._pace.typed(asyncio.get_running_loop().time())
        if self._completer and document is not None and document.uri in self._running:
            self._completer.edited(document.uri, document.source)
        self._show_index(document)

    def opened(self, document: Document | None) -> None:
        """The editor holds a document as it is now."""
        if document is not None:
            self.recent.opened(document)
        self._show_index(document)

    def _show_index(self, document: Document | None) -> None:
        # Its text is joined for the index only if there is one: this is done at each key.
        if self.index.index and document is not None and not document.oversized and not document.binary:
            self.index.opened(document.fs_path, document.source)

    def saved(self, uri: str) -> None:
        """What the editor has of a document is on the disk now."""
        self.feedback.saved(uri)
        path = path_of(uri)
        self.index.opened(path, None)
        self.index.changed(path)

    def closed(self, uri: str) -> None:
        """The editor closed a document."""
        self.feedback.closed(uri)
        self.recent.closed(uri)
        self.index.opened(path_of(uri), None)
        self._stop(uri)
        if ahead := self._ahead.pop(uri, None):
            ahead.cancel()
        if self._completer:
            self._completer.forget(uri)

    def _refusal(self, document: Document) -> str:
        """Why nothing is ever completed in this document; empty where it is."""
        if not self.settings.completion.wanted_in(document.language):
            return f"completion.languages leaves out {document.language}"
        return self.hidden(document)

    def hidden(self, document: Document) -> str:
        """Why no model is shown this document; empty where it may be."""
        if document.oversized:
            return "the document is too large"
        if document.binary:
            return "the document is binary"
        if document.file and self.is_private(document.file):
            return "privacy.exclude names this file"
        return ""

    # -- status ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The engine's state, or why there is no engine."""
        return self._engine.state if self._engine else self._problem

    async def status(self) -> dict[str, Any]:
        """As ``midline/status`` answers."""
        if self._engine:
            await self._engine.ask()
        return self.status_now()

    def status_now(self) -> dict[str, Any]:
        """As ``midline/statusChanged`` says, from what is known without asking the engine."""
        return status_of(self.state, self.settings, self.stats, self._last, self.index.freshness, self.chat_status())


async def watch_parent(process_id: int | None, seconds: float = 2.0) -> None:
    """Return when the process that started this one has gone; never where it isn't known."""
    if not process_id:
        await asyncio.Event().wait()
        return
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(process_id)
        # No system tells of the death of a process that isn't one's child.
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(seconds)
