"""How far a download, copy or check has come, and how a terminal or a log file shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Stage = Literal["wait", "download", "copy", "quantize", "load", "check"]

_SAID = {
    "wait": "Waiting for another midline to finish with the models folder",
    "download": "Downloading",
    "copy": "Copying",
    "quantize": "Quantizing",
    "load": "Loading",
    "check": "Checking",
}


@dataclass(frozen=True)
class DownloadProgress:
    """``done`` of ``total`` bytes of the model, in ``stage``; ``detail`` names the source of a download.

    A new source starts again at 0. While waiting for another process both counts are 0.
    """

    stage: Stage
    done: int
    total: int
    detail: str = ""


Report = Callable[[DownloadProgress], None]


def ignore(_: DownloadProgress) -> None:
    """Report progress to nobody."""


@contextmanager
def shown(name: str) -> Iterator[Report]:
    """Yield a function that shows progress with model ``name`` on stderr.

    A terminal gets a bar with bytes, speed and time left; anything else a line about every tenth.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(name)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[Stage, TaskID] = {}

        def show(now: DownloadProgress) -> None:
            # A stage gets its own bar, made when it begins: what came before stays readable above it.
            if not tasks:
                bars.console.print(name, style="bold", markup=False, highlight=False)
            if now.stage not in tasks:
                tasks[now.stage] = bars.add_task(_SAID[now.stage], total=None)
            bars.update(tasks[now.stage], completed=now.done, total=now.total or None)

        yield show


def _lines(name: str) -> Report:
    last: tuple[str, int] = ("", -1)

    def show(now: DownloadProgress) -> None:
        nonlocal last
        tenth = 10 * now.done // now.total if now.total else 0
        if (now.stage, tenth) == last:
            return
        last = (now.stage, tenth)
        line = f"{_SAID[now.stage]} {name}"
        if now.total:
            line += f": {10 * tenth} % ({decimal(now.done)} of {decimal(now.total)})"
        print(line, file=sys.stderr, flush=True)

    return show
