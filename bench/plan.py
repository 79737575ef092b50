"""The memory plan: how far its numbers are from what llama.cpp allocates, and how long it takes.

Tiny models of each kind of memory, and the default model, are loaded on the CPU; of known models there are the
published shapes only (``tests/published_shapes.py``), for which llama.cpp works out what it would allocate.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.common import machine, print_report
from lsp.engine.planning.memory import Choice, Gpu, KvType, Machine, compute_total, cpu_use, sequences
from lsp.engine.planning.plan import Wanted, plan
from lsp.engine.planning.shape import shape_of
from lsp.models import store
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.header import read_header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from allocation_support import loaded
from published_shapes import MODELS, OTHERS, tiny, write_published
from tiny_gguf import Kind, write_tiny_gguf

from lsp.engine.offload import Placement

MIB = 2**20
KINDS: tuple[Kind, ...] = ("full", "sliding", "recurrent", "hybrid", "hybrid_sliding")
CONTEXTS = (2048, 8192)
KV_TYPES: tuple[KvType, ...] = ("f16", "q8_0")
ROUNDS = 20


def main() -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        report = {
            "machine": machine(),
            "% off what is allocated": dict(_compared(*one) for one in _small(Path(folder))),
            "% off what is simulated": dict(
                _compared(name, path, simulate=True) for name, path in _large(Path(folder))
            ),
            "milliseconds": _times(Path(folder)),
        }
    print_report(report, as_json=arguments.json)


def _small(folder: Path) -> Iterator[tuple[str, Path]]:
    for kind in KINDS:
        yield f"tiny {kind}", write_tiny_gguf(folder / f"{kind}.gguf", kind)
    for model in MODELS:
        yield f"tiny {model.name}", write_published(folder / "tiny.gguf", tiny(model))
    yield DEFAULT_MODEL.name, store.find(DEFAULT_MODEL.name).path


def _large(folder: Path) -> Iterator[tuple[str, Path]]:
    for model in (*MODELS, *OTHERS):
        yield model.name, write_published(folder / "large.gguf", model)


def _compared(name: str, path: Path, *, simulate: bool = False) -> tuple[str, dict[str, float]]:
    """The largest errors of a model over contexts and types of its KV cache, in percent of what is allocated."""
    print(f"{name} …", file=sys.stderr)
    shape = shape_of(read_header(path))
    errors = {"kv": 0.0, "compute": 0.0} | ({} if simulate else {"weights": 0.0})
    for n_ctx in CONTEXTS:
        for kv_type in KV_TYPES:
            choice = Choice(n_ctx, kv_type)
            use = cpu_use(shape, choice)
            placement = Placement(n_ctx, kv_type=kv_type, copied=False)
            with loaded(path, placement, sequences(shape, n_ctx), simulate=simulate) as actual:
                if not simulate:
                    errors["weights"] = max(errors["weights"], _error(use.weights, actual.weights.total()))
                errors["kv"] = max(errors["kv"], _error(use.kv, actual.cells))
                compute = _error(compute_total(shape, choice), actual.compute.total())
                errors["compute"] = max(errors["compute"], compute)
    return name, {what: round(error, 2) for what, error in errors.items()}


def _error(planned: int, mib: float) -> float:
    """Percent; llama.cpp tells hundredths of a MiB, and what lies within that is none."""
    off = max(abs(planned / MIB - mib) - 0.005, 0.0)
    return 100 * off / mib if mib else 0.0


def _times(folder: Path) -> dict[str, float]:
    """Of the processor, medians for a header of DeepSeek-V3's size: its tensors, 129,280 tokens and their merges."""
    model = next(model for model in MODELS if model.name == "DeepSeek-V3")
    path = write_published(folder / "timed.gguf", model, words=True)
    read, planned = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        header = read_header(path)
        middle = time.process_time()
        plan(
            [Wanted("model", "completion", shape_of(header))],
            Machine((Gpu("GPU 0", 24 << 30), Gpu("GPU 1", 24 << 30)), 512 << 30),
        )
        read.append(1000 * (middle - began))
        planned.append(1000 * (time.process_time() - middle))
    return {"header": round(statistics.median(read), 1), "plan": round(statistics.median(planned), 1)}


if __name__ == "__main__":
    main()
