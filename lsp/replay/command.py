"""``midline replay``: plan, play, report."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lsp.errors import MidlineError
from lsp.replay.editor import SERVE, editor
from lsp.replay.history import plan_history
from lsp.replay.keystrokes import keystrokes
from lsp.replay.plan import Plan, plan_files
from lsp.replay.player import Player, Recording, Stroke
from lsp.replay.report import lines, summary

Document = dict[str, object]


def replay_command(
    files: Sequence[Path], history: Path | None, *, keys: int, seed: int, speed: float, as_json: bool
) -> int:
    """Replay and print the report; returns the exit code.

    Args:
        files: typed into, in turn; empty where ``history`` is given.
        history: a git repository whose latest changes are typed instead.
        keys: most keystrokes.
        seed: equal seeds give equal keystrokes, but for the suggestions accepted.
        speed: times faster than a person; 0: no pauses at all.
        as_json: print one JSON document.

    Raises:
        MidlineError: nothing to type, or the server or its engine fails.
    """
    if bool(files) == bool(history):
        raise MidlineError("Replay what?", "Name files, or a repository with --git.")
    plan = plan_history(history, keys) if history else plan_files([file.absolute() for file in files], keys, seed)
    recording = asyncio.run(replay(plan, keys=keys, seed=seed, speed=speed, workspace=history or Path.cwd()))
    report = summary(recording) | {
        "seed": seed,
        "speed": speed,
        "pace": _pace(speed),
        "files": [{"name": path.name, "lines": text.count("\n") + 1} for path, text in plan.final().items()],
    }
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        print("\n".join(lines(report)))
    return 0


async def replay(
    plan: Plan,
    *,
    keys: int,
    seed: int,
    speed: float,
    workspace: Path,
    command: Sequence[str] = SERVE,
    accepts: bool = True,
    in_workspace: bool = False,
) -> Recording:
    """Play a plan against a server started with ``command``.

    Args:
        plan: what is typed.
        keys: most keystrokes.
        seed: of the typing.
        speed: see ``Player``.
        workspace: the folder that the editor has open.
        command: starts the server.
        accepts: see ``Player``.
        in_workspace: open the files by their own names, so that they belong to the workspace, with all its context;
            for an engine of one's own only.

    Raises:
        MidlineError: the server or its engine fails.
    """
    # Names that no editor uses, new each time: nothing that the engine still holds can help or be harmed.
    name = "file://" if in_workspace else f"midline-replay-{os.getpid()}-{time.time_ns()}:"
    async with editor(workspace, name, command) as window:
        player = Player(window, dict(plan.initial), speed, lambda stroke: _tell(stroke, keys), accepts=accepts)
        return await player.play(keystrokes(plan, seed), keys)


def _tell(stroke: Stroke, keys: int) -> None:
    if stroke.number % 50 == 0:
        print(f"midline: {stroke.number} of up to {keys} keystrokes", file=sys.stderr)


def _pace(speed: float) -> str:
    if speed == 0:
        return "without any pause: each key came as soon as the last one was answered, so nothing could be prepared"
    return "as fast as people type" if speed == 1 else f"{speed:g} times as fast as people type"
