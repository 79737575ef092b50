"""What ``midline/status`` says about completions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.completion.stats import CompletionStats
from lsp.engine.protocol import Done, Usage

CONTRACT = {
    *("requests", "shown", "accepted", "cancelled", "cache_hits"),
    *("tokens_evaluated", "tokens_reused", "tokens_generated", "p50_ms", "p95_ms", "p99_ms"),
    *("recent", "joined"),
}


def test_the_contract_and_the_latest_requests() -> None:
    told = CompletionStats().as_dict()
    assert told.keys() == CONTRACT
    assert [told[name] for name in ("p50_ms", "p95_ms", "p99_ms")] == [None, None, None]
    assert all(value == 0 for name, value in told.items() if not name.endswith("_ms") and name != "recent")
    assert told["recent"] == []


def test_costs_add_up() -> None:
    stats = CompletionStats()
    stats.add(Done(1, "eog", Usage(tokens_evaluated=100, tokens_reused=0, tokens_generated=8)))
    stats.add(Done(2, "cancelled", Usage(tokens_evaluated=2, tokens_reused=99, tokens_generated=5)))
    told = stats.as_dict()
    assert (told["tokens_evaluated"], told["tokens_reused"], told["tokens_generated"]) == (102, 99, 13)
    assert [(request["outcome"], request["tokens_evaluated"]) for request in told["recent"]] == [
        ("eog", 100),
        ("cancelled", 2),
    ]


@pytest.mark.parametrize(
    ("latencies", "p50", "p95", "p99"),
    [
        ([7.0], 7, 7, 7),
        ([*range(1, 101)], 51, 96, 100),
        ([1.0] * 98 + [900.0] * 2, 1, 1, 900),
        ([3.14159], 3.1, 3.1, 3.1),
    ],
)
def test_percentiles(latencies: list[float], p50: float, p95: float, p99: float) -> None:
    stats = CompletionStats()
    for value in latencies:
        stats.took(value)
    told = stats.as_dict()
    assert (told["p50_ms"], told["p95_ms"], told["p99_ms"]) == (p50, p95, p99)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_are_latencies_in_order(latencies: list[float]) -> None:
    stats = CompletionStats()
    for value in latencies:
        stats.took(value)
    told = stats.as_dict()
    p50, p95, p99 = told["p50_ms"], told["p95_ms"], told["p99_ms"]
    assert p50 is not None and p95 is not None and p99 is not None
    assert {p50, p95, p99} <= {round(value, 1) for value in latencies}
    assert p50 <= p95 <= p99


def test_only_the_latest_latencies_count() -> None:
    stats = CompletionStats()
    for _ in range(1000):
        stats.took(900.0)
    for _ in range(1000):
        stats.took(30.0)
    assert stats.as_dict()["p99_ms"] == 30.0
