"""Answers: what the model is asked, what is streamed, what is kept, and what a follow-up computes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from chat_support import FakeEngine, FakeGeneration, flat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsp.chat.answer import MAX_MESSAGE_CHARS, Answer, Answerer, Question, looping
from lsp.chat.conversations import Conversation, Conversations, Message
from lsp.chat.grounding import named_sources
from lsp.chat.history import Exchange, estimated_tokens, exchanges, fitting
from lsp.chat.sources import Source, check_citations
from lsp.chat.thinking import Thinking
from lsp.engine.protocol import ChatFacts
from lsp.errors import MidlineError

SOURCES = [
    Source(1, "lsp/a.py", 10, 20, "Thing.run", "def run(self): ...", "selection"),
    Source(2, "b.md", 1, 3, "", "```\ncode\n```", "search"),
]
LINES = {"lsp/a.py": 100, "b.md": 3}


def line_count(path: str) -> int:
    return LINES.get(path, 0)


@pytest.fixture
def kept(tmp_path: Path) -> Conversations:
    return Conversations(tmp_path / "c.sqlite3")


@pytest.fixture
def conversation(kept: Conversations) -> Conversation:
    return kept.begin(None, "hello")


async def ask(engine: FakeEngine, kept: Conversations, conversation: Conversation, text: str, **options: int) -> Answer:
    return await Answerer(engine, "m", kept).answer(conversation, Question(text), **options)


# -- a conversation -----------------------------------------------------------------------------------------------


async def test_an_answer_is_streamed_and_kept(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine("It runs [1] and\n lsp/a.py:99 too, but not [9].")
    shown: list[tuple[str, str]] = []
    answerer = Answerer(engine, "m", kept)
    question = Question("What runs?", SOURCES, line_count, context_ms=5)
    answer = await answerer.answer(conversation, question, lambda *piece: shown.append(piece), max_tokens=50)
    assert (
        "".join(text for kind, text in shown if kind == "answer") == "It runs [1] and\n lsp/a.py:99 too, but not [9]."
    )
    assert answer.text == "It runs [1] and\n lsp/a.py:99 too, but not."
    assert answer.citations == [
        {"path": "lsp/a.py", "start_line": 10, "end_line": 20},
        {"path": "lsp/a.py", "start_line": 99, "end_line": 99},
    ]
    assert (answer.removed, answer.reason, engine.limits) == (1, "eog", [50])
    told = answer.as_dict()
    assert told["tokens_evaluated"] == 7
    assert set(told["ms"]) == {"context", "prefill", "first_token", "generate", "total"}
    asked, answered = kept.messages(conversation.id)
    assert (asked.text, asked.prompt) == ("What runs?", engine.said[0])
    assert "[1] lsp/a.py:10-20 Thing.run (selection)\n```python\ndef run(self): ...\n```" in asked.prompt
    assert "````markdown\n```\ncode\n```\n````" in asked.prompt
    assert answered.text == answer.text
    assert answered.details["citations"] == answer.citations


async def test_a_follow_up_begins_with_what_was_computed(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine(" First [7] <|im_end|> \n", "second")
    await ask(engine, kept, conversation, "one")
    first = engine.asked
    await ask(engine, kept, conversation, "two")
    assert engine.asked.startswith(first + " First [7] <|im_end|> \n" + "<|im_end|>")
    assert engine.said == ["one", " First [7] <|im_end|> \n", "two"]
    assert engine.keys == [f"chat:{conversation.id}"] * 2


async def test_reasoning_is_streamed_and_kept_apart_and_not_told_again(
    kept: Conversations, conversation: Conversation
) -> None:
    engine = FakeEngine("<think> hm, so </think>\n\n It is 42.", "ok")
    shown: list[tuple[str, str]] = []
    answerer = Answerer(engine, "m", kept)
    answer = await answerer.answer(conversation, Question("?"), lambda *piece: shown.append(piece))
    assert (answer.reasoning, answer.text) == ("hm, so", "It is 42.")
    assert "".join(text for kind, text in shown if kind == "answer").strip() == "It is 42."
    assert kept.messages(conversation.id)[1].reasoning == "hm, so"
    await answerer.answer(conversation, Question("and?"))
    assert engine.said[1] == "It is 42."


async def test_a_template_that_opens_the_reasoning(kept: Conversations, conversation: Conversation) -> None:
    template = "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}<think>"
    engine = FakeEngine("so </think> 42", facts=ChatFacts(template=template))
    answer = await ask(engine, kept, conversation, "?")
    assert (answer.reasoning, answer.text) == ("so", "42")


@pytest.mark.parametrize("message", ["", " \n\t", "x" * (MAX_MESSAGE_CHARS + 1), "word " * 9000])
async def test_a_message_that_cannot_be_answered(message: str, kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine()
    with pytest.raises(MidlineError, match=r"empty|fit"):
        await ask(engine, kept, conversation, message)
    assert not engine.prompts
    assert not kept.messages(conversation.id)


async def test_a_model_that_cannot_chat_says_so(kept: Conversations, conversation: Conversation) -> None:
    with pytest.raises(MidlineError, match="no chat template"):
        await ask(FakeEngine(facts=ChatFacts(architecture="base")), kept, conversation, "hi")


# -- the end of an answer -----------------------------------------------------------------------------------------


async def test_cancelled_in_the_middle_what_came_is_kept(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine("a b c")
    made: list[FakeGeneration] = []

    def endless(pieces: list[str]) -> FakeGeneration:
        made.append(FakeGeneration(pieces, forever=True))
        return made[-1]

    engine.make = endless
    came = asyncio.Event()
    answerer = Answerer(engine, "m", kept)
    task = asyncio.create_task(
        answerer.answer(conversation, Question("go"), lambda _, text: "c" in text and came.set())
    )
    await came.wait()
    with pytest.raises(MidlineError, match="still being answered"):
        await answerer.answer(conversation, Question("again"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made[0].cancelled.is_set()
    (_, answered) = kept.messages(conversation.id)
    assert (answered.text, answered.details["reason"]) == ("a b c", "cancelled")
    assert answered.details["tokens_generated"] == 3
    engine.make = FakeGeneration
    await answerer.answer(conversation, Question("go on"))
    assert engine.said == ["go", "a b c", "go on"]


async def test_cancelled_before_the_first_token(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine()
    engine.is_ready.clear()
    answerer = Answerer(engine, "m", kept)
    task = asyncio.create_task(answerer.answer(conversation, Question("go")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    engine.is_ready.set()
    assert (await answerer.answer(conversation, Question("go"))).text == "fine"


async def test_an_engine_that_dies_loses_nothing(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine("half of", "whole")
    engine.make = lambda pieces: FakeGeneration(pieces, fails=True)
    with pytest.raises(MidlineError, match="restarted"):
        await ask(engine, kept, conversation, "one")
    assert [(m.text, m.details.get("reason")) for m in kept.messages(conversation.id)] == [
        ("one", None),
        ("half of", "failed"),
    ]


async def test_an_answer_that_cannot_be_kept_is_shown_all_the_same(tmp_path: Path) -> None:
    warnings: list[str] = []
    kept = Conversations(tmp_path / "conversations.db", warnings.append)
    conversation = kept.begin(None, "hi")

    def delete(_: str, text: str) -> None:
        if text.strip() == "it":
            kept.delete(conversation.id)

    answer = await Answerer(FakeEngine("here it is"), "m", kept).answer(conversation, Question("where?"), delete)
    assert answer.text == "here it is"
    assert len(warnings) == 1
    assert warnings[0].startswith("This answer is not kept: There is no conversation")


async def test_an_answer_that_goes_round_in_circles_ends(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine("Well: " + "this is the same again. " * 20)
    answer = await ask(engine, kept, conversation, "?")
    assert answer.reason == "repetition"
    assert answer.text == "Well: this is the same again."


@given(st.text(), st.integers(0, 3))
def test_what_is_said_three_times_is_no_loop_yet(text: str, copies: int) -> None:
    assert looping(text[:40]) == 0
    assert looping("a line of some length\n" * copies) == 0


# -- reasoning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inside", "reasoning", "answer"),
    [
        ("plain", False, "", "plain"),
        ("<think>a</think>b", False, "a", "b"),
        ("\n <think>\na\n</think>\n\nb <think>c</think>", False, "\na\n", "b <think>c</think>"),
        ("<think>never ends </thin", False, "never ends </thin", ""),
        ("a</think>\n\nb", True, "a", "b"),
        ("not <think>a</think>", False, "", "not <think>a</think>"),
        ("<thi", False, "", "<thi"),
        ("  <", False, "", "  <"),
        ("</think>b", True, "", "b"),
        ("", False, "", ""),
    ],
)
def test_reasoning_is_told_apart_however_it_comes(text: str, inside: bool, reasoning: str, answer: str) -> None:
    for size in (1, 2, 3, 7, 100):
        thinking = Thinking(inside)
        shown = [one for i in range(0, len(text), size) for one in thinking.feed(text[i : i + size])]
        shown += thinking.finish()
        assert (thinking.reasoning, thinking.answer) == (reasoning, answer)
        assert "".join(piece for kind, piece in shown if kind == "reasoning") == reasoning
        assert "".join(piece for kind, piece in shown if kind == "answer") == answer


# -- history ------------------------------------------------------------------------------------------------------


def exchange(question: str, answer: str) -> Exchange:
    return Exchange(Message("user", question, question), Message("assistant", answer, answer))


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=40), st.integers(50, 600))
def test_history_is_cut_at_whole_turns_and_seldom(sizes: list[int], room: int) -> None:
    said = [exchange("q" * size, "a") for size in sizes]
    starts = []
    for end in range(len(said) + 1):
        told = fitting(said[:end], room)
        assert list(told) == said[end - len(told) : end]
        assert sum(one.tokens for one in told) <= room
        starts.append(end - len(told))
    assert starts == sorted(starts)
    changes = sum(a != b for a, b in pairwise(starts))
    # Each cut frees half of the room, which must be filled again before the next one.
    assert changes <= 1 + sum(one.tokens for one in said) // (room // 2)


def test_what_fits_is_all_told() -> None:
    said = [exchange("q", "a")] * 5
    assert fitting(said, 1000) == said


def test_a_question_that_was_never_answered_is_not_told_again() -> None:
    q, a, nothing = Message("user", "q", "q"), Message("assistant", "a", "a"), Message("assistant", "", "")
    assert exchanges([q, q, a, q, nothing, q]) == [Exchange(q, a)]
    assert exchanges([a, q]) == []


def test_estimates_are_rather_too_high() -> None:
    assert estimated_tokens("def area(width, height):\n    return width * height\n") >= 14
    assert estimated_tokens("它是做什么的？") == 7


async def test_a_long_conversation_goes_on(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine(n_ctx=1400)
    answerer = Answerer(engine, "m", kept)
    dropped = [(await answerer.answer(conversation, Question(f"{i} " + "word " * 50))).dropped for i in range(16)]
    assert dropped[0] == 0
    assert dropped[-1] > 0
    assert estimated_tokens(flat(engine.prompts[-1])) < 1400
    assert len(kept.messages(conversation.id)) == 32


# -- citations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean", "places", "removed"),
    [
        ("Yes [1].", "Yes [1].", ["lsp/a.py:10-20"], 0),
        ("Yes [1][2].", "Yes [1][2].", ["lsp/a.py:10-20", "b.md:1-3"], 0),
        ("[9][ 1 ] a[0][7] [[9]7] [9][2,1].", "[ 1 ] a[0][7] [2,1].", ["b.md:1-3", "lsp/a.py:10-20"], 4),
        ("No [3] [1,4].", "No [1].", ["lsp/a.py:10-20"], 2),
        ("See `lsp/a.py:7` and `lsp/no.py:7`.", "See `lsp/a.py:7` and .", ["lsp/a.py:7-7"], 1),
        ("See lsp/a.py:90-101 or b.md:2-3", "See lsp/a.py or b.md:2-3", ["b.md:2-3"], 1),
        ("b.md:0, b.md:3-2", "b.md, b.md", [], 2),
        ("`x[1]` x[1] [3](u) [3]: u [ ] [a]", "`x[1]` x[1] [3](u) [3]: u [ ] [a]", [], 0),
        ("```py\na = [3]  # no.py:3\n```\n[3]", "```py\na = [3]  # no.py:3\n```\n", [], 1),
        ("~~~\n[3]", "~~~\n[3]", [], 0),
        ("at 12:30, 3:1, a:8080, http://x.com/a.py:3", "at 12:30, 3:1, a:8080, http://x.com/a.py:3", [], 0),
        ("[2] lsp/a.py:1 [1]", "[2] lsp/a.py:1 [1]", ["b.md:1-3", "lsp/a.py:1-1", "lsp/a.py:10-20"], 0),
        ("见lsp/a.py:3。代码[1]和no.py:3，[7]。", "见lsp/a.py:3。代码[1]和，。", ["lsp/a.py:3-3", "lsp/a.py:10-20"], 2),
    ],
)  # fmt: skip
def test_citations_are_checked(text: str, clean: str, places: list[str], removed: int) -> None:
    found = check_citations(text, SOURCES, line_count)
    assert found.text == clean
    assert [f"{c['path']}:{c['start_line']}-{c['end_line']}" for c in found.citations] == places
    assert found.removed == removed


PIECES = [*"`:([]1中 \n", "[1]", "[2, 9]", "[9]", "lsp/a.py:5", "x.py:1", "```\n", "word", "b.md:2-9"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("` `")
def test_every_citation_exists(text: str) -> None:
    found = check_citations(text, SOURCES, line_count)
    for one in found.citations:
        assert 1 <= one["start_line"] <= one["end_line"] <= line_count(one["path"])
    if not found.removed:
        assert found.text == text
    again = check_citations(found.text, SOURCES, line_count)
    assert [c for c in again.citations if c not in found.citations] == []


async def test_sources_are_numbered_on_and_not_told_twice(kept: Conversations, conversation: Conversation) -> None:
    engine = FakeEngine("[1]", "[1] [2] [3]", "[2] [3] [4]")
    answerer = Answerer(engine, "m", kept)
    await answerer.answer(conversation, Question("one", SOURCES[:1], line_count))
    other = replace(SOURCES[1], number=2)
    second = await answerer.answer(conversation, Question("two", [SOURCES[0], other], line_count))
    assert [source.number for source in second.sources] == [1, 2]
    assert "lsp/a.py" not in engine.said[-1]
    assert "[2] b.md:1-3" in engine.said[-1]
    assert (second.text, second.removed) == ("[1] [2]", 1)
    changed = replace(SOURCES[0], text="def run(self): pass")
    third = await answerer.answer(conversation, Question("three", [other, changed], line_count))
    assert [source.number for source in third.sources] == [2, 3]
    assert "[3] lsp/a.py:10-20" in engine.said[-1]
    assert "b.md" not in engine.said[-1]
    assert third.removed == 1
    await answerer.answer(conversation, Question("four", [changed], line_count))
    assert engine.said[-1] == "The sources [3] above are about this.\n\nfour"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("`run` starts it.", ["a.py"]),
        ("They run and find it; Thing.run too.", ["a.py"]),
        ("read_line and `find` do.", ["b.py", "c.py"]),
        ("EngineClient does, and so does `EngineClient`.", ["d.py"]),
        ("EngineClients do.", []),
        ("The Ledger does.", ["f.py"]),
        ("```\nread_line()\n```", ["b.py"]),
    ],
)
async def test_an_answer_that_cites_nothing_is_from_what_it_names(
    text: str, paths: list[str], kept: Conversations, conversation: Conversation
) -> None:
    symbols = {
        "a.py": "Thing.run",
        "b.py": "read_line",
        "c.py": "find",
        "d.py": "EngineClient",
        "e.py": "",
        "f.py": "Ledger",
    }
    sources = [Source(n, path, 1, 2, symbol, "x", "") for n, (path, symbol) in enumerate(symbols.items(), 1)]
    answer = await Answerer(FakeEngine(text), "m", kept).answer(conversation, Question("?", sources, lambda path: 9))
    assert [one["path"] for one in answer.citations] == paths
    engine = FakeEngine(text + "\n\n[5]")
    cited = await Answerer(engine, "m", kept).answer(kept.begin(None, "x"), Question("?", sources, lambda path: 9))
    assert [one["path"] for one in cited.citations] == ["e.py"]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("`Session.merge` copies the state", ["Session.merge"]),
        ("`merge` copies the state into a session", ["Session.merge"]),  # of two, the one that says so
        ("session.merge() is what you want", ["Session.merge"]),
        ("`Router.find` walks the tree", ["Router.find"]),  # not the class Router
        ("`Router` walks the tree", ["Router"]),
        ("`Router::find` walks the tree", ["Router.find"]),
        ("`nothing` of it", []),
        ("", []),
    ],
)
def test_a_name_stands_for_the_source_that_fits_the_answer(text: str, symbols: list[str]) -> None:
    texts = {
        "Scope.merge": "def merge(self): return proxy",
        "Session.merge": "def merge(self, instance): copies the state into this session",
        "Router": "class Router: ...",
        "Router.find": "def find(self, path): walks the tree",
    }
    sources = [Source(n, f"{n}.py", 1, 2, symbol, body, "") for n, (symbol, body) in enumerate(texts.items(), 1)]
    places = [one["path"] for one in named_sources(text, sources)]
    assert [list(texts)[int(path[0]) - 1] for path in places] == symbols


async def test_notes_are_read_with_the_message_and_not_kept_as_said(
    kept: Conversations, conversation: Conversation
) -> None:
    engine = FakeEngine()
    question = Question("why?", notes="Tools report of a.py:\n- line 3: error: x is not defined")
    await Answerer(engine, "m", kept).answer(conversation, question)
    assert engine.said == ["Tools report of a.py:\n- line 3: error: x is not defined\n\nwhy?"]
    assert kept.messages(conversation.id)[0].text == "why?"


async def test_a_source_whose_file_is_deleted_is_not_cited(kept: Conversations, conversation: Conversation) -> None:
    answerer = Answerer(FakeEngine("fine", "See [1] and [2]."), "m", kept)
    await answerer.answer(conversation, Question("?", SOURCES, line_count))
    answer = await answerer.answer(conversation, Question("and?", (), lambda path: 0))
    assert (answer.text, answer.removed) == ("See [1] and.", 1)
    assert [one["path"] for one in answer.citations] == ["lsp/a.py"]  # what the editor holds is there
