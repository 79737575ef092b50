"""What of other code stands in a base, and when: never at the price of who waits. The engine only records."""

from __future__ import annotations

import asyncio
import re
import zlib

import pytest
from bases_support import URI, Recorder, Shelf, at, document_bases, piece, settle, text

from lsp.completion import bases as module
from lsp.completion.bases import Budget, DocumentBases
from lsp.documents import Cursor
from lsp.engine.client import Generation
from lsp.engine.ledger import Ledger
from lsp.engine.protocol import Done, Priority, Segment, Text, Usage


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
