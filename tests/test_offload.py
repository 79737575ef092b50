"""Where layers and threads go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lsp.engine.config import EngineConfig, socket_path
from lsp.engine.offload import choose_threads, place_layers

MIB = 2**20


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of 100 MiB that takes no room on the disk."""
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.truncate(100 * MIB)
    return path


@pytest.mark.parametrize(
    ("wanted", "can_offload", "free", "layers", "reason"),
    [
        (-1, False, 0, 0, "this build of llama.cpp has no GPU backend, so all layers stay on the CPU"),
        (0, False, 0, 0, "this build of llama.cpp has no GPU backend, so all layers stay on the CPU"),
        (20, False, 0, 0, "(`engine.gpu_layers` is 20)"),  # what was asked for and isn't done is said
        (20, True, 0, 20, "`engine.gpu_layers` is 20"),
        (0, True, 999 * MIB, 0, "`engine.gpu_layers` is 0"),
        (-1, True, 125 * MIB, -1, "all layers go to the GPU: 0.1 GiB needed, 0.1 GiB free on the GPU"),
        (-1, True, 125 * MIB - 1, 0, "all layers stay on the CPU: 0.1 GiB needed, 0.1 GiB free on the GPU"),
        (-1, True, 0, 0, "all layers stay on the CPU: 0.1 GiB needed, 0.0 GiB free on the GPU"),
    ],
)
def test_layers(model: Path, wanted: int, can_offload: bool, free: int, layers: int, reason: str) -> None:
    placement = place_layers(wanted, can_offload, model, free)
    assert placement.gpu_layers == layers
    assert placement.reason.endswith(reason)


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
