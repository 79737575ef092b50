"""LoRA adapters with random weights for the models of ``tiny_gguf``, or for any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

RANK = 4


def write_lora(
    path: Path,
    model: Path,
    *,
    seed: int = 0,
    gain: float = 1.0,
    architecture: str | None = None,
    only: Sequence[str] = ("attn_q", "attn_v", "ffn_up", "ffn_down"),
) -> Path:
    """Write an adapter for the GGUF at ``model``; return its path.

    Args:
        path: where.
        model: whose matrices it changes.
        seed: other weights for each.
        gain: how much it changes them; 1 is about as much as they are themselves.
        architecture: what it says to be for, where that isn't the model's.
        only: which matrices.
    """
    reader = gguf.GGUFReader(model)
    named = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, architecture or named)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    random = np.random.default_rng(seed)
    for tensor in reader.tensors:
        if len(tensor.shape) == 2 and tensor.name.split(".")[-2] in only:
            columns, rows = map(int, tensor.shape)
            a = random.standard_normal((RANK, columns), dtype=np.float32) / columns**0.5
            b = random.standard_normal((rows, RANK), dtype=np.float32) * np.float32(gain / RANK**0.5)
            writer.add_tensor(f"{tensor.name}.lora_a", a.astype(np.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
