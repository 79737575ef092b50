"""Prompt-lookup drafting: guess the next tokens from earlier ones, and let the model check them in one batch.

Where text is copied, as in code that is rewritten, what followed the last tokens before follows again (prompt lookup
decoding, A. Saxena, 2023). Checking a guess costs less than generating a token, but on a CPU not much less: so the
number of guesses is what brings the most tokens a second by what steps have cost on this machine, and by how long all
was foretold. What is foretold is also followed where nothing is guessed, which costs nothing. The output is the same
either way, since only guesses that the model itself would have chosen are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

# The last so many tokens must have stood before; a longer match is the better one.
NGRAMS = (4, 3)
# How many tokens may be guessed at once.
LENGTHS = (3, 7, 15, 31, 63)
# Of the tokens so far, so many are searched.
SEARCH_TOKENS = 2048
# Once in so many guesses the next longer one is tried: what it cost before may have been the moment's fault.
RETRY_EVERY = 50
# The weight of the newest measurement in an average.
_NEWEST = 0.15
# That the next token is foretold rightly after n that were: (n + a) / (n + a + b); fitted to rewritten functions.
_RIGHT, _WRONG = 1.5, 0.7


@dataclass
class Copying:
    """What a sequence is being copied from: an earlier place in itself.

    Args:
        at: where the next token stood; -1 before there was such a place.
        right: how many tokens in a row were as foretold.
    """

    at: int = -1
    right: int = 0
    _seen: int = 0

    def follow(self, tokens: Sequence[int]) -> bool:
        """Go along with the tokens that have come since the last time; whether the next one can be foretold."""
        for index in range(self._seen, len(tokens)) if self._seen else ():
            self.right = self.right + 1 if self.at >= 0 and tokens[self.at] == tokens[index] else 0
            self.at += self.at >= 0  # also behind a wrong one, which may stand for it
        self._seen = len(tokens)
        if not 0 < self.at < len(tokens) or tokens[self.at - 1] != tokens[-1]:
            found = self._nearest(tokens)
            self.at = self.at if found is None else found
            return found is not None
        return True

    def _nearest(self, tokens: Sequence[int]) -> int | None:
        """Behind which earlier place it reads as at the end: of those, the nearest to where it was, or the last."""
        for size in NGRAMS:
            places = list(_ends(tokens, size))
            if places:
                return min(places, key=lambda place: abs(place - self.at)) if self.at >= 0 else places[-1]
        return None


def _ends(tokens: Sequence[int], size: int) -> Iterator[int]:
    """Behind each earlier occurrence of the last ``size`` tokens."""
    pattern = list(tokens[-size:])
    for start in range(max(0, len(tokens) - SEARCH_TOKENS), len(tokens) - size):
        if tokens[start] == pattern[0] and list(tokens[start : start + size]) == pattern:
            yield start + size


@dataclass
class Drafter:
    """Decides how many tokens to guess, from what steps have cost."""

    _plain: float = 0.0  # seconds of a step with one token
    _each: dict[int, float] = field(default_factory=dict)  # and of each guess in it, by the length it was nearest to
    _guesses: int = 0

    def guess(self, tokens: Sequence[int], copying: Copying) -> list[int]:
        """Guesses for what follows ``tokens``, where trying them is worth while; else none."""
        foretold = copying.follow(tokens)
        if not foretold or not self._plain:  # a plain step is measured first
            return []
        return list(tokens[copying.at : copying.at + self._length(copying.right)])

    def took(self, tokens: int, seconds: float) -> None:
        """A decode step of one sequence with so many tokens in it took so long."""
        if tokens == 1:
            self._plain += (seconds - self._plain) * (_NEWEST if self._plain else 1.0)
        elif self._plain:
            each, nearest = max(0.0, seconds - self._plain) / (tokens - 1), _bucket(tokens - 1)
            before = self._each.get(nearest, each)
            self._each[nearest] = before + (each - before) * _NEWEST

    def _length(self, right: int) -> int:
        """How many guesses bring the most tokens a second, once so many in a row were right; 0 where none do."""
        chance = (right + _RIGHT) / (right + _RIGHT + _WRONG)
        lengths = (0, *LENGTHS)
        speeds = [(1 - chance ** (n + 1)) / (1 - chance) / self._cost(n) for n in lengths]
        best = speeds.index(max(speeds))
        self._guesses += 1
        if self._guesses % RETRY_EVERY == 0:
            best = min(best + 1, len(LENGTHS))
        return lengths[best]

    def _cost(self, guesses: int) -> float:
        """Seconds of a step with so many guesses; one never tried costs what its nearest neighbour lets expect."""
        if not guesses:
            return self._plain
        tried = min(self._each, key=lambda length: abs(length - guesses), default=0)
        return self._plain + guesses * self._each.get(tried, self._plain / 2)


def _bucket(guesses: int) -> int:
    return min(LENGTHS, key=lambda length: abs(length - guesses))
