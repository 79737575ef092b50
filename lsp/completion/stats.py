"""What completions cost and came to since the server started; counts only, never text."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lsp.engine.protocol import Done

_LATENCIES = 1000  # the most recent ones are what a user feels
_RECENT = 20


@dataclass
class CompletionStats:
    """Totals, and the latencies of the latest requests in milliseconds."""

    requests: int = 0
    shown: int = 0
    accepted: int = 0
    cancelled: int = 0
    cache_hits: int = 0
    joined: int = 0
    tokens_evaluated: int = 0
    tokens_reused: int = 0
    tokens_generated: int = 0
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_RECENT), repr=False)
    """What the latest requests to the engine cost, each with its ``outcome``: ``eog``, ``length`` or ``cancelled``."""
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES), repr=False)

    def add(self, done: Done) -> None:
        """Count what a request cost, also one that was cancelled."""
        usage = done.usage
        self.recent.append({"outcome": done.reason} | msgspec.to_builtins(usage))
        self.tokens_evaluated += usage.tokens_evaluated
        self.tokens_reused += usage.tokens_reused
        self.tokens_generated += usage.tokens_generated

    def took(self, milliseconds: float) -> None:
        """Count the time of a request that was answered."""
        self._latencies.append(milliseconds)

    @property
    def generation_ms(self) -> float:
        """How long the model usually takes for a suggestion, by the latest requests; 0 before there were any."""
        times = [one["prefill_ms"] + one["generate_ms"] for one in self.recent if one["tokens_generated"]]
        return statistics.median(times) if times else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As ``midline/status`` has it."""
        ordered = sorted(self._latencies)

        def percentile(share: float) -> float | None:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None

        return {
            "requests": self.requests,
            "shown": self.shown,
            "accepted": self.accepted,
            "cancelled": self.cancelled,
            "cache_hits": self.cache_hits,
            "joined": self.joined,
            "tokens_evaluated": self.tokens_evaluated,
            "tokens_reused": self.tokens_reused,
            "tokens_generated": self.tokens_generated,
            "p50_ms": percentile(0.50),
            "p95_ms": percentile(0.95),
            "p99_ms": percentile(0.99),
            "recent": list(self.recent),
        }
