"""The feel: how often what is on the screen is right, what it saves, and how often the next key contradicts it.

A person types a pinned package's code, to the end, whatever is suggested; a suggestion stays on the screen while the
keys agree with it. What they would have saved is worked out afterwards: they accept a suggestion's next word as soon
as it is right, its line where that is right to its end, all of it where all is; each acceptance costs a key.

At a person's pace the keys go to a real server. With ``--patient`` each key waits for its answer, so that the bare
model (cursor split, no filters, no confidence, the first line of its output) can be compared; what the model writes is
recorded, so that a second run costs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from bench.common import bench_home, machine, percentiles, print_report
from bench.quality.packages import packages
from bench.quality.recording import Model, RecordedEngine, Recordings
from bench.quality.variants import bare
from indexer.languages import language_of
from lsp.completion.completer import Completer
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.errors import MidlineError
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.replay.command import replay
from lsp.replay.editor import Answer, Ask
from lsp.replay.keystrokes import Edit, keystrokes
from lsp.replay.plan import Plan, plan_files
from lsp.replay.player import Player, Recording, Stroke
from lsp.settings import Settings

PACKAGE, FILES = "smolagents", ("smolagents/tools.py", "smolagents/memory.py")
VARIANTS = ("midline", "bare")
LINE_TOKENS = 48
# Tokens recorded of a prompt at first.
_LENGTH = {"midline": 40, "bare": 20}
_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")


# -- what came of it ---------------------------------------------------------------------------------------------------


def figures(strokes: Sequence[Stroke]) -> dict[str, Any]:
    """The measures; shares are of the keys after which something was typed next (all but mistakes)."""
    judged = [stroke for stroke in strokes if stroke.ahead]
    shown = [stroke for stroke in judged if stroke.screen]
    keys, saved, accepted = savings(strokes)
    new = [stroke.total_ms for stroke in shown if not stroke.kept and stroke.total_ms is not None]

    def share(some: int, of: int) -> float:
        return round(some / max(1, of), 3)

    return {
        "keys": len(strokes),
        "shown": share(len(shown), len(judged)),
        "right_next_key": share(sum(s.ahead[0] == s.screen[0] for s in shown), len(judged)),
        "right_next_word": share(sum(bool(_next_word(s.screen, s.ahead)) for s in shown), len(judged)),
        "right_line": share(sum(bool(s.right) for s in shown), len(judged)),
        "contradicted": share(sum(s.ahead[0] != s.screen[0] for s in shown), len(shown)),
        "saved": share(saved, keys),
        "acceptances": accepted,
        "tokens_evaluated": percentiles([stroke.tokens_evaluated for stroke in strokes]),
        "ms_to_new": percentiles(new),
        "ms_to_any": percentiles([*new, *(0.0 for stroke in shown if stroke.kept)]) if new else {},
    }


def savings(strokes: Sequence[Stroke]) -> tuple[int, int, int]:
    """Keys that had to be typed without suggestions, keys saved with them, and acceptances."""
    keys = saved = accepted = at = 0
    left = ""  # what stays on the screen behind an accepted word
    while at < len(strokes):
        stroke = strokes[at]
        if not stroke.ahead:
            at += 1
            continue
        screen = left or stroke.screen
        taken = _acceptable(screen, stroke.ahead)
        spared = _spared(strokes, at, len(taken))
        if len(spared) > 1:
            accepted += 1
            keys += len(spared)
            saved += len(spared) - 1
            left, at = screen[len(taken) :], spared[-1]
            continue
        keys += 1
        typed = stroke.ahead[: len(stroke.ahead) - len(_ahead(strokes, at + 1))]
        left = screen[len(typed) :] if left and screen.startswith(typed) else ""
        at += 1
    return keys, saved, accepted


def _acceptable(screen: str, ahead: str) -> str:
    """What is accepted with one key: all of it, or its next line, or its next word; nothing where that is wrong."""
    if ahead.startswith(screen):
        return screen
    break_after = screen.find("\n", 1)
    line = screen[:break_after] if break_after > 0 else ""
    return line if line and ahead.startswith(f"{line}\n") else _next_word(screen, ahead)


def _next_word(screen: str, ahead: str) -> str:
    """The next word on the screen, if it is what comes next as a whole word; else nothing."""
    found = _WORD.match(screen)
    word = found.group() if found else ""
    goes_on = word[-1:].isalnum() and re.match(r"\w", ahead[len(word) :])
    return word if word and ahead.startswith(word) and not goes_on else ""


def _spared(strokes: Sequence[Stroke], at: int, count: int) -> list[int]:
    """The strokes after ``at`` that type nothing but the next ``count`` characters; mistakes among them aside."""
    here = strokes[at].ahead
    found = []
    for number in range(at + 1, len(strokes)):
        ahead = strokes[number].ahead
        if ahead and (len(here) - len(ahead) > count or not here.endswith(ahead) or len(ahead) >= len(here)):
            break
        if ahead:
            found.append(number)
    return found


def _ahead(strokes: Sequence[Stroke], number: int) -> str:
    return strokes[number].ahead if number < len(strokes) else ""


# -- patient: no server, no clock --------------------------------------------------------------------------------------


class PatientEditor:
    """The surface of ``lsp.replay.editor.Editor``; completes in this process, by recordings.

    Args:
        engine: what generates.
        variant: of ``VARIANTS``.
    """

    def __init__(self, engine: RecordedEngine, variant: str) -> None:
        self._engine = engine.of_length(_LENGTH[variant])
        self._variant = variant
        self._completer = Completer(self._engine, DEFAULT_MODEL.name, CompletionStats(), known=set)
        self._texts: dict[Path, str] = {}

    def is_open(self, path: Path) -> bool:
        """Whether a document was opened."""
        return path in self._texts

    def open(self, path: Path, text: str) -> None:
        """Show a document."""
        self._texts[path] = text

    def edit(self, path: Path, edits: Sequence[Edit]) -> None:
        """Change a document's text."""
        for edit in edits:
            self._texts[path] = edit.apply(self._texts[path])

    def place(self, path: Path, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1."""
        before = self._texts[path][:offset]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def move(self, path: Path, offset: int) -> None:
        """Nothing is prepared."""

    def ask(self, path: Path, offset: int) -> Ask:
        """A completion at a place."""
        cursor = Cursor(path.as_uri(), path, language_of(path), None, self._texts[path], offset)
        return Ask("", asyncio.get_running_loop().create_task(self._answer(cursor)))

    def cancel(self, ask: Ask) -> None:
        """Every key waits for its answer."""

    async def accepted(self) -> None:
        """Nobody counts."""

    async def status(self) -> dict[str, Any]:
        """What ``Player`` reads."""
        counts = dict.fromkeys(("tokens_evaluated", "tokens_prewarmed"), 0)
        return {"completion": counts, "last_completion": None, "engine": {}}

    async def _answer(self, cursor: Cursor) -> Answer:
        began = time.perf_counter()
        if self._variant == "bare":
            text = await bare(self._engine, cursor, LINE_TOKENS, one_line=True)
        else:
            options = Settings().completion
            made = await self._completer.complete(
                cursor, max_tokens=options.max_tokens, min_confidence=options.min_confidence, patient=True
            )
            text = made.text
        return Answer(text, (time.perf_counter() - began) * 1000)


async def patient(plan: Plan, variants: Sequence[str], options: argparse.Namespace) -> dict[str, Recording]:
    """The same keys for each variant, each waiting for its answer."""
    model = Model(allowed=not options.no_model)
    engine = RecordedEngine(Recordings(options.recordings), model, length=0)
    found = {}
    try:
        for variant in variants:
            editor: Any = PatientEditor(engine, variant)
            player = Player(editor, dict(plan.initial), 0, lambda stroke: _tell(stroke, model), accepts=False)
            found[variant] = await player.play(keystrokes(plan, options.seed), options.keys)
    finally:
        await model.close()
    return found


def _tell(stroke: Stroke, model: Model) -> None:
    if stroke.number % 25 == 0:
        print(f"{stroke.number} keys, the model was asked {model.asked} times", file=sys.stderr, flush=True)


# -- the bench ---------------------------------------------------------------------------------------------------------


def main() -> int:
    """Run the bench; returns the exit code."""
    options = _options()
    package = next(package for package in packages() if package.name == PACKAGE)
    workspace = package.workspace(options.data)
    files = options.files or [workspace / name for name in FILES if workspace]
    if not files:
        return 1
    plan = plan_files([file.absolute() for file in files], options.keys, options.seed)
    try:
        recordings = _play(plan, options, options.workspace or workspace or Path.cwd())
    except MidlineError as error:
        print(error, file=sys.stderr)
        return 1
    report: dict[str, Any] = {
        "bench": "feel",
        "pace": "patient" if options.patient else f"{options.speed:g} times a person's",
        "seed": options.seed,
        "files": {file.name: plan.final()[file.absolute()].count("\n") for file in files},
    }
    report |= {variant: figures(recording.strokes) for variant, recording in recordings.items()}
    if options.out:
        options.out.write_text(json.dumps(report | {"strokes": _strokes(recordings)}, ensure_ascii=False, indent=1))
    print_report(report | {"machine": machine()}, options.json)
    return 0


def _play(plan: Plan, options: argparse.Namespace, workspace: Path) -> dict[str, Recording]:
    if options.patient:
        return asyncio.run(patient(plan, options.variants, options))
    with bench_home():
        played = replay(
            plan, keys=options.keys, seed=options.seed, speed=options.speed, workspace=workspace, accepts=False,
            in_workspace=True,
        )  # fmt: skip
        return {"midline": asyncio.run(played)}


def _strokes(recordings: dict[str, Recording]) -> dict[str, list[dict[str, Any]]]:
    """What stood on the screen at each key, and what was typed next, to look into."""
    return {
        variant: [
            {"line": one.line, "column": one.column, "kind": one.kind, "screen": one.screen, "next": one.ahead[:60]}
            for one in recording.strokes
        ]
        for variant, recording in recordings.items()
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.feel", description=__doc__)
    cache = user_cache_path("midline") / "quality"
    parser.add_argument("files", nargs="*", type=Path, help=f"typed into; default: {', '.join(FILES)} of {PACKAGE}")
    parser.add_argument("--workspace", type=Path, help="the folder that is open; default: the package's")
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0, help="times a person's pace (default 1)")
    parser.add_argument("--patient", action="store_true", help="each key waits for its answer")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=VARIANTS, help="with --patient")
    parser.add_argument("--recordings", type=Path, default=cache, help="where the model's output is kept")
    parser.add_argument("--no-model", action="store_true", help="with --patient: only what is recorded")
    parser.add_argument("--data", type=Path, default=cache, help="downloads")
    parser.add_argument("--out", type=Path, help="write the report, with what stood on the screen, to this file")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
