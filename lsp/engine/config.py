"""What an engine is started with, and where clients that want the same one find it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from lsp import __version__, paths

MAX_ADAPTERS = 16
"""The most that change a model at once."""


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter that changes a model's weights while it computes.

    Args:
        path: its GGUF file.
        scale: how much it counts; 1 is as it was trained.
        stamp: another one where the file is.
    """

    path: str
    scale: float = 1.0
    stamp: str = ""


class EngineConfig(msgspec.Struct, frozen=True):
    """One model, and how it is to be run.

    Args:
        model: path of the GGUF file.
        n_ctx: cells of the KV cache; 0 lets midline choose.
        threads: compute threads; 0 for one fewer than the physical cores.
        gpu_layers: layers to offload; -1 lets midline choose.
        kv_type: of the KV cache: "f16", "q8_0" or "q4_0"; empty lets midline choose.
        flash_attention: whether it may be used.
        gpu_reserve: bytes left free on each GPU; -1 lets midline choose.
        purpose: what the model is first of all for; completions have the first choice of what memory there is.
        idle_seconds: how long the model stays after its last client left, and the engine after its last model's.
        unload_seconds: after so long without a request its memory is given back until the next one; 0: never.
        beside: the other models that the settings name, which are to have room, too.
        adapters: what this client's requests are computed with; clients with others share the model all the same.
        called: its name, where that isn't its file's: Ollama calls its files by their hashes.
    """

    model: str
    n_ctx: int = 0
    threads: int = 0
    gpu_layers: int = -1
    kv_type: Literal["", "f16", "q8_0", "q4_0"] = ""
    flash_attention: bool = True
    gpu_reserve: int = -1
    purpose: Literal["completion", "chat"] = "completion"
    idle_seconds: float = 600.0
    unload_seconds: float = 0.0
    beside: tuple[str, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    called: str = ""

    @property
    def name(self) -> str:
        """The model's, as users see it."""
        return self.called or Path(self.model).stem

    @property
    def key(self) -> str:
        """Clients with equal keys share a model.

        Raises:
            OSError: the file has gone.
        """
        status = Path(self.model).stat()
        shared = (
            self.model,
            status.st_size,
            status.st_mtime_ns,
            self.n_ctx,
            self.threads,
            self.gpu_layers,
            self.kv_type,
            self.flash_attention,
        )
        return hashlib.sha256(repr(shared).encode()).hexdigest()[:16]


def engine_key() -> str:
    """All of a user's clients share an engine; another version of midline's code gets its own."""
    return hashlib.sha256(f"{__version__} {_code_changed()}".encode()).hexdigest()[:16]


def _code_changed() -> int:
    """When the engine's code last changed: an upgrade in place must not talk to the engine before it."""
    return max(file.stat().st_mtime_ns for file in Path(__file__).parent.rglob("*.py"))


def socket_path(key: str = "") -> Path:
    """The socket of the engine with this key, by default ``engine_key``, in a folder that only this user can enter.

    Raises:
        MidlineError: no such folder can be made.
    """
    path = paths.private_dir(paths.runtime_dir()) / f"engine-{key or engine_key()}.sock"
    if len(os.fsencode(path)) < 100:  # the kernel's limit for a socket's path is 104 to 108 bytes
        return path
    short = hashlib.sha256(os.fsencode(path.parent)).hexdigest()[:8]
    return paths.private_dir(Path(tempfile.gettempdir()) / f"midline-{os.getuid()}-{short}") / path.name
