"""In which order requests are served, what they share, and how they are cancelled."""

from __future__ import annotations

from fake_llama import expected_texts, tokenize
from scheduler_support import LONG, Rig

from lsp.engine.batching import BACKGROUND_BATCH, PREFILL_BATCH
from lsp.engine.protocol import Done, EngineMessage, Generate, Special, Text

# -- order of service -----------------------------------------------------------------------------------------------


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


def test_a_completion_interrupts_a_chat_s_long_draft() -> None:
    rig = Rig(n_ctx=2000)
    rig.scheduler.drafter.guess = lambda tokens, copying: [0] * 20  # type: ignore[method-assign]
    rig.submit("f", "chat", max_tokens=100, priority="chat")
    rig.llama.on_decode = lambda: (
        rig.submit("ab", "urgent") if len(rig.llama.batches[-1]) > 20 and len(rig.requests) == 1 else None
    )
    while len(rig.requests) == 1:
        rig.step()
    assert rig.llama.abort
    rig.run()
    rig.check_cache()
    for number, request in rig.requests.items():
        assert rig.texts(number)[0] == expected_texts(request)[0]


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


def test_what_another_program_asks_stands_still_beside_a_completion_and_decodes_along_with_a_chat() -> None:
    rig = Rig(n_ctx=2000)
    guest = rig.submit("f", "api", max_tokens=100, priority="guest")
    while not rig.told[guest]:
        rig.step()
    said = len(rig.told[guest])
    completion = rig.submit(LONG, "file", max_tokens=8)
    while completion in rig.open:
        rig.step()
    assert len(rig.told[guest]) == said
    chat = rig.submit("ab", "chat", max_tokens=8, priority="chat")
    while chat in rig.open:
        rig.step()
    assert len(rig.told[guest]) > said
    rig.run()
    assert rig.texts(guest)[0] == expected_texts(rig.requests[guest])[0]


def test_a_single_token_is_interrupted_for_a_completion_where_another_program_wants_it() -> None:
    for priority, interrupted in (("guest", True), ("chat", False)):
        rig = Rig()
        other = rig.submit("f", "other", max_tokens=20, priority=priority)  # type: ignore[arg-type]
        while not rig.told[other]:
            rig.step()
        rig.llama.on_decode = lambda rig=rig: rig.submit("ab") if len(rig.requests) == 1 else None
        rig.step()
        assert rig.llama.abort is interrupted
        rig.run()
        assert rig.texts(other)[0] == expected_texts(rig.requests[other])[0]
        rig.check_cache()


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
