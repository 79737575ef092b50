"""``python -m bench.chat packages``: is a question about an installed package answered by the right definition of it?

The packages are those of midline's own development environment; nothing of them is run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from indexer.index import Index
from indexer.packages import Packages
from indexer.scan import Workload
from lsp.chat import library as libraries
from lsp.chat.library import Library

_WRITTEN = Path(__file__).with_suffix(".toml")
_APP = """import attrs, filelock, jinja2, msgspec, pathspec, platformdirs, psutil, pypdf, requests
import tqdm, tree_sitter, watchdog, yaml
from rich.table import Table
"""
_PATIENCE_SECONDS = 300.0


def main(arguments: list[str]) -> int:
    """Ask each question twice and print one JSON document; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.chat packages", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="processes that index (default 1)")
    parser.add_argument("--misses", action="store_true", help="tell on stderr what is found instead")
    options = parser.parse_args(arguments)
    os.environ["VIRTUAL_ENV"] = sys.prefix
    libraries._PACKAGE_SECONDS = _PATIENCE_SECONDS  # how long it takes is what is measured
    questions = tomllib.loads(_WRITTEN.read_text("utf-8"))["question"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "work/app.py").write_text(_APP)
        index = Index(folder / "work", folder / "index")
        index.scan()
        packages = Packages(folder / "packages", Workload(workers=options.workers))
        told = _asked(questions, Library(index, folder / "work", packages=packages), folder, options.misses)
        packages.close()
        index.close()
    print(json.dumps(told, indent=2))
    return 0


def _asked(questions: list[dict[str, object]], library: Library, folder: Path, misses: bool) -> dict[str, object]:
    places, first, later = [], [], []
    known: set[str] = set()
    for question in questions:
        seconds, found = _timed(library, str(question["text"]))
        there = {path.name for path in (folder / "packages").iterdir()}
        if there - known:
            first.append(seconds)
        known = there
        later.append(_timed(library, str(question["text"]))[0])
        answers = question["answers"]
        assert isinstance(answers, list)
        place = next((at for at, one in enumerate(found, 1) if any(one.endswith("/" + end) for end in answers)), 0)
        places.append(place)
        if misses and not place:
            print(question["text"], *found, sep="\n    ", file=sys.stderr)
    sizes = [sum(f.stat().st_size for f in one.rglob("*") if f.is_file()) for one in (folder / "packages").iterdir()]
    return {
        "questions": len(places),
        "recall@1": round(sum(place == 1 for place in places) / len(places), 3),
        "recall@5": round(sum(0 < place <= 5 for place in places) / len(places), 3),
        "packages": len(known),
        "first_question_s": {"median": round(statistics.median(first), 2), "max": round(max(first), 2)},
        "later_question_ms": {"median": round(statistics.median(later) * 1000, 1), "max": round(max(later) * 1000, 1)},
        "bytes": {"median": int(statistics.median(sizes)), "max": max(sizes), "all": sum(sizes)},
    }


def _timed(library: Library, question: str) -> tuple[float, list[str]]:
    began = time.perf_counter()
    found = library.packages_for(question, count=5)
    return time.perf_counter() - began, [f"{hit.path} {hit.symbol}" for hit in found]
