"""How much memory a model takes on each device, once it is decided where its parts go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lsp.engine.planning.compute import Batch, compute_bytes, input_bytes
from lsp.engine.planning.shape import Layer, ModelShape

KvType = Literal["f16", "q8_0", "q4_0"]

# Numbers in a block of the KV cache's type, and its bytes.
_KV_BLOCKS: dict[KvType, tuple[int, int]] = {"f16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18)}
# Tokens that are computed at once: the scheduler's batches are smaller still, and the logits of each take room.
BATCH = 64
SEQUENCES = 16
# A recurrent state is as large for one token as for thousands, up to 75 MB: fewer sequences must do.
RECURRENT_SEQUENCES = 8
_CELLS = 256
_PIPELINE = 4  # GGML_SCHED_MAX_COPIES
_FLOAT = 4


@dataclass(frozen=True)
class Machine:
    """The memory there is: of each GPU, and the main memory that is available."""

    gpus: tuple[Gpu, ...]
    ram_bytes: int


@dataclass(frozen=True)
class Gpu:
    """A GPU and how much of its memory is free; ``shared``: that memory is a part of the main memory."""

    name: str
    free_bytes: int
    shared: bool = False


@dataclass(frozen=True)
class Choice:
    """What is decided about a model.

    Args:
        n_ctx: tokens of its context.
        kv_type: the type of its KV cache.
        split: layers on each GPU, in their order: the last of the model, its output being one more.
        experts_on_cpu: of so many layers, the first that have any, the routed experts stay on the CPU.
        flash_attention: whether scores are computed piece by piece.
    """

    n_ctx: int
    kv_type: KvType
    split: tuple[int, ...] = ()
    experts_on_cpu: int = 0
    flash_attention: bool = True

    @property
    def gpu_layers(self) -> int:
        """Layers on GPUs, as llama.cpp counts them: the output is one."""
        return sum(self.split)


@dataclass(frozen=True)
class Use:
    """Bytes on one device."""

    weights: int = 0
    kv: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.compute


def sequences(shape: ModelShape, n_ctx: int) -> int:
    """Sequences that the engine keeps for this model; those of a sliding window each have a twin."""
    if shape.recurrent:
        return RECURRENT_SEQUENCES
    return 2 * SEQUENCES if 0 < shape.window < n_ctx + _CELLS else SEQUENCES


def kv_bytes(shape: ModelShape, layers: Sequence[Layer], choice: Choice) -> int:
    """What ``layers`` keep for a full context, and for all sequences' states."""
    block, block_bytes = _KV_BLOCKS[choice.kv_type]
    cells = -(-choice.n_ctx // _CELLS) * _CELLS
    numbers = sum(layer.key + layer.value for layer in layers) if shape.cached else 0
    states = sum(layer.state for layer in layers) * sequences(shape, choice.n_ctx)
    return numbers * cells // block * block_bytes + states


def can_quantize(shape: ModelShape) -> bool:
    """Whether the KV cache may be of a quantized type; latent keys are small already, and not all GPUs take them so."""
    attending = [layer for layer in shape.layers if layer.key]
    return bool(attending) and shape.head_key % 32 == 0 and all(layer.value for layer in attending)


def gpu_use(shape: ModelShape, choice: Choice) -> tuple[Use, ...]:
    """What each GPU holds."""
    count = len(shape.layers)
    start = count + 1 - choice.gpu_layers
    bare = _experts_left_out(shape, choice.experts_on_cpu)
    uses = []
    for size in choice.split:
        indices = range(start, min(start + size, count))
        output = start + size > count and size > 0
        layers = [shape.layers[i] for i in indices]
        weights = sum(shape.layers[i].weights + (0 if i in bare else shape.layers[i].experts) for i in indices)
        compute = compute_bytes(shape, layers, _batch(shape, choice), lookup=False, output=output)
        compute += _copies(shape, choice) if size else 0
        if size and not bare and choice.gpu_layers <= count:
            # Large batches are computed here with the CPU's weights, which are copied over one at a time.
            compute += max((layer.largest for layer in shape.layers[: count + 1 - choice.gpu_layers]), default=0)
        weights += (shape.output + shape.tied) if output else 0
        uses.append(Use(weights, kv_bytes(shape, layers, choice), compute))
        start += size
    return tuple(uses)


def cpu_use(shape: ModelShape, choice: Choice) -> Use:
    """What the main memory holds; the weights are mapped from the file."""
    count = len(shape.layers)
    on_cpu = shape.layers[: count + 1 - choice.gpu_layers] if choice.gpu_layers else shape.layers
    bare = _experts_left_out(shape, choice.experts_on_cpu)
    weights = shape.lookup + sum(layer.weights + layer.experts for layer in on_cpu)
    weights += sum(layer.experts for i, layer in enumerate(shape.layers) if i in bare and i >= len(on_cpu))
    weights += 0 if choice.gpu_layers else shape.output
    bare_layers = [shape.layers[i] for i in sorted(bare)]
    batch = _batch(shape, choice)
    compute = compute_bytes(shape, on_cpu or bare_layers, batch, lookup=True, output=not choice.gpu_layers)
    compute += _copies(shape, choice)
    logits = shape.vocabulary * sequences(shape, choice.n_ctx) * _FLOAT
    return Use(weights, kv_bytes(shape, on_cpu, choice), compute + logits)


def compute_total(shape: ModelShape, choice: Choice) -> int:
    """Bytes of the compute buffers of all devices, as llama.cpp reports them."""
    logits = shape.vocabulary * sequences(shape, choice.n_ctx) * _FLOAT
    return sum(use.compute for use in gpu_use(shape, choice)) + cpu_use(shape, choice).compute - logits


def _experts_left_out(shape: ModelShape, count: int) -> frozenset[int]:
    """The layers whose experts stay on the CPU."""
    return frozenset([i for i, layer in enumerate(shape.layers) if layer.experts][:count])


def _batch(shape: ModelShape, choice: Choice) -> Batch:
    rotated = choice.kv_type != "f16"
    return Batch(BATCH, choice.n_ctx, sequences(shape, choice.n_ctx), choice.flash_attention, rotated)


def _copies(shape: ModelShape, choice: Choice) -> int:
    """Bytes of further copies of a batch's inputs, with which llama.cpp has several GPUs work at the same time."""
    used = sum(1 for size in choice.split if size)
    whole = choice.gpu_layers > len(shape.layers) and not choice.experts_on_cpu
    return (_PIPELINE - 1) * input_bytes(shape, _batch(shape, choice)) if used > 1 and whole else 0
