"""The way of a completion: cursor → prompt → generation, stopped where the unit ends → filters → suggestion."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from lsp.completion.bases import Budget, DocumentBases, Engine
from lsp.completion.cache import SuggestionCache
from lsp.completion.completion import Completion
from lsp.completion.filters import apply_filters
from lsp.completion.prompt import bounded
from lsp.completion.stats import CompletionStats
from lsp.completion.unit import Place, unit_end
from lsp.documents import Cursor
from lsp.engine.protocol import Done, Priority, Segment, State, Token, Usage

# Where the model itself gives the end such a probability, a line's end is the unit's end.
EOG_ENDS = 0.25


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
        model: its name.
        stats: where costs are counted.
    """

    def __init__(self, engine: RunningEngine, model: str, stats: CompletionStats) -> None:
        self._engine = engine
        self._model = model
        self._stats = stats
        self._documents: dict[str, DocumentBases] = {}
        self._caches: dict[str, SuggestionCache] = {}

    async def complete(
        self,
        cursor: Cursor,
        *,
        max_tokens: int,
        min_confidence: float = 0.0,
        alternatives: int = 1,
        patient: bool = False,
    ) -> Completion:
        """Complete at ``cursor``; cancelling the task frees the engine within a decode step.

        Args:
            cursor: the place.
            max_tokens: most tokens to generate.
            min_confidence: below it nothing is suggested.
            alternatives: how many different suggestions to compute, at least 1.
            patient: compute a large base first where there is none, instead of answering soon on a small one.

        Raises:
            MidlineError: the engine can't.
        """
        began = time.perf_counter()
        cache = self._caches.setdefault(cursor.uri, SuggestionCache())
        if alternatives == 1 and (made := cache.find(cursor)):
            self._stats.cache_hits += 1
            return made
        bases = self._bases(cursor.uri)
        await bases.recall()
        within = bounded(cursor)
        size = self._budget().large if patient else self._budget().small
        based, found = bases.find(within) or bases.start(within, size)
        segments = based.base.segments(found.middle, bases.layout)
        context_ms = _ms_since(began)
        branches = [_Branch(Place.of(cursor)) for _ in range(alternatives)]
        try:
            usage = await self._generate(based.key, segments, branches, max_tokens, on_done=self._stats.add)
        finally:
            bases.renew()
        ms = {
            "context": context_ms,
            "prefill": usage.prefill_ms,
            "first_token": usage.first_token_ms,
            "generate": usage.generate_ms,
            "total": _ms_since(began),
        }
        completion = self._finish(cursor, branches, min_confidence, usage, ms)
        cache.add(cursor, completion)
        return completion

    async def look_ahead(self, cursor: Cursor, shown: Completion, *, max_tokens: int, min_confidence: float) -> None:
        """Prepare the suggestion that follows when ``shown`` is accepted, while nobody waits for the engine."""
        text = cursor.prefix + shown.text + cursor.text[shown.end :]
        after = Cursor(cursor.uri, cursor.path, cursor.language, None, text, cursor.offset + len(shown.text))
        bases = self._bases(cursor.uri)
        within = bounded(after)
        if (fitting := bases.fitting(within)) is None:
            return
        based, found = fitting
        segments = based.base.segments(found.middle, bases.layout)
        branches = [_Branch(Place.of(after))]
        await self._generate(based.key, segments, branches, max_tokens, priority="warm")
        if not branches[0].interrupted:
            made = self._finish(after, branches, min_confidence, Usage(), {})
            self._caches.setdefault(cursor.uri, SuggestionCache()).add(after, made)

    async def _generate(
        self,
        key: str,
        segments: list[Segment],
        branches: list[_Branch],
        max_tokens: int,
        *,
        priority: Priority = "completion",
        on_done: Callable[[Done], None] = lambda _: None,
    ) -> Usage:
        """Stream tokens into ``branches`` until each has its unit."""
        count = len(branches)
        generation = self._engine.generate(key, segments, max_tokens=max_tokens, branches=count, priority=priority)
        generation.on_done(on_done)  # also of a request that is cancelled before its reader hears of it
        try:
            async for token in generation:
                branch = branches[token.branch]
                branch.add(token)
                if branch.complete:
                    generation.cancel(token.branch if count > 1 else None)
        finally:
            generation.cancel()
        if generation.reason == "cancelled":
            for branch in branches:
                branch.interrupted = not branch.complete
        return generation.usage

    def _finish(
        self, cursor: Cursor, branches: list[_Branch], min_confidence: float, usage: Usage, ms: dict[str, float]
    ) -> Completion:
        suggestions = [suggestion for branch in branches if (suggestion := branch.finish(min_confidence))]
        first = branches[0]
        return Completion(
            text=suggestions[0] if suggestions else "",
            start=cursor.offset,
            end=cursor.offset,
            alternatives=tuple(text for text in dict.fromkeys(suggestions) if text != suggestions[0]),
            model=self._model,
            usage=usage,
            confidence=first.confidence,
            ms=ms,
            filters=first.fired,
            reason="" if suggestions else first.reason,
        )

    async def warm_up(self, cursor: Cursor) -> None:
        """Prepare for a completion at or near ``cursor``, in the background."""
        bases = self._bases(cursor.uri)
        await bases.recall()
        bases.warm_up(bounded(cursor))

    def forget(self, uri: str) -> None:
        """The document was closed; what the engine holds of it stays until the room is needed."""
        self._caches.pop(uri, None)
        if bases := self._documents.pop(uri, None):
            bases.close()

    def _bases(self, uri: str) -> DocumentBases:
        if uri not in self._documents:
            model = self._engine.state.model
            layout = model.layout if model else "psm"
            self._documents[uri] = DocumentBases(uri, self._engine, layout, self._budget)
        return self._documents[uri]

    def _budget(self) -> Budget:
        state = self._engine.state
        return Budget.of(state.prefill_per_second, state.n_ctx)


class _Branch:
    """One alternative while it grows."""

    def __init__(self, place: Place) -> None:
        self.text = ""
        self.complete = False
        self.interrupted = False
        self.fired: tuple[str, ...] = ()
        self.reason = ""
        self.confidence = 0.0
        self._place = place
        self._tokens: list[tuple[int, float]] = []  # where each token's text begins, and its logprob

    def add(self, token: Token) -> None:
        """Take the next token, unless the unit is complete already."""
        if self.complete:
            return
        ends_line = self.text.endswith("\n") and bool(self.text.strip())
        if ends_line and token.eog >= EOG_ENDS:
            self.complete = True
            return
        self._tokens.append((len(self.text), token.logprob))
        self.text += token.text
        self.complete = unit_end(self.text, self._place) is not None

    def finish(self, min_confidence: float) -> str:
        """The suggestion; empty with a ``reason`` when there is none."""
        result = apply_filters(self.text, self._place)
        self.fired = result.fired
        kept = [logprob for start, logprob in self._tokens if start < max(1, len(result.text))]
        self.confidence = math.exp(sum(kept) / len(kept)) if kept else 0.0
        if not result.text:
            last = f" (filter {result.fired[-1]!r})" if result.fired else ""
            self.reason = f"nothing was left of the model's text{last}" if self.text else "the model suggested nothing"
        elif self.confidence < min_confidence:
            self.reason = f"confidence {self.confidence:.2f} is below {min_confidence:.2f}"
            return ""
        return result.text


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
