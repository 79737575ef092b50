"""The way of a completion: cursor → prompt → generation, stopped where the unit ends → filters → suggestion."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lsp.completion.bases import Budget, DocumentBases, Engine
from lsp.completion.branch import Branch, Known
from lsp.completion.cache import SuggestionCache
from lsp.completion.completion import Completion
from lsp.completion.context import ContextPiece, ContextSource
from lsp.completion.flight import Flight
from lsp.completion.place import Place
from lsp.completion.prompt import bounded
from lsp.completion.selftest import layout_of
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.engine.client import Generation
from lsp.engine.protocol import ModelFacts, State
from lsp.models.fim import LayoutName

# How often to tell of a suggestion that grows; each time its filters run.
GROWTH_SECONDS = 0.1


class RunningEngine(Engine, Protocol):
    """An engine that tells its state."""

    @property
    def state(self) -> State:
        """How it is, what it runs and how fast."""
        ...


class Completer:
    """Completes in any number of documents.

    Args:
        engine: what generates.
        model: its name; empty: the engine tells it.
        stats: where costs are counted.
        context: where context comes from; None: there is none.
        known: which of some names the workspace defines.
        threshold: the least confidence to show, by language, mode and what was asked for.
    """

    def __init__(
        self,
        engine: RunningEngine,
        model: str,
        stats: CompletionStats,
        context: ContextSource | None = None,
        *,
        known: Known = lambda names: set(),
        threshold: Callable[[str, str, float], float] = lambda language, mode, asked: asked,
    ) -> None:
        self._engine = engine
        self._known = known
        self._threshold = threshold
        self._context = context
        self._model = model
        self._stats = stats
        self._documents: dict[str, DocumentBases] = {}
        self._caches: dict[str, SuggestionCache] = {}
        self._flights: dict[str, Flight] = {}
        self._chosen: tuple[ModelFacts, LayoutName] | None = None

    async def complete(
        self,
        cursor: Cursor,
        *,
        max_tokens: int,
        min_confidence: float = 0.0,
        alternatives: int = 1,
        patient: bool = False,
        delay: float = 0.0,
        on_growth: Callable[[str], None] | None = None,
    ) -> Completion:
        """Complete at ``cursor``.

        Where that is being generated already, since what was typed meanwhile agrees with it, this waits for it too.
        A cancelled task frees the engine within a decode step, or soon after if the next key may want the same.

        Args:
            cursor: the place.
            max_tokens: most tokens to generate.
            min_confidence: below it nothing is suggested.
            alternatives: how many different suggestions to compute, at least 1.
            patient: compute a large base first where there is none, instead of answering soon on a small one.
            delay: seconds to wait before the engine is asked, in case that the user types on.
            on_growth: called with what is to be suggested as far as it is known, while it grows.

        Raises:
            MidlineError: the engine can't.
        """
        began = time.perf_counter()
        cache = self._cache(cursor.uri)
        if (made := cache.find(cursor)) and len(made.alternatives) + 1 >= alternatives:
            self._stats.cache_hits += 1
            return made
        flight = self._flights.get(cursor.uri)
        if flight and not flight.done and flight.alternatives >= alternatives and flight.agrees(cursor):
            joined = await self._follow(flight, cursor, on_growth)
            if joined and (made := cache.find(cursor)):
                self._stats.joined += 1
                return replace(made, ms=dict.fromkeys(made.ms, 0.0) | {"total": _ms_since(began)})
        if flight:
            flight.end()
        flight = self._flights[cursor.uri] = Flight(cursor, alternatives)
        flight.start(self._fly(flight, _Wish(max_tokens, min_confidence, patient, delay), began))
        await self._follow(flight, cursor, on_growth)
        return flight.result()

    async def _follow(self, flight: Flight, cursor: Cursor, on_growth: Callable[[str], None] | None) -> bool:
        """Wait until ``flight`` has ended; False as soon as it writes something else than what was typed."""
        told = 0.0
        with flight.wanted():
            while not flight.done:
                await flight.growth()
                if not flight.agrees(cursor):
                    return False
                if on_growth and time.perf_counter() - told > GROWTH_SECONDS:
                    told = time.perf_counter()
                    if text := flight.rest_so_far(cursor):
                        on_growth(text)
        return True

    async def _fly(self, flight: Flight, wish: _Wish, began: float) -> Completion:
        """What a flight does: find the prompt's base, generate, and make a suggestion of it."""
        cursor = flight.cursor
        bases = self._bases(cursor.uri)
        await bases.recall()
        within = bounded(cursor)
        if wish.patient:
            based, found = await bases.assemble(within)
        else:
            based, found = bases.find(within) or bases.start(within, self._budget().small)
        segments = based.base.segments(found.middle, bases.layout)
        context_ms = _ms_since(began)
        try:
            await asyncio.sleep(wish.delay)
            generation = self._engine.generate(
                based.key, segments, max_tokens=wish.max_tokens, branches=flight.alternatives
            )
            generation.on_done(self._stats.add)  # also of a request that is cancelled before its reader hears of it
            # Once the engine has begun: the syntax is read while it reads what was typed.
            flight.branches = self._branches(cursor, wish.min_confidence, flight.alternatives)
            await _read(generation, flight.branches, flight.grow)
        finally:
            bases.renew()
        usage = generation.usage
        ms = {
            "context": context_ms,
            "prefill": usage.prefill_ms,
            "first_token": usage.first_token_ms,
            "generate": usage.generate_ms,
            "total": _ms_since(began),
        }
        made = self._finish(cursor, flight.branches, generation, based.base.context)
        completion = replace(made, usage=usage, ms=ms)
        self._cache(cursor.uri).add(cursor, completion)
        return completion

    async def look_ahead(self, cursor: Cursor, shown: Completion, *, max_tokens: int, min_confidence: float) -> None:
        """Prepare the suggestion that follows when ``shown`` is accepted, while nobody waits for the engine."""
        accepted = cursor.prefix + _with_breaks_of(cursor.text, shown.text)
        text = accepted + cursor.text[shown.end :]
        after = Cursor(cursor.uri, cursor.path, cursor.language, None, text, len(accepted))
        bases = self._bases(cursor.uri)
        within = bounded(after)
        if (fitting := bases.fitting(within)) is None:
            return
        based, found = fitting
        segments = based.base.segments(found.middle, bases.layout)
        branches = self._branches(after, min_confidence, 1)
        generation = self._engine.generate(based.key, segments, max_tokens=max_tokens, priority="warm")
        await _read(generation, branches)
        if not branches[0].interrupted:
            self._cache(cursor.uri).add(after, self._finish(after, branches, generation, based.base.context))

    def _branches(self, cursor: Cursor, min_confidence: float, count: int) -> list[Branch]:
        place = Place.of(cursor)
        least = self._threshold(cursor.language, place.mode, min_confidence)
        return [Branch(place, least) for _ in range(count)]

    def _finish(
        self, cursor: Cursor, branches: list[Branch], generation: Generation, context: Sequence[ContextPiece]
    ) -> Completion:
        whole = generation.reason != "length"
        suggestions = [branch.finish(self._known, whole=whole) for branch in branches]
        first = next((suggestion for suggestion in suggestions if suggestion.text), suggestions[0])
        others = dict.fromkeys(suggestion.text for suggestion in suggestions if suggestion.text)
        return Completion(
            text=first.text,
            start=cursor.offset,
            end=cursor.offset,
            alternatives=tuple(text for text in others if text != first.text),
            model=self._model or self._engines_model(),
            confidence=first.confidence,
            context=tuple(piece.as_dict() for piece in context),
            filters=first.fired,
            reason=first.reason,
            mode=branches[0].place.mode,
        )

    def _engines_model(self) -> str:
        model = self._engine.state.model
        return model.name if model else ""

    async def warm_up(self, cursor: Cursor) -> None:
        """Prepare for a completion at or near ``cursor``, in the background."""
        bases = self._bases(cursor.uri)
        await bases.recall()
        bases.warm_up(bounded(cursor))

    def edited(self, uri: str, text: str) -> None:
        """The document's text has changed: stop what that shows to be in vain, before the next request comes."""
        flight = self._flights.get(uri)
        if flight and not flight.done and flight.is_refuted_by(text):
            flight.end()

    def forget(self, uri: str) -> None:
        """The document was closed; what the engine holds of it stays until the room is needed."""
        self._caches.pop(uri, None)
        if flight := self._flights.pop(uri, None):
            flight.end()
        if bases := self._documents.pop(uri, None):
            bases.close()

    def forget_suggestions(self) -> None:
        """What may be suggested, or how, has changed; what the engine has read is of use still."""
        self._caches.clear()
        for flight in self._flights.values():
            flight.end()

    def forget_all(self) -> None:
        """What may be shown to the model has changed, or how."""
        self._chosen = None
        for uri in {*self._caches, *self._flights, *self._documents}:
            self.forget(uri)

    def _cache(self, uri: str) -> SuggestionCache:
        return self._caches.setdefault(uri, SuggestionCache())

    def _bases(self, uri: str) -> DocumentBases:
        layout = self._layout()
        bases = self._documents.get(uri)
        if bases is None or bases.layout != layout:  # before the engine told its model, another was assumed
            if bases:
                bases.close()
            bases = self._documents[uri] = DocumentBases(uri, self._engine, layout, self._budget, self._context)
        return bases

    def _layout(self) -> LayoutName:
        model = self._engine.state.model
        if model and (self._chosen is None or self._chosen[0] != model):
            self._chosen = model, layout_of(model)
        return self._chosen[1] if self._chosen else "psm"

    def _budget(self) -> Budget:
        state = self._engine.state
        return Budget.of(state.prefill_per_second, state.n_ctx)


@dataclass(frozen=True)
class _Wish:
    """How to complete, see ``Completer.complete``."""

    max_tokens: int
    min_confidence: float
    patient: bool
    delay: float


async def _read(generation: Generation, branches: list[Branch], on_growth: Callable[[], None] = lambda: None) -> None:
    """Stream tokens into ``branches`` until each has its unit."""
    try:
        async for token in generation:
            branch = branches[token.branch]
            branch.add(token)
            if branch.complete:
                generation.cancel(token.branch if len(branches) > 1 else None)
            on_growth()
    finally:
        generation.cancel()
    if generation.reason == "cancelled":
        for branch in branches:
            branch.interrupted = not branch.complete


def _with_breaks_of(document: str, text: str) -> str:
    """A suggestion as editors insert it."""
    return text.replace("\n", "\r\n") if "\r\n" in document else text


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
