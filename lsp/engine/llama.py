"""llama.cpp through llama-cpp-python's low-level API: one model, one context, batches in, logits out.

The only module that calls llama_cpp. Nothing here decides anything: the scheduler does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
from llama_cpp._ggml import libggml

from lsp.engine.protocol import ModelFacts, SpecialName
from lsp.engine.sampling import Logits
from lsp.engine.vocabulary import Vocabulary
from lsp.errors import MidlineError

_LOG_ERROR, _LOG_CONTINUE = 4, 5
_FLASH_ATTENTION = 1  # LLAMA_FLASH_ATTN_TYPE_ENABLED
_DEVICE_GPU = 1  # GGML_BACKEND_DEVICE_TYPE_GPU


class AbortedError(Exception):
    """The abort callback stopped a batch; nothing of it counts as computed."""


class NoCellsError(Exception):
    """The KV cache had no room for the batch."""


@dataclass(frozen=True)
class Entry:
    """One token of a batch: where it stands, and whether its logits are wanted."""

    token: int
    position: int
    seq: int
    logits: bool


class Llama:
    """A loaded model with a context of ``n_ctx`` cells that ``n_seq`` sequences share.

    Args:
        path: the GGUF file.
        n_ctx: cells of the KV cache.
        n_seq: sequences of the context.
        n_batch: most tokens that one ``decode`` takes.
        threads: compute threads.
        gpu_layers: layers to offload; -1 for all.
        progress: called while loading with a share from 0 to 1.
        log: called with each line that llama.cpp logs, and its level (4 is an error).

    Raises:
        MidlineError: the file can't be loaded, or the memory is not enough.
    """

    def __init__(
        self,
        path: Path,
        *,
        n_ctx: int,
        n_seq: int,
        n_batch: int,
        threads: int,
        gpu_layers: int,
        progress: Callable[[float], None],
        log: Callable[[int, str], None],
    ) -> None:
        self._errors: list[str] = []
        self.abort = False
        self._log_callback = self._make_log_callback(log)
        lib.llama_log_set(self._log_callback, ctypes.c_void_p(0))
        lib.llama_backend_init()
        self._model = self._load(path, gpu_layers, progress)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.n_vocab = lib.llama_vocab_n_tokens(self._vocab)
        self._abort_callback = lib.ggml_abort_callback(lambda _: self.abort)
        self._context = self._make_context(n_ctx, n_seq, n_batch, threads)
        self.n_ctx: int = lib.llama_n_ctx(self._context)
        self._memory = lib.llama_get_memory(self._context)
        recurrent = lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model)
        # Whether a sequence can be cut at any length; a recurrent state can only move on.
        self.cuttable = not recurrent
        self._batch = lib.llama_batch_init(n_batch, 0, 1)
        self.vocabulary = self._read_vocabulary()
        self.facts = self._read_facts(path)

    def close(self) -> None:
        """Give all memory back; the object is of no use afterwards."""
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)

    def tokenize(self, text: str) -> list[int]:
        """Plain text to tokens; nothing in ``text`` becomes a special token."""
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        tokens = (lib.llama_token * capacity)()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, capacity, False, False)
        return list(tokens[:count])

    def decode(self, entries: Sequence[Entry]) -> None:
        """Compute a batch.

        Raises:
            AbortedError: ``abort`` was set meanwhile.
            NoCellsError: the cache is full.
            RuntimeError: llama.cpp failed.
        """
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            batch.token[i] = entry.token
            batch.pos[i] = entry.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = entry.seq
            batch.logits[i] = entry.logits
        code = lib.llama_decode(self._context, batch)
        if code == 0:
            return
        if code == 1:
            raise NoCellsError
        if code == 2:
            raise AbortedError
        raise RuntimeError(f"llama_decode returned {code}: {' '.join(self._errors[-2:]) or 'no reason given'}")

    def logits(self, index: int) -> Logits:
        """Logits at entry ``index`` of the last batch: 1-d view, float32, valid until the next ``decode``."""
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self._context, index), shape=(self.n_vocab,))

    def cut(self, seq: int, length: int) -> bool:
        """Remove all from position ``length`` of ``seq``; False where this kind of memory can't be cut."""
        return bool(lib.llama_memory_seq_rm(self._memory, seq, length, -1))

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` for the positions from ``start`` to ``end``."""
        lib.llama_memory_seq_cp(self._memory, source, target, start, end)

    def save(self, seq: int) -> bytes:
        """The state of ``seq``: what ``restore`` brings back."""
        size = lib.llama_state_seq_get_size_ext(self._context, seq, 0)
        buffer = (ctypes.c_uint8 * size)()
        written = lib.llama_state_seq_get_data_ext(self._context, buffer, size, seq, 0)
        return bytes(memoryview(buffer)[:written])

    def restore(self, seq: int, data: bytes) -> bool:
        """Make the empty ``seq`` what it was when ``data`` was saved; False where there is no room for it."""
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        return bool(lib.llama_state_seq_set_data_ext(self._context, buffer, len(data), seq, 0))

    def save_file(self, seq: int, tokens: Sequence[int], path: Path) -> bool:
        """Write ``seq``, which holds ``tokens``, to a file; False where that failed, as on a full disk."""
        array = (lib.llama_token * len(tokens))(*tokens)
        return bool(lib.llama_state_seq_save_file(self._context, str(path).encode(), seq, array, len(tokens)))

    def load_file(self, seq: int, path: Path) -> list[int]:
        """Make the empty ``seq`` what ``save_file`` wrote; returns its tokens, none where that failed."""
        array = (lib.llama_token * self.n_ctx)()
        count = ctypes.c_size_t()
        read = lib.llama_state_seq_load_file(
            self._context, str(path).encode(), seq, array, self.n_ctx, ctypes.byref(count)
        )
        return list(array[: count.value]) if read else []

    def _make_log_callback(self, log: Callable[[int, str], None]) -> object:
        def on_log(level: int, text: bytes, _: object) -> None:
            line = text.decode("utf-8", "replace").rstrip()
            if not line or level == _LOG_CONTINUE or self.abort:  # an abort is no error of llama.cpp's
                return
            if level == _LOG_ERROR:
                self._errors = [*self._errors[-7:], line]
            log(level, line)

        return lib.llama_log_callback(on_log)

    def _load(self, path: Path, gpu_layers: int, progress: Callable[[float], None]) -> object:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers

        def on_progress(share: float, _: object) -> bool:
            progress(share)
            return True

        self._progress_callback = lib.llama_progress_callback(on_progress)
        params.progress_callback = self._progress_callback
        model = lib.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise MidlineError(
                f"llama.cpp can't load {path}: {self._reason()}.",
                "Check the file with `midline model verify`, or install another model with `midline model pull`.",
            )
        return model

    def _make_context(self, n_ctx: int, n_seq: int, n_batch: int, threads: int) -> object:
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = n_batch
        params.n_seq_max = n_seq
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = _FLASH_ATTENTION
        # A sliding window's cells beyond the window are kept, so that a sequence can be cut anywhere.
        params.swa_full = True
        # One pool of cells for all sequences: a copy costs nothing, and a short file leaves room to a long one.
        params.kv_unified = True
        params.abort_callback = self._abort_callback
        params.no_perf = True
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise MidlineError(
                f"llama.cpp can't make a context of {n_ctx} tokens: {self._reason()}.",
                "Set a smaller `model.n_ctx`, or use a smaller model.",
            )
        return context

    def _reason(self) -> str:
        return self._errors[-1].removesuffix(".") if self._errors else "it gave no reason"

    def _read_vocabulary(self) -> Vocabulary:
        vocab = self._vocab
        ids: dict[SpecialName, int] = {
            "bos": lib.llama_vocab_bos(vocab) if lib.llama_vocab_get_add_bos(vocab) else -1,
            "prefix": lib.llama_vocab_fim_pre(vocab),
            "suffix": lib.llama_vocab_fim_suf(vocab),
            "middle": lib.llama_vocab_fim_mid(vocab),
            "separator": lib.llama_vocab_fim_sep(vocab),
            "repository": lib.llama_vocab_fim_rep(vocab),
        }
        ends = frozenset(
            token
            for token in range(self.n_vocab)
            if lib.llama_vocab_is_eog(vocab, token) or lib.llama_vocab_is_control(vocab, token)
        )
        pieces = [b"" if token in ends else self._piece(token) for token in range(self.n_vocab)]
        special = {name: token for name, token in ids.items() if token >= 0}
        return Vocabulary(pieces, special, ends)

    def _piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def _read_facts(self, path: Path) -> ModelFacts:
        description = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self._model, description, 256)
        special = self.vocabulary.special
        return ModelFacts(
            name=path.stem,
            path=str(path),
            description=description.value.decode("utf-8", "replace"),
            parameters=lib.llama_model_n_params(self._model),
            n_ctx_train=lib.llama_model_n_ctx_train(self._model),
            fim=self.vocabulary.fim,
            layout=self.vocabulary.layout,
            separator="separator" in special,
            repository="repository" in special,
            bos="bos" in special,
        )


def backend_features() -> str:
    """What the compiled llama.cpp can use on this machine, as llama.cpp words it."""
    return str(lib.llama_print_system_info().decode("utf-8", "replace")).strip(" |")


def can_offload() -> bool:
    """Whether this build of llama.cpp can put layers on a GPU."""
    return bool(lib.llama_supports_gpu_offload())


def gpu_free_bytes() -> int:
    """Free memory of all GPUs together, as their backends report it."""
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    libggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    total = 0
    for index in range(libggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(libggml.ggml_backend_dev_get(ctypes.c_size_t(index)))
        if libggml.ggml_backend_dev_type(device) == _DEVICE_GPU:
            free, size = ctypes.c_size_t(), ctypes.c_size_t()
            libggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(size))
            total += free.value
    return total


def llama_build() -> str:
    """The version of the bindings, and so of the llama.cpp compiled with them."""
    return version("llama-cpp-python")
