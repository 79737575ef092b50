"""How sure the model was of what it wrote, from its tokens' probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lsp.completion.names import Invented

# What a name that nobody defines is taken to be worth, and one behind a dot, whose object may be of any package.
INVENTED_NAME = 0.5
INVENTED_ATTRIBUTE = 0.85
# A line of which so many tokens are there is judged before its end.
JUDGED = 3


@dataclass(frozen=True)
class Written:
    """A token that the model wrote.

    Args:
        start: where its text begins in the suggestion.
        logprob: natural logarithm of its probability.
    """

    start: int
    logprob: float


def confidence_of(tokens: Sequence[Written]) -> float:
    """The geometric mean of the tokens' probabilities, 0 to 1; 0 for none."""
    return math.exp(sum(token.logprob for token in tokens) / len(tokens)) if tokens else 0.0


def is_hopeless(tokens: Sequence[Written], least: float) -> bool:
    """Whether a line stays below ``least`` even if as many tokens as it has now were to follow, all of them certain."""
    return len(tokens) >= JUDGED and math.sqrt(confidence_of(tokens)) < least


def discounted(confidence: float, invented: Invented) -> float:
    """``confidence`` less what invented names take from it."""
    return float(confidence * INVENTED_NAME ** len(invented.names) * INVENTED_ATTRIBUTE ** len(invented.attributes))
