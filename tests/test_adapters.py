"""LoRA adapters: which ones a setting means, and whether they fit a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_gguf import write_tiny_gguf
from tiny_lora import write_lora

from lsp.errors import MidlineError
from lsp.models.adapters import check, resolve
from lsp.models.gguf import inspect_gguf
from lsp.paths import adapters_dir


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    adapters_dir().mkdir(parents=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", "full")


def test_names_and_paths_with_their_scales(tmp_path: Path, model: Path) -> None:
    house = write_lora(adapters_dir() / "house.gguf", model)
    mine = write_lora(tmp_path / "my:own.gguf", model)
    found = resolve(["house:0.5", str(mine)], model)
    assert {Path(one.path): one.scale for one in found} == {house: 0.5, mine: 1}
    assert resolve([str(mine), str(house), "house:-0.5"], model) == found, "the same, however it is said"
    assert resolve(["house", f"{house}:-1", f"{mine}:0"], model) == ()
    assert resolve(["house"], model)[0].stamp == found[0].stamp != ""


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("hause", "Did you mean house"),
        ("other", "There is no adapter 'other'"),
        ("/absent/x.gguf", "Can't read /absent/x.gguf"),
        ("house:1e9", "scale"),
        ("house:nan", "scale"),
    ],
)
def test_what_isnt_there_is_told(model: Path, entry: str, said: str) -> None:
    write_lora(adapters_dir() / "house.gguf", model)
    with pytest.raises(MidlineError, match=said):
        resolve([entry], model)


def test_one_isnt_taken_for_a_model(tmp_path: Path, model: Path) -> None:
    with pytest.raises(MidlineError, match="it is of type adapter") as error:
        inspect_gguf(write_lora(tmp_path / "house.gguf", model))
    assert error.value.cure == f"Put it into {adapters_dir()} and name it in `model.adapters`."


def test_one_that_has_changed_since_is_refused(model: Path) -> None:
    path = write_lora(adapters_dir() / "house.gguf", model)
    (adapter,) = resolve(["house"], model)
    check(adapter, model)
    write_lora(path, model, only=["attn_q"])
    with pytest.raises(MidlineError, match="has changed"):
        check(adapter, model)


def fault(path: Path, model: Path) -> str:
    with pytest.raises(MidlineError) as error:
        resolve([str(path)], model)
    return error.value.message


def test_one_for_another_model_is_refused(tmp_path: Path, model: Path) -> None:
    other = write_tiny_gguf(tmp_path / "other.gguf", "sliding")
    assert "architecture 'gemma2', this one is 'llama'" in fault(write_lora(tmp_path / "a.gguf", other), model)
    assert "it is a model itself" in fault(model, model)
    assert "it changes nothing" in fault(write_lora(tmp_path / "b.gguf", model, only=[]), model)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(write_lora(tmp_path / "c.gguf", model).read_bytes()[:-64])
    assert "cut short" in fault(cut, model)


Write = Callable[[gguf.GGUFWriter], None]
NAME = "blk.0.attn_q.weight"


def halves(a: tuple[int, ...], b: tuple[int, ...], name: str = NAME) -> Write:
    """Tensors of these shapes, in numpy's order: the reverse of GGUF's."""

    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_tensor(f"{name}.lora_a", np.zeros(a, np.float32))
        writer.add_tensor(f"{name}.lora_b", np.zeros(b, np.float32))

    return write


def half(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor(f"{NAME}.lora_a", np.zeros((4, 64), np.float32))


def other_part(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor(NAME, np.zeros((64, 64), np.float32))


def integers(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor(f"{NAME}.lora_a", np.zeros((4, 64), np.int32))
    writer.add_tensor(f"{NAME}.lora_b", np.zeros((64, 4), np.int32))


def invoked(writer: gguf.GGUFWriter) -> None:
    writer.add_array("adapter.alora.invocation_tokens", [1, 2])
    halves((4, 64), (64, 4))(writer)


@pytest.mark.parametrize(
    ("write", "alpha", "said"),
    [
        (halves((4, 64), (64, 4), "blk.9.attn_q.weight"), "float", "the model has no 'blk.9.attn_q.weight'"),
        (halves((4, 63), (64, 4)), "float", "another shape"),
        (halves((4, 64), (65, 4)), "float", "another shape"),
        (halves((4, 64), (64, 5)), "float", "another shape"),
        # What llama.cpp doesn't look at: its loader compares two dimensions, and computes with four.
        (halves((2, 4, 64), (2, 64, 4)), "float", "another shape"),
        (halves((4, 64), (3, 64, 4)), "float", "another shape"),
        (halves((4, 283), (64, 5), "token_embd.weight"), "float", "another shape"),
        (half, "float", "half of 'blk.0.attn_q.weight' is missing"),
        (other_part, "float", "no part of a LoRA"),
        (integers, "float", "has the type I32"),
        (invoked, "float", "aLoRA"),
        # It ends the process when a value is of another kind than it expects.
        (halves((4, 64), (64, 4)), "double", "alpha"),
        (halves((4, 64), (64, 4)), "string", "alpha"),
    ],
)
def test_what_llama_cpp_would_die_of_never_reaches_it(
    tmp_path: Path, model: Path, write: Write, alpha: str, said: str
) -> None:
    path = tmp_path / "bad.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    if alpha == "string":
        writer.add_string("adapter.lora.alpha", "4")
    else:
        (writer.add_float32 if alpha == "float" else writer.add_float64)("adapter.lora.alpha", 4.0)
    write(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert said in fault(path, model)
