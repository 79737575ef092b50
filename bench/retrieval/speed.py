"""How long things take: the first index, an update, a search; and what an index occupies."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from bench.common import percentiles
from bench.retrieval import data
from indexer import segment, vectors
from indexer.files import FileRules, listing
from indexer.index import Index, folder_of
from indexer.keeper import Keeper
from indexer.scan import Workload

_WORKERS = 2
_QUESTIONS = (
    "where are redirects followed?",
    "parse the header of a message",
    "how is the connection pool initialised",
    "convert a string to a date",
    "session cookie signature",
    "write rows to a csv file",
    "HTTPDigestAuth.build_digest_header",
    "compile a regular expression to bytecode",
    "which thread closes the sockets?",
    "缓存的键是怎么生成的",
    "raise an error if the value is out of range",
    "walk a directory tree and skip symlinks",
)


def report(folder: Path) -> dict[str, object]:
    """All of it."""
    found: dict[str, object] = {}
    (django,) = (one for one in data.repositories() if one.name == "django")
    tree = data.tree(django, folder)
    with tempfile.TemporaryDirectory(prefix="midline-bench-") as scratch:
        home = Path(scratch)
        if tree is not None:
            _say("first index of django")
            found["first index of django (6,000 chunks/s)"] = first_index(tree, home)
            found["the same files, read only"] = read_only(tree)
            found["semble"] = semble(tree)
            _say("updates")
            found["one 10 KB file (10 ms; 50 ms)"] = update(tree, home)
            found["saved to found, by the watcher (1 s)"] = saved_to_found(home)
        for chunks in (1_000, 10_000, 100_000):
            _say(f"search in {chunks:,} chunks")
            found[f"search, {chunks:,} chunks (p95 10 ms)"] = search(folder, home, chunks)
    _say("a million vectors")
    found["1,000,000 vectors (50 ms, 350 MB)"] = million()
    return found


def first_index(tree: Path, home: Path) -> dict[str, object]:
    """The index of a tree from nothing, through the command line."""
    environment = os.environ | {"MIDLINE_HOME": str(home / "midline")}
    before, busy = time.perf_counter(), _children_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "lsp.cli", "index", str(tree), "--json"], env=environment, capture_output=True, text=True
    )
    seconds, busy = time.perf_counter() - before, _children_seconds() - busy
    if done.returncode:
        return {"failed": done.stderr.strip()[-500:]}
    totals = json.loads(done.stdout)
    size = sum(file.size for file in listing(tree, FileRules()))
    return _rates(totals["files"], size, seconds) | {
        "chunks": totals["chunks"],
        "chunks/s": round(totals["chunks"] / seconds),
        "seconds of CPU": round(busy, 2),
        "chunks/s of two undisturbed cores": round(2 * totals["chunks"] / busy),
        "MB on disk": round(totals["bytes"] / 1e6, 1),
    }


def _children_seconds() -> float:
    """CPU time of the processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_only(tree: Path) -> dict[str, object]:
    """The limit: listing and reading the files that are indexed."""
    before = time.perf_counter()
    files = list(listing(tree, FileRules()))
    size = sum(len((tree / file.path).read_bytes()) for file in files)
    return _rates(len(files), size, time.perf_counter() - before)


def semble(tree: Path) -> dict[str, object]:
    """A peer, if it is installed and has its model."""
    if importlib.util.find_spec("semble") is None:
        return {"left out": "not installed"}
    code = "import sys; from semble import SembleIndex; SembleIndex.from_path(sys.argv[1])"
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(tree)], capture_output=True, text=True)
    if done.returncode:
        return {"left out": done.stderr.strip().splitlines()[-1][:200]}
    return {"seconds": round(time.perf_counter() - before, 2)}


def update(tree: Path, home: Path) -> dict[str, object]:
    """One file of 10 KB changed, again and again, in an index of django: stored, and in the view."""
    workspace = home / "workspace"
    shutil.copytree(tree / "django", workspace / "django")
    index = Index(workspace, folder_of(home / "indexes", workspace))
    index.scan(Workload(workers=_WORKERS))
    file = min((file for file in workspace.rglob("*.py")), key=lambda file: abs(file.stat().st_size - 10_000))
    path = file.relative_to(workspace).as_posix()
    text = file.read_text("utf-8")
    wall, work = [], []
    for number in range(40):
        file.write_text(f"{text}\n\ndef added_{number}():\n    return {number}\n", "utf-8")
        before, busy = time.perf_counter(), time.process_time()
        index.update([path])
        index.view()
        wall.append((time.perf_counter() - before) * 1e3)
        work.append((time.process_time() - busy) * 1e3)
    index.close()
    return {"ms": percentiles(wall[5:]), "ms of CPU": percentiles(work[5:]), "bytes": file.stat().st_size}


def saved_to_found(home: Path) -> dict[str, object]:
    """From saving a file in that workspace to the first search that finds it, the watcher in between."""
    workspace = home / "workspace"
    keeper = Keeper(Index(workspace, folder_of(home / "indexes", workspace)), Workload(workers=_WORKERS))
    keeper.start()
    try:
        while keeper.freshness.state != "ready":
            time.sleep(0.1)
        waited = [_until_found(keeper, workspace, number) for number in range(10)]
    finally:
        keeper.stop()
    return {"ms": percentiles(waited)}


def _until_found(keeper: Keeper, workspace: Path, number: int) -> float:
    time.sleep(0.5)
    before = time.perf_counter()
    (workspace / "django" / f"fresh_{number}.py").write_text(f"def quokka_{number}():\n    return {number}\n", "utf-8")
    while time.perf_counter() - before < 10:
        hits = keeper.index.search(f"quokka_{number}", 1)
        if hits and f"quokka_{number}" in hits[0].symbol:
            break
        time.sleep(0.02)
    return (time.perf_counter() - before) * 1e3


def search(folder: Path, home: Path, chunks: int) -> dict[str, object]:
    """Search in a process of its own, over real text: as much of the repositories and this Python as is needed."""
    workspace = home / f"{chunks}"
    if not _fill(workspace, folder, chunks):
        return {"left out": "not text enough"}
    index = Index(workspace, folder_of(home / "indexes", workspace))
    index.scan(Workload(workers=_WORKERS))
    index.close()
    code = f"from bench.retrieval.speed import _searches; _searches({str(workspace)!r}, {str(home / 'indexes')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _searches(workspace: str, indexes: str) -> None:
    """Search, and tell the figures on stdout."""
    index = Index(Path(workspace), folder_of(Path(indexes), Path(workspace)))
    index.rank()
    for question in _QUESTIONS:
        index.search(question)
    wall, work = [], []
    for _ in range(10):
        for question in _QUESTIONS:
            before, busy = time.perf_counter(), time.process_time()
            index.search(question)
            wall.append((time.perf_counter() - before) * 1e3)
            work.append((time.process_time() - busy) * 1e3)
    memory = psutil.Process().memory_full_info()
    totals = index.totals()
    figures = {
        "chunks": totals.chunks,
        "files": totals.files,
        "ms": percentiles(wall),
        "ms of CPU": percentiles(work),
        "resident MB": round(memory.rss / 1e6, 1),
        "of its own MB": round(memory.uss / 1e6, 1),
        "MB on disk": round(totals.bytes / 1e6, 1),
    }
    print(json.dumps(figures))


def _fill(workspace: Path, folder: Path, chunks: int) -> bool:
    """Link files into a workspace until they give some so many chunks."""
    most = chunks * 620  # bytes of Python to a chunk, measured
    size = 0
    for number, file in enumerate(_sources(folder)):
        size += file.stat().st_size
        target = workspace / f"{number // 500}" / f"{file.stem}_{number}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        if size > most:
            return True
    return size > most / 2


def _sources(folder: Path) -> Iterator[Path]:
    """Python files: the repositories', this Python's library, and what is installed."""
    for root in (folder / "trees", Path(sysconfig.get_paths()["stdlib"]), Path(sysconfig.get_paths()["purelib"])):
        yield from sorted(file for file in root.rglob("*.py") if file.stat().st_size < 200_000)


def million(n: int = 1_000_000, dims: int = 256) -> dict[str, object]:
    """The nearest of a million made-up vectors in clusters, mapped from the disk."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2_000, dims)).astype(np.float32)
    codes = np.empty((n, dims), np.int8)
    for first in range(0, n, 50_000):
        which = rng.integers(0, len(centres), 50_000)
        codes[first : first + 50_000] = np.clip(
            (centres[which] + rng.normal(size=(50_000, dims)).astype(np.float32)) * 30, -127, 127
        )
    scales = (1 / np.linalg.norm(codes[:1].astype(np.float32), axis=1)).repeat(n).astype(np.float32)
    none = np.zeros(n, np.int32)
    centre = np.zeros(dims, np.float32)
    part = segment.Segment(
        files=none, numbers=none, lengths=none.astype(np.float32), vectors=codes, scales=scales,
        bits=segment.sign_bits(codes, scales, centre), centre=centre, kinds=none.astype(np.uint8),
        symbols=np.zeros(0, np.uint8), symbol_ends=none.astype(np.int64), terms=np.zeros(0, np.uint32),
        starts=np.zeros(1, np.int64), postings=np.zeros(0, np.uint32),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="midline-bench-") as scratch:
        segment.save(part, Path(scratch) / "segment", {})
        mapped, _ = segment.load(Path(scratch) / "segment")
        taken = []
        for number in range(40):
            query = centres[number] / np.linalg.norm(centres[number])
            before = time.perf_counter()
            vectors.nearest(mapped, query, 200)
            taken.append((time.perf_counter() - before) * 1e3)
    used = mapped.vectors.nbytes + mapped.bits.nbytes + mapped.scales.nbytes
    return {"ms": percentiles(taken[5:]), "MB mapped": round(used / 1e6, 1)}


def _rates(files: int, size: int, seconds: float) -> dict[str, object]:
    return {
        "seconds": round(seconds, 2),
        "files": files,
        "files/s": round(files / seconds),
        "MB/s": round(size / 1e6 / seconds, 1),
    }


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
