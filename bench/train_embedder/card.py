"""The part of the table's card that is made anew with each training: figures, and what it was learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.train_embedder.evaluate import Figures
from bench.train_embedder.sources import Package

_MARK = "<!-- What follows is written by python -m bench.train_embedder. -->\n"

_ABOUT = """## Figures

MRR@10 / recall@5 within a repository that nothing was learnt from: the first sentence of a docstring (at most 250 of a
repository) asks for its function, all docstrings being taken out of what is searched. BM25 is over sub-tokens of the
text, the qualified name and, twice, the file's stem; "both" is the sum of z-scores, the table's counting twice.
"""


def write(pinned: Sequence[Package], figures: dict[str, Figures], card: Path) -> None:
    """Replaces what stands below the card's mark."""
    kept = card.read_text(encoding="utf-8").partition(_MARK)[0]
    card.write_text(f"{kept}{_MARK}\n{_table(figures)}\n{_packages(pinned)}", encoding="utf-8")


def _table(figures: dict[str, Figures]) -> str:
    lines = [_ABOUT, "| repositories | questions | BM25 | this table | both |", "|---|---|---|---|---|"]
    for name, one in figures.items():
        ways = " | ".join(f"{mrr:.3f} / {recall:.3f}" for mrr, recall in (one.bm25, one.dense, one.fused))
        lines.append(f"| {name} | {one.questions} | {ways} |")
    return "\n".join(lines) + "\n"


def _packages(pinned: Sequence[Package]) -> str:
    lines = ["## Learnt from\n", "| package | version | registry | licence |", "|---|---|---|---|"]
    learnt = [package for package in pinned if not package.judges]
    lines += [f"| {one.name} | {one.version} | {one.registry} | {one.license} |" for one in learnt]
    return "\n".join(lines) + "\n"
