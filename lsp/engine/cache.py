"""A model's KV cache: what the ledger plans is carried out by llama.cpp, so that both always say the same."""

from __future__ import annotations

from collections.abc import Iterable

from lsp.engine.ledger import Ledger, Plan
from lsp.engine.llama import Llama
from lsp.engine.prompt import read_prompt
from lsp.engine.protocol import Segment


class KvCache:
    """The sequences of one context.

    Args:
        llama: the model.
        n_seq: how many sequences its context has.
    """

    def __init__(self, llama: Llama, n_seq: int) -> None:
        self._llama = llama
        self.ledger = Ledger(n_seq, llama.n_ctx, llama.cuttable)

    def carry_out(self, plan: Plan, key: str) -> None:
        """Make the sequence of ``key`` hold what ``plan`` says."""
        if plan.move[1]:
            self._llama.move(plan.seq, *plan.move, plan.keep)
        else:
            self._bring_to(plan.seq, plan.keep)
        if plan.copy_from is not None:
            self._llama.copy(plan.copy_from, plan.seq, plan.keep, plan.copy_to)
        for seq in plan.evict:
            self._bring_to(seq, 0)
        self.ledger.apply(plan, key)

    def fork(self, seq: int, key: str) -> int | None:
        """A new sequence that shares all of ``seq``, if need be in place of an idle one; None where there is none."""
        if not self.ledger.has_free_sequence:
            self.evict_oldest()
        new = self.ledger.fork(seq, key)
        if new is not None:
            self._llama.cut(new, 0)
            self._llama.copy(seq, new, 0, -1)
        return new

    def evict_oldest(self) -> bool:
        """Clear the idle sequence used least recently; False where none is idle."""
        oldest = self.ledger.oldest_idle()
        if oldest is None:
            return False
        self._bring_to(oldest, 0)
        self.ledger.evict(oldest)
        return True

    def drop(self, seqs: Iterable[int]) -> None:
        """Clear sequences."""
        for seq in seqs:
            self._bring_to(seq, 0)
            self.ledger.drop(seq)

    def undo(self, seq: int) -> list[int]:
        """Remove what an interrupted batch left behind in ``seq``; the tokens that are to be computed again for it."""
        held = self.ledger.tokens(seq)
        if self._llama.cut(seq, len(held)):
            return []
        # A recurrent state has moved on: what followed the last checkpoint has gone, too.
        point = self.ledger.last_checkpoint(seq)
        lost = held[point:]
        self._bring_to(seq, point)
        self.ledger.cut(seq, point)
        return lost

    def prompts(self, prefix: str) -> dict[str, list[Segment]]:
        """What the sequences hold whose key starts with ``prefix``, by key."""
        vocabulary = self._llama.vocabulary
        return {held.key: read_prompt(held.tokens, vocabulary) for held in self.ledger.with_prefix(prefix)}

    def _bring_to(self, seq: int, length: int) -> None:
        """Cut ``seq``, or restore the checkpoint at ``length`` where its memory can't be cut."""
        if not self._llama.cut(seq, length):
            self._llama.restore(seq, length, self.ledger.state(seq, length))
