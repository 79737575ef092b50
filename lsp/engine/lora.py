"""LoRA adapters in llama.cpp: each loaded once, and set before a batch that is computed with others than the last."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib

from lsp.engine.config import Adapter
from lsp.errors import MidlineError
from lsp.models.adapters import check

Adapters = tuple[Adapter, ...]


class Lora:
    """The adapters of one model; llama.cpp frees them with it.

    Args:
        model: llama.cpp's.
        path: its file.
    """

    def __init__(self, model: object, path: Path) -> None:
        self._model = model
        self._path = path
        self._loaded: dict[tuple[str, str], Any] = {}  # by path and stamp
        self._in_use: Adapters = ()

    def load(self, adapters: Adapters) -> None:
        """Have adapters in memory.

        Raises:
            MidlineError: one of them doesn't fit the model, has changed, or can't be loaded.
        """
        for adapter in adapters:
            if (adapter.path, adapter.stamp) in self._loaded:
                continue
            check(adapter, self._path)
            loaded = lib.llama_adapter_lora_init(self._model, os.fsencode(adapter.path))
            if not loaded:
                raise MidlineError(f"llama.cpp can't load the adapter {adapter.path}.", "Change `model.adapters`.")
            self._loaded[adapter.path, adapter.stamp] = loaded

    def use(self, context: object, adapters: Adapters) -> None:
        """Have the next batch of ``context`` computed with ``adapters``, which are loaded; 6 ms where they differ."""
        if adapters == self._in_use:
            return
        count = len(adapters)
        handles = (lib.llama_adapter_lora_p_ctypes * count)()
        for i, adapter in enumerate(adapters):
            handles[i] = ctypes.cast(self._loaded[adapter.path, adapter.stamp], lib.llama_adapter_lora_p_ctypes)
        scales = (ctypes.c_float * count)(*[adapter.scale for adapter in adapters])
        if lib.llama_set_adapters_lora(context, handles, count, scales):
            raise RuntimeError("the adapters can't be set")
        self._in_use = adapters
