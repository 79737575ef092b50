"""``python rpc_server.py HOST:PORT``: offers this process's memory and processor to llama.cpp elsewhere as a GPU.

Needs a llama.cpp with its RPC backend (``CMAKE_ARGS=-DGGML_RPC=on make setup``); never for anything but loopback.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import llama_cpp
from llama_cpp._ggml import libggml

LIBRARY = Path(llama_cpp.__file__).parent / "lib" / "libggml-rpc.so"
_CPU = 0
# It shall not get more than a small GPU has.
_MOST_BYTES = 3 << 30


def serve(endpoint: str) -> None:
    """Serve until the process is ended."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    rpc = ctypes.CDLL(str(LIBRARY))
    libggml.ggml_backend_dev_by_type.restype = ctypes.c_void_p
    devices = (ctypes.c_void_p * 1)(libggml.ggml_backend_dev_by_type(_CPU))
    start = rpc.ggml_backend_rpc_start_server
    start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    start(endpoint.encode(), None, 1, 1, ctypes.cast(devices, ctypes.c_void_p))


def add(endpoint: str) -> None:
    """Make the server at ``endpoint`` a GPU of this process."""
    rpc = ctypes.CDLL(str(LIBRARY))
    rpc.ggml_backend_rpc_add_server.restype = ctypes.c_void_p
    rpc.ggml_backend_rpc_add_server.argtypes = [ctypes.c_char_p]
    libggml.ggml_backend_register.argtypes = [ctypes.c_void_p]
    libggml.ggml_backend_register(rpc.ggml_backend_rpc_add_server(endpoint.encode()))


if __name__ == "__main__":
    serve(sys.argv[1])
