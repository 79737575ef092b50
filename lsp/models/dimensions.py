"""The header that a known model's file has, from its published dimensions: to reckon with models that aren't here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsp.models.header import TENSOR_TYPES, Header, Tensor

Shape = tuple[int, ...]
_K_BLOCK = 256
_BITS = {label: 8 * size / block for label, block, size in TENSOR_TYPES.values()}


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: how many, how many of them a token uses, and their width.

    ``shared`` is the width of those that every token uses, ``dense`` counts the first layers, which have none.
    """

    count: int
    used: int
    width: int
    shared: int = 0
    dense: int = 0


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention: the rank that keys and values are stored in, and the parts of a head."""

    rank: int
    plain: int
    turned: int
    value: int


@dataclass(frozen=True)
class Dimensions:
    """What a model's config.json says of its size, in GGUF's terms.

    Args:
        architecture: llama.cpp's name for it.
        layers: how many.
        width: numbers of its hidden state.
        hidden: width of the feed-forward part.
        heads: attention heads.
        kv_heads: those of keys and values.
        vocabulary: tokens.
        context: tokens that it was trained for.
        head: numbers of a head; 0: ``width / heads``.
        tied: whether the file leaves out the output's weights, since the embedding serves for both.
        gated: whether the feed-forward part has three matrices, not two.
        window: tokens of a sliding window that all layers have; 0: none.
        experts: of a mixture.
        latent: where attention is of that kind.
    """

    architecture: str
    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    head: int = 0
    tied: bool = False
    gated: bool = True
    window: int = 0
    experts: Experts | None = None
    latent: Latent | None = None

    @property
    def parameters(self) -> int:
        """All weights that the file holds, norms and biases apart: they are a thousandth."""
        return sum(math.prod(shape) for _, shape in _matrices(self))


def reckoned_bytes(dimensions: Dimensions, quantization: str) -> int:
    """About the size of a file with a model of these dimensions; within 5 % of all known ones, mostly within 1 %."""
    return round(sum(math.prod(shape) * _BITS[kind] / 8 for _, shape, kind in _typed(dimensions, quantization)))


def imagined_header(name: str, dimensions: Dimensions, size: int, quantization: str) -> Header:
    """The header that a file of ``size`` bytes with a model of these dimensions has, but for its small tensors.

    What the types of the large ones don't add up to ``size``, all share.
    """
    factor = size / reckoned_bytes(dimensions, quantization)
    tensors = tuple(
        Tensor(key, shape, kind, round(math.prod(shape) * _BITS[kind] / 8 * factor))
        for key, shape, kind in _typed(dimensions, quantization)
    )
    return Header(Path(name), (Path(name),), _metadata(name, dimensions), tensors)


def _typed(dimensions: Dimensions, quantization: str) -> Iterator[tuple[str, Shape, str]]:
    """Each matrix with the type that llama.cpp's quantizer gives it (src/llama-quant.cpp)."""
    output = "token_embd.weight" if dimensions.tied else "output.weight"
    for key, shape in _matrices(dimensions):
        better = key == output or _favoured(key, dimensions.layers)
        if quantization != "Q4_K_M":
            kind = quantization
        elif shape[0] % _K_BLOCK:  # K quants can't divide such rows
            kind = "Q8_0" if better else "Q5_0"
        else:
            kind = "Q6_K" if better else "Q4_K"
        yield key, shape, kind


def _favoured(key: str, layers: int) -> bool:
    """Whether Q4_K_M leaves a matrix more bits: values and what leads back, in the outer and each third other layer."""
    if not key.startswith("blk.") or not ("attn_v." in key or "ffn_down" in key):
        return False
    layer, eighth = int(key.split(".")[1]), layers // 8
    return layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2


def _metadata(name: str, dimensions: Dimensions) -> dict[str, object]:
    head = dimensions.head or dimensions.width // dimensions.heads
    said: dict[str, object] = {
        "block_count": dimensions.layers,
        "context_length": dimensions.context,
        "embedding_length": dimensions.width,
        "feed_forward_length": dimensions.hidden,
        "vocab_size": dimensions.vocabulary,
        "attention.head_count": dimensions.heads,
        "attention.head_count_kv": dimensions.kv_heads,
        "attention.key_length": head,
        "attention.value_length": head,
    }
    if dimensions.window:
        said["attention.sliding_window"] = dimensions.window
    if dimensions.experts:
        said["expert_count"] = dimensions.experts.count
        said["expert_used_count"] = dimensions.experts.used
    if latent := dimensions.latent:
        said["attention.head_count_kv"] = 1
        said["attention.kv_lora_rank"] = latent.rank
        said["attention.key_length"] = latent.rank + latent.turned
        said["attention.value_length"] = latent.rank
        said["attention.key_length_mla"] = latent.plain + latent.turned
        said["attention.value_length_mla"] = latent.value
    architecture = dimensions.architecture
    prefixed = {f"{architecture}.{key}": value for key, value in said.items()}
    return {"general.architecture": architecture, "general.name": name, **prefixed}


def _matrices(dimensions: Dimensions) -> Iterator[tuple[str, Shape]]:
    """Name and shape of each matrix, the fastest dimension first."""
    yield "token_embd.weight", (dimensions.width, dimensions.vocabulary)
    for layer in range(dimensions.layers):
        for name, shape in (*_attention(dimensions), *_feed_forward(dimensions, layer)):
            yield f"blk.{layer}.{name}.weight", shape
    if not dimensions.tied:
        yield "output.weight", (dimensions.width, dimensions.vocabulary)


def _attention(dimensions: Dimensions) -> Iterator[tuple[str, Shape]]:
    width, heads = dimensions.width, dimensions.heads
    if latent := dimensions.latent:
        yield "attn_q", (width, heads * (latent.plain + latent.turned))
        yield "attn_kv_a_mqa", (width, latent.rank + latent.turned)
        yield "attn_k_b", (latent.plain, latent.rank, heads)
        yield "attn_v_b", (latent.rank, latent.value, heads)
        yield "attn_output", (heads * latent.value, width)
        return
    head = dimensions.head or width // heads
    yield "attn_q", (width, head * heads)
    yield "attn_k", (width, head * dimensions.kv_heads)
    yield "attn_v", (width, head * dimensions.kv_heads)
    yield "attn_output", (head * heads, width)


def _feed_forward(dimensions: Dimensions, layer: int) -> Iterator[tuple[str, Shape]]:
    width, experts = dimensions.width, dimensions.experts
    if experts and layer >= experts.dense:
        yield "ffn_gate_inp", (width, experts.count)
        for name in ("gate", "up"):
            yield f"ffn_{name}_exps", (width, experts.width, experts.count)
        yield "ffn_down_exps", (experts.width, width, experts.count)
        if experts.shared:
            for name in ("gate", "up"):
                yield f"ffn_{name}_shexp", (width, experts.shared)
            yield "ffn_down_shexp", (experts.shared, width)
        return
    if dimensions.gated:
        yield "ffn_gate", (width, dimensions.hidden)
    yield "ffn_up", (width, dimensions.hidden)
    yield "ffn_down", (dimensions.hidden, width)
