"""``midline plan`` as users run it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from published_shapes import MODELS, write_published
from tiny_gguf import write_tiny_gguf

from lsp.cli import main


@pytest.fixture
def model(empty_home: Path, tmp_path: Path) -> str:
    return str(write_tiny_gguf(tmp_path / "small.gguf", "full"))


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["plan", *arguments, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_two_models_on_a_machine_described(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = str(write_tiny_gguf(tmp_path / "chat.gguf", "sliding"))
    told = planned(capsys, model, chat, "--vram", "8GiB,24GiB", "--ram", "16GiB")
    assert [(one["purpose"], one["gpu_layers"], one["layers"]) for one in told["models"]] == [
        ("completion", 5, 5),
        ("chat", 5, 5),
    ]
    assert told["models"][0]["weights_gpu_bytes"] > 0
    assert told["fits"]
    assert "GPU 1 has 24.0 GiB free" in told["steps"][0]


def test_the_settings_count(model: str, empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = empty_home / "config" / "midline.toml"
    settings.write_text(f'[model]\ncompletion = "{model}"\nn_ctx = 1024\nkv_type = "q8_0"\n[engine]\ngpu_layers = 2\n')
    (one,) = planned(capsys, "--vram", "8GiB")["models"]
    assert (one["n_ctx"], one["kv_type"], one["gpu_layers"]) == (1024, "q8_0", 2)


def test_zero_bytes_of_vram(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(capsys, model, "--vram", "0", "--ram", "0")
    assert told["models"][0]["gpu_layers"] == 0
    assert not told["fits"]
    assert main(["plan", model, "--vram", "0", "--ram", "0"]) == 0
    said = capsys.readouterr().out
    assert "There is no GPU with free memory" in said
    assert said.endswith("It doesn't fit.\n")


def test_this_machine(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(capsys, model)
    assert told["models"][0]["n_ctx"] == 4096  # what it was trained for
    assert "of main memory." in told["steps"][0]


def test_bad_usage(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("much", "-1GiB", "8GiB;4GiB", ""):
        with pytest.raises(SystemExit) as ended:
            main(["plan", model, "--vram", size])
        assert ended.value.code == 2
    assert main(["plan", "no-such-model", "--json"]) == 1
    assert "no-such-model" in json.loads(capsys.readouterr().out)["error"]


def test_a_broken_file_is_one_line(empty_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60))
    command = [sys.executable, "-m", "lsp.cli", "plan", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ.copy())
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("midline: ")
    assert ended.stderr.count("\n") == 1


def test_a_large_model_is_planned_from_its_header_alone(
    empty_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the whole command: no part of it wants to load the model or its vocabulary."""
    big = next(model for model in MODELS if model.name == "DeepSeek-V3")
    path = write_published(tmp_path / "big.gguf", big)
    told = planned(capsys, str(path), "--vram", "24GiB", "--ram", "512GiB")
    assert told["models"][0]["experts_on_cpu"] == 57
    assert told["fits"]
