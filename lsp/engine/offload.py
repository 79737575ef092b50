"""Where the model's layers and threads go on this machine, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Placement:
    """A decision with its reason.

    Args:
        gpu_layers: layers to offload; -1 for all.
        reason: one sentence for the log and for ``midline doctor``.
    """

    gpu_layers: int
    reason: str


def place_layers(wanted: int, can_offload: bool, model: Path, gpu_free_bytes: int) -> Placement:
    """Decide ``engine.gpu_layers``.

    All layers go to the GPU where this build of llama.cpp can offload and the weights fit with a quarter to spare
    (for the KV cache and compute buffers); otherwise none do.

    Args:
        wanted: the setting; -1 means "auto".
        can_offload: whether this build of llama.cpp has a GPU backend with a device.
        model: the GGUF file.
        gpu_free_bytes: free memory on the GPUs.
    """
    if not can_offload:
        reason = "this build of llama.cpp has no GPU backend, so all layers stay on the CPU"
        return Placement(0, reason if wanted in (-1, 0) else f"{reason} (`engine.gpu_layers` is {wanted})")
    if wanted >= 0:
        return Placement(wanted, f"`engine.gpu_layers` is {wanted}")
    needed = int(model.stat().st_size * 1.25)
    sizes = f"{needed / 2**30:.1f} GiB needed, {gpu_free_bytes / 2**30:.1f} GiB free on the GPU"
    if needed <= gpu_free_bytes:
        return Placement(-1, f"all layers go to the GPU: {sizes}")
    return Placement(0, f"all layers stay on the CPU: {sizes}")


def choose_threads(wanted: int) -> int:
    """Compute threads: the setting, or one fewer than the physical cores, so that the editor keeps one."""
    if wanted > 0:
        return wanted
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 2
    usable = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else physical
    return max(1, min(physical, usable) - 1)
