"""What becomes of a generation under way while the user types on. The engine here says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct
from tiny_gguf import write_tiny_gguf

from lsp.completion.completer import Completer
from lsp.completion.completion import Completion
from lsp.completion.selftest import Result, Score, keep
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.engine.client import Generation
from lsp.engine.protocol import Cancel, Done, Failed, ModelFacts, Priority, Segment, Special, State, Token, Usage
from lsp.errors import MidlineError

URI = "file:///a.py"
BEFORE, AFTER = "def double(number):\n    return ", "\n\n\nprint(double(2))\n"


class Engine:
    """Records its requests; the test writes what they get."""

    def __init__(self) -> None:
        self.state = State("ready")
        self.asked: list[Generation] = []
        self.cancelled: set[int] = set()
        self.background: list[str] = []

    def generate(
        self,
        key: str,
        prompt: list[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        number = len(self.asked)
        ended: set[int | None] = set()

        def send(message: object) -> None:
            if not isinstance(message, Cancel) or number in self.cancelled:
                return
            ended.add(message.branch)
            if message.branch is None or len(ended) == branches:
                self.cancelled.add(number)
                self.asked[number].put(Done(number, "cancelled", Usage(tokens_generated=1)))

        generation = Generation(number, send)
        if max_tokens == 0 or priority in ("anchor", "warm"):
            for text in self.background if max_tokens else ():
                generation.put(Token(number, 0, text, -0.1, 0.0))
            generation.put(Done(number, "length", Usage()))
            return generation
        self.asked.append(generation)
        return generation

    def forget(self, key: str) -> None:
        pass

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        return {}

    async def write(self, *texts: str, branch: int = 0, request: int = -1, logprob: float = -0.1) -> None:
        for text in texts:
            self.asked[request].put(Token(0, branch, text, logprob, 0.0))
        await settle()

    async def end(self, request: int = -1) -> None:
        self.asked[request].put(Done(0, "eog", Usage(tokens_evaluated=1, tokens_generated=3)))
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def at(typed: str = "", after: str = AFTER) -> Cursor:
    return Cursor(URI, None, "python", 1, BEFORE + typed + after, len(BEFORE + typed))


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def completer(engine: Engine) -> Completer:
    return Completer(engine, "m", CompletionStats())


@pytest.fixture
def ask(completer: Completer) -> Callable[..., asyncio.Task[Completion]]:
    def start(typed: str = "", after: str = AFTER, **options: object) -> asyncio.Task[Completion]:
        cursor = at(typed, after)
        return asyncio.get_running_loop().create_task(completer.complete(cursor, max_tokens=32, **options))  # type: ignore[arg-type]

    return start


Ask = Callable[..., "asyncio.Task[Completion]"]


async def test_typing_what_is_being_generated_asks_nothing_again(engine: Engine, ask: Ask) -> None:
    first = ask()
    await settle()
    await engine.write("num", "ber")
    first.cancel()  # as editors do at the next key
    second = ask("n")
    await settle()
    await engine.write(" * 2", "\n")
    completion = await second
    assert (completion.text, completion.start, completion.usage) == ("umber * 2", len(BEFORE) + 1, Usage())
    assert len(engine.asked) == 1


async def test_typing_ahead_of_it_waits_for_it(engine: Engine, ask: Ask) -> None:
    ask()
    await settle()
    await engine.write("num")
    second = ask("number")
    await settle()
    await engine.write("ber", " * 2\n")
    assert (await second).text == " * 2"
    assert len(engine.asked) == 1


async def test_typing_something_else_asks_anew_at_once(engine: Engine, ask: Ask) -> None:
    ask()
    await settle()
    await engine.write("num")
    second = ask("2")
    await settle()
    assert engine.cancelled == {0}
    await engine.write(" * number\n")
    assert (await second).text == " * number"


async def test_what_turns_out_to_be_something_else_is_asked_anew(engine: Engine, ask: Ask) -> None:
    ask()
    await settle()
    await engine.write("num")
    second = ask("numer")
    await settle()
    await engine.write("ber")
    assert engine.cancelled == {0}
    assert len(engine.asked) == 2
    await engine.write("ator\n")
    assert (await second).text == "ator"


async def test_one_that_has_written_nothing_yet_does_not_hold_up_the_next(engine: Engine, ask: Ask) -> None:
    ask()
    await settle()
    second = ask("n")
    await settle()
    assert len(engine.asked) == 2
    await engine.write("umber\n")
    assert (await second).text == "umber"


async def test_a_change_elsewhere_asks_anew(engine: Engine, ask: Ask) -> None:
    ask()
    await settle()
    await engine.write("num")
    ask("n", after=AFTER + "# more\n")
    await settle()
    assert len(engine.asked) == 2


def with_crlf(cursor: Cursor) -> Cursor:
    text = cursor.text.replace("\n", "\r\n")
    return replace(cursor, text=text, offset=len(cursor.prefix.replace("\n", "\r\n")))


async def test_typing_along_over_a_line_break_of_two_characters_asks_nothing_again(
    engine: Engine, completer: Completer
) -> None:
    loop = asyncio.get_running_loop()
    body = Cursor(URI, None, "python", 1, "def double(number):\n    ", len("def double(number):\n    "))
    first = loop.create_task(completer.complete(with_crlf(body), max_tokens=32))
    await settle()
    await engine.write("twice = 2 * number", "\r\n", "    return")
    typed = replace(
        body, text=body.text + "twice = 2 * number\n    ", offset=body.offset + len("twice = 2 * number\n    ")
    )
    second = loop.create_task(completer.complete(with_crlf(typed), max_tokens=32))
    await settle()
    assert len(engine.asked) == 1
    await engine.write(" twice")
    await engine.end()
    assert (await first).text == "twice = 2 * number\n    return twice"
    assert (await second).text == "return twice"
    assert (await completer.complete(with_crlf(typed), max_tokens=32)).cached


async def test_what_follows_an_accepted_suggestion_is_prepared_with_the_documents_line_breaks(
    engine: Engine, completer: Completer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = with_crlf(at())
    shown = Completion("a = 1\n    b = 2", cursor.offset, cursor.offset)
    monkeypatch.setattr(engine, "background", ["\n    c = 3", "\n\n"])
    asking = asyncio.get_running_loop().create_task(completer.complete(cursor, max_tokens=32))
    await settle()
    await engine.end()
    await asking
    await completer.look_ahead(cursor, shown, max_tokens=32, min_confidence=0.0)
    accepted = with_crlf(at(shown.text))
    assert (await completer.complete(accepted, max_tokens=32)).cached


async def test_what_nobody_wants_any_more_is_stopped(engine: Engine, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp.completion.flight.GRACE_SECONDS", 0.0)
    first = ask()
    await settle()
    await engine.write("num")
    first.cancel()
    await asyncio.sleep(0.01)
    assert engine.cancelled == {0}


@pytest.mark.parametrize(("typed", "stops"), [("n", False), ("numbe", False), ("2", True), ("n2", True)])
async def test_an_edit_stops_what_it_refutes(
    engine: Engine, completer: Completer, ask: Ask, typed: str, stops: bool
) -> None:
    ask()
    await settle()
    await engine.write("num")
    completer.edited(URI, at(typed).text)
    await settle()
    assert (engine.cancelled == {0}) is stops


async def test_a_failure_reaches_who_joined(engine: Engine, ask: Ask) -> None:
    first = ask()
    await settle()
    await engine.write("num")
    second = ask("n")
    await settle()
    engine.asked[0].put(Failed(0, "The engine died."))
    await settle()
    with pytest.raises(MidlineError, match="died"):
        await first
    engine.asked[1].put(Failed(1, "The engine died."))
    with pytest.raises(MidlineError, match="died"):
        await second


async def test_alternatives_are_not_served_by_a_single_suggestion(engine: Engine, ask: Ask) -> None:
    first = ask()
    await settle()
    await engine.write("number * 2\n")
    await first
    several = ask(alternatives=3)
    await settle()
    await engine.write("number * 2\n")
    await engine.write("2 * number\n", branch=1)
    await engine.write("number + number\n", branch=2)
    completion = await several
    assert (completion.text, *completion.alternatives) == ("number * 2", "2 * number", "number + number")
    assert (await ask(alternatives=3)).cached


async def test_it_is_shown_while_it_grows(engine: Engine, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp.completion.completer.GROWTH_SECONDS", 0.0)
    seen: list[str] = []
    task = ask(on_growth=seen.append)
    await settle()
    for text in ("num", "ber", " * 2", "\n"):
        await engine.write(text)
    assert (await task).text == "number * 2"
    assert seen[0] == "num"
    assert all("number * 2".startswith(text) for text in seen)


async def test_what_was_typed_meanwhile_is_not_shown_again_while_it_grows(
    engine: Engine, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filters take off what the model wrote of the line's beginning; what is left isn't what was typed."""
    monkeypatch.setattr("lsp.completion.completer.GROWTH_SECONDS", 0.0)
    seen: list[str] = []
    ask()
    await settle()
    await engine.write("return ")
    ask("return ", on_growth=seen.append)
    await settle()
    await engine.write("number", " * 2")
    assert seen == []


async def test_a_suggestion_under_other_settings_is_asked_for_anew(
    engine: Engine, completer: Completer, ask: Ask
) -> None:
    first = ask(min_confidence=0.9)
    await settle()
    await engine.write("num", "ber\n", logprob=-0.5)
    assert "confidence" in (await first).reason
    completer.forget_suggestions()
    second = ask(min_confidence=0.1)
    await settle()
    await engine.write("num", "ber\n", logprob=-0.5)
    assert (await second).text == "number"


async def test_the_model_is_not_asked_while_the_user_types_on(engine: Engine, ask: Ask) -> None:
    first = ask(delay=60.0)
    await settle()
    assert engine.asked == []
    second = ask("n")
    await settle()
    assert len(engine.asked) == 1
    assert first.cancelled() or not first.done()
    await engine.write("umber\n")
    assert (await second).text == "umber"


async def test_prompts_are_in_the_layout_of_the_model_that_the_engine_tells(empty_home: Path, tmp_path: Path) -> None:
    """Also where it tells it late, and where a self-test finds another."""
    about = ModelFacts("m", str(tmp_path / "m.gguf"), "", 1, 1, True, "spm", False, False, False)

    class Telling(Engine):
        prompts: list[list[str]]

        def generate(self, key: str, prompt: list[Segment], **options: Any) -> Generation:
            self.prompts.append([segment.name for segment in prompt if isinstance(segment, Special)])
            return super().generate(key, prompt, **options)

    engine = Telling()
    engine.prompts = []
    completer = Completer(engine, "m", CompletionStats())
    for state in (State("starting"), State("ready", model=about)):
        engine.state = state
        await completer.warm_up(at(""))
        await settle()
    assert engine.prompts[0] == ["bos", "prefix", "suffix", "middle"]
    assert engine.prompts[-1] == ["bos", "suffix", "prefix"]

    write_tiny_gguf(tmp_path / "m.gguf", "full")
    unsure = replace_struct(about, layout="psm", layouts=("psm", "spm_middle"))
    engine.state = State("ready", model=unsure)
    keep(unsure, Result("spm_middle", {"psm": Score(1, 0), "spm_middle": Score(9, 9)}))
    await completer.warm_up(at(""))
    await settle()
    assert engine.prompts[-1] == ["bos", "suffix", "prefix", "middle"]
