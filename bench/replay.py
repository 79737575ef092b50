"""``midline replay`` in a home of the bench's own, on a large file and a second one."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from bench.common import STDLIB, bench_home, machine, print_report
from lsp.replay.command import replay
from lsp.replay.plan import plan_files
from lsp.replay.report import summary

FILES = ("argparse.py", "tarfile.py")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[STDLIB / name for name in FILES])
    parser.add_argument("--keys", type=int, default=700)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plan = plan_files(options.files, options.keys, options.seed)
    with bench_home() as home:
        played = replay(plan, keys=options.keys, seed=options.seed, speed=options.speed, workspace=home)
        recording = asyncio.run(played)
    sizes = {file.name: plan.final()[file].count("\n") for file in options.files}
    print_report(
        {"bench": "replay", "lines": sizes, "speed": options.speed, "seed": options.seed}
        | summary(recording)
        | {"machine": machine()},
        options.json,
    )


if __name__ == "__main__":
    main()
