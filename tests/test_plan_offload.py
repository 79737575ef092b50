"""Layers land where the plan says, on GPUs that are other processes (llama.cpp's RPC backend).

Skipped without that backend: ``CMAKE_ARGS=-DGGML_RPC=on make setup`` compiles it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest
import rpc_server
from allocation_support import Allocated, loaded
from published_shapes import MODELS, tiny, write_published
from tiny_gguf import write_tiny_gguf

from lsp.engine.config import EngineConfig
from lsp.engine.devices import devices, machine
from lsp.engine.llama import Entry, Llama
from lsp.engine.offload import NoMemoryError, Placement, place, with_step_down
from lsp.engine.planning.memory import Choice, Gpu, Machine, Use, cpu_use, gpu_use, sequences
from lsp.engine.planning.shape import ModelShape, shape_of
from lsp.models.header import read_header
from lsp.models.store import InstalledModel

pytestmark = pytest.mark.skipif(
    not rpc_server.LIBRARY.exists(), reason="llama.cpp was compiled without its RPC backend"
)

MIB, GIB = 2**20, 2**30
ROUNDING = 0.011
TINY = {model.name: tiny(model) for model in MODELS}


@pytest.fixture(scope="module", autouse=True)
def gpus() -> Iterator[dict[str, psutil.Process]]:
    """Two GPUs, each a process of its own, by the names of their buffers."""
    children = {}
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            endpoint = f"127.0.0.1:{free.getsockname()[1]}"
        child = subprocess.Popen([sys.executable, rpc_server.__file__, endpoint], stdout=subprocess.DEVNULL)
        _wait(endpoint, child)
        rpc_server.add(endpoint)
        children[f"RPC0[{endpoint}]"] = child
    assert len(devices()) == 2
    yield {name: psutil.Process(child.pid) for name, child in children.items()}
    for child in children.values():
        child.kill()
        child.wait()


def _wait(endpoint: str, child: subprocess.Popen[bytes]) -> None:
    host, _, port = endpoint.partition(":")
    while child.poll() is None:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail("the RPC server has ended")


def placed(path: Path, *free: float) -> tuple[Placement, ModelShape, tuple[Use, ...], Use]:
    """The placement on GPUs with so many MiB, and what the plan says that it takes."""
    has = Machine(tuple(Gpu(f"GPU {i}", int(mib * MIB)) for i, mib in enumerate(free)), 16 * GIB)
    placement = place(EngineConfig(str(path), n_ctx=1024, kv_type="f16", gpu_reserve=0), has)
    shape = shape_of(read_header(path))
    choice = Choice(placement.n_ctx, placement.kv_type, placement.split, len(placement.experts_on_cpu))
    return placement, shape, gpu_use(shape, choice), cpu_use(shape, choice)


def check(path: Path, *free: float, where: list[str], buffers: Iterable[str], exact: float = 0.1) -> None:
    """Compare the plan with what is allocated.

    Args:
        path: the model.
        free: MiB of each GPU.
        where: how many layers are expected on which device, in their order.
        buffers: the GPUs' names.
        exact: how far off the compute buffer may be, as a share.
    """
    placement, shape, uses, rest = placed(path, *free)
    with loaded(path, placement, sequences(shape, placement.n_ctx)) as actual:
        on_gpus = [f"RPC{i}" for i, size in enumerate(placement.split) for _ in range(size)]
        assert actual.layers == ["CPU"] * (len(actual.layers) - placement.gpu_layers) + on_gpus
        assert [f"{actual.layers.count(name)} {name}" for name in dict.fromkeys(actual.layers)] == where
        for use, name in zip(uses, buffers, strict=True):
            if use.total:
                _compare(use, actual, name, exact)
        # What is mapped may span weights of the GPU that lie in between.
        assert actual.weights["CPU_Mapped"] >= rest.weights / MIB - ROUNDING
        assert actual.kv["CPU"] == pytest.approx(rest.kv / MIB, abs=2 * ROUNDING)
        assert all(name.startswith(("RPC", "CPU_Mapped")) for name in actual.weights)  # mapped, not copied


def _compare(use: Use, actual: Allocated, device: str, exact: float) -> None:
    told = [counter[device] for counter in (actual.weights, actual.kv, actual.compute)]
    assert use.weights / MIB == pytest.approx(told[0], abs=ROUNDING)
    assert use.kv / MIB == pytest.approx(told[1], abs=2 * ROUNDING)
    assert use.compute / MIB == pytest.approx(told[2], rel=exact, abs=0.05)


def test_a_whole_model_on_one_gpu(gpus: dict[str, psutil.Process], tmp_path: Path) -> None:
    check(write_tiny_gguf(tmp_path / "model.gguf", "full"), 64, 0, where=["5 RPC0"], buffers=gpus)


def test_the_last_layers_where_not_all_go_in(gpus: dict[str, psutil.Process], tmp_path: Path) -> None:
    check(write_tiny_gguf(tmp_path / "model.gguf", "full"), 1.2, 0, where=["2 CPU", "3 RPC0"], buffers=gpus)


def test_two_gpus(gpus: dict[str, psutil.Process], tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "model.gguf", "full")
    check(path, 1.0, 1.4, where=["1 CPU", "1 RPC0", "3 RPC1"], buffers=gpus)


@pytest.mark.parametrize("name", ["Qwen3-Coder-30B-A3B", "gpt-oss-20b"])
def test_experts_stay_on_the_cpu(name: str, gpus: dict[str, psutil.Process], tmp_path: Path) -> None:
    path = write_published(tmp_path / "model.gguf", TINY[name])
    placement, _, uses, rest = placed(path, 6, 0)
    assert 0 < len(placement.experts_on_cpu) < 4
    assert uses[0].weights + rest.weights == shape_of(read_header(path)).weights
    check(path, 6, 0, where=["5 RPC0"], buffers=gpus, exact=0.25)  # what experts need is planned for on both sides


def test_a_hybrid_model(gpus: dict[str, psutil.Process], tmp_path: Path) -> None:
    check(write_tiny_gguf(tmp_path / "model.gguf", "hybrid"), 64, 0, where=["5 RPC0"], buffers=gpus)


def test_what_is_free_is_what_the_backend_reports() -> None:
    told = machine()
    assert len(told.gpus) == 2
    assert all(0 < gpu.free_bytes <= psutil.virtual_memory().total for gpu in told.gpus)


def answer(path: Path, placement: Placement) -> list[float]:
    llama = Llama(path, placement, n_seq=1, threads=1, progress=lambda _: None, log=lambda *_: None)
    try:
        llama.decode([Entry(token, i, 0, i == 7) for i, token in enumerate(range(40, 48))])
        return list(map(float, llama.logits(7)[:50]))
    finally:
        llama.close()


def test_the_answer_is_the_same_wherever_layers_are(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "model.gguf", "full")
    alone = answer(path, place(EngineConfig(str(path), n_ctx=512), Machine((), 16 * GIB)))
    for free in ((64, 0), (1.2, 0), (1.0, 1.4)):
        placement, *_ = placed(path, *free)
        assert answer(path, placement) == pytest.approx(alone, abs=0.02)


def test_a_failed_allocation_is_one_step_down(tmp_path: Path) -> None:
    """A context of 4 GiB, more than these GPUs give: llama.cpp says so, and the next plan is loaded."""
    path = write_tiny_gguf(tmp_path / "model.gguf", "full")
    good, *_ = placed(path, 64, 0)
    too_much = Placement(1 << 22, good.gpu_layers, split=good.split, lower=good)

    def load(placement: Placement) -> Llama:
        return Llama(path, placement, n_seq=1, threads=1, progress=lambda _: None, log=lambda *_: None)

    llama, used = with_step_down(too_much, load)
    llama.close()
    assert used.gpu_layers == 5
    assert used.reason.startswith("the memory was not enough for more.")
    with pytest.raises(NoMemoryError):
        load(too_much)


@pytest.mark.model
def test_the_real_model(installed_model: InstalledModel, gpus: dict[str, psutil.Process]) -> None:
    """Its weights are in the other processes' memory."""
    before = [gpu.memory_info().rss for gpu in gpus.values()]
    placement, shape, uses, _ = placed(installed_model.path, 260, 260)
    with loaded(installed_model.path, placement, sequences(shape, placement.n_ctx)):
        for gpu, use, rss in zip(gpus.values(), uses, before, strict=True):
            grown = gpu.memory_info().rss - rss
            assert use.weights <= grown + MIB
            assert grown <= use.total * 1.2 + 32 * MIB
    check(installed_model.path, 260, 260, where=["17 RPC0", "8 RPC1"], buffers=gpus)
