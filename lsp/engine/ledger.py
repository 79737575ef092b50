"""The ledger of the KV cache: which tokens each sequence holds, and the cheapest way to a wanted prompt.

Pure bookkeeping, no llama.cpp: the scheduler carries out what ``plan`` says and reports back what was computed.
Cells are counted as llama.cpp's unified cache does: a cell shared by several sequences (``seq_cp``) counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from lsp.engine.config import Adapter

# A sequence's checkpoints: the one at its base's end, and so many at its last lengths.
RECENT_CHECKPOINTS = 4
# All states together. One is some kilobytes for short convolutions, 75 MB for a large state space.
MAX_STATE_BYTES = 512 * 1024 * 1024
# Fewer tokens than this aren't worth moving.
MIN_MOVED = 32
# How many evicted keys are remembered, only to say why their tokens are computed again.
MAX_EVICTED = 256


@dataclass
class Held:
    """A sequence of the KV cache: position i holds ``tokens[i]`` in cell ``cells[i]``.

    ``checkpoints`` are the lengths to which memory that can't be cut can be brought back, with the states that do it.
    ``adapters`` are what it was computed with; sequences of different ones share nothing.
    """

    seq: int
    key: str
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    last_used: int = 0
    active: bool = False
    checkpoints: dict[int, bytes] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How to make sequence ``seq`` hold a wanted prompt.

    Args:
        seq: the sequence to use.
        keep: how many of its first tokens stay; the rest is cut.
        copy_from: a sequence to take tokens ``keep`` to ``copy_to`` from, if any.
        copy_to: end of the copied part; equals ``keep`` when nothing is copied.
        evict: sequences to clear afterwards, to make room.
        move: which of its tokens, from where to where, are moved down to ``keep`` instead of being cut; none if empty.
        adapters: what the sequence is computed with.
    """

    seq: int
    keep: int
    copy_from: int | None
    copy_to: int
    evict: tuple[int, ...]
    move: tuple[int, int] = (0, 0)
    adapters: tuple[Adapter, ...] = ()

    @property
    def reused(self) -> int:
        """How many tokens of the prompt need no computing."""
        start, end = self.move
        return self.copy_to + end - start


class OutOfCellsError(Exception):
    """The prompt and its answer don't fit, even with every idle sequence evicted."""


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix of two token lists."""
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:  # the usual case, and a comparison in C
        return limit
    return next(i for i in range(limit) if a[i] != b[i])


class Ledger:
    """Tokens and cells of every sequence of one context.

    Args:
        n_seq: how many sequences the context has.
        n_cells: how many cells they share.
        cuttable: whether a sequence can be cut and copied at any length, as attention's memory can; a recurrent
            model's can only be extended, or brought back to a checkpoint.
        min_moved: fewer tokens than this aren't moved.
    """

    def __init__(self, n_seq: int, n_cells: int, cuttable: bool = True, min_moved: int = MIN_MOVED) -> None:
        self.n_cells = n_cells
        self._min_moved = min_moved
        self._cuttable = cuttable
        self._evicted: dict[str, None] = {}  # keys, oldest first
        self._held: dict[int, Held] = {}
        self._free_seqs = list(range(n_seq - 1, -1, -1))
        self._references: Counter[int] = Counter()
        self._next_cell = 0
        self._clock = 0

    @property
    def cells_used(self) -> int:
        """Distinct cells in use."""
        return len(self._references)

    def __len__(self) -> int:
        return len(self._held)

    def tokens(self, seq: int) -> list[int]:
        """The tokens that ``seq`` holds, in order of position."""
        return self._held[seq].tokens

    def held_by(self, key: str) -> list[int]:
        """The tokens that the sequence of ``key`` holds; none where it has no sequence."""
        own = self._by_key(key)
        return own.tokens if own else []

    def plan(
        self,
        key: str,
        wanted: Sequence[int],
        reserve: int,
        *,
        movable: bool = False,
        adapters: tuple[Adapter, ...] = (),
    ) -> Plan:
        """The cheapest way to make the sequence of ``key`` hold ``wanted``.

        At least the last token is left to compute, since its logits are what the caller is after.

        Args:
            key: the sequence's name; a new one is taken when none has it.
            wanted: the prompt, not empty.
            reserve: how many cells the answer may need.
            movable: whether tokens may be moved to other positions. What was computed for them holds a memory of what
                stood before them then, so that an answer may differ from one that is computed from scratch.
            adapters: what it is to be computed with; what others have computed is of no use to it.

        Raises:
            OutOfCellsError: there is no room, even with every idle sequence evicted.
        """
        wanted = list(wanted)
        limit = len(wanted) - 1
        own = self._by_key(key)
        if own is None and not self._free_seqs:
            own = self._oldest_idle()  # taken over, with whatever prefix it shares
            if own is None:
                raise OutOfCellsError
        fits = own is not None and own.adapters == adapters
        keep = self._reachable(own, min(common_prefix(own.tokens, wanted), limit)) if own and fits else 0
        source, copy_to = None, keep
        for other in self._held.values() if self._cuttable else ():
            shared = min(common_prefix(other.tokens, wanted), limit)
            if other is not own and other.adapters == adapters and shared > copy_to:
                source, copy_to = other, shared
        may_move = movable and own is not None and fits and own.key == key
        move = self._movable(own, keep, wanted[:limit]) if own and may_move else (0, 0)
        if keep + move[1] - move[0] > copy_to:
            source, copy_to = None, keep
        else:
            move = (0, 0)
        needed = len(wanted) - (copy_to + move[1] - move[0]) + reserve
        evict = self._make_room(own, keep, source, copy_to, move, needed)
        seq = own.seq if own else self._free_seqs[-1]
        return Plan(seq, keep, source.seq if source else None, copy_to, evict, move, adapters)

    def _movable(self, own: Held, keep: int, wanted: Sequence[int]) -> tuple[int, int]:
        """The longest part of ``wanted`` from ``keep`` on that ``own`` holds further on, from where to where.

        Cells that another sequence shares stay where they are.
        """
        least = self._min_moved
        first = list(wanted[keep : keep + least])
        starts = range(keep + 1, len(own.tokens) - least + 1) if len(first) == least else ()
        best = (0, 0)
        for start in starts:
            if own.tokens[start] == first[0] and own.tokens[start : start + least] == first:
                end = start + common_prefix(own.tokens[start:], wanted[keep:])
                if end - start > best[1] - best[0]:
                    best = start, end
        shared = any(self._references[cell] > 1 for cell in own.cells[slice(*best)])
        return (0, 0) if shared else best

    def apply(self, plan: Plan, key: str) -> None:
        """Record that ``plan`` was carried out: cut, moved, copied, others evicted. The sequence becomes active."""
        if plan.seq not in self._held:
            self._free_seqs.remove(plan.seq)
            self._held[plan.seq] = Held(plan.seq, key)
        held = self._held[plan.seq]
        if held.key != key:
            self._note_eviction(held.key)
            held.key = key
        held.adapters = plan.adapters
        start, end = plan.move
        tokens, cells = held.tokens[start:end], held.cells[start:end]
        self._references.update(cells)
        self._cut(held, plan.keep)
        held.tokens += tokens
        held.cells += cells
        if plan.copy_from is not None:
            source = self._held[plan.copy_from]
            shared = source.cells[plan.keep : plan.copy_to]
            held.tokens += source.tokens[plan.keep : plan.copy_to]
            held.cells += shared
            self._references.update(shared)
        for seq in plan.evict:
            self.evict(seq)
        self._evicted.pop(key, None)
        held.active = True
        self._touch(held)

    @property
    def has_free_sequence(self) -> bool:
        """Whether a sequence is free without evicting one."""
        return bool(self._free_seqs)

    def reserve(self, key: str, adapters: tuple[Adapter, ...] = ()) -> int:
        """A free sequence for ``key``, active and empty; to be called only where one is free."""
        seq = self._free_seqs.pop()
        self._held[seq] = Held(seq, key, active=True, adapters=adapters)
        self._touch(self._held[seq])
        return seq

    def extend(self, seq: int, tokens: Iterable[int]) -> None:
        """Record that ``tokens`` were computed at the end of ``seq``."""
        held = self._held[seq]
        for token in tokens:
            held.tokens.append(token)
            held.cells.append(self._next_cell)
            self._references[self._next_cell] = 1
            self._next_cell += 1

    def release(self, seq: int) -> None:
        """The request on ``seq`` ended; its tokens stay until their cells are needed."""
        held = self._held[seq]
        held.active = False
        self._touch(held)

    def fork(self, seq: int, key: str) -> int | None:
        """A new active sequence that shares all cells of ``seq``, or None when no sequence is free."""
        if not self._free_seqs:
            return None
        new = self._free_seqs.pop()
        held = self._held[seq]
        self._held[new] = replace(
            held,
            seq=new,
            key=key,
            tokens=[*held.tokens],
            cells=[*held.cells],
            checkpoints={**held.checkpoints},
            active=True,
        )
        self._references.update(held.cells)
        self._touch(self._held[new])
        return new

    def evict(self, seq: int) -> None:
        """Record that ``seq`` was cleared to make room; its key is remembered."""
        self._note_eviction(self._held[seq].key)
        self.drop(seq)

    def drop(self, seq: int) -> None:
        """Record that ``seq`` was cleared."""
        self._cut(self._held[seq], 0)
        del self._held[seq]
        self._free_seqs.append(seq)

    def oldest_idle(self) -> int | None:
        """The idle sequence used least recently."""
        oldest = self._oldest_idle()
        return oldest.seq if oldest else None

    def was_evicted(self, key: str) -> bool:
        """Whether the sequence of ``key`` was given up to make room."""
        return key in self._evicted

    def checkpoint(self, seq: int, state: bytes, base: int) -> None:
        """Record ``state``, to which ``seq`` can be brought back from now on.

        Where there are too many, others go; that at the length ``base`` stays.
        """
        held = self._held[seq]
        held.checkpoints[len(held.tokens)] = state
        for point in sorted(held.checkpoints.keys() - {base})[:-RECENT_CHECKPOINTS]:
            del held.checkpoints[point]
        self._limit_states(held)

    def last_checkpoint(self, seq: int) -> int:
        """The greatest length to which ``seq`` can be brought back, were it to move on; 0 where there is none."""
        return max(self._held[seq].checkpoints, default=0)

    def state(self, seq: int, length: int) -> bytes:
        """The state of the checkpoint at ``length``."""
        return self._held[seq].checkpoints[length]

    def cut(self, seq: int, length: int) -> None:
        """Record that ``seq`` was cut, or brought back, to ``length``."""
        self._cut(self._held[seq], length)

    def idle(self) -> list[Held]:
        """Sequences without a request, used most recently first; not to be changed."""
        return sorted((h for h in self._held.values() if not h.active), key=lambda h: h.last_used, reverse=True)

    def holds(self, key: str) -> bool:
        """Whether ``key`` has a sequence."""
        return self._by_key(key) is not None

    def with_prefix(self, prefix: str) -> list[Held]:
        """Sequences whose key starts with ``prefix``; not to be changed."""
        return [held for held in self._held.values() if held.key.startswith(prefix)]

    def is_active(self, key: str) -> bool:
        """Whether a request is using the sequence of ``key``."""
        held = self._by_key(key)
        return held is not None and held.active

    def _by_key(self, key: str) -> Held | None:
        return next((held for held in self._held.values() if held.key == key), None)

    def _note_eviction(self, key: str) -> None:
        self._evicted[key] = None
        if len(self._evicted) > MAX_EVICTED:
            del self._evicted[next(iter(self._evicted))]

    def _reachable(self, held: Held, length: int) -> int:
        """The greatest length up to ``length`` to which ``held`` can be brought back."""
        if self._cuttable or length == len(held.tokens):
            return length
        return max((point for point in held.checkpoints if point <= length), default=0)

    def _limit_states(self, latest: Held) -> None:
        """Drop states of the sequences used least recently, their bases' last, until the rest is small enough."""
        states = {id(state): len(state) for held in self._held.values() for state in held.checkpoints.values()}
        total = sum(states.values())
        for held in sorted((h for h in self._held.values() if h is not latest), key=lambda held: held.last_used):
            while total > MAX_STATE_BYTES and held.checkpoints:
                total -= len(held.checkpoints.pop(max(held.checkpoints)))

    def _oldest_idle(self) -> Held | None:
        idle = (held for held in self._held.values() if not held.active)
        return min(idle, key=lambda held: held.last_used, default=None)

    def _make_room(
        self, own: Held | None, keep: int, source: Held | None, copy_to: int, move: tuple[int, int], needed: int
    ) -> tuple[int, ...]:
        """Idle sequences to evict, least recently used first, until ``needed`` cells are free."""
        references = self._references.copy()

        def remove(cells: Sequence[int]) -> None:
            for cell in cells:
                references[cell] -= 1
                if not references[cell]:
                    del references[cell]

        if own:
            remove(own.cells[keep:])
            references.update(own.cells[slice(*move)])
        if source:
            references.update(source.cells[keep:copy_to])
        # The source goes last: what it shares stays, but its own tail may be the next request's prefix.
        spare = sorted(
            (held for held in self._held.values() if not held.active and held is not own),
            key=lambda held: (held is source, held.last_used),
        )
        evict: list[int] = []
        while self.n_cells - len(references) < needed:
            if not spare:
                raise OutOfCellsError
            victim = spare.pop(0)
            remove(victim.cells)
            evict.append(victim.seq)
        return tuple(evict)

    def _cut(self, held: Held, length: int) -> None:
        for cell in held.cells[length:]:
            self._references[cell] -= 1
            if not self._references[cell]:
                del self._references[cell]
        del held.tokens[length:], held.cells[length:]
        held.checkpoints = {point: state for point, state in held.checkpoints.items() if point <= length}

    def _touch(self, held: Held) -> None:
        self._clock += 1
        held.last_used = self._clock
