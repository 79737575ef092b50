"""Choosing tokens from logits, the likeliest or by chance, with what the choice was worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsp.engine.protocol import Sampling
from lsp.engine.vocabulary import TokenIds

# Less likely than the likeliest by so much, a token is never drawn: most of a vocabulary needn't be sorted.
_LEAST_SHARE = 1e-6

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Choice:
    """A token chosen.

    Args:
        token: its id.
        logprob: natural logarithm of its probability among the tokens allowed.
        eog: probability of ending the generation here instead (0 where that was not allowed).
    """

    token: int
    logprob: float
    eog: float


def best(logits: Logits, eog: TokenIds, allowed: TokenIds | None = None, count: int = 1) -> list[Choice]:
    """The ``count`` likeliest tokens, best first.

    Args:
        logits: 1-d, float32, one for each token of the vocabulary; not changed.
        eog: ids of the tokens that end a generation.
        allowed: the only ids to choose from, or None for all.
        count: how many tokens; fewer come back when fewer are allowed.
    """
    candidates = logits if allowed is None else logits[allowed]
    top = _top(candidates, count)
    peak = float(candidates[top[0]])
    mass = np.exp(candidates - peak)
    log_total = float(np.log(mass.sum(dtype=np.float64)))
    ending = 0.0
    if allowed is None:
        ending = float(np.exp(logits[eog].astype(np.float64) - peak - log_total).sum())
    return [
        Choice(
            token=int(i if allowed is None else allowed[i]),
            logprob=float(candidates[i]) - peak - log_total,
            eog=ending,
        )
        for i in top
    ]


def drawn(
    logits: Logits, eog: TokenIds, allowed: TokenIds | None, sampling: Sampling, random: np.random.Generator
) -> Choice:
    """A token drawn by chance: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: 1-d, float32, one for each token of the vocabulary; not changed.
        eog: ids of the tokens that end a generation.
        allowed: the only ids to choose from, or None for all.
        sampling: how.
        random: where the chance comes from; one number of it is used.
    """
    likeliest = best(logits, eog, allowed)[0]
    if np.isnan(likeliest.logprob):  # the caller has an error for that
        return likeliest
    candidates = (logits if allowed is None else logits[allowed]).astype(np.float64)
    peak = float(candidates.max())
    shares = np.exp((candidates - peak) / sampling.temperature)
    kept = np.flatnonzero(shares > _LEAST_SHARE)
    kept = kept[np.argsort(-shares[kept], kind="stable")]
    sums = np.cumsum(shares[kept])
    enough = int(np.searchsorted(sums, sampling.top_p * sums[-1]))  # the token that reaches the share is in it
    nucleus = sums[: enough + 1]
    place = int(np.searchsorted(nucleus, random.random() * nucleus[-1], side="right"))
    index = int(kept[min(place, len(nucleus) - 1)])
    return Choice(
        token=int(index if allowed is None else allowed[index]),
        logprob=likeliest.logprob + float(candidates[index]) - peak,
        eog=likeliest.eog,
    )


def _top(values: Logits, count: int) -> list[int]:
    """Indices of the ``count`` greatest values, greatest first."""
    if count == 1:
        return [int(values.argmax())]
    count = min(count, len(values))
    part = np.argpartition(values, -count)[-count:]
    return [int(i) for i in part[np.argsort(-values[part], kind="stable")]]
