"""``midline stats``: what became of suggestions on this machine, by language and mode."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from lsp.completion.survival import CHECKS, SAVED
from lsp.completion.tally import Counts, erase, read, tally_path

_OUTCOMES = ("accepted", "partly", "typed", "rejected")
_CHECKS = (*CHECKS, SAVED)


def stats_command(*, erase_all: bool, as_json: bool) -> int:
    """Print the counts, or remove them; returns 0.

    Raises:
        MidlineError: the counts can't be read.
        OSError: they can't be removed.
    """
    path = tally_path()
    if erase_all:
        found = erase(path)
        print(json.dumps({"erased": found}) if as_json else f"Removed {path}." if found else "There was nothing.")
        return 0
    told = summary(read(path))
    if as_json:
        print(json.dumps({"path": str(path), **told}))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    if not told["cells"]:
        console.print("Nothing has been counted yet.")
        return 0
    console.print(_table(told))
    console.print(f"Counts only, kept in {path} and nowhere else; `midline stats --erase` removes them.")
    return 0


def summary(counts: Counts) -> dict[str, Any]:
    """``{"cells": [cell], "total": cell}``, the cells with most suggestions first.

    A cell is ``{"language", "mode", "shown", "accepted", "partly", "typed", "rejected", "characters",
    "accepted_share", "alive": {"30s", "5min", "saved"}}``. ``characters`` is how many were accepted,
    ``accepted_share`` what part of those shown was accepted, all or partly, and ``alive`` what share of the accepted
    text was left after a while; shares are 0 to 1, or None where nothing is known.
    """
    cells: defaultdict[tuple[str, str], defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    total: defaultdict[str, float] = defaultdict(float)
    for (language, mode, name), value in counts.items():
        cells[language, mode][name] += value
        total[name] += value
    told = [{"language": language, "mode": mode, **_cell(values)} for (language, mode), values in cells.items()]
    told.sort(key=lambda cell: (-cell["shown"], cell["language"], cell["mode"]))
    return {"cells": told, "total": _cell(total)}


def _cell(values: defaultdict[str, float]) -> dict[str, Any]:
    taken = values["accepted"] + values["partly"]
    return {
        **{name: round(values[name]) for name in ("shown", *_OUTCOMES, "characters")},
        "accepted_share": _share(taken, values["shown"]),
        "alive": {name: _share(values[f"alive_{name}"], values[f"checked_{name}"]) for name in _CHECKS},
    }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None


def _table(told: dict[str, Any]) -> Table:
    left = [f"left after {name.replace('s', ' s').replace('min', ' min')}" for name in CHECKS]
    numbers = ["shown", *_OUTCOMES, "taken", "characters", *left, "when saved"]
    table = Table("language", "mode", box=None, pad_edge=False)
    for name in numbers:
        table.add_column(name, justify="right")
    for cell in [*told["cells"], {"language": "all", "mode": "", **told["total"]}]:
        counts = [f"{cell[name]:,}" for name in ("shown", *_OUTCOMES)]
        alive = [_percent(cell["alive"][name]) for name in _CHECKS]
        row = [*counts, _percent(cell["accepted_share"]), f"{cell['characters']:,}", *alive]
        table.add_row(cell["language"], cell["mode"], *row)
    return table


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
