"""Choices, greedy and by chance, against probabilities computed the plain way, in double precision."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.engine.protocol import Sampling
from lsp.engine.sampling import best, drawn

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


NOTHING = np.array([], dtype=np.int64)


@settings(deadline=None)
@given(st.data(), LOGITS, st.floats(0.05, 5), st.floats(0, 1), st.integers(0, 2**32))
def test_what_is_drawn_is_in_the_nucleus(
    data: st.DataObject, logits: list[float], temperature: float, top_p: float, seed: int
) -> None:
    ids = st.integers(0, len(logits) - 1)
    allowed = data.draw(st.none() | st.lists(ids, min_size=1, unique=True))
    array = np.array(logits, dtype=np.float32)
    bound = None if allowed is None else np.array(allowed, dtype=np.int64)
    sampling = Sampling(temperature, top_p, seed)

    first, again = (drawn(array, NOTHING, bound, sampling, np.random.default_rng(seed)) for _ in range(2))

    assert first == again
    candidates = list(range(len(logits))) if allowed is None else allowed
    shares = probabilities([value / temperature for value in logits], candidates)
    likelier = sum(share for share in shares.values() if share > shares[first.token] * (1 + 1e-6))
    assert likelier <= top_p + 1e-6
    # What it is worth is by the model's own odds, whatever the temperature.
    assert first.logprob == pytest.approx(math.log(probabilities(logits, candidates)[first.token]), abs=1e-4)


def test_tokens_are_drawn_as_often_as_their_odds_say() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2, 1e-9], dtype=np.float32))
    random = np.random.default_rng(1)
    counts = Counter(drawn(logits, NOTHING, None, Sampling(1.0), random).token for _ in range(4000))
    assert [round(counts[token] / 4000, 1) for token in range(4)] == [0.5, 0.3, 0.2, 0.0]
    counts = Counter(drawn(logits, NOTHING, None, Sampling(1.0, 0.6), random).token for _ in range(1000))
    assert set(counts) == {0, 1}
    assert {drawn(logits, NOTHING, None, Sampling(5.0, 0.0), random).token for _ in range(50)} == {0}


def test_no_numbers_are_left_to_the_caller() -> None:
    logits = np.array([np.nan, 1.0], dtype=np.float32)
    assert math.isnan(drawn(logits, NOTHING, None, Sampling(1.0), np.random.default_rng(1)).logprob)
