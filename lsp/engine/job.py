"""A request under way: its branches, its times, and what its tokens were computed for."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from lsp.engine.protocol import EngineMessage, Failed, Generate, Priority, Usage, Why
from lsp.engine.run import Run
from lsp.engine.sampling import Choice, Logits, best, drawn
from lsp.engine.vocabulary import TokenIds

_RANKS = {priority: rank for rank, priority in enumerate(get_args(Priority))}


@dataclass(eq=False)
class Job:
    """A request under way.

    Args:
        owner: the client it came from.
        request: what it wants.
        emit: takes its messages.
    """

    owner: Hashable
    request: Generate
    emit: Callable[[EngineMessage], None]
    arrived: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    prefilled: float = 0.0
    first_token: float = 0.0
    evaluated: int = 0
    reused: int = 0
    recomputed: int = 0  # of what a more urgent request took the cells
    why: Why = "first_use"
    cancelled: bool = False
    runs: list[Run] = field(default_factory=list)
    _random: np.random.Generator | None = None

    def choose(self, logits: Logits, eog: TokenIds, allowed: TokenIds | None, count: int) -> list[Choice]:
        """The next tokens, as the request wants them chosen; see `lsp.engine.sampling`."""
        sampling = self.request.sampling
        if sampling is None:
            return best(logits, eog, allowed, count)
        if self._random is None:
            self._random = np.random.default_rng(sampling.seed)
        return [drawn(logits, eog, allowed, sampling, self._random)]

    @property
    def rank(self) -> int:
        """0 is served first."""
        return _RANKS[self.request.priority]

    @property
    def background(self) -> bool:
        """Whether nobody waits for it."""
        return self.request.priority in ("anchor", "warm")

    @property
    def open_runs(self) -> list[Run]:
        """Its branches that go on."""
        return [run for run in self.runs if not run.ended]

    @property
    def answers_owed(self) -> int:
        """How many tokens it may still generate."""
        return self.request.max_tokens * self.request.branches - sum(run.generated for run in self.runs)

    @property
    def owed(self) -> int:
        """How many cells it may still take."""
        return self.answers_owed + sum(len(run.pending) for run in self.open_runs)

    def usage(self) -> Usage:
        """What it cost up to now."""
        now = time.perf_counter()

        def ms(start: float, end: float) -> float:
            return round((end - start) * 1000, 2) if start and end else 0.0

        reasons: dict[Why, int] = {self.why: self.evaluated, "paused": self.recomputed}
        return Usage(
            tokens_evaluated=self.evaluated + self.recomputed,
            tokens_reused=self.reused,
            tokens_generated=sum(run.generated for run in self.runs),
            queue_ms=ms(self.arrived, self.started or now),
            prefill_ms=ms(self.started, self.prefilled or now),
            first_token_ms=ms(self.arrived, self.first_token),
            generate_ms=ms(self.prefilled, now),
            why={why: count for why, count in reasons.items() if count},
        )


def too_long(job: Job, length: int, n_ctx: int) -> Failed:
    """That a prompt of ``length`` tokens has no room in a context of ``n_ctx``."""
    return Failed(
        job.request.id,
        f"The prompt of {length} tokens and its answer don't fit into a context of {n_ctx} tokens.",
        "Set a larger `model.n_ctx`.",
    )


def no_numbers(job: Job) -> Failed:
    """That what the model computes are no numbers, as a damaged file's weights make it."""
    adapters = " with its adapters" if job.request.adapters else ""
    return Failed(
        job.request.id,
        f"What the model computes{adapters} are no numbers.",
        f"A file is damaged: {'change `model.adapters`' if adapters else 'check it with `midline model verify`'}.",
    )


def in_turn(jobs: list[Job]) -> list[Job]:
    """``jobs`` in the order in which to serve them: by rank, then each owner's first, each owner's second, …

    So an editor window that asks for much doesn't hold up another that asks for little. Of background work the newest
    goes first: it is for the place where the user is now.
    """
    turns: dict[tuple[int, Hashable], int] = {}
    order: list[tuple[int, int, float, Job]] = []
    for job in sorted(jobs, key=lambda job: job.arrived):
        turn = turns[job.rank, job.owner] = turns.get((job.rank, job.owner), -1) + 1
        order.append((job.rank, 0, -job.arrived, job) if job.background else (job.rank, turn, job.arrived, job))
    return [job for *_, job in sorted(order, key=lambda entry: entry[:3])]


def why(known: bool, evicted: bool, reused: int, base: int) -> Why:
    """What a prompt's tokens are computed for.

    Args:
        known: whether its key had a sequence.
        evicted: whether that was given up to make room.
        reused: how many of its tokens needn't be computed.
        base: of how many tokens its base is.
    """
    if evicted:
        return "evicted"
    if not known:
        return "first_use"
    return "typed" if reused >= base else "base_changed"
