"""Guessing tokens from earlier ones, and only while that pays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lsp.engine.drafting import GUESSES, RETRY_EVERY, TRIALS, Drafter, lookup


def test_what_followed_before_is_guessed() -> None:
    assert lookup([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4]) == [5, 6, 7]


def test_the_latest_and_longest_match_counts() -> None:
    assert lookup([1, 2, 3, 9, 9, 1, 2, 3, 8, 7, 1, 2, 3]) == [8, 7, 1]
    assert lookup([0, 1, 2, 3, 5, 9, 1, 2, 3, 8, 0, 1, 2, 3])[:1] == [5]


def test_nothing_is_guessed_without_a_match() -> None:
    assert lookup([1, 2, 3, 4, 5]) == []
    assert lookup([]) == []
    assert lookup([1]) == []


@given(st.lists(st.integers(0, 3), max_size=60))
def test_guesses_did_follow_the_same_tokens(tokens: list[int]) -> None:
    found = lookup(tokens)
    assert len(found) <= GUESSES
    if found:
        wanted = [*tokens[-3:], *found]
        assert any(tokens[i : i + len(wanted)] == wanted for i in range(len(tokens)))


REPEATING = [1, 2, 3, 4, 5, 1, 2, 3, 4]


def drafter(plain: float, drafted: float, accepted: int) -> Drafter:
    made = Drafter()
    made.took(1, plain)
    made.took(1 + GUESSES, drafted)
    for _ in range(TRIALS):
        made.kept(GUESSES, accepted)
    return made


def test_guessing_goes_on_while_it_pays() -> None:
    made = drafter(plain=1.0, drafted=2.0, accepted=2)
    assert made.pays
    assert all(made.guess(REPEATING) for _ in range(5))


def test_guessing_stops_where_it_does_not_pay_and_is_tried_again_now_and_then() -> None:
    made = drafter(plain=1.0, drafted=2.0, accepted=0)
    assert not made.pays
    tried = [bool(made.guess(REPEATING)) for _ in range(2 * RETRY_EVERY)]
    assert sum(tried) == 2


def test_nothing_is_guessed_before_a_plain_step_was_measured() -> None:
    assert Drafter().guess(REPEATING) == []
