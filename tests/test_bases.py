"""Which base serves a cursor, and when the next is prepared. The engine here only records what it is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from bases_support import URI, Recorder, Shelf, at, document_bases, piece, text
from test_fim_prompt import as_told

from lsp.completion.bases import MAX_PLACES, Budget, DocumentBases
from lsp.completion.layout import LAYOUTS
from lsp.completion.prompt import Base, make_base, match
from lsp.engine.protocol import Failed, Segment, Special, Text
from lsp.models.fim import LayoutName


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
