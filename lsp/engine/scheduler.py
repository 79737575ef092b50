"""One loop that owns the model: admits requests, builds batches by priority, samples, and streams.

The loop runs in its own thread. ``submit``, ``cancel``, ``forget`` and ``recall`` may be called from any other; they
leave a note in the inbox and, where it matters at once, raise the abort flag that llama.cpp looks at between two
operations.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections.abc import Callable, Hashable
from functools import lru_cache

import numpy as np

from lsp.engine.batching import BACKGROUND_BATCH, AdapterTurns, Batch, compose, is_short
from lsp.engine.cache import KvCache
from lsp.engine.drafting import Drafter
from lsp.engine.job import Job, in_turn, no_numbers, too_long, why
from lsp.engine.ledger import OutOfCellsError
from lsp.engine.llama import AbortedError, Entry, Llama, NoCellsError
from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import Control, Done, EngineMessage, Failed, Generate, Recalled, Token
from lsp.engine.run import Run
from lsp.engine.sampling import Choice, best
from lsp.engine.turn import Turn
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

# After so many batches failed in a row the context is beyond repair, and a new process is the cure.
MAX_FAILURES = 3
# While somebody types on and on, the engine is never idle; the next base gets one batch in so many all the same.
ANCHOR_TURN = 6
# With nothing to do for so long, the engine is idle.
IDLE_SECONDS = 1.0


class Scheduler:
    """The batch loop.

    Args:
        llama: the model; used by this loop's thread only, once ``loop`` runs.
        n_seq: sequences of its context.
        on_busy: called from the loop's thread when requests that a user waits for begin (True) and when none is
            left (False).
        on_idle: called from the loop's thread when there is nothing to do; returns whether it wants to be called
            again soon.
        turn: shared by the schedulers of all models in this process.
    """

    def __init__(
        self,
        llama: Llama,
        n_seq: int,
        on_busy: Callable[[bool], None] = lambda _: None,
        on_idle: Callable[[], bool] = lambda: False,
        turn: Turn | None = None,
    ) -> None:
        self._llama = llama
        self._turn = turn or Turn()
        self._cache = KvCache(llama, n_seq)
        self.ledger = self._cache.ledger
        self.tokens_prewarmed = 0
        self.prefill_per_second = 0.0
        self._on_busy = on_busy
        self._on_idle = on_idle
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs: dict[tuple[Hashable, int], Job] = {}
        self._waiting: list[Job] = []
        self._active: list[Job] = []
        self._in_batch: Batch = []
        self._computed: list[Job] = []  # of the latest batch
        self._in_base = False  # whether the batch computes part of a base that somebody waits for
        self._busy = False
        self._idle_work = False
        self._failures = 0
        self._steps_without_anchor = 0
        self._adapters = AdapterTurns()
        self.drafter = Drafter()
        self._eog = np.array(sorted(llama.vocabulary.eog), dtype=np.int64)
        # A base's text comes with each keystroke: tokenising it once is enough.
        self._tokenize = lru_cache(maxsize=64)(llama.tokenize)
        self._tokenize_control = lru_cache(maxsize=64)(llama.tokenize_control)
        self._spelling = lru_cache(maxsize=256)(llama.vocabulary.spelling)

    # -- from any thread -------------------------------------------------------------------------------------------

    def submit(self, owner: Hashable, request: Generate, emit: Callable[[EngineMessage], None]) -> None:
        """Take a request; its messages go to ``emit``, called from the loop's thread."""
        job = Job(owner, request, emit)
        self._jobs[owner, request.id] = job
        self._inbox.put(lambda: self._waiting.append(job))
        batch = self._in_batch
        if (
            batch
            and all(job.rank < other.rank for other, _, _ in batch)
            and not is_short(batch, cuttable=self._llama.cuttable)
        ):
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
        # A base under way is what the next request stands on: thrown away with each key, it would never get ready.
        if batch and all(other.cancelled for other, _, _ in batch) and not self._in_base:
            self._llama.abort = True

    def cancel_all(self, owner: Hashable) -> None:
        """End all requests of ``owner``, which has gone."""
        for job_owner, request_id in list(self._jobs):
            if job_owner == owner:
                self.cancel(job_owner, request_id)

    def forget(self, prefix: str, then: Callable[[], None] | None = None) -> None:
        """Give back the idle sequences whose key starts with ``prefix``.

        ``then``, if given, is called behind that; requests that use such a sequence are ended, and nothing stays.
        """
        self._inbox.put(lambda: self._forget(prefix, then))

    def recall(self, request_id: int, prefix: str, emit: Callable[[EngineMessage], None]) -> None:
        """Tell ``emit`` what the sequences whose key starts with ``prefix`` hold."""
        self._inbox.put(lambda: emit(Recalled(request_id, self._cache.prompts(prefix))))

    @property
    def has_requests(self) -> bool:
        """Whether a request is waiting or under way."""
        return bool(self._jobs)

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
        try:
            while self.step():
                pass
        finally:
            self._turn.leave(self)

    def step(self) -> bool:
        """One turn: read the inbox (waiting for it when there is nothing to do), then compute one batch.

        Returns:
            False once ``stop`` was called.

        Raises:
            RuntimeError: llama.cpp failed again and again.
        """
        # Reset before reading the inbox: whoever raises the flag has put their note there first.
        self._llama.abort = False
        if not self._read_inbox():
            return False
        for job in [job for job in self._waiting + self._active if job.cancelled]:
            self._end(job, Done(job.request.id, "cancelled", job.usage()))
        self._admit()
        self._tell_busy()
        batch = self._next_batch()
        if not batch:
            return True
        with self._turn.take(self, batch[0][0].rank, self._interrupt) as mine:
            if mine:
                self._compute(batch)
        self._idle_work = True
        self._tell_busy()
        return True

    def _interrupt(self) -> None:
        """Called from another model's thread, which has something more urgent to compute."""
        batch = self._in_batch
        if batch and not is_short(batch, cuttable=self._llama.cuttable):
            self._llama.abort = True

    def _read_inbox(self) -> bool:
        wait = not self._waiting and not self._active
        if wait:
            self._turn.leave(self)
        while True:
            try:
                timeout = IDLE_SECONDS if self._idle_work else None
                note = self._inbox.get(block=wait, timeout=timeout if wait else None)
            except queue.Empty:
                if not wait:
                    return True
                self._idle_work = self._on_idle()
                continue
            if note is None:
                return False
            note()
            wait = False

    def _admit(self) -> None:
        """Start the waiting requests whose sequence is free."""
        for job in in_turn(self._waiting):
            for other in [a for a in self._active if a.request.key == job.request.key and a.rank > job.rank]:
                # What it has computed stays in the sequence: the newcomer takes over from there.
                self._end(other, Done(other.request.id, "cancelled", other.usage()))
            # One that was paused for want of cells would take them away again at once.
            paused = bool(job.runs) and any(not other.background for other in self._active)
            if not paused and not self.ledger.is_active(job.request.key) and not self._start(job):
                return  # or those behind it would take the cells that it waits for

    def _start(self, job: Job) -> bool:
        """Give a job a sequence, or refuse it; False if it has to wait for cells."""
        request = job.request
        run = job.runs[0] if job.runs else self._first_run(request)
        tokens = run.pending  # of a request that was paused, also what it has generated
        if refused := self._refusal(request, tokens):
            self._end(job, refused)
            return True
        known = self.ledger.holds(request.key)
        # Less urgent requests can wait for the cells that this one gives back.
        reserve = job.answers_owed + sum(other.owed for other in self._active if other.rank <= job.rank)
        try:
            movable = request.movable and self._llama.movable
            plan = self.ledger.plan(request.key, tokens, reserve, movable=movable, adapters=request.adapters)
        except OutOfCellsError:
            self._wait_for_cells(job, len(tokens))
            return job not in self._waiting
        evicted = self.ledger.was_evicted(request.key)
        self._cache.carry_out(plan, request.key)
        self._waiting.remove(job)
        self._active.append(job)
        run.seq, run.pending = plan.seq, tokens[plan.reused :]
        if run.generated:
            job.recomputed += len(run.pending) - 1
            return True
        job.recomputed += job.evaluated  # of a prompt that was paused
        job.evaluated = 0
        job.runs = [run]
        job.started = time.perf_counter()
        job.reused = plan.reused
        job.why = why(known, evicted, plan.reused, run.base)
        return True

    def _refusal(self, request: Generate, tokens: list[int]) -> Failed | None:
        """Why a request can't be carried out; None where it can."""
        try:
            self._llama.load_adapters(request.adapters)
        except MidlineError as error:
            return Failed(request.id, error.message, error.cure)
        return None if tokens else Failed(request.id, "The prompt is empty.")

    def _first_run(self, request: Generate) -> Run:
        # Only the prompt of a chat template has texts that the model itself wrote, each in tokens of its own choice.
        templated = any(isinstance(segment, Control) for segment in request.prompt)
        held = self.ledger.held_by(request.key) if templated else []
        words = self._llama.vocabulary
        prompt = compile_prompt(
            request.prompt, words, self._tokenize, request.heal, tokenize_control=self._tokenize_control, held=held
        )
        return Run(0, -1, prompt.tokens, prompt.heal, prompt.base)

    def _wait_for_cells(self, job: Job, length: int) -> None:
        """Leave ``job`` waiting for the cells of others, taking them from less urgent ones; or refuse it."""
        lower = [other for other in self._active if other.rank > job.rank]
        if lower:
            self._give_way(in_turn(lower)[-1])
        elif not self._active:
            self._end(job, too_long(job, length, self._llama.n_ctx))

    def _give_way(self, job: Job) -> None:
        """Let go of a job's sequence: background work ends; what a user waits for goes on when there is room again."""
        if job.background:
            self._end(job, Done(job.request.id, "cancelled", job.usage()))
            return
        self._cache.drop([run.seq for run in job.runs[1:]])  # fewer alternatives rather than none
        del job.runs[1:]
        self._end_if_complete(job)
        if job in self._active:
            run = job.runs[0]
            run.pending = self.ledger.tokens(run.seq) + run.pending
            self._active.remove(job)
            self._waiting.append(job)
            self.ledger.release(run.seq)

    def _next_batch(self) -> Batch:
        """The runs to serve next, each with how many of its pending tokens to compute; none if there is no work."""
        jobs = in_turn(self._active)
        if not jobs:
            return []
        if self._anchor_is_due(jobs):
            jobs = [job for job in jobs if job.request.priority == "anchor"]
        return compose(self._adapters.choose(jobs), self.ledger, cuttable=self._llama.cuttable)

    def _anchor_is_due(self, jobs: list[Job]) -> bool:
        """Whether a waiting base has its turn: never before somebody's first token."""
        first_tokens = all(job.first_token for job in jobs if not job.background)
        waits = any(job.request.priority == "anchor" for job in jobs)
        return waits and first_tokens and self._steps_without_anchor >= ANCHOR_TURN

    def _draft(self, job: Job, run: Run, count: int) -> None:
        """Add guesses to a step that decodes one sequence; several at once fill the batch with better things."""
        room = job.request.max_tokens - run.generated
        first = run.branch == 0 and run.generated and job.request.sampling is None
        if first and count == len(run.pending) == 1 and not run.heal and room > 1 and self._llama.cuttable:
            run.draft = self.drafter.guess(self.ledger.tokens(run.seq) + run.pending, run.copying)[: room - 1]

    def _compute(self, batch: Batch) -> None:
        self._steps_without_anchor = 0 if batch[0][0].background else self._steps_without_anchor + 1
        if len(batch) == 1:
            self._draft(*batch[0])
        entries: list[Entry] = []
        for job, run, count in batch:
            position = len(self.ledger.tokens(run.seq))
            sampled = count == len(run.pending) and job.request.max_tokens > 0
            for i, token in enumerate(run.pending[:count] + run.draft):
                entries.append(Entry(token, position + i, run.seq, sampled and i >= count - 1))
        began = time.perf_counter()
        self._in_base = any(len(self.ledger.tokens(run.seq)) < run.base for job, run, _ in batch if not job.background)
        self._in_batch = batch
        try:
            self._llama.use_adapters(self._adapters.took(batch))
            self._llama.decode(entries)
        except AbortedError:
            self._undo(batch)
            return
        except NoCellsError:
            self._undo(batch)
            self._make_room()
            return
        except RuntimeError as error:
            self._fail(batch, str(error))
            return
        finally:
            self._in_batch = []
        self._failures = 0
        self._computed = [job for job, _, _ in batch]
        self._measure(batch, len(entries), time.perf_counter() - began)
        end = 0
        for job, run, count in batch:
            start, end = end, end + count + len(run.draft)
            if job in self._active:
                self._advance(job, run, count, start + count - 1)
                self._check_draft(job, run, start + count)

    def _measure(self, batch: Batch, tokens: int, seconds: float) -> None:
        """Keep moving averages: of a single sequence's decode steps, and of prefill's speed in larger batches."""
        if len(batch) == 1 and batch[0][1].generated:
            self.drafter.took(tokens, seconds)
        if tokens >= BACKGROUND_BATCH:
            speed = tokens / seconds
            self.prefill_per_second += (speed - self.prefill_per_second) * (0.2 if self.prefill_per_second else 1.0)

    def _advance(self, job: Job, run: Run, count: int, index: int) -> None:
        """Book ``count`` computed tokens of a run; where its prompt is done, choose the next token."""
        self.ledger.extend(run.seq, run.pending[:count])
        del run.pending[:count]
        if not run.generated:
            self._book_prompt(job, run, count)
        if not self._llama.cuttable and (count > 1 or not run.generated):
            self.ledger.checkpoint(run.seq, self._llama.save(run.seq), run.base)
        if run.pending:
            return
        if job.request.max_tokens == 0:
            run.ended = "length"
            self._end_if_complete(job)
            return
        allowed = self._spelling(run.heal) if run.heal else None
        wanted = job.request.branches if not run.generated else 1
        choices = job.choose(self._llama.logits(index), self._eog, allowed, wanted)
        if math.isnan(choices[0].logprob):
            self._end(job, no_numbers(job))
            return
        for branch, choice in enumerate(choices[1:], 1):
            self._fork(job, run, branch, choice)
        self._take(job, run, choices[0])

    def _check_draft(self, job: Job, run: Run, index: int) -> None:
        """Keep the guesses that the model chose too, each with the token it chose behind it; cut the rest."""
        draft, run.draft = run.draft, []
        for row, guess in enumerate(draft, index):
            if run.ended or run.pending != [guess]:
                break
            self.ledger.extend(run.seq, [guess])
            self._take(job, run, best(self._llama.logits(row), self._eog)[0])
        if draft:
            self._llama.cut(run.seq, len(self.ledger.tokens(run.seq)))

    def _book_prompt(self, job: Job, run: Run, count: int) -> None:
        job.evaluated += count
        if job.background:
            self.tokens_prewarmed += count
        if not run.pending:
            job.prefilled = time.perf_counter()

    def _fork(self, job: Job, run: Run, branch: int, choice: Choice) -> None:
        if not self.ledger.has_free_sequence and self.ledger.oldest_idle() is None:
            self._spare_background()
        seq = self._cache.fork(run.seq, f"{job.request.key}#{branch}")
        if seq is None:
            return  # fewer alternatives rather than none
        other = Run(branch, seq, [], run.heal, run.base)
        job.runs.append(other)
        self._take(job, other, choice)

    def _spare_background(self) -> None:
        """End the background work that would be done last, for its sequence; not one that was just computed."""
        waiting = [job for job in self._active if job.background and job not in self._computed]
        if waiting:
            self._give_way(in_turn(waiting)[-1])

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

    def _end_branch(self, job: Job, branch: int) -> None:
        for run in job.runs:
            if run.branch == branch:
                run.ended = run.ended or "length"
        self._end_if_complete(job)

    def _end_if_complete(self, job: Job) -> None:
        under_way = job in self._active or (job in self._waiting and bool(job.runs))
        if under_way and not job.open_runs:
            self._end(job, Done(job.request.id, job.runs[0].ended or "length", job.usage()))

    def _end(self, job: Job, last: Done | Failed) -> None:
        """Take a job out, keep what its first run computed, and tell its client."""
        if job in self._waiting:
            self._waiting.remove(job)
        if job in self._active:
            self._active.remove(job)
            self.ledger.release(job.runs[0].seq)
            self._cache.drop([run.seq for run in job.runs[1:]])
        self._jobs.pop((job.owner, job.request.id), None)
        job.emit(last)

    def _undo(self, batch: Batch) -> None:
        """Remove what an interrupted batch left behind in the cache."""
        for job, run, _ in batch:
            run.draft = []
            if job in self._active:
                run.pending = self._cache.undo(run.seq) + run.pending

    def _forget(self, prefix: str, then: Callable[[], None] | None) -> None:
        if then:
            for job in [*self._waiting, *self._active]:
                if job.request.key.startswith(prefix):
                    self._end(job, Done(job.request.id, "cancelled", job.usage()))
        self._cache.drop([held.seq for held in self.ledger.with_prefix(prefix) if not held.active])
        if then:
            then()

    def _make_room(self) -> None:
        """Give the cells of somebody back to a cache that is full before its time."""
        if self._cache.evict_oldest():
            return
        # The next turn finds its sequence idle.
        *others, last = in_turn(self._active)
        if others or last.background:
            self._give_way(last)
        else:
            self._end(last, too_long(last, len(self.ledger.tokens(last.runs[0].seq)), self._llama.n_ctx))

    def _fail(self, batch: Batch, reason: str) -> None:
        self._failures += 1
        logger.error("a batch failed: %s", reason)
        for job in dict.fromkeys(job for job, _, _ in batch):
            seq = job.runs[0].seq
            self._end(job, Failed(job.request.id, f"llama.cpp failed: {reason}."))
            self._cache.drop([seq])
        if self._failures >= MAX_FAILURES:
            raise RuntimeError(reason)

    def _tell_busy(self) -> None:
        busy = any(not job.background for job in self._active)
        if busy != self._busy:
            self._busy = busy
            self._on_busy(busy)
