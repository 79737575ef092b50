"""Where layers and threads go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from published_shapes import MODELS, write_published
from tiny_gguf import write_tiny_gguf

from lsp.engine.batching import PREFILL_BATCH
from lsp.engine.config import EngineConfig, socket_path
from lsp.engine.offload import NoMemoryError, Placement, choose_threads, place, with_step_down
from lsp.engine.planning.memory import BATCH, Gpu, Machine
from lsp.errors import MidlineError

MIB, GIB = 2**20, 2**30


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of 100 kilobytes with four layers and an output."""
    return write_tiny_gguf(tmp_path / "model.gguf", "full")


def gpu(free: int) -> Machine:
    return Machine((Gpu("GPU", free),), 8 * GIB)


NO_GPU = Machine((), 8 * GIB)


@pytest.mark.parametrize(
    ("wanted", "machine", "layers", "reason"),
    [
        (-1, NO_GPU, 0, "llama.cpp has no GPU to use, so all layers stay on the CPU."),
        (20, NO_GPU, 0, "(`engine.gpu_layers` is 20)."),  # what was asked for and isn't done is said
        (3, gpu(8 * GIB), 3, "`engine.gpu_layers` is 3."),
        (20, gpu(8 * GIB), 5, "`engine.gpu_layers` is 20."),
        (0, gpu(8 * GIB), 0, "`engine.gpu_layers` is 0."),
        (-1, gpu(8 * GIB), 5, "has all 5 layers on the GPU"),
        (-1, gpu(0), 0, "There is no GPU with free memory"),
        (-1, gpu(512 * MIB), 0, "512 MiB are left to others"),
    ],
)
def test_layers(model: Path, wanted: int, machine: Machine, layers: int, reason: str) -> None:
    placement = place(EngineConfig(str(model), gpu_layers=wanted), machine)
    assert placement.gpu_layers == layers
    assert reason in placement.reason


def test_all_that_the_settings_say_is_kept_to(model: Path) -> None:
    config = EngineConfig(str(model), n_ctx=2048, kv_type="q8_0", flash_attention=True)
    for machine in (NO_GPU, gpu(8 * GIB)):
        placement = place(config, machine)
        assert (placement.n_ctx, placement.kv_type, placement.flash_attention) == (2048, "q8_0", True)
    assert not place(EngineConfig(str(model), flash_attention=False), NO_GPU).flash_attention


def test_another_model_of_the_settings_has_room_unless_it_is_loaded(model: Path, tmp_path: Path) -> None:
    other = write_published(tmp_path / "other.gguf", MODELS[0])
    machine = gpu(5 * GIB + 512 * MIB)
    chat = EngineConfig(str(other), purpose="chat")
    alone = place(chat, machine)
    assert alone.gpu_layers == 29
    assert alone.kv_type == "f16"
    beside = place(EngineConfig(str(model), beside=(str(other),)), gpu(4 * GIB))
    assert beside.gpu_layers == 5  # who completes has the first choice, however large the other is
    reserved = EngineConfig(str(other), purpose="chat", beside=(str(tmp_path / "big.gguf"),))
    write_published(tmp_path / "big.gguf", MODELS[0])
    assert place(reserved, machine).gpu_layers < 29
    assert place(reserved, machine, loaded=[str(tmp_path / "big.gguf")]).gpu_layers == 29


def test_a_file_that_cannot_be_planned_is_left_to_llama_cpp(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    placement = place(EngineConfig(str(path), n_ctx=1024), NO_GPU)
    assert (placement.n_ctx, placement.gpu_layers) == (1024, 0)
    assert "memory can't be planned" in placement.reason


def test_one_step_down_where_the_memory_is_not_enough(model: Path) -> None:
    tried = []

    def load(placement: Placement) -> str:
        tried.append(placement)
        if len(tried) == 1:
            raise NoMemoryError("cudaMalloc failed: out of memory")
        return "loaded"

    made, used = with_step_down(place(EngineConfig(str(model)), gpu(8 * GIB)), load)
    assert made == "loaded"
    assert [placement.gpu_layers for placement in tried] == [5, 0]
    assert used.reason.startswith("the memory was not enough for more.")
    with pytest.raises(NoMemoryError):  # once, not for ever
        with_step_down(used, lambda _: (_ for _ in ()).throw(NoMemoryError("again")))


def test_the_step_down_of_a_large_model_keeps_what_it_can(tmp_path: Path) -> None:
    path = write_published(tmp_path / "model.gguf", MODELS[0])
    placement = place(EngineConfig(str(path)), gpu(6 * GIB))
    assert placement.gpu_layers == 29
    assert placement.lower is not None
    assert 15 < placement.lower.gpu_layers < 29


def test_the_step_down_on_the_cpu_is_a_smaller_context(model: Path) -> None:
    placement = place(EngineConfig(str(model)), NO_GPU)
    assert placement.lower is not None
    assert placement.lower.n_ctx == placement.n_ctx // 2
    with pytest.raises(MidlineError):  # what isn't for lack of memory is not tried again
        with_step_down(placement, lambda _: (_ for _ in ()).throw(MidlineError("a broken file")))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't keep to such a limit")
def test_a_context_that_no_memory_holds_is_halved(model: Path) -> None:
    """In a process that may have 500 MiB more than it has: llama.cpp fails, and the next try goes in."""
    code = """
import psutil, resource, sys
from pathlib import Path
from lsp.engine.config import EngineConfig
from lsp.engine.llama import Llama
from lsp.engine.offload import place, with_step_down
from lsp.engine.planning.memory import Machine
path = sys.argv[1]
placement = place(EngineConfig(path, n_ctx=1 << 19), Machine((), 8 << 30))
most = psutil.Process().memory_info().vms + (500 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
def load(placement):
    return Llama(Path(path), placement, n_seq=1, threads=1, progress=lambda _: None, log=lambda *_: None)
llama, used = with_step_down(placement, load)
print(llama.n_ctx, used.reason)
"""
    ended = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("262144 the memory was not enough for more."), ended.stderr


def test_the_scheduler_composes_no_larger_batches_than_are_planned_for() -> None:
    assert PREFILL_BATCH <= BATCH


def test_threads_as_set() -> None:
    assert choose_threads(1) == 1
    assert choose_threads(64) == 64


def test_threads_leave_a_core_to_the_editor() -> None:
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 2
    assert 1 <= choose_threads(0) <= max(1, physical - 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system can't bind a process to cores")
def test_threads_on_the_cores_that_the_process_may_use() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from lsp.engine.offload import choose_threads; print(choose_threads(0))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"1\n"


def test_clients_share_an_engine_where_all_that_matters_is_equal(model: Path) -> None:
    config = EngineConfig(str(model))
    assert config.key == EngineConfig(str(model), idle_seconds=1.0).key
    assert config.key != EngineConfig(str(model), n_ctx=4096).key
    assert config.key != EngineConfig(str(model), threads=3).key
    assert config.key != EngineConfig(str(model), gpu_layers=3).key
    before = config.key
    with model.open("ab") as file:
        file.write(b"another file of this name")
    assert config.key != before


def test_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a folder that only the user can enter."""
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    path = socket_path("0123456789abcdef")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path != socket_path("another")


def test_a_long_home_still_gets_a_socket_that_the_kernel_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / ("deep" * 30)))
    path = socket_path("0123456789abcdef")
    try:
        assert len(os.fsencode(path)) < 100
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path == socket_path("0123456789abcdef")
        monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / ("other" * 30)))
        other = socket_path("0123456789abcdef")
        other.parent.rmdir()
        assert other != path
    finally:
        path.parent.rmdir()
