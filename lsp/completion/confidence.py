"""How sure the model was of what it wrote, from its tokens' probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lsp.completion.names import Invented

# Of the logistic function.
OFFSET, SLOPE = 2.4, 4.6
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


def confidence_of(tokens: Sequence[Written], certain: int = 0) -> float:
    """How probable it is that the user wants just this, 0 to 1; 0 for no tokens.

    The tokens' probabilities, multiplied and evened out for length (the sum of their logarithms by the root of their
    number), told right from wrong lines better than their mean or their product alone. A logistic function, fitted on
    half of ``bench.quality``'s places, makes a probability of it; ``bench/RESULTS.md`` has the figures.

    Args:
        tokens: what was written.
        certain: how many tokens more to assume, all of them certain.
    """
    if not tokens:
        return 0.0
    evened = sum(token.logprob for token in tokens) / math.sqrt(len(tokens) + certain)
    return 1 / (1 + math.exp(-OFFSET - SLOPE * evened))


def is_hopeless(tokens: Sequence[Written], least: float) -> bool:
    """Whether a line stays below ``least`` even if as many tokens as it has now were to follow, all of them certain."""
    return len(tokens) >= JUDGED and confidence_of(tokens, certain=len(tokens)) < least


def discounted(confidence: float, invented: Invented) -> float:
    """``confidence`` less what invented names take from it."""
    return float(confidence * INVENTED_NAME ** len(invented.names) * INVENTED_ATTRIBUTE ** len(invented.attributes))
