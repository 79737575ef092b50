"""What of a model's header decides how much memory it takes: its layers' weights, and what they keep for each token."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from lsp.errors import MidlineError
from lsp.models.header import Header, Tensor

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")
_EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)_(ch)?exps\b")
# llama.cpp looks tokens up on the CPU, whatever is offloaded.
_LOOKED_UP = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.")
_RECURRENT = ("ssm_", "shortconv.", "time_mix_")
_MOST_LAYERS = 1_000
_FLOAT_BYTES = 4


class Parts(dict[str, tuple[int, ...]]):
    """The shapes of a layer's tensors by name, of two dimensions at least; what isn't there is of no size."""

    def __missing__(self, name: str) -> tuple[int, ...]:
        return (0, 0)


@dataclass(frozen=True)
class Layer:
    """One repeating layer.

    Args:
        weights: bytes of its tensors, without its routed experts'.
        experts: bytes of its routed experts.
        largest: bytes of its largest tensor.
        key: numbers that attention keeps for a token as its key; 0 where there is no attention.
        value: the same for its value.
        state: bytes that a sequence takes, however long it is: a recurrent layer's.
        parts: the shapes of its tensors by their names in the layer.
        kind: the same number for layers that compute the same.
    """

    weights: int
    experts: int
    largest: int
    key: int
    value: int
    state: int
    parts: Parts
    kind: int


@dataclass(frozen=True, eq=False)
class ModelShape:
    """A model's sizes.

    Args:
        architecture: llama.cpp's name for it.
        context: tokens it was trained for.
        width: numbers of its hidden state.
        vocabulary: its tokens.
        heads: attention heads.
        head_key: numbers of one head's key.
        experts_used: routed experts that a token passes in a layer.
        window: tokens that a sliding window's layers see; 0 where all see all.
        cached: whether it keeps keys and values; a model that only embeds doesn't.
        lookup: bytes of weights that always stay on the CPU.
        output: bytes of the weights behind the last layer.
        tied: bytes of the embedding where it is the output, too, which is a copy if that is offloaded; else 0.
        layers: in their order; those that only predict further tokens ahead take no memory.
    """

    architecture: str
    context: int
    width: int
    vocabulary: int
    heads: int
    head_key: int
    experts_used: int
    window: int
    cached: bool
    lookup: int
    output: int
    tied: int
    layers: tuple[Layer, ...]

    @property
    def weights(self) -> int:
        """Bytes of all weights."""
        return self.lookup + self.output + sum(layer.weights + layer.experts for layer in self.layers)

    @property
    def recurrent(self) -> bool:
        """Whether a sequence has a state that can't be cut."""
        return any(layer.state for layer in self.layers)

    @property
    def mixture(self) -> bool:
        """Whether it has routed experts."""
        return any(layer.experts for layer in self.layers)


def shape_of(header: Header) -> ModelShape:
    """The sizes of the model with this header.

    Raises:
        MidlineError: it is no language model, or its metadata can't be true.
    """
    return _Reader(header).shape()


class _Reader:
    """Reads the metadata of one architecture."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._architecture = str(header.metadata.get("general.architecture", ""))
        self._kinds: dict[tuple[object, ...], int] = {}

    def shape(self) -> ModelShape:
        blocks: dict[int, dict[str, Tensor]] = defaultdict(dict)
        rest: dict[str, Tensor] = {}
        for tensor in self._header.tensors:
            if match := _BLOCK.fullmatch(tensor.name):
                blocks[int(match[1])][match[2]] = tensor
            else:
                rest[tensor.name] = tensor
        embedding = rest.get("token_embd.weight")
        count = self._number("block_count", _MOST_LAYERS)
        if embedding is None or not count or any(number >= count for number in blocks):
            raise self._refusal("it has no token embedding, or other layers than it announces")
        heads = self._number("attention.head_count", 1 << 16, 1)
        width = embedding.shape[0]
        lookup = sum(
            tensor.bytes for name, tensor in rest.items() if name.startswith(_LOOKED_UP) and "_norm" not in name
        )
        head_key = self._number("attention.key_length", 1 << 16, width // max(heads, 1))
        return ModelShape(
            architecture=self._architecture,
            context=self._number("context_length", 1 << 31),
            width=width,
            vocabulary=embedding.shape[-1],
            heads=heads,
            head_key=head_key,
            experts_used=self._number("expert_used_count", 1 << 16),
            window=self._number("attention.sliding_window", 1 << 31),
            cached=self._header.metadata.get(f"{self._architecture}.attention.causal", True) is not False,
            lookup=lookup,
            output=sum(tensor.bytes for tensor in rest.values()) - lookup,
            tied=0 if "output.weight" in rest else embedding.bytes,
            layers=tuple(self._layer(i, count, blocks[i], head_key) for i in range(count)),
        )

    def _layer(self, index: int, count: int, tensors: Mapping[str, Tensor], head_key: int) -> Layer:
        if index >= count - self._number("nextn_predict_layers", count):
            return Layer(0, 0, 0, 0, 0, 0, Parts(), -1)  # llama.cpp skips them unless it is told to draft with them
        experts = sum(tensor.bytes for name, tensor in tensors.items() if _EXPERTS.match(name))
        parts = Parts(
            {name: tensor.shape if len(tensor.shape) > 1 else (*tensor.shape, 1) for name, tensor in tensors.items()}
        )
        key, value = self._cell(index, count, parts, head_key)
        return Layer(
            weights=sum(tensor.bytes for tensor in tensors.values()) - experts,
            experts=experts,
            largest=max((tensor.bytes for tensor in tensors.values()), default=0),
            key=key,
            value=value,
            state=self._state() if any(name.startswith(_RECURRENT) for name in tensors) else 0,
            parts=parts,
            kind=self._kinds.setdefault((key, value, *parts.items()), len(self._kinds)),
        )

    def _cell(self, index: int, count: int, parts: Parts, head_key: int) -> tuple[int, int]:
        """How many numbers a layer keeps for each token, as keys and as values."""
        shared = self._number("attention.shared_kv_layers", count)
        if shared and index >= count - shared:
            return 0, 0  # attends to what an earlier layer keeps
        if "attn_kv_a_mqa.weight" in parts and "attn_k_b.weight" in parts:
            return parts["attn_kv_a_mqa.weight"][1], 0  # values are a part of the latent keys
        if "attn_k.weight" in parts:
            key = parts["attn_k.weight"][1]
            return key, parts["attn_v.weight"][1] if "attn_v.weight" in parts else key
        fused = "attn_qkv.weight" in parts and not any(name.startswith(_RECURRENT) for name in parts)
        if not fused and "attn_kv_b.weight" not in parts:
            return 0, 0
        heads = self._number("attention.head_count", 1 << 16, 1)
        groups = self._number("attention.head_count_kv", 1 << 16, heads, index)
        return groups * head_key, groups * self._number("attention.value_length", 1 << 16, head_key)

    def _state(self) -> int:
        """Bytes that one sequence takes in a recurrent layer (llama.cpp's n_embd_r and n_embd_s)."""
        width = self._number("embedding_length", 1 << 24)
        if head := self._number("wkv.head_size", 1 << 16):
            numbers = self._number("token_shift_count", 16, 2) * width + width * head
        elif window := self._number("shortconv.l_cache", 1 << 16):
            numbers = (window - 1) * width
        elif head := self._number("kda.head_dim", 1 << 16):
            inner = head * self._number("attention.head_count", 1 << 16)
            numbers = 3 * (self._number("ssm.conv_kernel", 1 << 16, 4) - 1) * inner + head * inner
        else:
            inner, state = self._number("ssm.inner_size", 1 << 24), self._number("ssm.state_size", 1 << 16)
            conv = max(self._number("ssm.conv_kernel", 1 << 16) - 1, 0)
            numbers = conv * (inner + 2 * self._number("ssm.group_count", 1 << 16) * state) + inner * state
        return numbers * _FLOAT_BYTES

    def _number(self, key: str, most: int, default: int = 0, layer: int | None = None) -> int:
        """The number under a key of this architecture; where each layer has one, that of ``layer``, or the largest."""
        value = self._header.metadata.get(f"{self._architecture}.{key}", default)
        if isinstance(value, tuple) and value and all(isinstance(one, int) for one in value):
            value = max(value) if layer is None else value[min(layer, len(value) - 1)]
        if not isinstance(value, int) or not 0 <= value <= most:
            raise self._refusal(f"its metadata says {key} = {value!r:.60}")
        return value

    def _refusal(self, reason: str) -> MidlineError:
        return MidlineError(
            f"No memory can be planned for {self._header.path}: {reason}.", "Get the file again, or use another model."
        )
