"""The scheduler against the model from scratch: whatever is typed, cancelled, forked or evicted in between."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pytest
from fake_llama import FakeLlama, expected_texts, tokenize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Priority, Recalled, Special, Text, Token
from lsp.engine.scheduler import BACKGROUND_BATCH, MAX_FAILURES, PREFILL_BATCH, Scheduler

OWNER = "editor"


class Rig:
    """A scheduler driven step by step, with all that its clients were told."""

    def __init__(self, n_ctx: int = 400, n_seq: int = 4, cuttable: bool = True) -> None:
        self.llama = FakeLlama(n_ctx, n_seq, cuttable)
        self.busy: list[bool] = []
        self.scheduler = Scheduler(self.llama, n_seq, self.busy.append)  # type: ignore[arg-type]
        self.requests: dict[int, Generate] = {}
        self.told: dict[int, list[EngineMessage]] = {}
        self._notes = 0

    def submit(
        self,
        text: str,
        key: str = "file",
        *,
        base: str = "",
        max_tokens: int = 6,
        branches: int = 1,
        priority: Priority = "completion",
        heal: bool = True,
    ) -> int:
        request_id = len(self.requests)
        prompt = [Special("prefix"), Text(base), Special("suffix"), Special("middle"), Text(text)]
        request = Generate(request_id, key, prompt, max_tokens, heal, branches, priority)
        self.requests[request_id] = request
        told = self.told[request_id] = []
        self.scheduler.submit(OWNER, request, told.append)
        return request_id

    def cancel(self, request_id: int, branch: int | None = None) -> None:
        self.scheduler.cancel(OWNER, request_id, branch)

    def forget(self, prefix: str) -> None:
        self.scheduler.forget(prefix)
        self._notes += 1

    @property
    def open(self) -> list[int]:
        """Requests that haven't ended."""
        return [i for i, told in self.told.items() if not told or isinstance(told[-1], Token)]

    def step(self) -> None:
        assert self.scheduler.step()
        self._notes = 0

    def run(self) -> None:
        """Until there is nothing to do."""
        steps = 0
        while self.open or self._notes:
            self.step()
            steps += 1
            assert steps < 2000, "the scheduler doesn't get on"

    def complete(self, text: str, key: str = "file", **options: object) -> Done:
        request_id = self.submit(text, key, **options)  # type: ignore[arg-type]
        self.run()
        assert self.texts(request_id) == dict(enumerate(expected_texts(self.requests[request_id])))
        return self.done(request_id)

    def texts(self, request_id: int) -> dict[int, str]:
        """What came, by branch."""
        texts = {0: ""}
        for message in self.told[request_id]:
            if isinstance(message, Token):
                texts[message.branch] = texts.get(message.branch, "") + message.text
        return texts

    def done(self, request_id: int) -> Done:
        last = self.told[request_id][-1]
        assert isinstance(last, Done)
        return last

    def failed(self, request_id: int) -> Failed:
        last = self.told[request_id][-1]
        assert isinstance(last, Failed)
        return last

    def check_ends(self) -> None:
        """Each request ended exactly once, and was told nothing afterwards."""
        for request_id, told in self.told.items():
            assert [isinstance(m, Done | Failed) for m in told] == [False] * (len(told) - 1) + [True]
            assert {m.id for m in told if isinstance(m, Token | Done | Failed)} == {request_id}

    def check_cache(self) -> None:
        """What the ledger says is what the cache holds; nothing is active any more."""
        ledger = self.scheduler.ledger
        held = {seq: tokens for seq in self.llama.sequences if (tokens := self.llama.tokens(seq))}
        for seq, tokens in held.items():
            assert ledger.tokens(seq) == tokens
        assert ledger.cells_used == self.llama.cells_used
        idle = [held.seq for held in ledger.idle()]
        assert len(idle) == len(ledger)
        assert held.keys() <= set(idle)


# -- random editing -------------------------------------------------------------------------------------------------

KEYS = ("one", "two", "three")
SNIPPET = st.sampled_from(["a", "abc", "cd", " ", "\n  ", "f()", "中", "é", "gh", "."]) | st.sampled_from(
    ["abcdefgh" * 3, "f(a).\n" * 5]
)


@dataclass(frozen=True)
class Edit:
    """What happens to a text before the next request."""

    key: str
    kind: Literal["type", "delete", "jump", "paste"]
    where: float
    text: str


@dataclass(frozen=True)
class Ask:
    """Complete, or warm up, at the cursor."""

    key: str
    max_tokens: int
    branches: int
    priority: Priority
    heal: bool


@dataclass(frozen=True)
class CancelIt:
    """End the n-th open request, or a branch of it."""

    which: int
    branch: int | None


@dataclass(frozen=True)
class Steps:
    """Let the scheduler work."""

    count: int


@dataclass(frozen=True)
class Meanwhile:
    """Something that happens while the n-th next batch is being computed."""

    batch: int
    applied: int
    what: Ask | CancelIt


KEY = st.sampled_from(KEYS)
ASK = st.builds(
    Ask,
    KEY,
    max_tokens=st.sampled_from([1, 4, 4, 8]),
    branches=st.sampled_from([1, 1, 1, 2, 3]),
    priority=st.sampled_from(["completion", "completion", "chat"]),
    heal=st.sampled_from([True, True, False]),
)
WARM = st.builds(
    Ask,
    KEY,
    max_tokens=st.sampled_from([0, 0, 3]),
    branches=st.just(1),
    priority=st.sampled_from(["anchor", "warm"]),
    heal=st.just(False),
)
CANCEL = st.builds(CancelIt, which=st.integers(0, 5), branch=st.sampled_from([None, None, 0, 1, 2]))
ACTION = st.one_of(
    st.builds(
        Edit,
        KEY,
        kind=st.sampled_from(["type", "type", "delete", "jump", "paste"]),
        where=st.floats(0, 1),
        text=SNIPPET,
    ),
    ASK,
    WARM,
    CANCEL,
    st.builds(Steps, st.integers(1, 6)),
    st.builds(Meanwhile, batch=st.integers(0, 3), applied=st.integers(0, 64), what=st.one_of(ASK, CANCEL)),
    st.sampled_from(KEYS),  # closed
)


@dataclass
class Buffer:
    """A text being edited; its prompt stands on what is before the cursor's line."""

    text: str = "f(abc).\n  gh()\n" * 4
    cursor: int = 60

    def apply(self, edit: Edit) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        if edit.kind == "jump":
            self.cursor = int(edit.where * len(self.text))
        elif edit.kind == "delete":
            before = before[: len(before) - int(edit.where * 4)]
            self.text, self.cursor = before + after, len(before)
        else:
            added = edit.text * (1 if edit.kind == "type" else 3)
            self.text, self.cursor = (before + added + after)[:200], min(len(before + added), 200)


@dataclass
class Player:
    """Plays actions on a rig."""

    rig: Rig
    buffers: dict[str, Buffer] = field(default_factory=lambda: {key: Buffer() for key in KEYS})
    cancelled: dict[int, set[int | None]] = field(default_factory=dict)
    later: list[Meanwhile] = field(default_factory=list)
    batches: int = 0

    def play(self, action: object) -> None:
        if isinstance(action, Edit):
            self.buffers[action.key].apply(action)
        elif isinstance(action, Ask):
            buffer = self.buffers[action.key]
            typed = buffer.text[: buffer.cursor]
            base, newline, middle = typed.rpartition("\n")
            self.rig.submit(
                middle,
                action.key,
                base=base + newline,
                max_tokens=action.max_tokens,
                branches=action.branches,
                priority=action.priority,
                heal=action.heal,
            )
        elif isinstance(action, CancelIt):
            if action.which < len(self.rig.open):
                request_id = self.rig.open[action.which]
                self.cancelled.setdefault(request_id, set()).add(action.branch)
                self.rig.cancel(request_id, action.branch)
        elif isinstance(action, Steps):
            for _ in range(action.count):
                if self.rig.open:
                    self.rig.step()
        elif isinstance(action, Meanwhile):
            self.later.append(Meanwhile(self.batches + action.batch, action.applied, action.what))
        else:
            self.rig.forget(str(action))

    def on_decode(self) -> None:
        now = [meanwhile for meanwhile in self.later if meanwhile.batch == self.batches]
        self.batches += 1
        for meanwhile in now:
            self.rig.llama.applied = lambda size, most=meanwhile.applied: min(size, most)
            self.play(meanwhile.what)


def check_against_scratch(player: Player) -> None:
    rig = player.rig
    for request_id, request in rig.requests.items():
        last, texts = rig.told[request_id][-1], rig.texts(request_id)
        cancelled = player.cancelled.get(request_id, set())
        length = len(compile_prompt(request.prompt, rig.llama.vocabulary, tokenize, request.heal).tokens)
        if isinstance(last, Failed):
            # A chat may also be refused because it gave its cells away, as long as the gap marked below is open.
            too_long = length + request.max_tokens * request.branches > rig.llama.n_ctx
            assert too_long or request.priority == "chat"
            continue
        assert isinstance(last, Done)
        expected = expected_texts(request)
        whole = last.reason != "cancelled" and not cancelled
        for branch, text in texts.items():
            assert expected[branch].startswith(text)
            if whole or (last.reason != "cancelled" and branch not in cancelled):
                assert text == expected[branch]
        if last.reason == "cancelled":
            # What is less urgent ends early where a request takes over what it computed, or needs its cells.
            assert None in cancelled or request.priority != "completion"
        elif 0 not in cancelled:
            usage = last.usage
            assert usage.tokens_evaluated + usage.tokens_reused == length
            assert usage.tokens_evaluated >= 1
        assert last.usage.tokens_generated <= request.max_tokens * request.branches


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ACTION, min_size=20, max_size=60),
    st.sampled_from([80, 160, 2000]),
    st.sampled_from([3, 5, 16]),
    st.booleans(),
)
def test_every_answer_is_as_from_scratch(actions: list[object], n_ctx: int, n_seq: int, cuttable: bool) -> None:
    rig = Rig(n_ctx, n_seq, cuttable)
    player = Player(rig)
    rig.llama.on_decode = player.on_decode
    for action in actions:
        player.play(action)
    rig.run()
    rig.check_ends()
    rig.check_cache()
    check_against_scratch(player)


# -- order of service -----------------------------------------------------------------------------------------------

LONG = "f(abc).gh" * 40  # 240 tokens


def batch_sizes(rig: Rig) -> list[int]:
    return [len(batch) for batch in rig.llama.batches]


def test_a_prompt_is_computed_in_short_batches() -> None:
    rig = Rig()
    rig.complete(LONG, max_tokens=1)
    assert max(batch_sizes(rig)) == PREFILL_BATCH
    rig = Rig()
    rig.complete(LONG, max_tokens=0, priority="warm")
    assert max(batch_sizes(rig)) == BACKGROUND_BATCH


def test_a_keystroke_costs_what_was_typed() -> None:
    rig = Rig()
    assert rig.complete("gh", base=LONG).usage.tokens_evaluated > 200
    for typed in ("gha", "ghab", "ghab.", "ghab. ", "ghab. f"):
        usage = rig.complete(typed, base=LONG).usage
        assert usage.tokens_evaluated <= 3
        assert usage.tokens_reused > 200


def test_what_was_accepted_is_computed_already() -> None:
    rig = Rig()
    for start in ("a", "b", "c", "d"):
        request = rig.submit(start, start, max_tokens=8, heal=False)
        rig.run()
        text = start + rig.texts(request)[0]
        if "\N{REPLACEMENT CHARACTER}" not in text:  # else the text isn't what the tokens spell
            last = len(tokenize(text)[-1:])
            assert rig.complete(text, start, heal=False).usage.tokens_evaluated == last


def test_requests_are_computed_together() -> None:
    rig = Rig()
    rig.submit("ab", "one")
    rig.submit("cd", "two")
    rig.run()
    assert any(len({entry.seq for entry in batch}) == 2 for batch in rig.llama.batches)
    rig.check_ends()
    assert [rig.texts(i)[0] for i in (0, 1)] == [expected_texts(rig.requests[i])[0] for i in (0, 1)]


def test_one_sequence_is_used_by_one_request_at_a_time() -> None:
    rig = Rig()
    first, second = rig.submit("ab"), rig.submit("abc")
    rig.run()
    assert len(rig.scheduler.ledger) == 1
    for request in (first, second):
        assert rig.texts(request)[0] == expected_texts(rig.requests[request])[0]
    assert rig.done(second).usage.tokens_reused > 0


def test_a_completion_goes_before_a_warm_up_which_then_goes_on() -> None:
    rig = Rig()
    warm = rig.submit(LONG, "warm", max_tokens=0, priority="warm")
    rig.step()
    urgent = rig.submit("ab", "urgent")
    while urgent in rig.open:
        rig.step()
    assert warm in rig.open
    assert all(len({entry.seq for entry in batch}) == 1 for batch in rig.llama.batches)
    rig.run()
    usage = rig.done(warm).usage
    assert usage.tokens_evaluated == rig.scheduler.tokens_prewarmed == len(tokenize(LONG)) + 3 - 1  # healed: one fewer


def test_a_completion_interrupts_the_batch_of_a_warm_up() -> None:
    rig = Rig()
    warm = rig.submit(LONG, "warm", max_tokens=0, priority="warm")
    rig.llama.on_decode = lambda: rig.submit("ab", "urgent") if len(rig.requests) == 1 else None
    rig.step()
    assert rig.llama.abort
    rig.step()
    assert {entry.seq for entry in rig.llama.batches[0]}.isdisjoint(entry.seq for entry in rig.llama.batches[1])
    rig.run()
    rig.check_cache()
    assert rig.done(warm).usage.tokens_evaluated == len(tokenize(LONG)) + 3 - 1


def test_a_chat_waits_for_a_completion_s_prompt_and_decodes_along_with_its_answer() -> None:
    rig = Rig(n_ctx=2000)
    chat = rig.submit("f", "chat", max_tokens=100, priority="chat")
    while not rig.told[chat]:
        rig.step()
    said = len(rig.told[chat])
    completion = rig.submit(LONG, "file", max_tokens=8)
    while not rig.told[completion]:
        rig.step()
    assert len(rig.told[chat]) == said
    while completion in rig.open:
        rig.step()
    assert len(rig.told[chat]) > said
    rig.run()
    assert rig.texts(chat)[0] == expected_texts(rig.requests[chat])[0]
    assert rig.texts(completion)[0] == expected_texts(rig.requests[completion])[0]


def test_another_warm_up_does_not_interrupt() -> None:
    rig = Rig()
    rig.submit(LONG, "warm", max_tokens=0, priority="warm")
    rig.llama.on_decode = lambda: rig.submit("ab", "warmer", priority="warm") if len(rig.requests) == 1 else None
    rig.step()
    assert not rig.llama.abort
    rig.run()


def test_a_completion_takes_over_what_a_warm_up_has_computed() -> None:
    rig = Rig()
    warm = rig.submit(LONG, max_tokens=0, priority="warm")
    rig.step()
    rig.step()
    usage = rig.complete(LONG).usage
    assert rig.done(warm).reason == "cancelled"
    assert usage.tokens_reused == 2 * BACKGROUND_BATCH


def test_a_base_gets_its_turn_while_somebody_types_on_and_on() -> None:
    rig = Rig(n_ctx=1000)
    anchor = rig.submit(LONG, "next", max_tokens=0, priority="anchor")
    first_steps = []
    for number in range(400):
        if anchor not in rig.open:
            break
        if rig.open == [anchor]:
            typed, since = rig.submit("ab" * (number % 3 + 1), "typed", max_tokens=8), number
        rig.step()
        if rig.told[typed] and len(first_steps) <= typed:
            first_steps += [number - since] * (typed + 1 - len(first_steps))
    assert rig.done(anchor).reason == "length"
    assert max(first_steps) <= 1, "the base never comes before a first token"


def test_after_a_warm_up_the_answer_begins_at_once() -> None:
    rig = Rig()
    rig.complete("", base=LONG, max_tokens=0, priority="warm")
    usage = rig.complete("f", base=LONG).usage
    assert usage.tokens_evaluated == 1
    assert rig.scheduler.tokens_prewarmed > 200


# -- alternatives ---------------------------------------------------------------------------------------------------


def test_alternatives_share_the_prompt() -> None:
    rig = Rig()
    usage = rig.complete("", base=LONG, branches=3, max_tokens=4).usage
    assert usage.tokens_evaluated == len(tokenize(LONG)) + 3
    assert len(rig.texts(0)) == 3
    rig.check_cache()
    assert len(rig.scheduler.ledger) == 1


def test_alternatives_take_the_sequences_of_idle_files() -> None:
    rig = Rig(n_seq=4)
    for key in "abcd":
        rig.complete("f", key, base=key)
    rig.complete("ab", "file", branches=3)


def test_fewer_alternatives_where_no_sequence_is_left() -> None:
    rig = Rig(n_seq=2)
    request = rig.submit("ab", branches=4)
    rig.run()
    assert rig.texts(request) == dict(enumerate(expected_texts(rig.requests[request])[:2]))


def test_one_alternative_is_cancelled() -> None:
    rig = Rig()
    request = rig.submit("ab", branches=3, max_tokens=8)
    while len(rig.texts(request)) < 3:
        rig.step()
    before = rig.texts(request)[1]
    rig.cancel(request, branch=1)
    rig.run()
    expected = expected_texts(rig.requests[request])
    assert rig.texts(request) == {0: expected[0], 1: before, 2: expected[2]}
    assert rig.done(request).reason == "length"


def test_the_request_ends_with_its_last_alternative() -> None:
    rig = Rig()
    request = rig.submit("ab", branches=2, max_tokens=50)
    while len(rig.texts(request)) < 2:
        rig.step()
    rig.cancel(request, branch=0)
    rig.step()
    assert request in rig.open
    rig.cancel(request, branch=1)
    rig.step()
    assert request not in rig.open
    rig.check_cache()


# -- cancelling -----------------------------------------------------------------------------------------------------


def test_a_cancelled_request_stops_in_the_middle_of_its_batch() -> None:
    rig = Rig()
    request = rig.submit(LONG)
    rig.step()
    rig.llama.on_decode = lambda: rig.cancel(request)
    rig.step()
    rig.step()
    assert len(rig.llama.batches) == 2
    assert rig.done(request).reason == "cancelled"
    assert rig.done(request).usage.tokens_evaluated == PREFILL_BATCH


def test_a_cancelled_request_leaves_the_base_that_the_next_one_needs() -> None:
    rig = Rig()
    request = rig.submit("a", base=LONG)
    rig.llama.on_decode = lambda: rig.cancel(request)
    rig.step()
    rig.step()
    assert rig.done(request).reason == "cancelled"
    rig.llama.on_decode = lambda: None
    assert rig.complete("ab", base=LONG).usage.tokens_reused == PREFILL_BATCH


def test_a_batch_goes_on_for_those_that_are_not_cancelled() -> None:
    rig = Rig()
    first, second = rig.submit("ab", "one"), rig.submit("cd", "two")
    rig.llama.on_decode = lambda: rig.cancel(first)
    rig.step()
    assert not rig.llama.abort
    rig.run()
    assert rig.done(first).reason == "cancelled"
    assert rig.texts(second)[0] == expected_texts(rig.requests[second])[0]


def test_a_request_is_cancelled_before_it_began() -> None:
    rig = Rig()
    request = rig.submit("ab")
    rig.cancel(request)
    rig.run()
    assert rig.told[request] == [rig.done(request)]
    assert rig.llama.batches == []


def test_cancelling_what_has_ended_or_never_was_does_nothing() -> None:
    rig = Rig()
    rig.complete("ab")
    rig.cancel(0)
    rig.cancel(0, branch=1)
    rig.cancel(99)
    rig.complete("abc")
    rig.check_ends()


def test_who_goes_takes_only_their_own_requests_along() -> None:
    rig = Rig()
    mine = rig.submit("ab", "one")
    told: list[EngineMessage] = []
    prompt = Generate(mine, "two", [Special("prefix"), Text("cd")], 4)  # the same id, of another client
    rig.scheduler.submit("another", prompt, told.append)
    rig.scheduler.cancel_all("another")
    rig.run()
    assert [type(message) for message in told] == [Done]
    assert rig.done(mine).reason != "cancelled"
    assert rig.texts(mine)[0] == expected_texts(rig.requests[mine])[0]


def talkative(start: str, max_tokens: int) -> str:
    """A prompt like ``start`` on which the model doesn't end by itself."""
    for end in ("", "a", "ab", "cd", "gh", ".", "()", "e", "f"):
        rig = Rig(n_ctx=2000)
        request = rig.submit("", base=start + end, max_tokens=max_tokens, heal=False)
        rig.run()
        if rig.done(request).reason == "length":
            return start + end
    raise AssertionError("the model always ends")


# -- room -----------------------------------------------------------------------------------------------------------


def test_forgetting_gives_idle_sequences_back() -> None:
    rig = Rig()
    rig.complete("ab", "file:///a")
    rig.complete("cd", "file:///b")
    busy = rig.submit(LONG, "file:///a/c")
    rig.step()
    rig.forget("file:///a")
    rig.step()
    assert len(rig.scheduler.ledger) == 2
    rig.run()
    assert rig.texts(busy)[0] == expected_texts(rig.requests[busy])[0]
    rig.check_cache()


def test_what_a_file_s_sequence_holds_can_be_recalled() -> None:
    rig = Rig()
    rig.complete("ab", "file:///a#1", base="f()\n", max_tokens=1, heal=False)
    rig.complete("cd", "file:///b#1", base="gh()\n")
    told: list[EngineMessage] = []
    rig.scheduler.recall(7, "file:///a#", told.append)
    rig.step()
    (recalled,) = told
    assert isinstance(recalled, Recalled)
    assert (recalled.id, list(recalled.prompts)) == (7, ["file:///a#1"])
    assert recalled.prompts["file:///a#1"][:4] == [
        Special("prefix"),
        Text("f()\n"),
        Special("suffix"),
        Special("middle"),
    ]


def test_the_file_used_least_recently_makes_room() -> None:
    rig = Rig(n_ctx=200)
    for base in ("a", "b", "a", "c"):
        rig.complete(LONG[:90], base, base=base)
    assert rig.complete(LONG[:90], "a", base="a").usage.tokens_reused > 60
    assert rig.complete(LONG[:90], "b", base="b").usage.tokens_reused < 5


@pytest.mark.parametrize("priority", ["completion", "warm"])
def test_a_prompt_that_can_never_fit(priority: Priority) -> None:
    rig = Rig(n_ctx=100)
    request = rig.submit(LONG, priority=priority)
    rig.run()
    length = len(tokenize(LONG)) + 3 - 1
    assert rig.failed(request) == Failed(
        request,
        f"The prompt of {length} tokens and its answer don't fit into a context of 100 tokens.",
        "Set a larger `model.n_ctx`.",
    )
    rig.complete("ab")


def test_an_empty_prompt() -> None:
    rig = Rig()
    told: list[EngineMessage] = []
    rig.scheduler.submit(OWNER, Generate(0, "file", [Special("separator")], 4), told.append)
    rig.step()
    assert told == [Failed(0, "The prompt is empty.")]
    rig.complete("ab")


def test_requests_that_do_not_fit_together_come_one_after_the_other() -> None:
    rig = Rig(n_ctx=260)
    requests = [rig.submit(LONG, key) for key in ("one", "two", "three")]
    rig.run()
    for request in requests:
        assert rig.texts(request)[0] == expected_texts(rig.requests[request])[0]


def test_a_warm_up_makes_room_for_a_completion() -> None:
    rig = Rig(n_ctx=260)
    warm = rig.submit(LONG, "warm", base="a", max_tokens=0, priority="warm")
    for _ in range(4):
        rig.step()
    rig.complete(LONG, "urgent")
    assert rig.done(warm).reason == "cancelled"


def test_a_base_prepared_meanwhile_gives_its_cells_back_to_a_completion() -> None:
    rig = Rig(n_ctx=110)
    rig.submit("", "next", base="cd" * 70, max_tokens=0, priority="anchor")
    rig.step()
    completion = rig.submit("", "file", base=talkative(LONG[:60], 40), max_tokens=40, heal=False)
    rig.run()
    assert rig.texts(completion)[0] == expected_texts(rig.requests[completion])[0]


@pytest.mark.xfail(strict=True, reason="decoding along takes cells that are promised, and then the chat is refused")
def test_a_chat_that_gave_its_cells_to_a_completion_goes_on_afterwards() -> None:
    rig = Rig(n_ctx=100)
    chat = rig.submit("", "chat", base=talkative("a", 60), max_tokens=60, priority="chat", heal=False)
    while len(rig.told[chat]) < 2:
        rig.step()
    completion = rig.submit("", "file", base=talkative(LONG[:80], 25), max_tokens=25, heal=False)
    rig.run()
    for request in (chat, completion):
        assert rig.done(request).reason == "length"
        assert rig.texts(request)[0] == expected_texts(rig.requests[request])[0]


def test_a_cache_that_is_full_before_its_time_gives_up_idle_sequences() -> None:
    rig = Rig(n_ctx=400, n_seq=8)
    for base in ("a", "b", "c"):
        rig.complete("ab", base, base=base + LONG[:60])
    rig.llama.capacity = 200
    rig.complete("cd", "new", base="d" + LONG[:90])
    rig.check_cache()
    assert len(rig.scheduler.ledger) < 4


def test_a_cache_that_is_full_of_requests_fails_the_latest() -> None:
    rig = Rig(n_ctx=400)
    first = rig.submit("ab", "one", base="a" + LONG[:90])
    second = rig.submit("cd", "two", base="b" + LONG[:90])
    rig.llama.capacity = 110
    rig.run()
    assert rig.texts(first)[0] == expected_texts(rig.requests[first])[0]
    assert rig.failed(second).cure == "Set a larger `model.n_ctx`."
    rig.complete("ab")


# -- failures -------------------------------------------------------------------------------------------------------


def broken(times: int) -> Callable[[], None]:
    """A decode that fails so many times."""
    left = iter(range(times))

    def fail() -> None:
        if next(left, None) is not None:
            raise RuntimeError("llama_decode returned -3: out of memory")

    return fail


def test_a_batch_that_fails_fails_its_requests_and_the_next_one_works() -> None:
    rig = Rig()
    rig.complete("ab")
    request = rig.submit("abc", branches=2)
    rig.llama.on_decode = broken(1)
    rig.run()
    assert rig.failed(request).message == "llama.cpp failed: llama_decode returned -3: out of memory."
    rig.check_cache()
    rig.complete("abc", branches=2)


def test_failures_that_do_not_end_are_told_to_the_caller() -> None:
    rig = Rig()
    rig.llama.on_decode = broken(MAX_FAILURES)
    requests = [rig.submit("abc", key) for key in "ab"]
    rig.run()
    requests.append(rig.submit("abc", "c"))
    rig.run()
    requests.append(rig.submit("abc", "d"))
    with pytest.raises(RuntimeError, match="out of memory"):
        rig.step()
    assert all(isinstance(rig.told[request][-1], Failed) for request in requests)


def test_failures_with_a_success_in_between_are_not_counted_together() -> None:
    rig = Rig()
    for _ in range(MAX_FAILURES):
        rig.llama.on_decode = broken(MAX_FAILURES - 1)
        for _ in range(MAX_FAILURES - 1):
            rig.submit("abc")
            rig.run()
        rig.complete("abc")


# -- threads --------------------------------------------------------------------------------------------------------


def test_busy_is_told_when_it_begins_and_when_it_ends() -> None:
    rig = Rig()
    rig.complete(LONG, "warm", max_tokens=0, priority="warm")
    assert rig.busy == []
    rig.complete("ab")
    assert rig.busy == [True, False]


def test_requests_from_many_threads() -> None:
    rig = Rig(n_ctx=2000, n_seq=8)
    loop = threading.Thread(target=rig.scheduler.loop)
    loop.start()
    told: dict[tuple[str, int], list[EngineMessage]] = {}
    ended = {name: threading.Semaphore(0) for name in "abcd"}

    def type_on(name: str) -> None:
        for number in range(40):
            prompt = [Special("prefix"), Text(LONG[:50]), Special("middle"), Text("abcdefgh."[: number % 9])]
            request = Generate(number, name if number % 5 else "shared", prompt, 5, branches=1 + number % 2)
            messages = told[name, number] = []

            def emit(message: EngineMessage, messages: list[EngineMessage] = messages) -> None:
                messages.append(message)
                if not isinstance(message, Token):
                    ended[name].release()

            rig.scheduler.submit(name, request, emit)
            if number % 3 == 0:
                rig.scheduler.cancel(name, number)
            assert ended[name].acquire(timeout=60)
            texts = Counter[int]()
            for message in messages[:-1]:
                assert isinstance(message, Token)
                texts[message.branch] += 1
            done = messages[-1]
            assert isinstance(done, Done)
            if number % 3:
                text = "".join(m.text for m in messages if isinstance(m, Token) and m.branch == 0)
                assert text == expected_texts(request)[0]

    errors: list[BaseException] = []

    def guarded(name: str) -> None:
        try:
            type_on(name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(name,)) for name in ended]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.scheduler.stop()
    loop.join(timeout=60)
    assert not loop.is_alive()
    assert errors == []
    assert len(told) == 160
