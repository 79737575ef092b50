"""The same keystrokes for midline, for llama-server as llama.vim uses it, and for llama-cpp-python's ``Llama``.

Key by key, one after the other, so that whatever else the machine does hits all three alike; each gets the key when
the one before has answered, and midline's background work has ended before the others begin. So midline has more time
for that work than somebody typing fast would leave it: the tokens a key under real typing are ``bench.replay``'s.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.common import STDLIB, THREADS, bench_home, engine_config, machine, percentiles, print_report
from bench.peers import Cost, HighLevelLlama, LlamaServer, Window, high_level_llama, llama_server
from lsp.replay.editor import Editor, editor
from lsp.replay.keystrokes import KEYS, Event, keystrokes
from lsp.replay.plan import Plan, plan_files

# midline's background work has ended when nothing was computed for so long.
QUIET_SECONDS = 0.7


@dataclass(frozen=True)
class Key:
    """What one key cost each of the three; ``cached`` is midline's answer from an earlier suggestion."""

    kind: str
    midline: Cost
    cached: bool
    server: Cost
    llama: Cost | None


async def _compare(
    plan: Plan, options: argparse.Namespace, window: Editor, server: LlamaServer, llama: HighLevelLlama
) -> list[Key]:
    keys: list[Key] = []
    typing = keystrokes(plan, options.seed)
    screen = ""
    event: Event | None = next(typing)
    warm = False
    while event and len(keys) < options.keys:
        if not window.is_open(event.path):
            window.open(event.path, plan.initial[event.path])
        if event.edits:
            window.edit(event.path, event.edits)
        if event.kind not in KEYS:
            window.move(event.path, event.cursor)
            await _quiet(window)
            event = typing.send("")
            continue
        around = Window.of(window.text(event.path), event.cursor)
        before = (await window.status())["completion"]["tokens_evaluated"]
        answer = await window.ask(event.path, event.cursor).task
        status = await window.status()
        screen = answer.text if answer else ""
        await asyncio.sleep(event.pause)
        await _quiet(window)
        if around and not warm:  # the first key, with the whole prompt to compute, is counted for none
            await asyncio.to_thread(server.complete, around, 1)
            await asyncio.to_thread(llama.complete, around, 1)
            warm = True
        elif around:
            done = status["last_completion"]
            first = done["ms"].get("context", 0.0) + done["ms"].get("first_token", 0.0)
            evaluated = status["completion"]["tokens_evaluated"] - before
            ours = Cost(evaluated, first, evaluated + done["tokens_reused"])
            theirs = await asyncio.to_thread(server.complete, around, options.predict)
            third = None
            if len(keys) < options.llama_keys:
                third = await asyncio.to_thread(llama.complete, around, options.predict)
            keys.append(Key(event.kind, ours, done["cached"], theirs, third))
            print(f"{len(keys)}/{options.keys} {event.kind:<10}{_row(keys[-1])}", file=sys.stderr)
        try:
            event = typing.send(screen)
        except StopIteration:
            event = None
    return keys


def _row(key: Key) -> str:
    return "  ".join(f"{c.evaluated:>5} {c.first_ms:>7.0f} ms" for c in (key.midline, key.server, key.llama) if c)


async def _quiet(window: Editor) -> None:
    """Wait until midline computes nothing in the background."""
    before = -1
    while True:
        now = (await window.status())["completion"]["tokens_prewarmed"]
        if now == before:
            return
        before = now
        await asyncio.sleep(QUIET_SECONDS)


def _figures(costs: list[Cost]) -> dict[str, Any]:
    return {
        "keystrokes": len(costs),
        "tokens_evaluated": percentiles([cost.evaluated for cost in costs]),
        "first_token_ms": percentiles([cost.first_ms for cost in costs]),
        "prompt_tokens_p50": median(cost.prompt for cost in costs),
    }


def _report(keys: list[Key]) -> dict[str, Any]:
    ours = [key.midline for key in keys]
    computed = [key.midline for key in keys if not key.cached]
    server = [key.server for key in keys]
    llama = [key.llama for key in keys if key.llama]
    figures = {
        "midline": _figures(ours),
        "midline, computed only": _figures(computed),
        "llama-server": _figures(server),
        "Llama(suffix=)": _figures(llama),
    }

    def ratio(name: str, measure: str, figure: str) -> float:
        mine, theirs = (figures[who][measure][figure] for who in ("midline, computed only", name))
        return round(theirs / mine, 1) if mine else float("inf")

    ratios = {
        f"{name}, {measure} {figure}": ratio(name, measure, figure)
        for name in ("llama-server", "Llama(suffix=)")
        for measure, figure in (("tokens_evaluated", "mean"), ("first_token_ms", "p50"))
    }
    # Another build of llama.cpp is another speed; this tells how much of a ratio that is.
    speeds = {
        name: round(1000 * sum(c.evaluated for c in costs) / sum(c.first_ms for c in costs), 1)
        for name, costs in (("llama-server", server), ("Llama(suffix=)", llama))
    }
    return {"figures": figures, "times midline's": ratios, "tokens per second while computing prompts": speeds}


async def _run(options: argparse.Namespace) -> dict[str, Any]:
    # Suggestions that are accepted save keys, and keys are what is compared here.
    plan = plan_files(options.files, options.keys * 2, options.seed)
    with bench_home(f"[completion]\nmax_tokens = {options.predict}\n") as home:
        model = Path(engine_config(home).model)
        with llama_server(model, THREADS) as server, high_level_llama(model, THREADS) as llama:
            async with editor(home, "midline-bench:") as window:
                keys = await _compare(plan, options, window, server, llama)
    sizes = {path.name: text.count("\n") for path, text in plan.final().items()}
    settings = {"n_predict": options.predict, "seed": options.seed, "lines": sizes}
    return {"bench": "side by side"} | settings | _report(keys) | {"machine": machine()}


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.side_by_side", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[STDLIB / "argparse.py"])
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--llama-keys", type=int, default=60, help="how many of them also for Llama(suffix=)")
    parser.add_argument("--predict", type=int, default=32, help="most tokens to generate, for each of the three")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print_report(asyncio.run(_run(options)), options.json)


if __name__ == "__main__":
    main()
