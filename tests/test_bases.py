"""Which base serves a cursor, and when the next is prepared. The engine here only records what it is asked."""

from __future__ import annotations

import asyncio
import re
import zlib
from dataclasses import replace

import pytest
from test_fim_prompt import as_told

from lsp.completion import bases as module
from lsp.completion.bases import MAX_PLACES, Budget, DocumentBases
from lsp.completion.layout import LAYOUTS
from lsp.completion.pieces import ContextPiece
from lsp.completion.prompt import Base, make_base, match
from lsp.documents import Cursor
from lsp.engine.client import Generation
from lsp.engine.ledger import Ledger
from lsp.engine.protocol import Done, Failed, Priority, Segment, Special, Text, Usage
from lsp.models.fim import LayoutName

URI = "file:///a.py"


class Recorder:
    """Answers requests when told to; `held` is what it recalls."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, list[Segment], Priority]] = []
        self.generations: list[Generation] = []
        self.forgotten: list[str] = []
        self.held: dict[str, list[Segment]] = {}

    def generate(
        self,
        key: str,
        prompt: list[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        self.requests.append((key, prompt, priority))
        self.generations.append(Generation(len(self.requests), lambda _: None))
        return self.generations[-1]

    def forget(self, key: str) -> None:
        self.forgotten.append(key)

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        return {name: prompt for name, prompt in self.held.items() if name.startswith(key)}

    async def answer(self, index: int = -1) -> None:
        self.generations[index].put(Done(1, "length", Usage()))
        for _ in range(5):
            await asyncio.sleep(0)


def text(count: int) -> str:
    return "".join(f"line_{i} = {i}\n" for i in range(count))


def at(line: int, document: str = text(400), typed: str = "") -> Cursor:
    offset = document.index("\n", document.index(f"line_{line} "))
    return Cursor(URI, None, "python", 1, document[:offset] + typed + document[offset:], offset + len(typed))


def piece(name: str, count: int = 10) -> ContextPiece:
    return ContextPiece(f"{name}.py", 1, count, "", "".join(f"{name}_{i}()\n" for i in range(count)), 1.0, "test")


class Shelf:
    """A source of context that has what it is told to."""

    def __init__(self, *pieces: ContextPiece) -> None:
        self.pieces = pieces
        self.epoch: object = 0
        self.asked: list[tuple[int, str]] = []
        self.private: set[str] = set()

    def permits(self, path: str) -> bool:
        return path not in self.private

    async def gather(
        self, cursor: Cursor, chars: int, shown: tuple[int, int] | None = None
    ) -> tuple[ContextPiece, ...]:
        assert shown is not None
        self.asked.append((chars, cursor.text[shown[0] : shown[1]]))
        return self.pieces


def document_bases(engine: Recorder, context: Shelf | None = None) -> DocumentBases:
    return DocumentBases(URI, engine, "psm", lambda: Budget(300, 3000, 900), context)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_nothing_fits_at_first_and_a_small_base_is_begun() -> None:
    bases = document_bases(Recorder())
    assert bases.find(at(100)) is None
    place, found = bases.start(at(100), 300)
    assert found.exact
    assert bases.find(at(100, typed="x")) is not None
    assert place.base.chars <= 300


async def test_a_large_base_is_prepared_and_then_used() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    small, _ = bases.start(at(100), 300)
    bases.renew()
    await asyncio.sleep(0)
    key, _, priority = engine.requests[-1]
    assert key != small.key
    assert priority == "anchor"
    assert bases.places[0] is small, "the small one answers until the large one is there"
    await engine.answer()
    assert bases.places[0].key == key
    assert bases.places[0].base.chars > 1000


async def test_what_is_typed_meanwhile_is_computed_before_the_switch() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    bases.start(at(100), 300)
    bases.renew()
    await asyncio.sleep(0)
    bases.find(at(100, typed="new = "))
    await engine.answer()
    assert len(engine.requests) == 2, "once more, for what is new"
    assert engine.requests[0][0] == engine.requests[1][0]
    last = engine.requests[1][1][-1]
    assert isinstance(last, Text)
    assert last.text.endswith("new = ")
    await engine.answer()
    assert bases.places[0].key == engine.requests[0][0]


async def test_nothing_is_prepared_twice_nor_without_need() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    bases.start(at(100), 300)
    bases.renew()
    bases.renew()
    await asyncio.sleep(0)
    assert len(engine.requests) == 1
    await engine.answer()
    bases.find(at(100, typed="x"))
    bases.renew()
    await asyncio.sleep(0)
    assert len(engine.requests) == 1


async def test_a_jump_away_while_preparing_keeps_that_base_for_coming_back() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    bases.start(at(100), 300)
    bases.renew()
    await asyncio.sleep(0)
    far = bases.start(at(300), 300)[0]
    await engine.answer()
    assert bases.places[0] is far
    assert bases.places[1].key == engine.requests[0][0]
    assert engine.forgotten == []


async def test_what_is_prepared_for_a_place_that_was_left_gives_way() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    bases.start(at(100), 300)
    bases.renew()
    await asyncio.sleep(0)
    bases.start(at(300), 300)
    bases.renew()
    await asyncio.sleep(0)
    assert len(engine.requests) == 2
    await engine.answer()
    assert bases.places[0].key == engine.requests[1][0]
    assert bases.find(at(300)) is not None


async def test_a_failed_preparation_leaves_all_as_it_was() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    small, _ = bases.start(at(100), 300)
    bases.renew()
    await asyncio.sleep(0)
    engine.generations[-1].put(Failed(1, "The engine died."))
    await asyncio.sleep(0)
    assert bases.find(at(100))[0] is small  # type: ignore[index]


async def test_going_back_to_a_place_finds_its_base() -> None:
    bases = document_bases(Recorder())
    first, _ = bases.start(at(100), 300)
    bases.start(at(300), 300)
    found = bases.find(at(100))
    assert found is not None
    assert found[0] is first


async def test_only_so_many_places_are_kept() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    places = [bases.start(at(line), 300)[0] for line in range(50, 350, 60)]
    assert len(bases.places) == MAX_PLACES
    assert engine.forgotten == [place.key for place in places[: len(places) - MAX_PLACES]]


async def test_what_the_engine_still_holds_is_taken_over() -> None:
    engine = Recorder()
    cursor = at(100)
    base = Base(text(400)[: cursor.line_start], cursor.suffix[:500])
    engine.held = {f"{URI}#7": base.segments("", "psm"), f"{URI}#7#1": [Special("prefix")], "file:///b.py#1": []}
    bases = document_bases(engine)
    await bases.recall()
    found = bases.find(cursor)
    assert found is not None
    assert (found[0].key, found[0].base) == (f"{URI}#7", base)
    assert bases.start(at(300), 300)[0].key == f"{URI}#8"


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_in_every_layout_what_the_engine_holds_serves_on(layout: LayoutName) -> None:
    """With what was typed and generated behind the base, as a sequence holds it."""
    engine, shelf = Recorder(), Shelf(piece("other"))
    cursor = at(100)
    made = replace(make_base(cursor, 2000), context=shelf.pieces, mark="#")
    fitting = match(cursor, made)
    assert fitting is not None
    told = as_told(made.segments(fitting.middle + " + generated()", layout))
    engine.held = {f"{URI}#3": told}
    bases = DocumentBases(URI, engine, layout, lambda: Budget(300, 3000, 900), shelf)
    await bases.recall()
    found = bases.find(at(100, typed=" + x"))
    assert found is not None
    place, fits = found
    assert (place.key, place.computed, fits.exact) == (f"{URI}#3", True, True)
    assert place.base.shown == made.shown
    # What is asked next begins with what is held.
    asked = place.base.segments(fits.middle, layout)
    assert "".join(map(shown, asked)).startswith("".join(map(shown, told)).removesuffix(" + generated()"))


def shown(segment: Segment) -> str:
    return segment.text if isinstance(segment, Text) else repr(segment)


async def test_with_the_suffix_first_words_right_of_the_cursor_have_a_base_of_their_own() -> None:
    engine = Recorder()
    bases = DocumentBases(URI, engine, "spm_middle", lambda: Budget(300, 3000, 900))
    lasting, _ = bases.start(at(100), 2000)
    within = at(100, typed=" + ")
    place, found = bases.start(replace(within, text=within.prefix + "word" + within.suffix), 300)
    assert found.exact
    assert place.base.chars <= 300 < lasting.base.chars, "little is computed while somebody waits"


async def test_words_right_of_the_cursor_cost_the_suffix_and_take_no_lasting_place() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    lasting, _ = bases.start(at(100), 300)
    for word in ("one", "two"):
        within = at(100, typed=" + ")
        cursor = replace(within, text=within.prefix + word + within.suffix)
        assert bases.find(cursor) is None
        place, found = bases.start(cursor, 300)
        assert found.exact
        assert (place.base.prefix, place.base.rest) == (lasting.base.prefix, word)
    assert len(engine.forgotten) == 1  # the first word's
    back = bases.find(at(100, typed=" + 1"))
    assert back is not None
    assert back[0] is lasting


async def test_warming_up_begins_with_a_small_base() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    bases.warm_up(at(100))
    await asyncio.sleep(0)
    assert [key for key, *_ in engine.requests] == [bases.places[0].key]
    await engine.answer()
    assert len(engine.requests) == 2
    assert all(priority == "anchor" for _, _, priority in engine.requests)
    bases.warm_up(at(100))
    await asyncio.sleep(0)
    assert len(engine.requests) == 2


def test_the_budget_follows_the_machine_within_limits() -> None:
    slow, usual, fast = (Budget.of(speed, 8192) for speed in (20.0, 0.0, 5000.0))
    assert slow.large < usual.large < fast.large
    assert slow.small <= slow.large
    assert fast.large <= 8192 // 4 * 3.3


# -- context -----------------------------------------------------------------------------------------------------------


async def test_context_comes_with_the_large_base_never_with_what_somebody_waits_for() -> None:
    engine, shelf = Recorder(), Shelf(piece("other"))
    bases = document_bases(engine, shelf)
    small, _ = bases.start(at(100), 300)
    assert small.base.context == ()
    assert shelf.asked == []
    bases.renew()
    await settle()
    assert "other_3()" in engine.requests[-1][1][2].text  # type: ignore[union-attr]
    await engine.answer()
    assert bases.places[0].base.context == shelf.pieces
    chars, shown = shelf.asked[0]
    assert chars == 900
    assert shown == bases.places[0].base.prefix + text(400)[
        at(100).offset - len(middle_of(engine)) : at(100).line_end
    ] + (bases.places[0].base.suffix)


def middle_of(engine: Recorder) -> str:
    last = engine.requests[-1][1][-1]
    assert isinstance(last, Text)
    return last.text


async def test_a_jump_takes_the_context_along_that_the_engine_has_computed() -> None:
    engine, shelf = Recorder(), Shelf(piece("other"))
    bases = document_bases(engine, shelf)
    bases.start(at(100), 300)
    bases.renew()
    await settle()
    assert bases.start(at(200), 300)[0].base.context == (), "it isn't computed yet"
    bases.find(at(100))
    await engine.answer()
    jumped, _ = bases.start(at(300), 300)
    assert jumped.base.context == shelf.pieces
    prompts = [
        [segment.text for segment in base.segments("", "psm") if isinstance(segment, Text)]
        for base in (bases.places[1].base, jumped.base)
    ]
    head = prompts[0][0].index("\n\n")
    assert prompts[0][0][:head] == prompts[1][0][:head], "the ledger shares what both begin with"


async def test_context_is_looked_after_once_for_each_news_and_computed_only_if_it_is_worth_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NEWS_SECONDS", 0.0)
    engine, shelf = Recorder(), Shelf(piece("other"))
    bases = document_bases(engine, shelf)
    bases.start(at(100), 300)
    bases.renew()
    await settle()
    await engine.answer()
    for epoch in (0, 1, 1, 2, 2, 2):
        shelf.epoch = epoch
        bases.find(at(100, typed="x"))
        bases.renew()
        await settle()
    assert len(shelf.asked) == 3
    assert len(engine.requests) == 1, "nothing new was found"
    shelf.pieces = (piece("other"), piece("more", 30))
    shelf.epoch = 3
    bases.renew()
    await settle()
    assert len(engine.requests) == 2
    await engine.answer()
    assert bases.places[0].base.context == shelf.pieces
    bases.find(at(100, typed="xy"))
    bases.renew()
    await settle()
    assert len(engine.requests) == 2


async def test_news_that_come_thick_and_fast_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, shelf = Recorder(), Shelf()
    bases = document_bases(engine, shelf)
    bases.start(at(100), 300)
    for epoch in range(1, 20):
        shelf.epoch, shelf.pieces = epoch, (piece(f"other_{epoch}", 20),)
        bases.find(at(100))
        bases.renew()
        await settle()
        await engine.answer()
    assert len(engine.requests) == 1
    monkeypatch.setattr(module, "NEWS_SECONDS", 0.0)
    bases.renew()
    await settle()
    assert len(engine.requests) == 2


async def test_who_can_wait_has_all_the_context_at_once() -> None:
    shelf = Shelf(piece("other"))
    bases = document_bases(Recorder(), shelf)
    place, found = await bases.assemble(at(100))
    assert place.base.context == shelf.pieces
    assert found.exact
    assert place.base.chars > 1000
    assert bases.find(at(100, typed="x"))[0] is place  # type: ignore[index]


async def test_context_taken_over_from_an_earlier_session_is_not_computed_again() -> None:
    engine, shelf = Recorder(), Shelf(piece("other"))
    bases = document_bases(engine, shelf)
    place, found = await bases.assemble(at(100))
    engine.held = {place.key: place.base.segments(found.middle, "psm")}
    later = document_bases(engine, shelf)
    await later.recall()
    assert later.find(at(100)) is not None
    later.renew()
    await settle()
    assert len(shelf.asked) == 2
    assert engine.requests == []
    assert [one.path for one in later.places[0].base.context] == ["other.py"]


async def test_context_taken_over_is_told_with_its_reasons_to_who_can_wait() -> None:
    engine, shelf = Recorder(), Shelf(piece("other"))
    bases = document_bases(engine, shelf)
    place, found = await bases.assemble(at(100))
    engine.held = {place.key: place.base.segments(found.middle, "psm")}
    later = document_bases(engine, shelf)
    await later.recall()
    assert later.places[0].base.context != shelf.pieces  # of its text alone nobody knows why it is there
    again, _ = await later.assemble(at(100))
    assert again.key == place.key
    assert again.base.context == shelf.pieces


async def test_what_has_become_private_is_not_taken_over() -> None:
    engine, shelf = Recorder(), Shelf(piece("other"))
    bases = document_bases(engine, shelf)
    place, found = await bases.assemble(at(100))
    engine.held = {place.key: place.base.segments(found.middle, "psm")}
    shelf.private = {"other.py"}
    for source in (shelf, None):
        later = document_bases(engine, source)
        await later.recall()
        assert later.find(at(100)) is None


class Counter(Recorder):
    """Reads prompts at once, by the ledger, and counts the tokens that it had to compute, by priority."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(8, 100_000)
        self.evaluated: dict[str, list[int]] = {"completion": [], "anchor": []}
        self.reused = 0  # by the latest prompt

    def generate(
        self,
        key: str,
        prompt: list[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        words = [re.findall(r"\w+|\s+|.", s.text) if isinstance(s, Text) else [s.name] for s in prompt]
        wanted = [zlib.crc32(word.encode()) for part in words for word in part]
        plan = self.ledger.plan(key, wanted, 1)
        self.ledger.apply(plan, key)
        self.ledger.extend(plan.seq, wanted[plan.reused :])
        self.ledger.release(plan.seq)
        self.evaluated[priority].append(len(wanted) - plan.reused)
        self.reused = plan.reused
        generation = super().generate(key, prompt, max_tokens=max_tokens, branches=branches, priority=priority)
        generation.put(Done(1, "length", Usage()))
        return generation


async def test_typing_with_context_computes_one_or_two_tokens_a_key() -> None:
    engine, shelf = Counter(), Shelf(piece("other", 20))
    bases = document_bases(engine, shelf)
    typed = "".join(f"    value_{i} = compute(value_{i - 1}, {i})\n" for i in range(30))
    for count in range(0, len(typed), 2):
        cursor = at(200, typed=typed[:count])
        place, found = bases.find(cursor) or bases.start(cursor, 300)
        engine.generate(place.key, place.base.segments(found.middle, "psm"), max_tokens=5)
        shelf.epoch = count // 50  # there is always news, of which little is worth computing
        bases.renew()
        await settle()
    keys = engine.evaluated["completion"][1:]
    assert sum(keys) / len(keys) <= 2
    assert len(shelf.asked) <= len(typed) // 50 + 3
    assert len(engine.evaluated["anchor"]) <= 6, "one large base at first, and one every dozen lines or so"
    assert bases.places[0].base.context == shelf.pieces


async def test_two_documents_share_the_context_that_both_begin_with() -> None:
    engine, shelf = Counter(), Shelf(piece("other", 20))
    for uri in (URI, "file:///b.py"):
        bases = DocumentBases(uri, engine, "psm", lambda: Budget(300, 3000, 900), shelf)
        place, found = await bases.assemble(at(100 if uri == URI else 300))
        engine.generate(place.key, place.base.segments(found.middle, "psm"), max_tokens=5)
    assert engine.reused > len(re.findall(r"\w+", shelf.pieces[0].text))


async def test_where_a_language_has_no_comments_there_is_no_context() -> None:
    shelf = Shelf(piece("other"))
    bases = document_bases(Recorder(), shelf)
    cursor = at(100)
    place, _ = await bases.assemble(Cursor(URI, None, "json", 1, cursor.text, cursor.offset))
    assert place.base.context == ()
    assert shelf.asked == []


async def test_nothing_is_prepared_for_a_document_that_was_closed() -> None:
    engine = Recorder()
    bases = document_bases(engine)
    bases.start(at(100), 300)
    bases.close()
    bases.renew()  # by a completion that was under way
    bases.warm_up(at(300))
    await settle()
    assert engine.requests == []


async def test_context_that_rules_leave_out_by_now_is_not_kept_for_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEWS_SECONDS", 0.0)
    engine, shelf = Recorder(), Shelf(piece("one", 20), piece("secret", 5))
    bases = document_bases(engine, shelf)
    before, _ = await bases.assemble(at(100))
    shelf.private, shelf.pieces, shelf.epoch = {"secret.py"}, (piece("one", 20),), 1
    bases.find(at(100))
    bases.renew()
    for _ in range(500):  # rules are looked up in a thread
        await asyncio.sleep(0.01)
        if engine.requests:
            break
    await engine.answer()
    after = bases.find(at(100))
    assert after is not None
    assert [one.path for one in before.base.context] == ["one.py", "secret.py"]
    assert [one.path for one in after[0].base.context] == ["one.py"]
