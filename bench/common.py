"""What the benches share: a home of their own, an engine in it, figures and how they are printed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import platform
import signal
import statistics
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import psutil

from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.models import store
from lsp.models.catalogue import DEFAULT_MODEL

THREADS = 1
STDLIB = Path(sysconfig.get_paths()["stdlib"])


@contextlib.contextmanager
def bench_home(settings: str = "") -> Iterator[Path]:
    """A ``MIDLINE_HOME`` of the bench's own, holding the installed default model: no snapshot, no engine of the user's.

    Args:
        settings: more lines for its ``midline.toml``.

    Raises:
        MidlineError: the model isn't installed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    model = store.find(DEFAULT_MODEL.name)
    with tempfile.TemporaryDirectory(prefix="midline-bench-") as folder:
        home = Path(folder)
        models = home / "data" / "models"
        models.mkdir(parents=True)
        for file in (model.path, model.path.with_suffix(".json")):
            (models / file.name).symlink_to(file)
        (home / "config").mkdir()
        lines = f"[engine]\nthreads = {THREADS}\nidle_minutes = 0.5\n{settings}"
        (home / "config" / "midline.toml").write_text(lines)
        before = os.environ.get("MIDLINE_HOME")
        os.environ["MIDLINE_HOME"] = folder
        try:
            yield home
        finally:
            os.environ.pop("MIDLINE_HOME")
            if before is not None:
                os.environ["MIDLINE_HOME"] = before


def engine_config(home: Path) -> EngineConfig:
    """The engine of ``home`` with the benches' threads."""
    model = home / "data" / "models" / store.find(DEFAULT_MODEL.name).path.name
    return EngineConfig(str(model), threads=THREADS, idle_seconds=30.0)


@contextlib.asynccontextmanager
async def running_engine(config: EngineConfig) -> AsyncIterator[EngineClient]:
    """A client of a ready engine, which is ended afterwards."""
    client = EngineClient(config)
    client.start()
    try:
        state = await client.ready()
        yield client
    finally:
        await client.close()
        await end_engine(state.pid)


async def end_engine(pid: int) -> None:
    """Ask an engine to end, and wait until it has: it saves its snapshots meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGTERM)
        # Not `wait`: it may be a child of this process, which asyncio reaps.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Mean, median, p95, p99 and maximum; empty where there are no values."""
    if not values:
        return {}
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    figures = {"mean": statistics.fmean(values), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": ordered[-1]}
    return {name: round(value, 2) for name, value in figures.items()}


def machine() -> dict[str, str | int | float]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "threads": THREADS,
        "model": DEFAULT_MODEL.name,
        "date": datetime.date.today().isoformat(),
    }


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def print_report(report: dict[str, object], as_json: bool) -> None:
    """Print a report: one JSON document, or a line per figure."""
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
        return
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"{name}")
            for key, inner in value.items():
                print(f"    {key:<40}  {_shown(inner)}")
        else:
            print(f"{name:<32}{_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
