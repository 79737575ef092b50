"""The ledger of memory that can't be cut: sequences go on, or back to a checkpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.engine import ledger as ledger_module
from lsp.engine.ledger import RECENT_CHECKPOINTS, Ledger, common_prefix

TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=12)


def make_ledger() -> Ledger:
    return Ledger(n_seq=4, n_cells=1000, cuttable=False)


def compute(ledger: Ledger, key: str, wanted: list[int], checkpoints: list[int], base: int = 0) -> int:
    """A request carried out and ended, with states taken where ``checkpoints`` says; returns how much it reused."""
    plan = ledger.plan(key, wanted, 0)
    ledger.apply(plan, key)
    for length in range(plan.reused + 1, len(wanted) + 1):
        ledger.extend(plan.seq, wanted[length - 1 : length])
        if length in checkpoints:
            ledger.checkpoint(plan.seq, bytes(wanted[:length]), base)
    ledger.release(plan.seq)
    return plan.reused


def test_what_goes_on_is_kept() -> None:
    ledger = make_ledger()
    compute(ledger, "file", [1, 2, 3], [])
    assert compute(ledger, "file", [1, 2, 3, 4], []) == 3


def test_what_differs_goes_back_to_the_last_checkpoint_before() -> None:
    ledger = make_ledger()
    compute(ledger, "file", [1, 2, 3, 4, 5, 6], [2, 4, 6])
    assert compute(ledger, "file", [1, 2, 3, 4, 5, 9], []) == 4
    assert compute(ledger, "file", [1, 2, 3, 8], []) == 2
    assert compute(ledger, "file", [1, 7], []) == 0


def test_nothing_is_copied_from_another_sequence() -> None:
    ledger = make_ledger()
    compute(ledger, "one", [1, 2, 3], [3])
    assert compute(ledger, "two", [1, 2, 3, 4], []) == 0


def test_the_base_and_the_last_lengths_keep_their_states() -> None:
    ledger = make_ledger()
    compute(ledger, "file", list(range(20)), list(range(1, 21)), base=3)
    seq = ledger.plan("file", [0], 0).seq
    assert sorted(ledger.idle()[0].checkpoints) == [3, *range(21 - RECENT_CHECKPOINTS, 21)]
    assert ledger.last_checkpoint(seq) == 20
    assert ledger.state(seq, 3) == bytes([0, 1, 2])


def test_states_together_stay_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_STATE_BYTES", 20)
    ledger = make_ledger()
    compute(ledger, "old", [1, 2, 3, 4], [2, 4], base=2)
    compute(ledger, "young", [1, 2, 3, 4], [2, 4], base=2)
    compute(ledger, "now", list(range(9)), [9])
    points = {held.key: list(held.checkpoints) for held in ledger.idle()}
    assert points == {"now": [9], "young": [2, 4], "old": [2]}


def test_a_branch_shares_the_states_of_its_stem() -> None:
    ledger = make_ledger()
    compute(ledger, "file", [1, 2, 3], [2])
    plan = ledger.plan("file", [1, 2, 3, 4], 0)
    ledger.apply(plan, "file")
    branch = ledger.fork(plan.seq, "file#1")
    assert branch is not None
    ledger.extend(branch, [5])
    assert ledger.last_checkpoint(branch) == 2
    ledger.cut(branch, 2)
    assert ledger.tokens(branch) == [1, 2]
    assert ledger.tokens(plan.seq) == [1, 2, 3]


@given(st.lists(st.tuples(TOKENS, st.sets(st.integers(1, 12), max_size=4)), min_size=1, max_size=8))
def test_only_checkpoints_and_the_end_are_reached(requests: list[tuple[list[int], set[int]]]) -> None:
    ledger, held, points = make_ledger(), list[int](), {0}
    for wanted, checkpoints in requests:
        shared = min(common_prefix(held, wanted), len(wanted) - 1)
        reachable = {point for point in points | {len(held)} if point <= shared}
        reused = compute(ledger, "file", wanted, sorted(checkpoints))
        assert reused == max(reachable)
        held = wanted
        points = {p for p in points if p <= reused} | {p for p in checkpoints if reused < p <= len(wanted)}
        points = {0, *sorted(points - {0})[-RECENT_CHECKPOINTS:]}
        (only,) = ledger.idle()
        assert only.tokens == wanted
        assert all(state == bytes(wanted[:point]) for point, state in only.checkpoints.items())
