"""What llama.cpp allocates for a placement, as it tells it while it loads."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import llama_cpp.llama_cpp as lib

from lsp.engine.offload import Placement
from lsp.engine.params import ModelParams, context_params
from lsp.engine.planning.memory import BATCH

_BUFFER = re.compile(r"(\S+) +(model|KV|RS|compute) buffer size = +([\d.]+) MiB")
_CELLS = re.compile(r"size = +([\d.]+) MiB \( *\d+ cells")
_LAYER = re.compile(r"layer +(\d+) assigned to device ([^ ,]+)")


@dataclass
class Allocated:
    """MiB by device, and the device of each layer; ``cells`` is the KV cache's size without its buffers' padding."""

    weights: Counter[str] = field(default_factory=Counter)
    kv: Counter[str] = field(default_factory=Counter)
    compute: Counter[str] = field(default_factory=Counter)
    cells: float = 0.0
    layers: list[str] = field(default_factory=list)


@contextmanager
def loaded(path: Path, placement: Placement, sequences: int, *, simulate: bool = False) -> Iterator[Allocated]:
    """Load the model and make a context; ``simulate``: llama.cpp only works out what it would allocate."""
    _lines.clear()
    lib.llama_log_set(_keep, ctypes.c_void_p(0))
    lib.llama_backend_init()
    made = ModelParams(placement)
    if simulate:
        made.params.no_alloc = True
        made.params.load_mode = lib.LLAMA_LOAD_MODE_NONE
    model = lib.llama_model_load_from_file(str(path).encode(), made.params)
    assert model, _lines[-3:]
    context = lib.llama_init_from_model(model, context_params(placement, n_seq=sequences, n_batch=BATCH, threads=1))
    assert context, _lines[-3:]
    try:
        yield _read(_lines)
    finally:
        lib.llama_free(context)
        lib.llama_model_free(model)


_lines: list[str] = []


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _keep(_level: int, line: bytes, _: object) -> None:
    _lines.append(line.decode("utf-8", "replace"))


def _read(lines: list[str]) -> Allocated:
    found = Allocated()
    for line in lines:
        if match := _LAYER.search(line):
            found.layers.append(match[2])
        elif match := _BUFFER.search(line):
            kinds = {"model": found.weights, "compute": found.compute}
            kinds.get(match[2], found.kv)[match[1]] += float(match[3])  # type: ignore[assignment]
        elif match := _CELLS.search(line):
            found.cells += float(match[1])
    return found
