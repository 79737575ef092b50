"""Prompt-lookup drafting: guess the next tokens from earlier ones, and let the model check them in one batch.

Where code repeats itself, what followed the last tokens before is likely to follow again (prompt lookup decoding,
A. Saxena, 2023). Checking a few guesses costs less than generating them one by one, but on a CPU not much less: so it
is measured here, on this machine and this text, whether guessing pays, and done only while it does. The output is the
same either way, since only guesses that the model itself would have chosen are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# The last so many tokens must have stood before; a longer match is the better guess.
NGRAMS = (4, 3)
# How many tokens to guess at once.
GUESSES = 3
# Of the prompt's end, so much is searched.
SEARCH_TOKENS = 2048
# After so many trials without gain, only one occasion in RETRY_EVERY is tried again.
TRIALS = 12
RETRY_EVERY = 50
# The weight of the newest measurement in an average.
_NEWEST = 0.15


def lookup(tokens: Sequence[int], most: int = GUESSES) -> list[int]:
    """Up to ``most`` tokens that followed the last time the end of ``tokens`` stood there; none where it never did."""
    recent = list(tokens[-SEARCH_TOKENS:])
    for size in NGRAMS:
        pattern = recent[-size:]
        if len(recent) <= size:
            continue
        for start in range(len(recent) - size - 1, -1, -1):
            if recent[start : start + size] == pattern:
                return recent[start + size : start + size + most]
    return []


@dataclass
class Drafter:
    """Decides whether to guess, from what guessing has cost and brought so far."""

    trials: int = 0
    occasions: int = 0
    accepted: float = 0.0  # guesses kept per trial, a moving average
    _seconds: dict[int, float] = field(default_factory=dict)  # per step, by the number of tokens in it

    @property
    def pays(self) -> bool:
        """Whether a step with guesses brings more tokens a second than one without, as measured."""
        plain, drafted = self._seconds.get(1), self._seconds.get(1 + GUESSES)
        return plain is not None and drafted is not None and (1 + self.accepted) * plain > drafted

    def guess(self, tokens: Sequence[int]) -> list[int]:
        """Guesses for what follows ``tokens``, where trying them is worth while; else none."""
        if 1 not in self._seconds:
            return []  # a plain step is measured first
        self.occasions += 1
        exploring = self.trials < TRIALS or self.occasions % RETRY_EVERY == 0
        return lookup(tokens) if exploring or self.pays else []

    def took(self, tokens: int, seconds: float) -> None:
        """A decode step of one sequence with so many tokens in it took so long."""
        before = self._seconds.get(tokens, seconds)
        self._seconds[tokens] = before + (seconds - before) * _NEWEST

    def kept(self, guesses: int, accepted: int) -> None:
        """The model would have chosen the first ``accepted`` of ``guesses``."""
        self.trials += 1
        self.accepted += (accepted - self.accepted) * (_NEWEST if self.trials > 1 else 1.0)
