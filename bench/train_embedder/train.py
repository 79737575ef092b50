"""Learns each word's vector, and its weight in each role, so that what is said lies near what it is said of.

InfoNCE (van den Oord and others 2018) in batches from one package, so that the wrong answers are like the right one; a
word of the question is hidden from its answer half of the time, so that it is not found by that word alone.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.train_embedder.pairs import Pair
from indexer.embedding.static import Vocabulary, pieces
from indexer.tokens import identifiers

DIMS = 256
_EVERY = 3  # one pair in so many tells which words are common

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Options:
    """What the figures in the card were made with."""

    words: int = 30_000
    epochs: int = 2
    batch: int = 512
    run: int = 8
    """Neighbours from one file in a batch: the answers hardest to tell apart."""
    hide: float = 0.5
    """How likely a word of the question is hidden from its answer."""
    drop: float = 0.0
    """How likely any word is left out."""
    vector_rate: float = 0.003
    weight_rate: float = 0.01
    scale: float = 15.0
    """By which cosines are multiplied before the softmax, at first."""
    roles: tuple[float, ...] = (1.0, 0.3, 1.0, 2.0, 1.0, 1.0, 0.5)
    """How much a word counts in each of `indexer.embedding.static.ROLES`, at first; times its inverse frequency."""
    seed: int = 0


@dataclass(slots=True)
class Bags:
    """Many texts as word rows: those of text i stand from ``starts[i]`` to ``starts[i + 1]``."""

    rows: NDArray[np.int32]
    roles: NDArray[np.int8]
    repeats: NDArray[np.float32]
    starts: NDArray[np.int64]

    def take(self, wanted: Rows) -> tuple[Rows, Rows]:
        """The positions of the wanted texts' words, and the text (from 0) that each is of."""
        lengths = self.starts[wanted + 1] - self.starts[wanted]
        owner = np.repeat(np.arange(len(wanted)), lengths)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.starts[wanted][owner] + within, owner


def make(pairs: Sequence[Pair], options: Options, folder: Path) -> str:
    """From pairs to a table in ``folder``; returns its name."""
    words = vocabulary(pairs, options.words)
    known = Vocabulary(words)
    queries = bags([(pair.query,) for pair in pairs], known, first_role=0)
    answers = bags([pair.fields() for pair in pairs], known, first_role=1)
    learner = train(queries, answers, [pair.package for pair in pairs], len(words), options)
    return write(learner, words, folder)


def vocabulary(pairs: Sequence[Pair], most: int) -> list[str]:
    """The words that occur in most pairs, each package's count damped, so that one package's own words stay out."""
    by_package: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs[::_EVERY]:
        found = set(identifiers(" ".join((pair.query, *pair.fields()))))
        by_package[pair.package].update({term for word in found for term in pieces(word) if term.isascii()})
    total: Counter[str] = Counter()
    for counts in by_package.values():
        for term, n in counts.items():
            total[term] += n**0.5
    return [word for word, _ in total.most_common(most)]


def bags(texts: Sequence[Sequence[str]], words: Vocabulary, first_role: int) -> Bags:
    """Texts by role as rows, each (row, role) once with the root of how often."""
    rows: list[int] = []
    roles: list[int] = []
    repeats: list[int] = []
    starts = [0]
    for fields in texts:
        counted = Counter((row, role) for role, text in enumerate(fields, first_role) for row in words.rows(text))
        rows += [row for row, _ in counted]
        roles += [role for _, role in counted]
        repeats += counted.values()
        starts.append(len(rows))
    return Bags(
        np.array(rows, np.int32), np.array(roles, np.int8), np.sqrt(np.array(repeats, np.float32)), np.array(starts)
    )


def batches(packages: Sequence[str], options: Options, random: np.random.Generator) -> Iterator[Rows]:
    """Every pair once, in batches from one package each; what is left of the packages shares batches."""
    of: dict[str, list[int]] = defaultdict(list)
    for at, package in enumerate(packages):
        of[package].append(at)
    whole: list[list[int]] = []
    left: list[list[int]] = []
    for members in of.values():
        runs = [members[at : at + options.run] for at in range(0, len(members), options.run)]
        order = [member for run in random.permutation(len(runs)) for member in runs[run]]
        for start in range(0, len(order), options.batch):
            piece = order[start : start + options.batch]
            (whole if len(piece) == options.batch else left).append(piece)
    merged: list[int] = []
    for piece in left:
        merged += piece
        if len(merged) >= options.batch:
            whole.append(merged)
            merged = []
    for at in random.permutation(len(whole)):
        yield np.array(whole[at])


class Learner(torch.nn.Module):
    """The table while it is learnt."""

    def __init__(self, vectors: Floats, weights: Floats, scale: float) -> None:
        super().__init__()
        self.vectors = torch.nn.Parameter(torch.tensor(vectors))
        self.weights = torch.nn.Parameter(torch.tensor(weights))
        self.scale = torch.nn.Parameter(torch.tensor(scale).log())

    def forward(self, bags: Bags, at: Rows, owner: Rows, texts: int) -> torch.Tensor:
        """The vectors of ``texts`` texts, ``[texts, dims]``, of the words at ``at``, each of the text ``owner``."""
        rows = torch.from_numpy(bags.rows[at].astype(np.int64))
        roles = torch.from_numpy(bags.roles[at].astype(np.int64))
        share = self.weights[rows, roles] * torch.from_numpy(bags.repeats[at])
        offsets = torch.from_numpy(np.searchsorted(owner, np.arange(texts)))
        sums = torch.nn.functional.embedding_bag(
            rows, self.vectors, offsets, mode="sum", per_sample_weights=share, sparse=True
        )
        return torch.nn.functional.normalize(sums, dim=1, eps=1e-6)


def train(queries: Bags, answers: Bags, packages: Sequence[str], words: int, options: Options) -> Learner:
    """Learns from random vectors on; a minute on one quiet core."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    random = np.random.default_rng(options.seed)
    vectors = random.normal(size=(words, DIMS)).astype(np.float32) / DIMS**0.5
    weights = _rarity(answers, words)[:, None] / 5 * np.array(options.roles)
    learner = Learner(vectors, weights.astype(np.float32), options.scale)
    optimizers = [
        torch.optim.SparseAdam([learner.vectors], lr=options.vector_rate),
        torch.optim.Adam([learner.weights, learner.scale], lr=options.weight_rate),
    ]
    plan = [batch for _ in range(options.epochs) for batch in batches(packages, options, random)]
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, _rate(len(plan))) for each in optimizers]
    for step, batch in enumerate(plan, start=1):
        loss = _loss(learner, queries, answers, batch, options, random)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for each in (*optimizers, *schedules):
            each.step()
        if step % 50 == 0:
            print(f"step {step} of {len(plan)}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    return learner


def _rarity(answers: Bags, words: int) -> Floats:
    """The logarithm of each word's inverse frequency among the answers."""
    owner = np.repeat(np.arange(len(answers.starts) - 1), np.diff(answers.starts))
    once = np.unique(owner * words + answers.rows) % words
    return np.asarray(np.log((len(answers.starts) - 1) / (1 + np.bincount(once, minlength=words))), np.float32)


def _rate(steps: int) -> Callable[[int], float]:
    """The share of the learning rate at a step: up for a hundred steps, then down to nothing."""
    return lambda step: min(1.0, (step + 1) / 100) * (1 - step / steps)


def _loss(
    learner: Learner, queries: Bags, answers: Bags, batch: Rows, options: Options, random: np.random.Generator
) -> torch.Tensor:
    """How badly the batch's questions find their answers among all of the batch, and answers their questions."""
    query_at, query_owner = queries.take(batch)
    answer_at, answer_owner = answers.take(batch)
    words = len(learner.vectors)
    asked = np.isin(answer_owner * words + answers.rows[answer_at], query_owner * words + queries.rows[query_at])
    # A word is hidden wherever it stands in the answer, or nowhere (words may share one of 64 coins).
    coins = random.random((len(batch), 64))[answer_owner, answers.rows[answer_at] % 64]
    kept = ~(asked & (coins < options.hide)) & (random.random(len(answer_at)) >= options.drop)
    stays = random.random(len(query_at)) >= options.drop
    asking = learner(queries, query_at[stays], query_owner[stays], len(batch))
    answering = learner(answers, answer_at[kept], answer_owner[kept], len(batch))
    alike = learner.scale.exp() * (asking @ answering.T)
    right = torch.arange(len(batch))
    entropy = torch.nn.functional.cross_entropy
    return (entropy(alike, right) + entropy(alike.T, right)) / 2


def write(learner: Learner, words: Sequence[str], folder: Path) -> str:
    """The table as int8 in the form that `indexer.embedding.static` reads; returns its name."""
    vectors = learner.vectors.detach().numpy()
    scale = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9) / 127
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "vectors.npy", np.round(vectors / scale).astype(np.int8))
    np.save(folder / "weights.npy", (learner.weights.detach().numpy() * scale).astype(np.float32))
    (folder / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    parts = [(folder / name).read_bytes() for name in ("vectors.npy", "weights.npy", "words.txt")]
    name = f"midline-code-{blake2b(b''.join(parts), digest_size=6).hexdigest()}"
    (folder / "table.json").write_text(json.dumps({"name": name}) + "\n")
    return name
