"""The plan's numbers against what llama.cpp allocates: on the CPU, and as it simulates it for large models."""

from __future__ import annotations

from pathlib import Path

import pytest
from allocation_support import loaded
from published_shapes import MODELS, OTHERS, Published, tiny, write_published
from tiny_gguf import Kind, write_tiny_gguf

from lsp.engine.offload import Placement
from lsp.engine.planning.memory import SEQUENCES, Choice, KvType, compute_total, cpu_use, sequences
from lsp.engine.planning.shape import ModelShape, shape_of
from lsp.models.header import read_header
from lsp.models.store import InstalledModel

MIB = 2**20
# llama.cpp tells hundredths of a MiB; a buffer may be padded by some bytes for each of its tensors.
ROUNDING = 0.011
TINY = {model.name: tiny(model) for model in MODELS}
KINDS: tuple[Kind, ...] = ("full", "sliding", "recurrent", "hybrid", "hybrid_sliding")


def shape_and_choice(path: Path, n_ctx: int, kv_type: KvType, flash: bool = True) -> tuple[ModelShape, Choice]:
    return shape_of(read_header(path)), Choice(n_ctx, kv_type, flash_attention=flash)


def check(path: Path, n_ctx: int, kv_type: KvType = "f16", *, flash: bool = True) -> None:
    shape, choice = shape_and_choice(path, n_ctx, kv_type, flash)
    planned = cpu_use(shape, choice)
    placement = Placement(n_ctx, kv_type=kv_type, flash_attention=flash, copied=False)
    with loaded(path, placement, sequences(shape, n_ctx)) as actual:
        assert planned.weights / MIB == pytest.approx(actual.weights.total(), abs=ROUNDING)
        assert planned.kv / MIB == pytest.approx(actual.cells, abs=2 * ROUNDING)
        assert compute_total(shape, choice) / MIB == pytest.approx(actual.compute.total(), rel=0.1, abs=ROUNDING)


@pytest.mark.parametrize("n_ctx", [512, 8192])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_memory(kind: Kind, n_ctx: int, tmp_path: Path) -> None:
    check(write_tiny_gguf(tmp_path / "model.gguf", kind), n_ctx)


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "Mixtral-8x7B", "Qwen3-Coder-30B-A3B", "DeepSeek-V3", "gpt-oss-20b"])
def test_architectures_in_small(name: str, tmp_path: Path) -> None:
    path = write_published(tmp_path / "model.gguf", TINY[name])
    check(path, 4096)
    check(path, 1000)


@pytest.mark.parametrize("kv_type", ["q8_0", "q4_0"])
@pytest.mark.parametrize("name", ["Qwen2.5-Coder-7B", "Gemma-2-9B"])
def test_quantized_caches(name: str, kv_type: KvType, tmp_path: Path) -> None:
    check(write_published(tmp_path / "model.gguf", TINY[name]), 2048, kv_type)


@pytest.mark.parametrize("name", ["Qwen2.5-Coder-7B", "Gemma-2-9B", "Qwen3-Coder-30B-A3B"])
def test_without_flash_attention(name: str, tmp_path: Path) -> None:
    check(write_published(tmp_path / "model.gguf", TINY[name]), 2048, flash=False)


@pytest.mark.parametrize("model", (*MODELS, *OTHERS), ids=lambda model: model.name)
def test_published_shapes_as_llama_cpp_simulates_them(model: Published, tmp_path: Path) -> None:
    path = write_published(tmp_path / "model.gguf", model)
    cases: tuple[tuple[int, KvType], ...] = ((4096, "f16"), (16384, "f16"), (8192, "q8_0"))
    for n_ctx, kv_type in cases:
        shape, choice = shape_and_choice(path, n_ctx, kv_type)
        placement = Placement(n_ctx, kv_type=kv_type, copied=False)
        with loaded(path, placement, sequences(shape, n_ctx), simulate=True) as actual:
            assert cpu_use(shape, choice).kv / MIB == pytest.approx(actual.cells, abs=2 * ROUNDING)
            assert compute_total(shape, choice) / MIB == pytest.approx(actual.compute.total(), rel=0.1)


@pytest.mark.model
@pytest.mark.parametrize(("n_ctx", "kv_type"), [(8192, "f16"), (2048, "q8_0")])
def test_the_real_model(installed_model: InstalledModel, n_ctx: int, kv_type: KvType) -> None:
    check(installed_model.path, n_ctx, kv_type)
    assert sequences(shape_of(read_header(installed_model.path)), n_ctx) == SEQUENCES
