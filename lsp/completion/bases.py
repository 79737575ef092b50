"""The bases of a document's prompts: which one fits a cursor, and preparing the next before it is needed.

A base is computed once and then held while it is true to the text. A new one is computed in a sequence of its own, at
low priority, while the old one goes on answering; then they switch. Where nothing fits, a small base answers at once,
and a large one follows.

Context is gathered then too, never while somebody waits. It stays as it is as long as it serves: whatever changes in
it, all that stands behind has to be computed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from lsp.completion.context import ContextSource
from lsp.completion.layout import LAYOUTS
from lsp.completion.pieces import MARKS, merged
from lsp.completion.prompt import (
    CHARS_PER_TOKEN,
    RENEW_LINES,
    Base,
    Match,
    has_words_right,
    make_base,
    match,
    with_rest,
    without_rest,
)
from lsp.documents import Cursor
from lsp.engine.client import Generation
from lsp.engine.protocol import Priority, Segment
from lsp.errors import MidlineError
from lsp.models.fim import LayoutName

# A completion that finds no base waits so long for a small one; a large one may take its time.
SMALL_SECONDS = 1.5
LARGE_SECONDS = 8.0
# And its context so much more.
CONTEXT_SECONDS = 4.0
# What to assume of the machine before anything was measured: one core of a small laptop.
DEFAULT_PREFILL_PER_SECOND = 100.0
# With less context than this completions are of no use; with more they don't get better by what it costs.
MIN_TOKENS, MAX_TOKENS = 128, 3000
MAX_CONTEXT_TOKENS = 1000
# A base that has context is not made anew for news more often than this: a fan is heard longer than an edit is news.
NEWS_SECONDS = 60.0
# A file's places that one goes back and forth between.
MAX_PLACES = 3


class Engine(Protocol):
    """What bases need of the engine; ``EngineClient`` has it."""

    def generate(
        self,
        key: str,
        prompt: list[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        """Start a generation on the KV sequence ``key``."""
        ...

    def forget(self, key: str) -> None:
        """Give back the sequences whose key starts with ``key``."""
        ...

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        """What the sequences whose key starts with ``key`` hold."""
        ...


@dataclass(frozen=True)
class Budget:
    """How many characters a small and a large base may have on this machine, and the context before a large one."""

    small: int
    large: int
    context: int = 0

    @classmethod
    def of(cls, prefill_per_second: float, n_ctx: int) -> Budget:
        """From the measured speed (0: not measured yet), within a quarter of the model's context, or an eighth."""
        speed = prefill_per_second or DEFAULT_PREFILL_PER_SECOND

        def chars(seconds: float, most: int, share: int) -> int:
            most = min(most, n_ctx // share if n_ctx else most)
            return int(max(MIN_TOKENS, min(most, speed * seconds)) * CHARS_PER_TOKEN)

        return cls(
            chars(SMALL_SECONDS, MAX_TOKENS, 4),
            chars(LARGE_SECONDS, MAX_TOKENS, 4),
            chars(CONTEXT_SECONDS, MAX_CONTEXT_TOKENS, 8),
        )


@dataclass(eq=False)
class Place:
    """A base with the key of its KV sequence.

    Args:
        key: the sequence's.
        base: what it begins with.
        computed: whether the engine has read it in the background, with its context.
        epoch: the source's when its context was gathered; None: it wasn't.
    """

    key: str
    base: Base
    computed: bool = False
    epoch: object = None


@dataclass
class DocumentBases:
    """The bases of one document.

    Args:
        uri: its name; keys are ``URI#1``, ``URI#2``, …
        engine: where the sequences are.
        layout: the prompt order of the engine's model.
        budget: called for the sizes to keep to now.
        context: where context comes from; None: there is none.
    """

    uri: str
    engine: Engine
    layout: LayoutName
    budget: Callable[[], Budget]
    context: ContextSource | None = None
    places: list[Place] = field(default_factory=list)  # used most recently first
    _count: int = 0
    _closed: bool = False
    _gathered_at: float = -NEWS_SECONDS
    _recalling: asyncio.Task[None] | None = None
    _cursor: Cursor | None = None
    _preparing: asyncio.Task[None] | None = None
    _target: Place | None = None  # what is being prepared

    async def recall(self) -> None:
        """Take over what the engine still holds of this document from another window or an earlier session."""
        if self._recalling is None:
            self._recalling = asyncio.get_running_loop().create_task(self._recall())
        # Whoever comes while that is asked waits for it too.
        await asyncio.shield(self._recalling)

    async def _recall(self) -> None:
        for key, segments in (await self.engine.recall(f"{self.uri}#")).items():
            number = key.removeprefix(f"{self.uri}#")
            base = Base.read(segments, self.layout)
            if base and number.isdigit() and self._permits(base):
                self.places.append(Place(key, base, computed=True))
                self._count = max(self._count, int(number))

    def _permits(self, base: Base) -> bool:
        """Whether a base from before shows only what may still be shown."""
        paths = {piece.path for piece in base.context}
        return not paths or (self.context is not None and all(map(self.context.permits, paths)))

    def find(self, cursor: Cursor) -> tuple[Place, Match] | None:
        """The base that fits ``cursor`` best, if one does: an exact one before one that is a little off."""
        self._cursor = without_rest(cursor)
        best = self.fitting(cursor)
        if best:
            self._use(best[0])
        return best

    def fitting(self, cursor: Cursor) -> tuple[Place, Match] | None:
        """As ``find``, for a cursor that the user's isn't at."""
        fitting = [(place, found) for place in self.places if (found := match(cursor, place.base))]
        return next((pair for pair in fitting if pair[1].exact), fitting[0] if fitting else None)

    def start(self, cursor: Cursor, chars: int) -> tuple[Place, Match]:
        """A new base of ``chars`` characters, in use from now on; with the context that the engine has computed.

        Where one fits but for words right of the cursor, it is that one with those words.
        """
        prefix_first = LAYOUTS[self.layout].prefix_first
        if prefix_first and has_words_right(cursor) and (near := self.fitting(without_rest(cursor))):
            return self._begin(cursor, self._new_place(with_rest(near[0].base, cursor)))
        base = make_base(cursor, chars)
        held = next((place.base for place in self.places if place.computed and place.base.context), None)
        if held:
            base = replace(base, context=held.context, mark=held.mark)
        return self._begin(cursor, self._new_place(base))

    async def assemble(self, cursor: Cursor) -> tuple[Place, Match]:
        """As ``find`` or ``start``, for who can wait: a large base with context, wherever there is any."""
        held = self.find(cursor)
        if held and held[0].epoch is not None:
            return held
        epoch = self.context.epoch if self.context else None
        base = await self._with_context(cursor, make_base(cursor, self.budget().large))
        for place in self.places:
            if place.base.shown == base.shown and match(cursor, place.base):
                # Recalled, when all that was known of its context was the text.
                place.base, place.epoch = replace(place.base, context=base.context, mark=base.mark), epoch
                return self._begin(cursor, place)
        place = self._new_place(base)
        place.epoch = epoch
        return self._begin(cursor, place)

    def _begin(self, cursor: Cursor, place: Place) -> tuple[Place, Match]:
        self._cursor = without_rest(cursor)
        self._use(place)
        found = match(cursor, place.base)
        assert found is not None
        return place, found

    def renew(self) -> None:
        """Begin to prepare a better base in the background, if that is called for and not under way."""
        cursor = self._cursor
        if cursor is None or self._closed or not self._wanted(cursor):
            return
        if self._preparing and not self._preparing.done():
            if self._target is None or match(cursor, self._target.base):
                return
            self._preparing.cancel()  # it is for a place that the user has left
        self._preparing = asyncio.get_running_loop().create_task(self._prepare())

    def warm_up(self, cursor: Cursor) -> None:
        """The cursor has come here, and something may be typed: have a base ready, first a small one."""
        if self._closed:
            return  # while the engine was asked what it holds
        cursor = without_rest(cursor)  # who moves through a line isn't going to write in the middle of it
        if self.find(cursor) is not None:
            self.renew()
            return
        if self._preparing:
            self._preparing.cancel()
        place, found = self.start(cursor, self.budget().small)
        self._target = place
        self._preparing = asyncio.get_running_loop().create_task(self._prepare_both(place, found.middle))

    def close(self) -> None:
        """The document was closed: nothing is prepared for it any more."""
        self._closed = True
        if self._preparing:
            self._preparing.cancel()

    def _wanted(self, cursor: Cursor) -> bool:
        """Whether the base in use should be followed by another, or its context be looked after."""
        lasting = self._lasting
        return not lasting or self._outgrown(cursor, lasting[0].base) or self._is_stale(cursor, lasting[0])

    @property
    def _lasting(self) -> list[Place]:
        """The places whose bases are of use beyond one cursor's line, used most recently first."""
        return [place for place in self.places if not place.base.rest]

    def _outgrown(self, cursor: Cursor, base: Base) -> bool:
        """Whether what ``base`` has of the document should be more, or other."""
        found = match(cursor, base)
        if found is None or not found.exact or found.lines > RENEW_LINES:
            return True
        large = make_base(cursor, self.budget().large)
        fitting = match(cursor, large)
        size = base.chars + len(found.middle)
        return fitting is not None and large.chars + len(fitting.middle) > 1.5 * size

    def _is_stale(self, cursor: Cursor, place: Place) -> bool:
        """Whether context may be had that the base lacks."""
        if self.context is None or cursor.language not in MARKS or place.epoch == self.context.epoch:
            return False
        rested = asyncio.get_running_loop().time() >= self._gathered_at + NEWS_SECONDS
        return rested or not place.base.context

    async def _prepare_both(self, place: Place, middle: str) -> None:
        if await self._compute(place, middle) and self._cursor and self._wanted(self._cursor):
            await self._prepare()

    async def _prepare(self) -> None:
        """Compute a large base where the cursor is, catch up with what was typed meanwhile, and switch to it."""
        cursor = self._cursor
        assert cursor is not None
        self._target = None  # not known before the context is
        near = next(iter(self._lasting), None)
        epoch = self.context.epoch if self.context else None
        base = make_base(cursor, self.budget().large, near.base if near else None)
        base = await self._with_context(cursor, base, near.base if near else None)
        if near and near.base.context == base.context and not self._outgrown(cursor, near.base):
            near.epoch = epoch  # nothing better has come
            return
        place = self._target = self._new_place(base)
        place.epoch = epoch
        found = match(self._cursor or cursor, place.base)
        computed: str | None = None
        while found and found.middle != computed:
            computed = found.middle
            if not await self._compute(place, computed):
                return  # without it completions go on as they did
            found = match(self._cursor, place.base) if self._cursor else None
        self._use(place)
        if not found and len(self.places) > 1:  # the user has left, and may come back
            self.places[:2] = self.places[1::-1]

    async def _with_context(self, cursor: Cursor, base: Base, near: Base | None = None) -> Base:
        """``base`` with what is worth showing before it, as much as possible as ``near`` has it.

        Rules may have come to leave out what that has.
        """
        context, mark = self.context, MARKS.get(cursor.language, "")
        room = self.budget().context
        found = match(cursor, base)
        if context is None or not mark or not room or found is None:
            return base
        self._gathered_at = asyncio.get_running_loop().time()
        start = cursor.offset - len(found.middle) - len(base.prefix)
        pieces = await context.gather(cursor, room, (start, cursor.line_end + len(base.suffix)))
        old = near.context if near else ()
        if missing := {piece.path for piece in old} - {piece.path for piece in pieces}:
            private = await asyncio.to_thread(lambda: {path for path in missing if not context.permits(path)})
            old = tuple(piece for piece in old if piece.path not in private)
        return replace(base, context=merged(old, pieces, room, mark), mark=mark)

    async def _compute(self, place: Place, middle: str) -> bool:
        """Have the engine read a base and its middle; False where it was interrupted or failed."""
        segments = place.base.segments(middle, self.layout)
        generation = self.engine.generate(place.key, segments, max_tokens=0, priority="anchor")
        try:
            async for _ in generation:
                pass
        except MidlineError:
            return False
        finally:
            generation.cancel()
        place.computed = place.computed or generation.reason != "cancelled"
        return generation.reason != "cancelled"

    def _new_place(self, base: Base) -> Place:
        self._count += 1
        return Place(f"{self.uri}#{self._count}", base)

    def _use(self, place: Place) -> None:
        used = [place, *(other for other in self.places if other is not place)]
        # Words right of the cursor are of use as long as it is there; they don't take the room of what lasts.
        rests = [other for other in used if other.base.rest][1:]
        lasting = [other for other in used if not other.base.rest][MAX_PLACES:]
        for old in (*rests, *lasting):
            self.engine.forget(old.key)
        self.places = [other for other in used if other not in rests and other not in lasting]
