"""Where models go: a table of known models and common GPUs, and what holds on any machine."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_shapes import MODELS, write_published

from lsp.engine.planning.memory import Gpu, Machine, cpu_use, gpu_use
from lsp.engine.planning.plan import Plan, Purpose, Wanted, plan
from lsp.engine.planning.shape import ModelShape, shape_of
from lsp.errors import MidlineError
from lsp.models.header import Header, Tensor, read_header

MIB, GIB = 2**20, 2**30
NAMES = [model.name for model in MODELS]


@cache
def shape(name: str) -> ModelShape:
    model = next(model for model in MODELS if model.name == name)
    with TemporaryDirectory() as folder:
        return shape_of(read_header(write_published(Path(folder) / "model.gguf", model)))


def wanted(name: str, purpose: Purpose = "completion", **wishes: object) -> Wanted:
    return replace(Wanted(name, purpose, shape(name)), **wishes)  # type: ignore[arg-type]


def machine(*gpus: float, ram: float = 64) -> Machine:
    return Machine(tuple(Gpu(f"GPU {i}", int(free * GIB)) for i, free in enumerate(gpus)), int(ram * GIB))


# (layers on the GPU, layers whose experts are on the CPU, type of the KV cache) with 4, 8, 12, 16, 24, 48 and twice 24
# GiB free; of those that are cut, one layer more would not go in, as the next test shows.
SIZES = ((4,), (8,), (12,), (16,), (24,), (48,), (24, 24))
TABLE = {
    "Qwen2.5-Coder-7B": ((24, 0, "q8_0"), *[(29, 0, "f16")] * 6),
    "Qwen2.5-Coder-14B": ((18, 0, "q8_0"), (40, 0, "q8_0"), *[(49, 0, "f16")] * 5),
    "Qwen2.5-Coder-32B": (
        *((11, 0, "q8_0"), (24, 0, "q8_0"), (38, 0, "q8_0"), (53, 0, "q8_0")),
        *[(65, 0, "f16")] * 3,
    ),
    "Llama-3.1-8B": ((24, 0, "q8_0"), *[(33, 0, "f16")] * 6),
    "Llama-3.1-70B": (
        *((6, 0, "q8_0"), (13, 0, "q8_0"), (22, 0, "q8_0"), (31, 0, "q8_0"), (48, 0, "q8_0")),
        *[(81, 0, "f16")] * 2,
    ),
    "Mixtral-8x7B": (
        *((33, 30, "q8_0"), (33, 25, "q8_0"), (33, 19, "q8_0"), (33, 14, "q8_0"), (33, 3, "q8_0")),
        *[(33, 0, "f16")] * 2,
    ),
    "Qwen3-Coder-30B-A3B": (
        *((49, 41, "q8_0"), (49, 30, "q8_0"), (49, 18, "q8_0"), (49, 5, "q8_0")),
        *[(49, 0, "f16")] * 3,
    ),
    "DeepSeek-Coder-V2-Lite": ((28, 20, "f16"), (28, 10, "f16"), *[(28, 0, "f16")] * 5),
    "DeepSeek-V3": (
        *((12, 58, "f16"), (26, 58, "f16"), (42, 58, "f16"), (59, 58, "f16")),
        *((62, 57, "f16"), (62, 53, "f16"), (62, 54, "f16")),
    ),
    "Gemma-2-9B": ((22, 0, "q8_0"), (43, 0, "q8_0"), *[(43, 0, "f16")] * 5),
    "Codestral-22B": ((15, 0, "q8_0"), (31, 0, "q8_0"), (49, 0, "q8_0"), *[(57, 0, "f16")] * 4),
    "gpt-oss-20b": ((25, 19, "q8_0"), (25, 10, "q8_0"), (25, 0, "q8_0"), *[(25, 0, "f16")] * 4),
}


@pytest.mark.parametrize("name", NAMES)
def test_known_models_on_common_gpus(name: str) -> None:
    for free, expected in zip(SIZES, TABLE[name], strict=True):
        (model,) = plan([wanted(name)], machine(*free)).models
        choice = model.choice
        assert (choice.gpu_layers, choice.experts_on_cpu, choice.kv_type) == expected, free
        assert choice.n_ctx == 8192


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("free", [4, 8, 12, 16, 24])
def test_as_much_as_goes_in_and_no_more(name: str, free: int) -> None:
    (model,) = plan([wanted(name)], machine(free)).models
    room = free * GIB - min(max(free * GIB // 8, 512 * MIB), GIB)
    assert sum(use.total for use in model.gpus) <= room
    more = model.choice
    if more.gpu_layers <= len(shape(name).layers):
        more = replace(more, split=(more.gpu_layers + 1,))
    elif more.experts_on_cpu:
        more = replace(more, experts_on_cpu=more.experts_on_cpu - 1)
    else:
        return
    assert sum(use.total for use in gpu_use(shape(name), more)) > room


def test_the_contract() -> None:
    told = json.loads(json.dumps(plan([wanted("Qwen2.5-Coder-7B")], machine(8)).as_dict()))
    assert set(told) == {"models", "steps", "fits"}
    (model,) = told["models"]
    assert set(model) >= {
        *("name", "purpose", "gpu_layers", "n_ctx", "kv_type", "kv_bytes"),
        *("weights_gpu_bytes", "weights_cpu_bytes", "compute_bytes", "experts_on_cpu"),
    }
    assert model["purpose"] == "completion"
    assert model["weights_gpu_bytes"] + model["weights_cpu_bytes"] == shape("Qwen2.5-Coder-7B").weights
    assert model["kv_bytes"] == 28 * 2 * 4 * 128 * 2 * 8192  # layers, keys and values, heads, their width, f16, cells
    assert all(step.endswith(".") for step in told["steps"])


def steps(made: Plan) -> str:
    return "\n".join(made.steps)


def test_the_chat_model_gives_way_first() -> None:
    pair = [wanted("Qwen2.5-Coder-14B", "chat"), wanted("Qwen2.5-Coder-7B")]
    both = plan(pair, machine(16))
    assert [one.wanted.purpose for one in both.models] == ["completion", "chat"]
    assert [one.choice.gpu_layers for one in both.models] == [29, 49]
    assert [one.choice.n_ctx for one in both.models] == [8192, 16384]
    tighter = plan(pair, machine(15))
    assert [one.choice.gpu_layers for one in tighter.models] == [29, 49]
    assert [one.choice.kv_type for one in tighter.models] == ["f16", "q8_0"]
    assert "Qwen2.5-Coder-14B gives way with a KV cache in q8_0 instead of f16" in steps(tighter)
    tightest = plan(pair, machine(8))
    assert tightest.models[0].choice == plan([pair[1]], machine(8)).models[0].choice
    assert 0 < tightest.models[1].choice.gpu_layers < 49
    assert "Qwen2.5-Coder-7B has the first choice" in steps(tightest)


def test_attention_before_experts() -> None:
    """All layers' attention is on the GPU before any experts are."""
    made = plan([wanted("DeepSeek-V3")], machine(24, ram=512)).models[0]
    assert made.choice.gpu_layers == 62
    assert made.choice.experts_on_cpu == 57
    assert made.cpu.weights == shape("DeepSeek-V3").lookup + sum(
        sorted(layer.experts for layer in shape("DeepSeek-V3").layers)[-57:]
    )


def test_several_gpus() -> None:
    made = plan([wanted("Llama-3.1-70B")], machine(24, 24)).models[0]
    assert made.choice.split == (35, 46)
    assert [use.total <= 23 * GIB for use in made.gpus] == [True, True]
    one = plan([wanted("Llama-3.1-8B")], machine(8, 24)).models[0]
    assert one.choice.split == (0, 33)  # not spread over two where one has the room
    none = plan([wanted("Llama-3.1-8B")], machine(0, 8)).models[0]
    assert none.choice.split == (0, 33)


def test_what_the_settings_say_is_kept_to() -> None:
    made = plan([wanted("Qwen2.5-Coder-32B", n_ctx=16384, kv_type="f16", gpu_layers=10)], machine(8)).models[0]
    assert (made.choice.n_ctx, made.choice.kv_type, made.choice.gpu_layers) == (16384, "f16", 10)
    without = plan([wanted("Qwen2.5-Coder-7B", flash_attention=False)], machine(4)).models[0]
    assert not without.choice.flash_attention
    assert without.choice.kv_type == "f16"  # llama.cpp quantizes values only with flash attention
    quantized = plan([wanted("Qwen2.5-Coder-7B", flash_attention=False, kv_type="q8_0")], machine(8))
    assert quantized.models[0].choice.kv_type == "f16"
    assert "Qwen2.5-Coder-7B can't have a KV cache in q8_0: it is in f16." in quantized.steps
    forced = plan([wanted("Llama-3.1-70B", gpu_layers=81)], machine(8))
    assert forced.models[0].choice.gpu_layers == 81
    assert "is to have 81 layers on the GPU, which take" in steps(forced)
    latent = plan([wanted("DeepSeek-Coder-V2-Lite")], machine(4)).models[0]
    assert latent.choice.kv_type == "f16"


def test_a_context_is_not_longer_than_what_the_model_was_trained_for() -> None:
    made = plan([wanted("Gemma-2-9B", "chat")], machine(24)).models[0]
    assert made.choice.n_ctx == 8192


@pytest.mark.parametrize("gpus", [(), (0,), (0, 0), (0.1,)])
def test_no_memory_on_the_gpu_is_none(gpus: tuple[float, ...]) -> None:
    made = plan([wanted("Qwen2.5-Coder-7B")], machine(*gpus))
    assert made.fits
    assert made.models[0].choice.gpu_layers == 0
    assert "runs on the CPU" in made.steps[-1]


def test_main_memory_that_is_too_small_is_told_with_what_to_leave_out() -> None:
    pair = [wanted("Qwen2.5-Coder-7B"), wanted("Qwen2.5-Coder-14B", "chat")]
    assert plan(pair, machine(ram=20)).fits
    smaller = plan(pair, machine(ram=15))
    assert smaller.fits
    assert smaller.models[1].choice.kv_type == "q8_0"
    neither = plan(pair, machine(ram=10))
    assert not neither.fits
    assert "leave Qwen2.5-Coder-14B out, and the rest fits" in neither.steps[-1]
    alone = plan([wanted("DeepSeek-V3")], machine(ram=0))
    assert not alone.fits
    assert "use a smaller model than DeepSeek-V3" in alone.steps[-1]


def test_memory_that_gpu_and_cpu_share_counts_once() -> None:
    apple = Machine((Gpu("Apple", 12 * GIB, shared=True),), 16 * GIB)
    assert plan([wanted("Qwen2.5-Coder-14B")], apple).fits
    tight = Machine((Gpu("Apple", 12 * GIB, shared=True),), 9 * GIB)
    assert not plan([wanted("Qwen2.5-Coder-14B")], tight).fits


free_memory = st.integers(0, 100 * GIB)
some_models = st.lists(
    st.builds(
        wanted,
        st.sampled_from(NAMES),
        st.sampled_from(["completion", "chat", "embedding"]),
        n_ctx=st.sampled_from([0, 0, 512, 5000, 131072]),
        kv_type=st.sampled_from(["", "", "f16", "q8_0", "q4_0"]),
    ),
    min_size=1,
    max_size=3,
)


@given(models=some_models, gpus=st.lists(free_memory, max_size=3), ram=free_memory)
@settings(max_examples=150, deadline=None)
def test_no_machine_is_promised_more_than_it_has(models: list[Wanted], gpus: list[int], ram: int) -> None:
    has = Machine(tuple(Gpu(f"GPU {i}", free) for i, free in enumerate(gpus)), ram)
    made = plan(models, has)
    assert len(made.models) == len(models)
    for index, free in enumerate(gpus):
        assert sum(model.gpus[index].total for model in made.models) <= free
    for model in made.models:
        its = model.wanted.shape
        on_gpus = sum(use.weights for use in model.gpus)
        copied = its.tied if model.choice.gpu_layers else 0
        assert on_gpus + model.cpu.weights == its.weights + copied
        assert model.choice.n_ctx == (model.wanted.n_ctx or min(model.choice.n_ctx, its.context))
        assert model.wanted.kv_type in ("", model.choice.kv_type)
    if made.fits:
        assert sum(cpu_use(one.wanted.shape, one.choice).total for one in made.models) <= max(ram, 0)


@given(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES), free=free_memory, more=st.integers(0, 8 * GIB))
@settings(max_examples=100, deadline=None)
def test_more_memory_is_no_less_and_a_chat_model_takes_nothing_from_completions(
    name: str, other: str, free: int, more: int
) -> None:
    def on_gpu(model: Wanted, room: int, *beside: Wanted) -> int:
        made = plan([model, *beside], Machine((Gpu("GPU", room),), 999 * GIB))
        return sum(use.weights for use in made.models[0].gpus)

    mine = wanted(name)
    assert on_gpu(mine, free) <= on_gpu(mine, free + more)
    assert on_gpu(mine, free, wanted(other, "chat")) == on_gpu(mine, free)


NAMES_OF_TENSORS = sorted(
    {name for known in NAMES for layer in shape(known).layers for name in layer.parts}
    | {
        "attn_qkv.weight",
        "attn_kv_b.weight",
        "ffn_gate_up_exps.weight",
        "shortconv.in_proj.weight",
        "time_mix_w1.weight",
    }
    | {"ssm_in.weight", "ssm_x.weight", "ssm_conv1d.weight", "ssm_out.weight"}
)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_layer_is_too_strange(data: st.DataObject) -> None:
    """Any tensors of any shape, and any numbers in the metadata: a plan, or the reason why there is none."""
    sizes = st.lists(st.integers(1, 512) | st.sampled_from([1, 1 << 20]), min_size=1, max_size=4)
    names = data.draw(st.lists(st.sampled_from(NAMES_OF_TENSORS), max_size=12, unique=True))
    tensors = [Tensor(f"blk.0.{name}", tuple(data.draw(sizes)), "F32", 4096) for name in names]
    numbers = st.integers(-1, 1 << 64) | st.integers(0, 64) | st.sampled_from(["text", 1.5, (), (1, 2), (1, "x")])
    keys = ("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.sliding_window")
    keys += ("context_length", "expert_used_count", "ssm.state_size", "shortconv.l_cache", "attention.shared_kv_layers")
    metadata = {f"a.{key}": data.draw(numbers) for key in data.draw(st.lists(st.sampled_from(keys), unique=True))}
    metadata |= {"general.architecture": "a", "a.block_count": 1}
    whole = (Tensor("token_embd.weight", tuple(data.draw(sizes)), "F32", 4096), *tensors)
    try:
        strange = shape_of(Header(Path("model.gguf"), (Path("model.gguf"),), metadata, whole))
    except MidlineError as error:
        assert error.cure
        return
    made = plan([Wanted("strange", "completion", strange)], machine(data.draw(st.sampled_from([0, 1, 8]))))
    assert made.models[0].cpu.compute >= 0
