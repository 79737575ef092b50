"""What one batch of llama.cpp's is made of: whose tokens, and how many."""

from __future__ import annotations

from dataclasses import dataclass

from lsp.engine.config import Adapter
from lsp.engine.job import Job
from lsp.engine.ledger import Ledger
from lsp.engine.run import Run

# A newly arrived completion waits for at most one batch, so a batch is short: at 85 tokens/s, 32 take 0.4 s.
PREFILL_BATCH = 32
# Background work is interrupted by whatever a user waits for, and what is interrupted is lost: at 75 tokens/s, 16 take
# 0.2 s, as long as the pause between two keystrokes.
BACKGROUND_BATCH = 16
# So few tokens are computed sooner than their interruption pays.
SHORT_BATCH = 4

# Where requests of equal rank want other adapters, they take turns of so many tokens at least: a change takes 6 ms, as
# long as a fifth of a token, and while one waits, its tokens don't come.
ADAPTER_TURN = 8

Batch = list[tuple[Job, Run, int]]
"""Runs, each with how many of its pending tokens to compute."""


def compose(jobs: list[Job], ledger: Ledger, *, cuttable: bool) -> Batch:
    """The runs to serve next.

    The highest rank has the batch. While it only decodes, lower ranks that somebody watches decode along: a step for
    three sequences costs less than three, and so typing never starves a chat. What other programs ask stands still
    while a completion is written: the user sees nothing of it but the delay.

    Args:
        jobs: those under way, the most urgent first, at least one; all with the same adapters.
        ledger: what their sequences hold.
        cuttable: whether the model's memory can be cut at any place.
    """
    rank = jobs[0].rank
    runs = [(job, run) for job in jobs if job.rank == rank for run in job.open_runs]
    if all(len(run.pending) == 1 for _, run in runs):
        along = ("chat",) if jobs[0].request.priority == "completion" else ("chat", "guest")
        runs += [
            (job, run)
            for job in jobs
            if job.rank > rank and job.request.priority in along
            for run in job.open_runs
            if len(run.pending) == 1
        ]
    if not cuttable:
        # llama.cpp computes recurrent states together only where they move on by the same number of tokens.
        runs = next(([pair] for pair in runs if len(pair[1].pending) > 1), runs)
    room = BACKGROUND_BATCH if jobs[0].background else PREFILL_BATCH
    batch: Batch = []
    for job, run in sorted(runs, key=lambda pair: len(pair[1].pending) > 1):
        count = min(len(run.pending), room)
        if not cuttable:
            count = _up_to_checkpoint(run, count, len(ledger.tokens(run.seq)))
        if count:
            batch.append((job, run, count))
            room -= count
    return batch


@dataclass
class AdapterTurns:
    """Whose adapters are next: a batch is computed with one set of them."""

    _latest: tuple[Adapter, ...] = ()
    _tokens: int = 0

    def choose(self, jobs: list[Job]) -> list[Job]:
        """Of ``jobs``, the most urgent first, those that can be computed together; of equal ranks each has its turn."""
        urgent = dict.fromkeys(job.request.adapters for job in jobs if job.rank == jobs[0].rank)
        wanted = list(urgent)
        chosen = wanted[0]
        if self._latest in urgent:
            done = self._tokens >= ADAPTER_TURN
            chosen = wanted[(wanted.index(self._latest) + done) % len(wanted)]
        return [job for job in jobs if job.request.adapters == chosen]

    def took(self, batch: Batch) -> tuple[Adapter, ...]:
        """The adapters of a batch that is computed now."""
        adapters = batch[0][0].request.adapters
        count = sum(count for _, _, count in batch)
        self._tokens = self._tokens + count if adapters == self._latest else count
        self._latest = adapters
        return adapters


def is_short(batch: Batch, *, cuttable: bool) -> bool:
    """Whether it takes so little time that it isn't worth an interruption.

    Guesses may always be made again, and so may a token for another program, where it leaves nothing to clear up.
    """
    if cuttable and all(job.request.priority == "guest" for job, _, _ in batch):
        return False
    return sum(count for _, _, count in batch) <= SHORT_BATCH and not any(run.draft for _, run, _ in batch)


def _up_to_checkpoint(run: Run, count: int, held: int) -> int:
    """``count``, or less where memory that can't be cut is worth a checkpoint.

    That is at the base's end, and shortly before the prompt's: the next prompt often differs in its last tokens.
    """
    if held < run.base < held + count:
        return run.base - held
    return count - count // 4 if count == len(run.pending) > SHORT_BATCH else count
