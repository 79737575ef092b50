"""llama.cpp's parameters for a placement."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp.llama_cpp as lib
from llama_cpp._ggml import libggml

from lsp.engine.devices import devices
from lsp.engine.offload import Placement

_FLASH_ATTENTION_OFF, _FLASH_ATTENTION_ON = 0, 1  # llama_flash_attn_type
_MAPPED = 1  # llama_load_mode
_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml_type


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override."""

    _fields_ = [("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p)]


class ModelParams:
    """Parameters to load a model with; the object must live until the model is loaded."""

    def __init__(self, placement: Placement) -> None:
        self.params = params = lib.llama_model_default_params()
        params.n_gpu_layers = placement.gpu_layers
        params.use_extra_bufts = placement.copied
        found = devices()
        if placement.gpu_layers and len(found) == len(placement.split):
            used = [(device, size) for device, size in zip(found, placement.split, strict=True) if size]
            self._devices = (ctypes.c_void_p * (len(used) + 1))(*(device.handle for device, _ in used), None)
            params.devices = ctypes.cast(self._devices, ctypes.c_void_p)
            self._split = (ctypes.c_float * lib.llama_max_devices())(*(float(size) for _, size in used))
            params.tensor_split = self._split
        if placement.experts_on_cpu:
            self._overrides = _experts_on_cpu(placement.experts_on_cpu)
            params.tensor_buft_overrides = ctypes.cast(self._overrides, ctypes.c_void_p)
        if placement.gpu_layers and not any(device.gpu.shared for device in found):
            # What a GPU doesn't hold is mapped; where memory is shared, llama.cpp knows which backends can do that.
            params.load_mode = _MAPPED


def context_params(placement: Placement, *, n_seq: int, n_batch: int, threads: int) -> Any:
    """Parameters of a context in which all sequences share ``placement.n_ctx`` cells."""
    params = lib.llama_context_default_params()
    params.n_ctx = placement.n_ctx
    params.n_batch = params.n_ubatch = n_batch
    params.n_seq_max = n_seq
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = _FLASH_ATTENTION_ON if placement.flash_attention else _FLASH_ATTENTION_OFF
    params.type_k = params.type_v = _KV_TYPES[placement.kv_type]
    # Experts on the CPU are computed there: copying those of a batch to the GPU takes longer, and as much room again.
    params.op_offload = not placement.experts_on_cpu
    # A sliding window's cells beyond the window are kept, so that a sequence can be cut anywhere.
    params.swa_full = True
    # One pool of cells for all sequences: a copy costs nothing, and a short file leaves room to a long one.
    params.kv_unified = True
    params.no_perf = True
    return params


def _experts_on_cpu(layers: tuple[int, ...]) -> Any:
    """The routed experts of these layers, as llama.cpp's own ``--n-cpu-moe`` names them."""
    libggml.ggml_backend_cpu_buffer_type.restype = ctypes.c_void_p
    pattern = rf"blk\.({'|'.join(map(str, layers))})\.ffn_(up|down|gate|gate_up)_(ch|)exps"
    return (_Override * 2)(_Override(pattern.encode(), libggml.ggml_backend_cpu_buffer_type()), _Override(None, None))
