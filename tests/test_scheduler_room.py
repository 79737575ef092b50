"""What requests do when cells run out, when llama.cpp fails, and when they come from many threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from fake_llama import expected_texts, tokenize
from scheduler_support import LONG, OWNER, Rig

from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Priority, Recalled, Special, Text, Token
from lsp.engine.scheduler import MAX_FAILURES


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


def test_a_cache_that_is_full_of_requests_serves_one_after_the_other() -> None:
    rig = Rig(n_ctx=400)
    first = rig.submit("ab", "one", base="a" + LONG[:90])
    second = rig.submit("cd", "two", base="b" + LONG[:90])
    rig.llama.capacity = 110
    rig.run()
    for request in (first, second):
        assert rig.texts(request)[0] == expected_texts(rig.requests[request])[0]
    rig.check_cache()


def test_a_cache_that_is_too_small_for_a_single_request_fails_it() -> None:
    rig = Rig(n_ctx=400)
    request = rig.submit("ab", "one", base="a" + LONG[:90])
    rig.llama.capacity = 60
    rig.run()
    assert rig.failed(request).cure == "Set a larger `model.n_ctx`."
    rig.llama.capacity = 400
    rig.complete("ab")


def test_a_chat_is_paused_for_a_completion_that_needs_its_cells_and_loses_nothing() -> None:
    rig = Rig(n_ctx=130)
    chat = rig.submit("", "chat", base=talkative("a", 50), max_tokens=50, priority="chat", heal=False)
    while len(rig.told[chat]) < 20:
        rig.step()
    completion = rig.submit("", "file", base=talkative(LONG[:80], 25), max_tokens=25, heal=False)
    rig.step()
    rig.run()
    for request in (completion, chat):
        assert rig.done(request).reason == "length"
        assert rig.texts(request)[0] == expected_texts(rig.requests[request])[0]
    # What had been its own is computed again, and told.
    assert rig.done(chat).usage.tokens_generated == 50
    rig.check_cache()


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


def test_what_is_erased_while_it_is_written_ends_and_leaves_nothing() -> None:
    rig = Rig()
    chat = rig.submit(LONG, "chat:1", max_tokens=50, priority="chat")
    file = rig.submit("f(abc)", "file", max_tokens=50)
    while not rig.texts(chat)[0]:
        rig.step()
    erased: list[int] = []
    rig.scheduler.forget("chat:1", lambda: erased.append(len(rig.scheduler.ledger.with_prefix("chat:"))))
    rig.step()
    assert erased == [0]
    assert rig.done(chat).reason == "cancelled"
    rig.run()
    assert rig.done(file).reason == "length"
    rig.check_ends()
    rig.check_cache()
