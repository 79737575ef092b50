"""Guessing tokens from earlier ones, as many as pays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.engine.drafting import LENGTHS, RETRY_EVERY, Copying, Drafter


def foretold(tokens: list[int], copying: Copying | None = None) -> list[int]:
    copying = copying or Copying()
    return tokens[copying.at : copying.at + 3] if copying.follow(tokens) else []


def test_what_followed_before_is_foretold() -> None:
    assert foretold([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4]) == [5, 6, 7]


def test_the_latest_and_longest_match_counts_at_first() -> None:
    assert foretold([1, 2, 3, 9, 9, 1, 2, 3, 8, 7, 1, 2, 3]) == [8, 7, 1]
    assert foretold([0, 1, 2, 3, 5, 9, 1, 2, 3, 8, 0, 1, 2, 3])[:1] == [5]


def test_nothing_is_foretold_without_a_match() -> None:
    assert foretold([1, 2, 3, 4, 5]) == []
    assert foretold([]) == []
    assert foretold([1]) == []


def test_a_copy_goes_on_where_it_was_though_the_same_stands_elsewhere() -> None:
    source = [1, 2, 3, 10, 11, 12, 1, 2, 3, 20, 21, 22]
    copying = Copying()
    copying.follow([*source, 90, 91, 1, 2, 3])  # the latter place, to begin with
    assert copying.follow([*source, 90, 91, 1, 2, 3, 10, 11, 12])
    assert (copying.at, copying.right) == (6, 0)
    assert foretold([*source, 90, 91, 1, 2, 3, 10, 11, 12, 1, 2, 3], copying) == [20, 21, 22]
    assert copying.right == 3


def test_behind_a_changed_word_the_nearest_match_counts() -> None:
    line = [5, 6, 7]
    source = [*line, 1, 30, *line, 2, 40, *line, 3, 50]
    copying = Copying()
    copying.follow([*source, 70, *line])
    copying.at = 8  # behind the second of the lines, where 2, 40 will be replaced
    assert foretold([*source, 70, *line, 99, *line], copying)[:1] == [3]


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 9))
def test_what_is_foretold_did_follow_the_same_tokens(tokens: list[int], step: int) -> None:
    copying = Copying()
    for end in range(step, len(tokens), step):
        if copying.follow(tokens[:end]):
            assert 0 < copying.at < end
            assert tokens[copying.at - 1] == tokens[end - 1]


REPEATING = [1, 2, 3, 4, *range(100, 200), 1, 2, 3, 4]


def guessed(cost: Callable[[int], float], right: int) -> int:
    """How many tokens are guessed after so many right ones, once all lengths were tried."""
    drafter = Drafter()
    for tokens in (1, *(length + 1 for length in LENGTHS)):
        drafter.took(tokens, cost(tokens))
    copying = Copying()
    copying.follow(REPEATING)
    copying.right = right
    return len(drafter.guess(REPEATING, copying))


def test_the_longer_all_was_foretold_the_more_is_guessed() -> None:
    lengths = [guessed(lambda tokens: 34 if tokens == 1 else 60 + 12 * tokens, right) for right in (0, 8, 50, 500)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (0, LENGTHS[-1])


def test_where_a_guess_costs_next_to_nothing_many_are_made_at_once() -> None:
    assert guessed(lambda tokens: 10 + 0.01 * tokens, 0) > LENGTHS[0]


def test_where_a_guess_costs_as_much_as_a_token_none_is_made() -> None:
    assert guessed(lambda tokens: 30.0 * tokens, 500) == 0


def test_what_does_not_pay_is_tried_again_now_and_then() -> None:
    drafter = Drafter()
    drafter.took(1, 30.0)
    drafter.took(4, 300.0)
    copying = Copying()
    tried = [len(drafter.guess(REPEATING, copying)) for _ in range(2 * RETRY_EVERY)]
    assert tried.count(LENGTHS[0]) == 2
    assert tried.count(0) == len(tried) - 2


@pytest.mark.parametrize("tokens", [REPEATING, []])
def test_nothing_is_guessed_before_a_plain_step_was_measured(tokens: list[int]) -> None:
    assert Drafter().guess(tokens, Copying()) == []
