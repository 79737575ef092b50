"""The ledger against a naive model of llama.cpp's unified cache: lists of cells, carried out step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lsp.engine.config import Adapter
from lsp.engine.ledger import RECENT_CHECKPOINTS, Ledger, OutOfCellsError, common_prefix

TOKENS = st.integers(0, 2)
PROMPTS = st.lists(TOKENS, min_size=1, max_size=10)
KEYS = st.sampled_from("abcde")
ADAPTERS = st.sampled_from([(), (Adapter("a.gguf"),), (Adapter("a.gguf", 0.5),)])


@dataclass
class Sequence:
    """What a sequence of the cache really holds: tokens, each in a cell."""

    key: str
    tokens: list[int] = field(default_factory=list)
    cells: list[object] = field(default_factory=list)
    active: bool = True
    used: int = 0
    adapters: tuple[Adapter, ...] = ()


def shared(a: list[int], b: list[int]) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


class LedgerMachine(RuleBasedStateMachine):
    """Random requests; the model does what ``plan`` says, and both must agree after every step."""

    @initialize(n_seq=st.integers(1, 4), n_cells=st.integers(1, 24))
    def start(self, n_seq: int, n_cells: int) -> None:
        self.n_seq, self.n_cells, self.clock = n_seq, n_cells, 0
        self.ledger = Ledger(n_seq, n_cells, min_moved=2)
        self.held: dict[int, Sequence] = {}
        self.wanted: dict[int, list[int]] = {}  # what each request's prompt still lacks
        self.prompts: dict[int, list[int]] = {}

    # -- the model ---------------------------------------------------------------------------------

    def distinct(self, sequences: list[Sequence]) -> int:
        return len({id(cell) for sequence in sequences for cell in sequence.cells})

    def touch(self, seq: int) -> None:
        self.clock += 1
        self.held[seq].used = self.clock

    def active(self) -> list[int]:
        return [seq for seq, sequence in self.held.items() if sequence.active]

    def generating(self) -> list[int]:
        return [seq for seq in self.active() if not self.wanted.get(seq)]

    def idle(self) -> list[int]:
        return sorted(self.held.keys() - set(self.active()), key=lambda seq: self.held[seq].used)

    def find(self, key: str) -> Sequence | None:
        return next((sequence for sequence in self.held.values() if sequence.key == key), None)

    def compute(self, seq: int, tokens: list[int]) -> None:
        self.held[seq].tokens += tokens
        self.held[seq].cells += [object() for _ in tokens]
        self.ledger.extend(seq, tokens)

    # -- what a scheduler does ---------------------------------------------------------------------

    @rule(key=KEYS, wanted=PROMPTS, reserve=st.integers(0, 6), movable=st.booleans(), adapters=ADAPTERS)
    def request(self, key: str, wanted: list[int], reserve: int, movable: bool, adapters: tuple[Adapter, ...]) -> None:
        own = self.find(key)
        if own and own.active:
            assert self.ledger.is_active(key)
            return
        assert not self.ledger.is_active(key)
        active = [self.held[seq] for seq in self.active()]
        try:
            plan = self.ledger.plan(key, wanted, reserve, movable=movable, adapters=adapters)
        except OutOfCellsError:
            no_sequence = own is None and len(active) == self.n_seq
            assert no_sequence or self.distinct(active) + len(wanted) + reserve > self.n_cells
            return
        limit = len(wanted) - 1
        alike = [s for s in self.held.values() if s.adapters == adapters]
        from_the_start = min(limit, max((shared(s.tokens, wanted) for s in alike), default=0))
        start, end = plan.move
        if end:
            assert movable
            assert own in alike
            assert plan.keep < start < end <= len(own.tokens)
            assert plan.reused == plan.keep + end - start > from_the_start
            others = {id(cell) for one in self.held.values() if one is not own for cell in one.cells}
            assert not others & {id(cell) for cell in own.cells[start:end]}
        else:
            assert plan.reused == from_the_start
        assert 0 <= plan.keep <= plan.copy_to <= limit
        assert (plan.copy_from is None) == (plan.copy_to == plan.keep)
        if own:
            assert self.held[plan.seq] is own
        elif len(self.held) < self.n_seq:
            assert plan.seq not in self.held
        else:
            assert plan.seq == self.idle()[0]
        assert not {plan.seq, *plan.evict} & set(self.active())
        assert plan.seq not in plan.evict

        sequence = self.held.setdefault(plan.seq, Sequence(key))
        if sequence.adapters != adapters:
            assert plan.keep == 0
        sequence.key, sequence.active, sequence.adapters = key, True, adapters
        sequence.tokens[plan.keep :] = sequence.tokens[start:end]
        sequence.cells[plan.keep :] = sequence.cells[start:end]
        if plan.copy_from is not None:
            source = self.held[plan.copy_from]
            assert source.adapters == adapters
            sequence.tokens += source.tokens[plan.keep : plan.copy_to]
            sequence.cells += source.cells[plan.keep : plan.copy_to]
        for seq in plan.evict:
            del self.held[seq]
        self.touch(plan.seq)
        self.ledger.apply(plan, key)

        assert sequence.tokens == wanted[: plan.reused]
        free = self.n_cells - self.distinct(list(self.held.values()))
        assert free >= len(wanted) - plan.reused + reserve
        self.wanted[plan.seq] = wanted[plan.reused :]
        self.prompts[plan.seq] = wanted

    @rule(data=st.data(), count=st.integers(1, 10))
    @precondition(lambda self: any(self.wanted.values()))
    def prefill(self, data: st.DataObject, count: int) -> None:
        seq = data.draw(st.sampled_from([seq for seq, wanted in self.wanted.items() if wanted]))
        batch = self.wanted[seq][:count]
        # Two requests under way may promise each other's cells away: then the cache is really full.
        if self.distinct(list(self.held.values())) + len(batch) <= self.n_cells:
            self.compute(seq, batch)
            del self.wanted[seq][: len(batch)]
            if not self.wanted[seq]:
                assert self.ledger.tokens(seq) == self.prompts[seq]

    @rule(data=st.data(), token=TOKENS)
    @precondition(lambda self: self.generating() and self.distinct(list(self.held.values())) < self.n_cells)
    def generate(self, data: st.DataObject, token: int) -> None:
        self.compute(data.draw(st.sampled_from(self.generating())), [token])

    @rule(data=st.data())
    @precondition(lambda self: self.active())
    def fork(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(self.active()))
        key = f"{self.held[seq].key}#{self.clock}"
        new = self.ledger.fork(seq, key)
        assert (new is None) == (len(self.held) == self.n_seq)
        if new is not None:
            assert new not in self.held
            source = self.held[seq]
            self.held[new] = Sequence(key, list(source.tokens), list(source.cells), adapters=source.adapters)
            self.touch(new)

    @rule(data=st.data())
    @precondition(lambda self: self.active())
    def release(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(self.active()))
        self.held[seq].active = False
        self.wanted.pop(seq, None)
        self.touch(seq)
        self.ledger.release(seq)

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def drop(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[seq]
        self.wanted.pop(seq, None)
        self.ledger.drop(seq)

    @rule(data=st.data())
    @precondition(lambda self: self.idle())
    def evict(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(self.idle()))
        key = self.held.pop(seq).key
        self.wanted.pop(seq, None)
        self.ledger.evict(seq)
        assert self.ledger.was_evicted(key)
        assert not self.ledger.holds(key)

    @rule(key=KEYS, adapters=ADAPTERS)
    @precondition(lambda self: len(self.held) < self.n_seq)
    def reserve(self, key: str, adapters: tuple[Adapter, ...]) -> None:
        assert self.ledger.has_free_sequence
        if not self.find(key):
            seq = self.ledger.reserve(key, adapters)
            assert seq not in self.held
            self.held[seq] = Sequence(key, adapters=adapters)
            self.touch(seq)

    @rule(prefix=st.sampled_from(["", "a", "b", "a#", "c"]))
    def forget(self, prefix: str) -> None:
        found = [held.seq for held in self.ledger.with_prefix(prefix) if not held.active]
        assert sorted(found) == sorted(seq for seq in self.idle() if self.held[seq].key.startswith(prefix))
        for seq in found:
            del self.held[seq]
            self.ledger.drop(seq)

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        assert len(self.ledger) == len(self.held) <= self.n_seq
        for seq, sequence in self.held.items():
            assert self.ledger.tokens(seq) == sequence.tokens
        assert self.ledger.cells_used == self.distinct(list(self.held.values())) <= self.n_cells
        idle = self.idle()
        assert [held.seq for held in self.ledger.idle()] == idle[::-1]
        assert self.ledger.oldest_idle() == (idle[0] if idle else None)

    @invariant()
    def what_differs_in_adapters_shares_nothing(self) -> None:
        computed_with: dict[int, tuple[Adapter, ...]] = {}
        for sequence in self.held.values():
            for cell in sequence.cells:
                assert computed_with.setdefault(id(cell), sequence.adapters) == sequence.adapters

    def teardown(self) -> None:
        """Every sequence is free or held exactly once: given all back, all can be taken again."""
        if not hasattr(self, "ledger"):
            return
        for seq in list(self.held):
            self.ledger.drop(seq)
        assert self.ledger.cells_used == 0
        taken = set()
        for number in range(self.n_seq):
            plan = self.ledger.plan(f"k{number}", [0], 0)
            self.ledger.apply(plan, f"k{number}")
            taken.add(plan.seq)
        assert taken == set(range(self.n_seq))
        with pytest.raises(OutOfCellsError):
            self.ledger.plan("one more", [0], 0)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def computed(ledger: Ledger, key: str, tokens: list[int], adapters: tuple[Adapter, ...] = ()) -> int:
    """The sequence of a request that was carried out and has ended."""
    plan = ledger.plan(key, tokens, 0, adapters=adapters)
    ledger.apply(plan, key)
    ledger.extend(plan.seq, tokens[plan.reused :])
    ledger.release(plan.seq)
    return plan.seq


@given(PROMPTS, PROMPTS)
def test_common_prefix(a: list[int], b: list[int]) -> None:
    assert common_prefix(a, b) == shared(a, b)


@given(st.lists(st.tuples(KEYS, PROMPTS, ADAPTERS), max_size=6), KEYS, PROMPTS, ADAPTERS, st.integers(1, 4))
def test_what_was_computed_with_other_adapters_is_of_no_use(
    before: list[tuple[str, list[int], tuple[Adapter, ...]]],
    key: str,
    wanted: list[int],
    adapters: tuple[Adapter, ...],
    n_seq: int,
) -> None:
    ledger = Ledger(n_seq, 100, min_moved=1)
    for one in before:
        computed(ledger, *one)
    alike = [held for held in ledger.idle() if held.adapters == adapters]
    plan = ledger.plan(key, wanted, 0, movable=True, adapters=adapters)
    if not any(shared(held.tokens, wanted) for held in alike):
        assert plan.copy_from is None
        assert plan.keep == 0
    if not any(set(held.tokens) & set(wanted) for held in alike):
        assert plan.reused == 0
    ledger.apply(plan, key)
    for held in ledger.idle():
        mine = next(one for one in ledger.with_prefix("") if one.seq == plan.seq)
        assert held.adapters == adapters or not set(held.cells) & set(mine.cells)


def test_typing_keeps_all_but_what_changed() -> None:
    ledger = Ledger(n_seq=4, n_cells=100)
    seq = computed(ledger, "file", [1, 2, 3, 4])
    plan = ledger.plan("file", [1, 2, 3, 4, 5], reserve=8)
    assert (plan.seq, plan.keep, plan.copy_from, plan.reused) == (seq, 4, None, 4)


def test_what_stays_of_a_conversation_is_moved_and_not_computed_again() -> None:
    ledger = Ledger(2, 200)
    opening, first, second, question = [1] * 10, [2, 3] * 20, [4, 5] * 20, [6, 7, 8]
    seq = computed(ledger, "chat", [*opening, *first, *second])
    assert ledger.plan("chat", [*opening, *second, *question], 0).reused == len(opening)
    plan = ledger.plan("chat", [*opening, *second, *question], 0, movable=True)
    assert (plan.seq, plan.keep, plan.move) == (seq, 10, (50, 90))
    ledger.apply(plan, "chat")
    assert ledger.tokens(seq) == [*opening, *second]
    assert ledger.cells_used == 50


def test_what_another_sequence_shares_is_not_moved() -> None:
    ledger = Ledger(3, 400)
    first, second = [2, 3] * 20, [4, 5] * 20
    seq = computed(ledger, "chat", [1, *first, *second])
    assert ledger.fork(seq, "other") is not None
    assert ledger.plan("chat", [1, *second, 9], 0, movable=True).move == (0, 0)


def test_a_prompt_already_held_leaves_its_last_token_to_compute() -> None:
    ledger = Ledger(n_seq=4, n_cells=100)
    computed(ledger, "file", [1, 2, 3])
    assert ledger.plan("file", [1, 2, 3], reserve=8).reused == 2


def test_another_file_shares_the_cells_of_a_common_context() -> None:
    ledger = Ledger(n_seq=4, n_cells=6)
    first = computed(ledger, "one", [1, 2, 3, 4])
    plan = ledger.plan("two", [1, 2, 3, 9], reserve=0)
    assert (plan.copy_from, plan.keep, plan.copy_to, plan.evict) == (first, 0, 3, ())
    computed(ledger, "two", [1, 2, 3, 9])
    assert ledger.cells_used == 5


def test_the_longest_untouched_sequence_makes_room() -> None:
    ledger = Ledger(n_seq=4, n_cells=6)
    old = computed(ledger, "old", [1, 1])
    computed(ledger, "young", [2, 2])
    computed(ledger, "old", [1, 1, 1])  # used again: now the other one is older
    young = ledger.oldest_idle()
    assert young != old
    assert ledger.plan("new", [3, 3], reserve=0).evict == (young,)


def test_what_a_request_shares_stays_when_its_source_is_evicted() -> None:
    ledger = Ledger(n_seq=4, n_cells=6)
    source = computed(ledger, "source", [1, 1, 1, 2, 2, 2])
    plan = ledger.plan("new", [1, 1, 1, 3], reserve=1)
    assert (plan.copy_from, plan.copy_to, plan.evict) == (source, 3, (source,))
    ledger.apply(plan, "new")
    assert ledger.tokens(plan.seq) == [1, 1, 1]
    assert ledger.cells_used == 3


def test_what_a_request_shares_is_no_room_for_its_answer() -> None:
    ledger = Ledger(n_seq=4, n_cells=6)
    computed(ledger, "source", [1, 1, 1, 2, 2, 2])
    with pytest.raises(OutOfCellsError):
        ledger.plan("new", [1, 1, 1, 3, 3], reserve=2)


def test_what_a_request_shares_is_evicted_last() -> None:
    ledger = Ledger(n_seq=4, n_cells=8)
    computed(ledger, "source", [1, 1, 1, 2])
    younger = computed(ledger, "younger", [3, 3, 3])
    assert ledger.plan("new", [1, 1, 1, 4], reserve=1).evict == (younger,)


def test_with_every_sequence_taken_the_oldest_idle_one_is_reused() -> None:
    ledger = Ledger(n_seq=2, n_cells=100)
    oldest = computed(ledger, "one", [1, 2, 3])
    computed(ledger, "two", [4])
    plan = ledger.plan("three", [1, 2, 9], reserve=0)
    assert (plan.seq, plan.keep) == (oldest, 2)


@pytest.mark.parametrize(("length", "reserve", "fits"), [(4, 4, True), (5, 4, False), (9, 0, False), (8, 0, True)])
def test_a_prompt_and_its_answer_must_fit(length: int, reserve: int, fits: bool) -> None:
    ledger = Ledger(n_seq=2, n_cells=8)
    computed(ledger, "idle", [7] * 8)
    if fits:
        ledger.plan("new", list(range(length)), reserve)
    else:
        with pytest.raises(OutOfCellsError):
            ledger.plan("new", list(range(length)), reserve)


# -- memory that can't be cut ---------------------------------------------------------------------------------------


def checkpointed(ledger: Ledger, key: str, tokens: list[int], points: list[int]) -> int:
    """As ``computed``, with a checkpoint at each of ``points``."""
    plan = ledger.plan(key, tokens, 0)
    ledger.apply(plan, key)
    for token in tokens[plan.reused :]:
        ledger.extend(plan.seq, [token])
        if (length := len(ledger.tokens(plan.seq))) in points:
            ledger.checkpoint(plan.seq, f"state at {length}".encode(), base=points[0])
    ledger.release(plan.seq)
    return plan.seq


def test_memory_that_cannot_be_cut_goes_back_to_a_checkpoint() -> None:
    ledger = Ledger(n_seq=2, n_cells=100, cuttable=False)
    seq = checkpointed(ledger, "file", [1, 2, 3, 4, 5, 6], [2, 4])
    assert ledger.plan("file", [1, 2, 3, 4, 5, 6, 7], 0).keep == 6  # only extended
    assert ledger.plan("file", [1, 2, 3, 4, 5, 9], 0).keep == 4
    assert ledger.plan("file", [1, 2, 3, 9], 0).keep == 2
    assert ledger.plan("file", [1, 9], 0).keep == 0
    assert ledger.state(seq, 4) == b"state at 4"
    assert ledger.last_checkpoint(seq) == 4


def test_memory_that_cannot_be_cut_is_not_copied_in_parts() -> None:
    ledger = Ledger(n_seq=3, n_cells=100, cuttable=False)
    checkpointed(ledger, "one", [1, 2, 3, 4], [2])
    plan = ledger.plan("two", [1, 2, 3, 9], 0)
    assert (plan.copy_from, plan.reused) == (None, 0)


def test_checkpoints_behind_a_cut_are_gone() -> None:
    ledger = Ledger(n_seq=2, n_cells=100, cuttable=False)
    seq = checkpointed(ledger, "file", [1, 2, 3, 4, 5, 6], [2, 4])
    ledger.apply(ledger.plan("file", [1, 2, 3, 9], 0), "file")
    assert ledger.tokens(seq) == [1, 2]
    assert ledger.last_checkpoint(seq) == 2


def test_of_many_checkpoints_the_base_s_and_the_latest_stay() -> None:
    ledger = Ledger(n_seq=2, n_cells=100, cuttable=False)
    tokens = list(range(20))
    checkpointed(ledger, "file", tokens, [3, *range(5, 20)])
    kept = {ledger.plan("file", [*tokens[:length], 99], 0).keep for length in range(1, 20)}
    assert kept == {0, 3, *range(20 - RECENT_CHECKPOINTS, 20)}


def test_a_fork_has_the_checkpoints_too() -> None:
    ledger = Ledger(n_seq=3, n_cells=100, cuttable=False)
    seq = checkpointed(ledger, "file", [1, 2, 3, 4], [2])
    ledger.apply(ledger.plan("file", [1, 2, 3, 4, 5], 0), "file")
    fork = ledger.fork(seq, "file#1")
    assert fork is not None
    assert ledger.state(fork, 2) == b"state at 2"
