"""The GPUs that llama.cpp can use on this machine, as its backends report them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import llama_cpp.llama_cpp as lib
import psutil
from llama_cpp._ggml import libggml

from lsp.engine.planning.memory import Gpu, Machine

_GPU, _INTEGRATED = 1, 2  # ggml_backend_dev_type


class _Caps(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_bool) for name in ("asynchronous", "host_buffer", "from_host_pointer", "events", "mmap")
    ]


class _Properties(ctypes.Structure):
    """ggml_backend_dev_props."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", _Caps),
    ]


@dataclass(frozen=True)
class Device:
    """A GPU: what it is, and llama.cpp's handle for it."""

    gpu: Gpu
    handle: int


def can_offload() -> bool:
    """Whether this build of llama.cpp can put layers on a GPU."""
    return bool(lib.llama_supports_gpu_offload())


def devices() -> list[Device]:
    """The GPUs, in the order in which models are spread over them; integrated ones only where there are no others."""
    if not can_offload():
        return []
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    libggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    found: list[tuple[int, Device]] = []
    seen: set[bytes] = set()
    for index in range(libggml.ggml_backend_dev_count()):
        handle = libggml.ggml_backend_dev_get(ctypes.c_size_t(index))
        properties = _Properties()
        libggml.ggml_backend_dev_get_props(ctypes.c_void_p(handle), ctypes.byref(properties))
        if properties.type not in (_GPU, _INTEGRATED):
            continue
        if properties.device_id:
            if properties.device_id in seen:  # the same GPU by another backend
                continue
            seen.add(properties.device_id)
        name = (properties.description or properties.name or b"GPU").decode("utf-8", "replace")
        shared = properties.type == _INTEGRATED or (properties.name or b"").startswith((b"MTL", b"Metal"))
        free = properties.memory_free or (psutil.virtual_memory().available if shared else 0)
        found.append((properties.type, Device(Gpu(name, free, shared), handle)))
    kind = min((kind for kind, _ in found), default=_GPU)
    return [device for its, device in found if its == kind]


def machine() -> Machine:
    """The memory that is free now."""
    return Machine(tuple(device.gpu for device in devices()), psutil.virtual_memory().available)
