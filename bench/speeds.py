"""What weights cost by their type, and how well one model's speed foretells another's (`lsp.models.costs`).

``python -m bench.speeds types`` computes with models that differ in the type of their weights alone; ``python -m
bench.speeds models`` foretells the speed of three shapes from the installed model's. One thread; what counts is the
CPU's time, of the best run, so that other programs disturb little. Weights are random: holes in a file would all be one
page.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np

from lsp.models import store
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.discovery.facts import TOKENS, Facts, facts
from lsp.models.header import read_header

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from published_shapes import Published, write_published

BATCH = 64
TYPES = ["Q4_K", "Q4_0", "Q5_0", "Q8_0", "Q2_K", "Q3_K", "Q5_K", "Q6_K", "IQ4_XS", "IQ3_S", "F16", "BF16", "MXFP4"]
SHAPES = (
    Published("dense-1.5B", "qwen2", 28, 1536, 8960, 12, 2, 151_936, 32_768, "", bias=True, tied=True),
    Published(
        "mixture-3.9B", "qwen3moe", 12, 2048, 6144, 32, 4, 32_000, 32_768, "", head=128, experts=(64, 8, 768, 0, 0)
    ),
    Published("dense-1.1B-Q8_0", "llama", 22, 2048, 5632, 32, 4, 32_000, 2048, "", weights="Q8_0", output="Q8_0"),
)


class Runner:
    """A model with one thread; ``best`` are the shortest times for a token and for a batch, in seconds."""

    def __init__(self, path: Path) -> None:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        self._model = lib.llama_model_load_from_file(str(path).encode(), params)
        context = lib.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch = 512, BATCH, BATCH
        context.n_threads = context.n_threads_batch = 1
        context.flash_attn_type = 1
        self._context = lib.llama_init_from_model(self._model, context)
        self.facts: Facts = facts(read_header(path, arrays=(TOKENS,)))
        self.best = [float("inf")] * 2

    def run(self) -> None:
        """A batch, then six tokens one by one."""
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        self.best[1] = min(self.best[1], self._decode(BATCH, 0))
        self.best[0] = min(self.best[0], *(self._decode(1, BATCH + i) for i in range(6)))

    def _decode(self, count: int, start: int) -> float:
        batch = lib.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for i in range(count):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = (37 * i + start) % 1000, start + i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, i == count - 1
        begin = time.process_time()
        lib.llama_decode(self._context, batch)
        lib.llama_get_logits_ith(self._context, count - 1)
        seconds = time.process_time() - begin
        lib.llama_batch_free(batch)
        return seconds


def write_random(path: Path, shape: Published) -> Path:
    """A model of ``shape`` with random weights; return its path.

    No byte is below 8: scales are f16, and subnormal ones take ten times as long to convert.
    """
    left = sum(tensor.bytes for tensor in read_header(write_published(path, shape)).tensors)
    block = np.random.default_rng(0).integers(8, 64, 8 << 20, dtype=np.uint8).tobytes()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - left)
        while left > 0:
            left -= file.write(block[:left])
    return path


def types(folder: Path, rounds: int) -> None:
    """Print what each type costs beside Q4_K."""
    runners = {}
    for kind in TYPES:
        shape = Published(kind, "llama", 4, 2048, 5632, 32, 4, 8192, 2048, "", weights=kind, output=kind)
        runners[kind] = Runner(write_random(folder / f"{kind}.gguf", shape))
    _run(list(runners.values()), rounds)
    token, batch = runners["Q4_K"].best
    print("type     GB/s  writing  reading")
    for kind, runner in runners.items():
        rate = runner.facts.active_bytes / runner.best[0] / 1e9
        print(f"{kind:7} {rate:5.1f} {runner.best[0] / token:8.2f} {runner.best[1] / batch:8.2f}")


def models(folder: Path, rounds: int) -> None:
    """Print how fast other models are, and how fast the installed one lets expect."""
    known = Runner(store.find(DEFAULT_MODEL.name).path)
    runners = [known, *(Runner(write_random(folder / f"{shape.name}.gguf", shape)) for shape in SHAPES)]
    _run(runners, rounds)
    writing = known.facts.writing_cost / known.best[0]
    reading = BATCH * known.facts.reading_cost / known.best[1]
    print("model              tokens/s written  foretold     read  foretold")
    for name, runner in zip((DEFAULT_MODEL.name[:18], *(shape.name for shape in SHAPES)), runners, strict=True):
        written, read = 1 / runner.best[0], BATCH / runner.best[1]
        expected, expected_read = writing / runner.facts.writing_cost, reading / runner.facts.reading_cost
        print(f"{name:18} {written:16.1f} {expected:9.1f} {read:8.1f} {expected_read:9.1f}")


def _run(runners: list[Runner], rounds: int) -> None:
    for _ in range(rounds):
        for runner in runners:
            runner.run()


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("types", "models"))
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    silent = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    with tempfile.TemporaryDirectory() as folder:
        (types if arguments.what == "types" else models)(Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
