"""Completing real packages: lines and blocks taken out of files, put back by the bare model and by midline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.anchoring import similarity
from bench.quality.contexts import Contexts
from bench.quality.packages import packages
from bench.quality.places import Kind, Place, errors, places
from bench.quality.recording import RecordedEngine
from bench.quality.variants import Given, bare, crude_cut, inserted, pipeline
from bench.quality.work import in_parallel

LINE_TOKENS = 48
# Tokens recorded of a prompt at first: what most suggestions need.
_LENGTH: dict[Kind, int] = {"rest of line": 32, "line": 32, "block": 64}
# A suggestion is compared up to so many times the length of what it should be.
_COMPARED = 3


def chosen(data: Path, languages: Sequence[str], count: int, seed: int) -> list[Place]:
    """``count`` places a language, shared among its packages."""
    found: list[Place] = []
    for language in dict.fromkeys(package.language for package in packages()):
        own = [package for package in packages() if package.language == language]
        for package in own if language in languages or not languages else ():
            if workspace := package.workspace(data):
                found += places(package.name, workspace, language, count // len(own), seed)
    return found


async def run(
    engine: RecordedEngine, found: list[Place], variants: Sequence[str], contexts: Contexts, max_tokens: int,
    parallel: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Each place by each variant, in turn: their prompts begin alike, which spares the engine."""

    async def one(place: Place) -> list[dict[str, Any]]:
        return [
            judged(place, variant, await _complete(engine, place, variant, contexts, max_tokens))
            for variant in variants
        ]

    return [result for results in await in_parallel(one, found, parallel) for result in results]


async def _complete(engine: RecordedEngine, place: Place, variant: str, contexts: Contexts, max_tokens: int) -> Given:
    engine = engine.of_length(_LENGTH[place.kind])
    if variant != "bare":
        return await pipeline(engine, place.cursor, max_tokens, context=contexts.source(place, variant))
    if place.kind == "block":
        text = crude_cut(await bare(engine, place.cursor, max_tokens), place.cursor).rstrip()
    else:
        text = await bare(engine, place.cursor, LINE_TOKENS, one_line=True)
    return inserted(place.cursor, text, engine.raw)


def judged(place: Place, variant: str, given: Given) -> dict[str, Any]:
    """A suggestion with what is told about it."""
    text = place.cursor.text
    after = errors(given.applied(text), place.cursor.language) if given.text else 0
    before = errors(text, place.cursor.language)
    # What stands from the cursor on, as the user would see it.
    line = given.text.split("\n")[0].rstrip()
    truth_line = place.truth.split("\n")[0]
    block = place.kind == "block"
    compared = given.text[: _COMPARED * len(place.truth)].rstrip() if block else line
    return {
        "place": place.name,
        "language": place.cursor.language,
        "kind": place.kind,
        "variant": variant,
        "truth": place.truth,
        "before": text[place.cursor.line_start : place.cursor.offset],
        "shown": bool(given.text),
        "first_line_right": line == truth_line,
        "exact": _normal(given.text) == _normal(place.truth) if block else line == truth_line,
        "similarity": round(similarity(compared, place.truth), 3),
        "adds_error": bool(given.text) and after > before,
        "parses": bool(given.text) and after <= place.errors,
    } | msgspec.to_builtins(given)


def _normal(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The measures of each variant: of lines, of blocks, and by language."""
    report: dict[str, Any] = {}
    for variant in dict.fromkeys(result["variant"] for result in results):
        own = [result for result in results if result["variant"] == variant]
        groups = {
            "all": own,
            "lines": [result for result in own if result["kind"] != "block"],
            "blocks": [result for result in own if result["kind"] == "block"],
        } | {language: [r for r in own if r["language"] == language] for language in {r["language"]: 0 for r in own}}
        report[variant] = {name: _measures(group) for name, group in groups.items() if group}
    return report


def _measures(results: list[dict[str, Any]]) -> dict[str, float]:
    shown = [result for result in results if result["shown"]]

    def share(name: str, among: list[dict[str, Any]]) -> float:
        return round(sum(result[name] for result in among) / max(1, len(among)), 3)

    return {
        "places": len(results),
        "shown": share("shown", results),
        "exact": share("exact", results),
        "first_line": share("first_line_right", results),
        "similarity": share("similarity", results),
        "adds_error": share("adds_error", shown),
        "parses": share("parses", shown),
    }


def table(report: dict[str, Any]) -> str:
    """The measures as Markdown: a row for each variant and group."""
    names = ("places", "shown", "exact", "first_line", "similarity", "adds_error", "parses")
    rows = ["| variant | of | " + " | ".join(names) + " |", "|---|---" + "|---" * len(names) + "|"]
    for variant, groups in report.items():
        for group, measures in groups.items():
            cells = " | ".join(re.sub(r"^0\.", ".", f"{measures[name]:g}") for name in names)
            rows.append(f"| {variant} | {group} | {cells} |")
    return "\n".join(rows)


def tell_failures(results: list[dict[str, Any]]) -> str:
    """What was expected and what was given where it wasn't right."""
    return "\n".join(_told(result) for result in results if not result["exact"])


def _told(result: dict[str, Any]) -> str:
    return (
        f"=== {result['variant']} {result['place']}  confidence {result['confidence']:.2f}, "
        f"filters {list(result['filters'])}{', ADDS ERROR' if result['adds_error'] else ''}\n"
        f"{result['before']}▮\n--- expected\n{result['truth']}\n--- given\n"
        f"{result['text'] or '(nothing: ' + result['reason'] + ')'}\n"
        f"--- written by the model\n{result['raw']}\n"
    )
