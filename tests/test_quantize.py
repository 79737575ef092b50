"""``midline model quantize``: a smaller model of one that is there, through llama.cpp, checked and installed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from functools import partial
from pathlib import Path

import gguf
import llama_cpp.llama_cpp as lib
import numpy as np
import psutil
import pytest
from tiny_gguf import write_tiny_gguf

from lsp.cli import main
from lsp.errors import MidlineError
from lsp.models import store
from lsp.models.quantize import MATRIX_TYPES, TYPES, quantize
from lsp.paths import models_dir

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "tiny-f32.gguf", "full")


def run(*arguments: str) -> int:
    return main(["model", "quantize", *arguments])


def left() -> set[str]:
    """What lies in the models folder, but for its lock."""
    return {path.name for path in models_dir().iterdir()} - {".lock"} if models_dir().exists() else set()


def test_a_smaller_model_is_made_and_installed(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tiny), "q8_0", "--threads", "1", "--json") == 0
    out, err = capsys.readouterr()
    made = json.loads(out)
    assert made["name"] == "tiny-q8_0"  # the new type in the place of the old one
    assert made["quantization"] == "Q8_0"
    assert made["source"] == "quantized from tiny-f32"
    assert (made["requantized"], made["fallbacks"]) == (0, 0)
    assert made["bytes"] < tiny.stat().st_size / 3
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(made["path"]).tensors}
    assert types["blk.0.ffn_up.weight"] == "Q8_0"
    assert types["blk.0.ffn_norm.weight"] == "F32"
    assert store.verify("tiny-q8_0").sha256 == made["sha256"]
    assert left() == {"tiny-q8_0.gguf", "tiny-q8_0.json"}
    assert "Quantizing" in err
    assert "100 %" in err


def test_its_weights_are_those_of_the_source_but_for_rounding(tiny: Path) -> None:
    made = quantize(str(tiny), "Q8_0").model

    def weights(path: Path) -> np.ndarray:
        tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == "blk.1.attn_q.weight")
        return gguf.dequantize(tensor.data, tensor.tensor_type)

    wanted, got = weights(tiny), weights(made.path)
    assert 0 < np.abs(wanted - got).max() < np.abs(wanted).max() / 100


def test_what_a_type_cant_store_is_told(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tiny), "Q4_K_M", "--json") == 0  # rows of 64 weights; its blocks have 256
    out, err = capsys.readouterr()
    made = json.loads(out)
    assert 0 < made["fallbacks"] < made["tensors"]
    assert f"{made['fallbacks']} of {made['tensors']} tensors" in err


def test_what_is_quantized_needs_a_word(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = quantize(str(tiny), "Q8_0").model
    before = left()
    assert run("tiny-q8_0", "q4_0") == 1
    assert "quantized already (Q8_0)" in capsys.readouterr().err
    assert left() == before
    assert run("tiny-q8_0", "q4_0", "--requantize", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["requantized"] > 0
    assert "worse" in err
    assert store.find("tiny-q4_0").bytes < first.bytes


@pytest.mark.parametrize(
    ("type_name", "said"),
    [("q4km", "Q4_K_M"), ("nonsense", ", ".join(TYPES)), ("IQ2_XS", "importance matrix"), ("", "Q8_0")],
)
def test_a_type_that_isnt_there_is_refused_with_those_that_are(
    tiny: Path, type_name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tiny), type_name) == 1
    assert said in capsys.readouterr().err
    assert not left()


def test_the_types_are_those_of_llama_cpp() -> None:
    known = {name.split("_", 3)[3] for name in vars(lib) if name.startswith(("LLAMA_FTYPE_MOSTLY", "LLAMA_FTYPE_ALL"))}
    assert {*TYPES, *MATRIX_TYPES} <= known


@pytest.mark.parametrize("type_name", ["BF16", "IQ4_NL", "TQ1_0", "MXFP4_MOE"])
def test_rare_types(tiny: Path, type_name: str) -> None:
    assert quantize(str(tiny), type_name).model.info.quantization == type_name


def test_another_models_name_is_refused(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tiny), "q8_0", "--output", "mine") == 0
    assert run(str(tiny), "q4_0", "--output", "mine") == 1
    assert "--output" in capsys.readouterr().err
    assert run(str(tiny), "q4_0", "--output", "../mine") == 1
    assert run(str(tiny), "q4_0", "--output", "qwen2.5-coder-0.5b-instruct") == 1
    assert store.find("mine").info.quantization == "Q8_0"


def test_a_full_disk_is_seen_beforehand(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 90, 10))
    with pytest.raises(MidlineError, match="Not enough disk space for the quantization of tiny-f32"):
        quantize(str(tiny), "Q8_0")
    assert not left()


def test_broken_models_are_refused(tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:-1000])
    with pytest.raises(MidlineError, match="cut short"):
        quantize(str(cut), "Q8_0")
    broken = write_tiny_gguf(tmp_path / "broken.gguf", "full")
    data = bytearray(broken.read_bytes())
    data[-4096:] = np.full(1024, np.nan, np.float32).tobytes()
    broken.write_bytes(data)
    with pytest.raises(MidlineError, match="can't be quantized to Q4_0"):
        quantize(str(broken), "Q4_0")
    assert not left()


def test_a_split_model_becomes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "GGUFWriter", partial(gguf.GGUFWriter, split_max_tensors=15))
    write_tiny_gguf(tmp_path / "tiny.gguf", "full")
    parts = sorted(tmp_path.glob("tiny-*-of-00003.gguf"))
    made = quantize(str(parts[0]), "Q8_0").model
    assert (made.name, made.info.parts) == ("tiny-q8_0", 1)
    assert len(gguf.GGUFReader(made.path).tensors) == sum(len(gguf.GGUFReader(part).tensors) for part in parts)
    parts[1].unlink()
    with pytest.raises(MidlineError, match="tiny-00002-of-00003"):
        quantize(str(parts[0]), "Q4_0")


@pytest.fixture
def under_way(installed_model: store.InstalledModel) -> subprocess.Popen[str]:
    """A quantization that takes minutes, and has begun."""
    arguments = ["model", "quantize", str(installed_model.path), "IQ3_S", "--requantize", "--threads", "1"]
    process = subprocess.Popen([sys.executable, "-m", "lsp.cli", *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "Quantizing" in process.stderr.readline()
    return process


@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_that_is_stopped_leaves_nothing(under_way: subprocess.Popen[str], number: int) -> None:
    helpers = psutil.Process(under_way.pid).children(recursive=True)
    assert helpers
    under_way.send_signal(number)
    _, err = under_way.communicate(timeout=30)
    _, alive = psutil.wait_procs(helpers, timeout=30)
    assert not alive
    if number == signal.SIGKILL:
        assert left() == {".tmp"}  # the next one who works there removes it
    else:
        assert under_way.returncode == 1
        assert "nothing half-made was left" in err
        assert not left()
