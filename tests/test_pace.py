"""How long to wait for the next key."""

from __future__ import annotations

import pytest

from lsp.completion.pace import MOST_SECONDS, Pace


def typing(*intervals: float) -> Pace:
    pace, now = Pace(), 100.0
    pace.typed(now)
    for interval in intervals:
        now += interval
        pace.typed(now)
    return pace


def test_nobody_waits_before_a_rhythm_is_known() -> None:
    assert typing(0.2, 0.2).debounce(5000) == 0


def test_the_first_key_after_a_pause_is_answered_at_once() -> None:
    assert typing(*[0.2] * 20, 3.0).debounce(5000) == 0


def test_slow_suggestions_wait_for_the_next_key_and_fast_ones_hardly() -> None:
    pace = typing(*[0.2] * 20)
    assert pace.debounce(5000) == pytest.approx(0.1)
    assert pace.debounce(20) == pytest.approx(0.01)


def test_who_types_slowly_does_not_wait_long() -> None:
    assert typing(*[0.9] * 20).debounce(5000) == MOST_SECONDS


def test_pauses_are_no_rhythm() -> None:
    assert typing(*[0.2, 5.0] * 20).median == pytest.approx(0.2)
