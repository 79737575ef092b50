"""How far confidence can be trusted: precision against the share shown, for thresholds, of a run's results.

Half of the places, by a hash of their names, are for choosing a threshold; the other half says what it is worth.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))


def read(files: list[Path], variant: str) -> list[dict[str, Any]]:
    """One variant's results of runs that were written with ``--out``."""
    found = [result for file in files for result in json.loads(file.read_text("utf-8"))["results"]]
    return [result for result in found if result["variant"] == variant]


def curve(results: list[dict[str, Any]]) -> list[dict[str, float]]:
    """For each threshold: the share of places at which something is shown, and how much of that is right.

    Right is: the first line is; of HumanEval's tasks, that the tests pass. ``score`` is right ones less wrong ones, a
    place: what a reader of suggestions gains if a wrong one costs as much as a right one saves.
    """
    rows = []
    for threshold in THRESHOLDS:
        shown = [result for result in results if result["text"] and result["confidence"] >= threshold]
        right = sum(_is_right(result) for result in shown)
        places = max(1, len(results))
        rows.append(
            {
                "threshold": threshold,
                "shown": round(len(shown) / places, 3),
                "precision": round(right / max(1, len(shown)), 3),
                "right": round(right / places, 3),
                "score": round((2 * right - len(shown)) / places, 3),
            }
        )
    return rows


def report(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The curves of the half to choose by, of the other half, and of each language and mode of the other half."""
    choosing, other = ([r for r in results if _half(r) == half] for half in (0, 1))
    curves: dict[str, Any] = {"choose": curve(choosing), "report": curve(other)}
    for name in ("language", "mode", "kind"):
        for value in sorted({str(result.get(name, "")) for result in results} - {""}):
            curves[f"{name} {value}"] = curve([result for result in results if str(result.get(name, "")) == value])
    best = max(curves["choose"], key=lambda row: row["score"])
    return {"places": len(results), "best_by_score": best["threshold"], "curves": curves}


def table(report: dict[str, Any]) -> str:
    """The two halves as Markdown."""
    rows = ["| threshold | shown | precision | score | shown, other half | precision | score |", "|---" * 7 + "|"]
    for one, other in zip(report["curves"]["choose"], report["curves"]["report"], strict=True):
        cells = [one["threshold"], *(row[name] for row in (one, other) for name in ("shown", "precision", "score"))]
        rows.append("| " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return "\n".join(rows)


def _half(result: dict[str, Any]) -> int:
    return sha256(str(result.get("place") or result.get("task")).encode()).digest()[0] % 2


def _is_right(result: dict[str, Any]) -> bool:
    return bool(result["passed"] if "passed" in result else result["first_line_right"])
