"""One loop that owns the model: admits requests, builds batches by priority, samples, and streams.

The loop runs in its own thread. ``submit``, ``cancel`` and ``forget`` may be called from any other; they leave a note
in the inbox and, where it matters at once, raise the abort flag that llama.cpp looks at between two operations.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from lsp.engine.ledger import Ledger, OutOfCellsError
from lsp.engine.llama import AbortedError, Entry, Llama, NoCellsError
from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Token, Usage
from lsp.engine.run import Run
from lsp.engine.sampling import Choice, best

logger = logging.getLogger(__name__)

# A newly arrived completion waits for at most one batch, so a batch is short: at 100 tokens/s, 64 take 0.6 s.
PREFILL_BATCH = 64
# Warm-up is interrupted by any completion; shorter batches lose less work when that happens.
WARM_BATCH = 32
# After so many batches failed in a row the context is beyond repair, and a new process is the cure.
MAX_FAILURES = 3


@dataclass
class Job:
    """A request under way."""

    owner: Hashable
    request: Generate
    emit: Callable[[EngineMessage], None]
    arrived: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    first_token: float = 0.0
    prefilled: float = 0.0
    evaluated: int = 0
    reused: int = 0
    cancelled: bool = False
    runs: list[Run] = field(default_factory=list)

    @property
    def warm(self) -> bool:
        """Whether this is background work."""
        return self.request.priority == "warm"

    @property
    def rank(self) -> tuple[bool, float]:
        """Order of service: completions first, then by arrival."""
        return (self.warm, self.arrived)

    def usage(self) -> Usage:
        """What it cost up to now."""
        now = time.perf_counter()
        started = self.started or now

        def ms(start: float, end: float) -> float:
            return round((end - start) * 1000, 2) if end else 0.0

        return Usage(
            tokens_evaluated=self.evaluated,
            tokens_reused=self.reused,
            tokens_generated=sum(run.generated for run in self.runs),
            queue_ms=ms(self.arrived, started),
            prefill_ms=ms(started, self.prefilled),
            first_token_ms=ms(self.arrived, self.first_token),
            generate_ms=ms(self.prefilled, now) if self.prefilled else 0.0,
        )


class Scheduler:
    """The batch loop.

    Args:
        llama: the model; used by this loop's thread only, once ``loop`` runs.
        n_seq: sequences of its context.
        on_busy: called from the loop's thread when completions begin (True) and when none is left (False).
    """

    def __init__(self, llama: Llama, n_seq: int, on_busy: Callable[[bool], None]) -> None:
        self._llama = llama
        self.ledger = Ledger(n_seq, llama.n_ctx)
        self.tokens_prewarmed = 0
        self._on_busy = on_busy
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs: dict[tuple[Hashable, int], Job] = {}
        self._waiting: list[Job] = []
        self._active: list[Job] = []
        self._in_batch: list[Job] = []
        self._busy = False
        self._failures = 0
        self._eog = np.array(sorted(llama.vocabulary.eog), dtype=np.int64)
        # A base's text comes with each keystroke: tokenising it once is enough.
        self._tokenize = lru_cache(maxsize=64)(llama.tokenize)
        self._spelling = lru_cache(maxsize=256)(llama.vocabulary.spelling)

    # -- from any thread -------------------------------------------------------------------------------------------

    def submit(self, owner: Hashable, request: Generate, emit: Callable[[EngineMessage], None]) -> None:
        """Take a request; its messages go to ``emit``, called from the loop's thread."""
        job = Job(owner, request, emit)
        self._jobs[owner, request.id] = job
        self._inbox.put(lambda: self._waiting.append(job))
        if not job.warm and any(running.warm for running in self._in_batch):
            self._llama.abort = True

    def cancel(self, owner: Hashable, request_id: int, branch: int | None = None) -> None:
        """End a request, or one branch of it; of no effect when it has ended."""
        job = self._jobs.get((owner, request_id))
        if job is None:
            return
        if branch is not None:
            self._inbox.put(lambda: self._end_branch(job, branch))
            return
        job.cancelled = True
        self._inbox.put(lambda: None)
        batch = self._in_batch
        if batch and all(running.cancelled for running in batch):
            self._llama.abort = True

    def cancel_all(self, owner: Hashable) -> None:
        """End all requests of ``owner``, which has gone."""
        for job_owner, request_id in list(self._jobs):
            if job_owner == owner:
                self.cancel(job_owner, request_id)

    def forget(self, prefix: str) -> None:
        """Give back the idle sequences whose key starts with ``prefix``."""
        self._inbox.put(lambda: self._drop(self.ledger.forget(prefix)))

    def stop(self) -> None:
        """Let ``loop`` return after the batch under way."""
        self._llama.abort = True
        self._inbox.put(None)

    # -- the loop's thread -----------------------------------------------------------------------------------------

    def loop(self) -> None:
        """Serve until ``stop``.

        Raises:
            RuntimeError: llama.cpp failed again and again.
        """
        while self.step():
            pass

    def step(self) -> bool:
        """Read the inbox and compute one batch; waits for a note when there is nothing to do.

        Returns:
            False where ``stop`` was called.

        Raises:
            RuntimeError: llama.cpp failed again and again.
        """
        # Reset before reading the inbox: whoever raises the flag has put their note there first.
        self._llama.abort = False
        if not self._read_inbox(block=not self._waiting and not self._active):
            return False
        self._end_cancelled()
        self._admit()
        self._tell_busy()
        batch = self._next_batch()
        if batch:
            self._compute(batch)
        return True

    def _read_inbox(self, block: bool) -> bool:
        while True:
            try:
                note = self._inbox.get(block=block)
            except queue.Empty:
                return True
            if note is None:
                return False
            note()
            block = False

    def _end_branch(self, job: Job, branch: int) -> None:
        for run in job.runs:
            if run.branch == branch and job in self._active:
                run.ended = run.ended or "length"
        self._end_if_complete(job)

    def _end_cancelled(self) -> None:
        for job in [job for job in self._waiting + self._active if job.cancelled]:
            self._end(job, Done(job.request.id, "cancelled", job.usage()))

    def _admit(self) -> None:
        """Start the waiting requests whose sequence is free, first come first served within a priority."""
        for job in sorted(self._waiting, key=lambda job: job.rank):
            if job.warm and any(not other.warm for other in self._active):
                return
            for other in [a for a in self._active if a.warm and a.request.key == job.request.key]:
                # What it has computed stays in the sequence: the newcomer takes over from there.
                self._end(other, Done(other.request.id, "cancelled", other.usage()))
            if not self.ledger.is_active(job.request.key):
                self._start(job)

    def _start(self, job: Job) -> None:
        request = job.request
        vocabulary = self._llama.vocabulary
        prompt = compile_prompt(request.prompt, vocabulary, self._tokenize, request.heal)
        if not prompt.tokens:
            self._end(job, Failed(request.id, "The prompt is empty."))
            return
        try:
            plan = self.ledger.plan(request.key, prompt.tokens, request.max_tokens * request.branches)
        except OutOfCellsError:
            if any(not other.warm for other in self._active):
                return  # it waits for the cells of the requests before it
            self._end(job, self._too_long(job, len(prompt.tokens)))
            return
        for other in plan.evict:
            logger.debug("evicting sequence %d", other)
        if not self._llama.cut(plan.seq, plan.keep):
            # Memory that can't be cut (recurrent, sliding window): begin this sequence afresh.
            self._llama.cut(plan.seq, 0)
            plan = replace(plan, keep=0, copy_from=None, copy_to=0)
        if plan.copy_from is not None:
            self._llama.copy(plan.copy_from, plan.seq, plan.keep, plan.copy_to)
        for seq in plan.evict:
            self._llama.cut(seq, 0)
        self.ledger.apply(plan, request.key)
        self._waiting.remove(job)
        self._active.append(job)
        job.started = time.perf_counter()
        job.reused = plan.reused
        job.runs = [Run(0, plan.seq, prompt.tokens[plan.reused :], prompt.heal)]

    def _too_long(self, job: Job, length: int) -> Failed:
        return Failed(
            job.request.id,
            f"The prompt of {length} tokens and its answer don't fit into a context of {self._llama.n_ctx} tokens.",
            "Set a larger `model.n_ctx`.",
        )

    def _next_batch(self) -> list[tuple[Job, Run, int]]:
        """The runs to serve next, each with how many of its pending tokens to compute."""
        warm = all(job.warm for job in self._active)
        room = WARM_BATCH if warm else PREFILL_BATCH
        runs = [(job, run) for job in self._active if job.warm == warm for run in job.runs if not run.ended]
        batch = []
        for job, run in sorted(runs, key=lambda pair: (len(pair[1].pending), pair[0].rank)):
            count = min(len(run.pending), room)
            if count:
                batch.append((job, run, count))
                room -= count
        return batch

    def _compute(self, batch: list[tuple[Job, Run, int]]) -> None:
        entries: list[Entry] = []
        for job, run, count in batch:
            position = len(self.ledger.tokens(run.seq))
            sampled = count == len(run.pending) and job.request.max_tokens > 0
            for i, token in enumerate(run.pending[:count]):
                entries.append(Entry(token, position + i, run.seq, sampled and i == count - 1))
        self._in_batch = list({id(job): job for job, _, _ in batch}.values())
        try:
            self._llama.decode(entries)
        except AbortedError:
            self._undo(batch)
            return
        except NoCellsError:
            self._undo(batch)
            self._make_room(batch)
            return
        except RuntimeError as error:
            self._fail(batch, str(error))
            return
        finally:
            self._in_batch = []
        self._failures = 0
        end = 0
        for job, run, count in batch:
            end += count
            self._advance(job, run, count, end - 1)

    def _advance(self, job: Job, run: Run, count: int, index: int) -> None:
        """Book ``count`` computed tokens of a run; where its prompt is done, choose the next token."""
        self.ledger.extend(run.seq, run.pending[:count])
        del run.pending[:count]
        if not run.generated:
            job.evaluated += count
            if job.warm:
                self.tokens_prewarmed += count
        if run.pending:
            return
        if not job.prefilled:
            job.prefilled = time.perf_counter()
        if job.request.max_tokens == 0:
            self._end(job, Done(job.request.id, "length", job.usage()))
            return
        allowed = self._spelling(run.heal) if run.heal else None
        wanted = job.request.branches if not run.generated else 1
        choices = best(self._llama.logits(index), self._eog, allowed, wanted)
        for branch, choice in enumerate(choices[1:], 1):
            self._fork(job, run, branch, choice)
        self._take(job, run, choices[0])

    def _fork(self, job: Job, run: Run, branch: int, choice: Choice) -> None:
        seq = self.ledger.fork(run.seq, f"{job.request.key}#{branch}")
        if seq is None:
            return  # fewer alternatives rather than none
        self._llama.cut(seq, 0)
        self._llama.copy(run.seq, seq, 0, -1)
        other = Run(branch, seq, [], run.heal)
        job.runs.append(other)
        self._take(job, other, choice)

    def _take(self, job: Job, run: Run, choice: Choice) -> None:
        """Append the chosen token to a run, and tell its client."""
        if choice.token in self._llama.vocabulary.eog:
            run.ended = "eog"
        else:
            text = run.take(choice.token, self._llama.vocabulary.pieces[choice.token])
            if not job.first_token:
                job.first_token = time.perf_counter()
            job.emit(Token(job.request.id, run.branch, text, choice.logprob, choice.eog))
            if run.generated >= job.request.max_tokens:
                run.ended = "length"
        self._end_if_complete(job)

    def _end_if_complete(self, job: Job) -> None:
        if job in self._active and all(run.ended for run in job.runs):
            self._end(job, Done(job.request.id, job.runs[0].ended or "length", job.usage()))

    def _end(self, job: Job, last: Done | Failed) -> None:
        """Take a job out, keep what its first run computed, and tell its client."""
        if job in self._waiting:
            self._waiting.remove(job)
        if job in self._active:
            self._active.remove(job)
            self.ledger.release(job.runs[0].seq)
            self._drop([run.seq for run in job.runs[1:]])
        self._jobs.pop((job.owner, job.request.id), None)
        job.emit(last)

    def _drop(self, seqs: list[int]) -> None:
        for seq in seqs:
            self._llama.cut(seq, 0)
            self.ledger.drop(seq)

    def _undo(self, batch: list[tuple[Job, Run, int]]) -> None:
        """Remove what an interrupted batch left behind in the cache."""
        for _, run, _ in batch:
            self._llama.cut(run.seq, len(self.ledger.tokens(run.seq)))

    def _make_room(self, batch: list[tuple[Job, Run, int]]) -> None:
        oldest = self.ledger.oldest_idle()
        if oldest is not None:
            self._drop([oldest])
            return
        job = max((job for job, _, _ in batch), key=lambda job: job.rank)
        self._end(job, self._too_long(job, len(self.ledger.tokens(job.runs[0].seq))))

    def _fail(self, batch: list[tuple[Job, Run, int]], reason: str) -> None:
        self._failures += 1
        logger.error("a batch failed: %s", reason)
        for job in {id(job): job for job, _, _ in batch}.values():
            seq = job.runs[0].seq
            self._end(job, Failed(job.request.id, f"llama.cpp failed: {reason}."))
            self._drop([seq])
        if self._failures >= MAX_FAILURES:
            raise RuntimeError(reason)

    def _tell_busy(self) -> None:
        busy = any(not job.warm for job in self._active)
        if busy != self._busy:
            self._busy = busy
            self._on_busy(busy)
