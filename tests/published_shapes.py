"""GGUF headers with the published shapes of known models: every tensor by name, size and type, and no weights.

The files are as long as the models (their weights are a hole that takes no room on the disk), so whoever reads a header
finds all in order, llama.cpp included, which can work out what it would allocate (``no_alloc``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np

Described: TypeAlias = tuple[str, tuple[int, ...], str]


@dataclass(frozen=True)
class Published:
    """A model's dimensions, as its maker's config.json has them; ``cited`` says where they were read.

    ``plain``: norms with biases, and no gates; ``fused``: one matrix for queries, keys and values, one for gates and
    the rest; ``linear``: three of four layers have linear attention. ``experts``: how many, how many of them a token
    uses, their width, the width of those that every token uses, and the layers before them that have none. ``latent``:
    ranks of queries (0: none) and of keys and values, widths of a head without and with positions, and of its values
    (multi-head latent attention).
    """

    name: str
    architecture: str
    layers: int
    embedding: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    cited: str
    head: int = 0
    tied: bool = False
    bias: bool = False
    plain: bool = False
    fused: bool = False
    linear: bool = False
    experts: tuple[int, int, int, int, int] | None = None
    latent: tuple[int, int, int, int, int] | None = None
    window: int = 0
    weights: str = "Q4_K"
    expert_weights: str = "Q4_K"
    output: str = "Q6_K"


_HF = "https://huggingface.co/{}/blob/main/config.json".format
MODELS = (
    Published(
        "Qwen2.5-Coder-7B", "qwen2", 28, 3584, 18944, 28, 4, 152064, 32768, _HF("Qwen/Qwen2.5-Coder-7B"), bias=True
    ),
    Published(
        "Qwen2.5-Coder-14B", "qwen2", 48, 5120, 13824, 40, 8, 152064, 32768, _HF("Qwen/Qwen2.5-Coder-14B"), bias=True
    ),
    Published(
        "Qwen2.5-Coder-32B", "qwen2", 64, 5120, 27648, 40, 8, 152064, 32768, _HF("Qwen/Qwen2.5-Coder-32B"), bias=True
    ),
    Published("Llama-3.1-8B", "llama", 32, 4096, 14336, 32, 8, 128256, 131072, _HF("meta-llama/Llama-3.1-8B")),
    Published("Llama-3.1-70B", "llama", 80, 8192, 28672, 64, 8, 128256, 131072, _HF("meta-llama/Llama-3.1-70B")),
    Published(
        "Mixtral-8x7B",
        "llama",
        32,
        4096,
        14336,
        32,
        8,
        32000,
        32768,
        _HF("mistralai/Mixtral-8x7B-v0.1"),
        experts=(8, 2, 14336, 0, 0),
    ),
    Published(
        "Qwen3-Coder-30B-A3B",
        "qwen3moe",
        48,
        2048,
        6144,
        32,
        4,
        151936,
        262144,
        _HF("Qwen/Qwen3-Coder-30B-A3B-Instruct"),
        head=128,
        experts=(128, 8, 768, 0, 0),
    ),
    Published(
        "DeepSeek-Coder-V2-Lite",
        "deepseek2",
        27,
        2048,
        10944,
        16,
        16,
        102400,
        163840,
        _HF("deepseek-ai/DeepSeek-Coder-V2-Lite-Base"),
        experts=(64, 6, 1408, 2816, 1),
        latent=(0, 512, 128, 64, 128),
        weights="Q8_0",
        expert_weights="Q5_0",  # 1408 and 10944 are no multiples of a K quant's 256
    ),
    Published(
        "DeepSeek-V3",
        "deepseek2",
        61,
        7168,
        18432,
        128,
        128,
        129280,
        163840,
        _HF("deepseek-ai/DeepSeek-V3"),
        experts=(256, 8, 2048, 2048, 3),
        latent=(1536, 512, 128, 64, 128),
        weights="Q8_0",
    ),
    Published(
        "Gemma-2-9B",
        "gemma2",
        42,
        3584,
        14336,
        16,
        8,
        256000,
        8192,
        _HF("google/gemma-2-9b"),
        head=256,
        tied=True,
        window=4096,
    ),
    Published("Codestral-22B", "llama", 56, 6144, 16384, 48, 8, 32768, 32768, _HF("mistralai/Codestral-22B-v0.1")),
    Published(
        "gpt-oss-20b",
        "gpt-oss",
        24,
        2880,
        2880,
        64,
        8,
        201088,
        131072,
        _HF("openai/gpt-oss-20b"),
        head=64,
        bias=True,
        experts=(32, 4, 2880, 0, 0),
        window=128,
        weights="Q8_0",
        expert_weights="MXFP4",
        output="Q8_0",
    ),
)


# Of other architectures, for the plan's numbers alone.
OTHERS = (
    Published(
        *("StarCoder2-7B", "starcoder2", 32, 4608, 18432, 36, 4, 49152, 16384, _HF("bigcode/starcoder2-7b")),
        tied=True,
        bias=True,
        plain=True,
    ),
    Published(
        *("Phi-3-medium", "phi3", 40, 5120, 17920, 40, 10, 32064, 4096, _HF("microsoft/Phi-3-medium-4k-instruct")),
        fused=True,
    ),
    Published(
        *("CodeGemma-7B", "gemma", 28, 3072, 24576, 16, 16, 256000, 8192, _HF("google/codegemma-7b")),
        head=256,
        tied=True,
    ),
    Published("Qwen3-8B", "qwen3", 36, 4096, 12288, 32, 8, 151936, 40960, _HF("Qwen/Qwen3-8B"), head=128),
    Published(
        *("Gemma-3-12B", "gemma3", 48, 3840, 15360, 16, 8, 262208, 131072, _HF("google/gemma-3-12b-it")),
        head=256,
        tied=True,
        window=1024,
    ),
    Published(
        *("Qwen3-Next-80B", "qwen3next", 48, 2048, 5120, 16, 2, 151936, 262144),
        _HF("Qwen/Qwen3-Next-80B-A3B-Instruct"),
        head=256,
        linear=True,
        experts=(512, 10, 512, 512, 0),
    ),
)


def tiny(model: Published) -> Published:
    """The same architecture in small: of some megabytes, with all its parts."""
    experts, latent = model.experts, model.latent
    return replace(
        model,
        layers=27 if "Lite" in model.name else 4,
        embedding=256,
        hidden=256 if model.experts and model.experts[2] == model.hidden else 512,
        heads=4,
        kv_heads=4 if latent else 2,
        head=64,
        vocabulary=1024,
        context=4096,
        experts=(8, 2, 256, 256 if experts[3] else 0, min(experts[4], 1)) if experts else None,
        latent=(128 if latent[0] else 0, 128, 64, 64, 64) if latent else None,
        window=min(model.window, 64),
    )


def write_published(path: Path, model: Published, *, words: bool = False) -> Path:
    """Write the header of ``model`` to ``path``, and a hole in place of its weights; return the path.

    ``words``: with a vocabulary of its size, and as many merges.
    """
    writer = gguf.GGUFWriter(path, model.architecture)
    writer.add_name(model.name)
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.embedding)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.hidden)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(1 if model.latent else model.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    writer.add_vocab_size(model.vocabulary)
    writer.add_tokenizer_model("none")
    if words:
        tokens = [f"token{i:x}" for i in range(model.vocabulary)]
        writer.add_token_list(tokens)
        writer.add_token_types([1] * len(tokens))
        writer.add_token_merges([f"{token[:5]} {token[5:]}" for token in tokens])
    if model.head and not model.latent:
        writer.add_key_length(model.head)
        writer.add_value_length(model.head)
    if model.window:
        writer.add_sliding_window(model.window)
    if model.experts:
        count, used, width, shared, dense = model.experts
        writer.add_expert_count(count)
        writer.add_expert_used_count(used)
        writer.add_expert_feed_forward_length(width)
        if model.latent:
            writer.add_expert_shared_count(shared // width)
            writer.add_leading_dense_block_count(dense)
            writer.add_expert_weights_scale(1.0)
            writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX)
    if model.latent:
        _add_latent(writer, model.latent)
    if model.linear:
        writer.add_ssm_conv_kernel(4)
        writer.add_ssm_inner_size(2 * model.embedding)
        writer.add_ssm_state_size(128)
        writer.add_ssm_time_step_rank(32)
        writer.add_ssm_group_count(16)
        writer.add_expert_shared_feed_forward_length(shared)
    size = 0
    for name, shape, kind in _tensors(model):
        blocks, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        count = int(np.prod(shape)) // blocks * block_bytes
        # The writer takes quantized shapes as bytes, the slowest dimension first.
        stored = (*shape[:0:-1], shape[0] // blocks * block_bytes) if blocks > 1 else shape[::-1]
        dtype = np.dtype(np.uint8) if blocks > 1 else np.dtype(np.float32)
        writer.add_tensor_info(name, stored, dtype, count, raw_dtype=gguf.GGMLQuantizationType[kind])
        size += -(-count // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, -(-path.stat().st_size // 32) * 32 + size)
    return path


def _add_latent(writer: gguf.GGUFWriter, latent: tuple[int, int, int, int, int]) -> None:
    query, rank, plain, turned, value = latent
    if query:
        writer.add_q_lora_rank(query)
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + turned)
    writer.add_value_length(rank)
    writer.add_key_length_mla(plain + turned)
    writer.add_value_length_mla(value)
    writer.add_rope_dimension_count(turned)


def _tensors(model: Published) -> Iterator[Described]:
    """Name, shape (the fastest dimension first) and type of each tensor."""
    width, vocabulary = model.embedding, model.vocabulary
    yield "token_embd.weight", (width, vocabulary), model.weights
    yield "output_norm.weight", (width,), "F32"
    if model.plain:
        yield "output_norm.bias", (width,), "F32"
    if not model.tied:
        yield "output.weight", (width, vocabulary), model.output
    for layer in range(model.layers):
        linear = model.linear and layer % 4 != 3
        attention = _linear_attention(model) if linear else _attention(model)
        for name, shape, kind in (*attention, *_feed_forward(model, layer)):
            yield f"blk.{layer}.{name}", shape, kind


def _attention(model: Published) -> Iterator[Described]:
    width, kind = model.embedding, model.weights
    yield "attn_norm.weight", (width,), "F32"
    if model.latent:
        query, rank, plain, turned, value = model.latent
        heads = model.heads
        if query:
            yield "attn_q_a.weight", (width, query), kind
            yield "attn_q_a_norm.weight", (query,), "F32"
            yield "attn_q_b.weight", (query, heads * (plain + turned)), kind
        else:
            yield "attn_q.weight", (width, heads * (plain + turned)), kind
        yield "attn_kv_a_mqa.weight", (width, rank + turned), kind
        yield "attn_kv_a_norm.weight", (rank,), "F32"
        yield "attn_k_b.weight", (plain, rank, heads), "Q8_0"
        yield "attn_v_b.weight", (rank, value, heads), "Q8_0"
        yield "attn_output.weight", (heads * value, width), kind
        return
    head = model.head or width // model.heads
    sizes = {"q": head * model.heads, "k": head * model.kv_heads, "v": head * model.kv_heads}
    yield "attn_output.weight", (sizes["q"], width), kind
    if model.fused:
        yield "attn_qkv.weight", (width, sum(sizes.values())), kind
        return
    if model.linear:  # with a gate for each query
        sizes["q"] *= 2
        yield "post_attention_norm.weight", (width,), "F32"
    for name, size in sizes.items():
        yield f"attn_{name}.weight", (width, size), kind
        if model.bias:
            yield f"attn_{name}.bias", (size,), "F32"
    if model.plain:
        for name in ("attn_norm", "attn_output", "ffn_norm"):
            yield f"{name}.bias", (width,), "F32"
    if model.architecture in ("qwen3moe", "qwen3", "qwen3next", "gemma3"):
        yield "attn_q_norm.weight", (head,), "F32"
        yield "attn_k_norm.weight", (head,), "F32"
    if model.architecture in ("gemma2", "gemma3", "gpt-oss"):
        yield "post_attention_norm.weight", (width,), "F32"
    if model.architecture == "gpt-oss":
        yield "attn_output.bias", (width,), "F32"
        yield "attn_sinks.weight", (model.heads,), "F32"


def _linear_attention(model: Published) -> Iterator[Described]:
    """A gated delta net, as Qwen3-Next has it: 16 heads of keys and 32 of values, 128 wide."""
    width, kind = model.embedding, model.weights
    inner = 2 * width
    for name in ("attn_norm", "post_attention_norm"):
        yield f"{name}.weight", (width,), "F32"
    yield "attn_qkv.weight", (width, 2 * inner), kind
    yield "attn_gate.weight", (width, inner), kind
    yield "ssm_conv1d.weight", (4, 2 * inner), "F32"
    yield "ssm_dt.bias", (32,), "F32"
    yield "ssm_a", (32,), "F32"
    yield "ssm_ba.weight", (width, 64), kind
    yield "ssm_norm.weight", (128,), "F32"
    yield "ssm_out.weight", (inner, width), kind


def _feed_forward(model: Published, layer: int) -> Iterator[Described]:
    width, kind = model.embedding, model.weights
    if model.architecture not in ("gpt-oss", "qwen3next"):
        yield "ffn_norm.weight", (width,), "F32"
    if model.architecture in ("gemma2", "gemma3"):
        yield "post_ffw_norm.weight", (width,), "F32"
    if not model.experts or layer < model.experts[4]:
        if not model.plain and not model.fused:
            yield "ffn_gate.weight", (width, model.hidden), kind
        yield "ffn_up.weight", (width, model.hidden * (2 if model.fused else 1)), kind
        if model.plain:
            yield "ffn_up.bias", (model.hidden,), "F32"
            yield "ffn_down.bias", (width,), "F32"
        yield "ffn_down.weight", (model.hidden, width), kind
        return
    count, _, inner, shared, _ = model.experts
    yield "ffn_gate_inp.weight", (width, count), "F32"
    yield "ffn_gate_exps.weight", (width, inner, count), model.expert_weights
    yield "ffn_up_exps.weight", (width, inner, count), model.expert_weights
    yield "ffn_down_exps.weight", (inner, width, count), model.expert_weights
    if model.linear:
        yield "ffn_gate_inp_shexp.weight", (width,), "F32"
    if shared:
        yield "ffn_gate_shexp.weight", (width, shared), kind
        yield "ffn_up_shexp.weight", (width, shared), kind
        yield "ffn_down_shexp.weight", (shared, width), kind
    if model.architecture == "gpt-oss":
        yield "ffn_gate_inp.bias", (count,), "F32"
        for name, size in (("gate", inner), ("up", inner), ("down", width)):
            yield f"ffn_{name}_exps.bias", (size, count), "F32"
