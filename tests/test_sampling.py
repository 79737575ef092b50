"""Greedy choice against probabilities computed the plain way, in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.engine.sampling import best

LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40)


def probabilities(logits: list[float], allowed: list[int]) -> dict[int, float]:
    peak = max(logits[i] for i in allowed)
    mass = {i: math.exp(logits[i] - peak) for i in allowed}
    total = sum(mass.values())
    return {i: value / total for i, value in mass.items()}


@settings(deadline=None)
@given(st.data(), LOGITS, st.integers(1, 6))
def test_the_likeliest_tokens_and_what_they_are_worth(data: st.DataObject, logits: list[float], count: int) -> None:
    ids = st.integers(0, len(logits) - 1)
    eog = sorted(data.draw(st.sets(ids, max_size=3)))
    allowed = data.draw(st.none() | st.lists(ids, min_size=1, unique=True))
    array = np.array(logits, dtype=np.float32)
    before = array.copy()

    choices = best(
        array,
        np.array(eog, dtype=np.int64),
        None if allowed is None else np.array(allowed, dtype=np.int64),
        count,
    )

    candidates = list(range(len(logits))) if allowed is None else allowed
    expected = probabilities(logits, candidates)
    assert len(choices) == min(count, len(candidates))
    assert len({choice.token for choice in choices}) == len(choices)
    assert {choice.token for choice in choices} <= set(candidates)
    # Ties may come in any order, so it is the values that must be the greatest.
    assert [logits[c.token] for c in choices] == sorted((logits[i] for i in candidates), reverse=True)[: len(choices)]
    for choice in choices:
        assert choice.logprob == pytest.approx(math.log(expected[choice.token]), abs=1e-4)
        assert choice.logprob <= 0
        ending = sum(expected[i] for i in eog) if allowed is None else 0.0
        assert choice.eog == pytest.approx(ending, abs=1e-5)
    np.testing.assert_array_equal(array, before)


def test_ending_is_not_weighed_where_the_text_is_prescribed() -> None:
    logits = np.array([0.0, 9.0, 1.0], dtype=np.float32)
    eog = np.array([1], dtype=np.int64)
    free = best(logits, eog)[0]
    bound = best(logits, eog, np.array([0, 2], dtype=np.int64))[0]
    assert (free.token, free.eog > 0.9) == (1, True)
    assert (bound.token, bound.eog) == (2, 0.0)


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([5e4, 4e4, -np.inf], dtype=np.float32)
    first, second = best(logits, np.array([2], dtype=np.int64), count=2)
    assert (first.token, first.logprob, first.eog) == (0, 0.0, 0.0)
    assert second.logprob == pytest.approx(-1e4)
