"""llama.cpp through llama-cpp-python's low-level API: one model, one context, batches in, logits out.

Nothing here decides anything: the scheduler does.
"""

from __future__ import annotations

import ctypes
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from lsp.engine.lora import Adapters, Lora
from lsp.engine.offload import NoMemoryError, Placement
from lsp.engine.params import ModelParams, context_params
from lsp.engine.planning.memory import BATCH, RECURRENT_SEQUENCES
from lsp.engine.protocol import ChatFacts, ModelFacts, SpecialName
from lsp.engine.sampling import Logits
from lsp.engine.tokenizer import Tokenizer
from lsp.engine.vocabulary import Vocabulary
from lsp.errors import MidlineError

_LOG_ERROR, _LOG_CONTINUE = 4, 5
_MORE_MEMORY = "Close other programs, set a smaller `model.n_ctx`, or use a smaller model."
# What llama.cpp and its backends say when there is too little memory.
_SIGNS_OF_NO_MEMORY = ("allocat", "out of memory", "OutOfDeviceMemory", "bad_alloc", "malloc failed")
# Some vocabularies have thousands in reserve.
_MOST_CONTROLS = 512
_PARTIAL = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY


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
    """A loaded model with a context whose cells ``n_seq`` sequences share.

    Args:
        path: the GGUF file.
        placement: where its parts go, and how large its context is.
        n_seq: sequences of the context; it may have fewer, as the attribute of this name says.
        n_batch: most tokens that one ``decode`` takes.
        threads: compute threads.
        progress: called while loading with a share from 0 to 1.
        log: called with each line that llama.cpp logs, and its level (4 is an error).

    Raises:
        MidlineError: the file can't be loaded.
        NoMemoryError: the memory is not enough.
    """

    def __init__(
        self,
        path: Path,
        placement: Placement,
        *,
        n_seq: int,
        threads: int,
        n_batch: int = BATCH,
        progress: Callable[[float], None],
        log: Callable[[int, str], None],
    ) -> None:
        self._errors: list[str] = []
        self.abort = False
        self._interruptible = True
        self._log = log
        _of_thread.llama = self
        lib.llama_log_set(_log_callback, ctypes.c_void_p(0))
        lib.llama_backend_init()
        self._model = self._load(path, placement, progress)
        self._refuse_unfit(path)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._tokenizer = Tokenizer(self._vocab, self._about(path))
        self.n_vocab = self._tokenizer.size
        self._abort_callback = lib.ggml_abort_callback(lambda _: self._interruptible and self.abort)
        recurrent = lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model)
        # Whether a sequence can be cut at any length; a recurrent state can only move on.
        self.cuttable = not recurrent
        self.n_seq = n_seq if self.cuttable else min(n_seq, RECURRENT_SEQUENCES)
        sliding = 0 < lib.llama_model_n_swa(self._model) < placement.n_ctx + 256  # llama.cpp rounds n_ctx up
        # Whether what ``load_file`` reads can be cut like what was computed; of a sliding window's layers, llama.cpp
        # writes only the window.
        self.saves_all = self.cuttable and not sliding
        # llama.cpp gives the cells of a sliding window's layers that have left the window to whoever needs cells, and
        # then a sequence can't be cut any more. It spares those that two sequences hold: each one gets a twin.
        self._twins = self.n_seq if sliding and self.cuttable else 0
        self._context = self._make_context(placement, self.n_seq + self._twins, n_batch, threads)
        self.n_ctx: int = lib.llama_n_ctx(self._context)
        self._memory = lib.llama_get_memory(self._context)
        # Whether what was computed at one position can serve at another.
        self.movable = self.saves_all and bool(lib.llama_memory_can_shift(self._memory))
        self._batch = lib.llama_batch_init(n_batch, 0, 2)
        self.vocabulary = self._read_vocabulary()
        self.facts = self._read_facts(path)
        self.chat_facts = self._read_chat_facts()
        self._lora = Lora(self._model, path)
        self._path = str(path)
        _in_memory[self._path] += 1

    def close(self) -> None:
        """Give all memory back; the object is of no use afterwards."""
        _in_memory[self._path] -= 1
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)

    def tokenize(self, text: str) -> list[int]:
        """Plain text to tokens; nothing in ``text`` becomes a special token."""
        return self._tokenizer.plain(text)

    def tokenize_control(self, text: str) -> list[int]:
        """A chat template's text to tokens: special tokens that it spells become those tokens."""
        return self._tokenizer.control(text)

    def load_adapters(self, adapters: Adapters) -> None:
        """Have adapters in memory, for ``use_adapters``.

        Raises:
            MidlineError: one of them doesn't fit the model, has changed, or can't be loaded.
        """
        self._lora.load(adapters)

    def use_adapters(self, adapters: Adapters) -> None:
        """Have the next batches computed with ``adapters`` alone, which are loaded."""
        self._lora.use(self._context, adapters)

    def decode(self, entries: Sequence[Entry]) -> None:
        """Compute a batch.

        Raises:
            AbortedError: ``abort`` was set meanwhile; the sequences are to be cut to where they were, or restored.
            NoCellsError: the cache is full.
            RuntimeError: llama.cpp failed.
        """
        # For a batch of several sequences llama.cpp moves recurrent states about; where it breaks off in between, even
        # those of sequences outside the batch are lost.
        self._interruptible = self.cuttable or len({entry.seq for entry in entries}) == 1
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            batch.token[i] = entry.token
            batch.pos[i] = entry.position
            batch.n_seq_id[i] = 2 if self._twins else 1
            batch.seq_id[i][0] = entry.seq
            batch.seq_id[i][1] = entry.seq + self._twins
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
        if self._twins:
            lib.llama_memory_seq_rm(self._memory, seq + self._twins, length, -1)
        return bool(lib.llama_memory_seq_rm(self._memory, seq, length, -1))

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` for the positions from ``start`` to ``end``."""
        lib.llama_memory_seq_cp(self._memory, source, target, start, end)
        if self._twins:
            lib.llama_memory_seq_cp(self._memory, source, target + self._twins, start, end)

    def move(self, seq: int, start: int, end: int, to: int) -> None:
        """Move what ``seq`` holds from ``start`` to ``end`` down to ``to``; all else from there on goes."""
        lib.llama_memory_seq_rm(self._memory, seq, end, -1)
        lib.llama_memory_seq_rm(self._memory, seq, to, start)
        lib.llama_memory_seq_add(self._memory, seq, start, end, to - start)

    def save(self, seq: int) -> bytes:
        """What ``restore`` needs to bring ``seq`` back to what it holds now, after it has moved on.

        Of memory that can't be cut only; what could be cut is not part of it.
        """
        size = lib.llama_state_seq_get_size_ext(self._context, seq, _PARTIAL)
        state = np.empty(size, dtype=np.uint8)
        written = lib.llama_state_seq_get_data_ext(self._context, _pointer(state), size, seq, _PARTIAL)
        return state[:written].tobytes()

    def restore(self, seq: int, length: int, state: bytes) -> None:
        """Bring ``seq`` back to the ``length`` it had when ``state`` was saved.

        Raises:
            RuntimeError: llama.cpp failed.
        """
        data = _pointer(np.frombuffer(state, dtype=np.uint8))
        read = lib.llama_state_seq_set_data_ext(self._context, data, len(state), seq, _PARTIAL)
        if not read or not self.cut(seq, length):
            raise RuntimeError(f"a state can't be restored: {self._reason()}")

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

    def heard(self, level: int, line: str) -> None:
        """Take a line that llama.cpp logged in this object's thread."""
        if self.abort:  # no error of llama.cpp's
            return
        if level == _LOG_ERROR:
            self._errors = [*self._errors[-7:], line]
        self._log(level, line)

    def _load(self, path: Path, placement: Placement, progress: Callable[[float], None]) -> object:
        made = ModelParams(placement)

        def on_progress(share: float, _: object) -> bool:
            progress(share)
            return True

        self._progress_callback = lib.llama_progress_callback(on_progress)
        made.params.progress_callback = self._progress_callback
        model = lib.llama_model_load_from_file(str(path).encode(), made.params)
        if not model:
            raise self._refusal(
                f"llama.cpp can't load {path}: {self._reason()}.",
                "Check the file with `midline model verify`, or install another model with `midline model pull`.",
            )
        return model

    def _refusal(self, message: str, cure: str) -> MidlineError:
        """The error for what llama.cpp refused, of the kind that its last lines tell."""
        short = any(sign in line for line in self._errors for sign in _SIGNS_OF_NO_MEMORY)
        return NoMemoryError(message, _MORE_MEMORY) if short else MidlineError(message, cure)

    def _refuse_unfit(self, path: Path) -> None:
        """Raise ``MidlineError`` for a model that doesn't continue text token by token; some crash when they are to."""
        architecture = self._metadata("general.architecture")
        if lib.llama_model_has_encoder(self._model):
            reason = "a model with an encoder, which reads a text whole"
        elif lib.llama_model_is_diffusion(self._model):
            reason = "a diffusion model, which doesn't write from left to right"
        elif (
            self._metadata(f"{architecture}.pooling_type") not in ("", "0")
            or self._metadata(f"{architecture}.attention.causal") == "false"
        ):
            reason = "an embedding model, which writes no text"
        else:
            return
        lib.llama_model_free(self._model)
        raise MidlineError(f"{path} can't complete code: it is {reason}.", "Set another model in `model.completion`.")

    def _metadata(self, key: str) -> str:
        """The value of a key in the GGUF's header; empty where it has none."""
        buffer = ctypes.create_string_buffer(256)
        length = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else ""

    def _make_context(self, placement: Placement, n_seq: int, n_batch: int, threads: int) -> object:
        params = context_params(placement, n_seq=n_seq, n_batch=n_batch, threads=threads)
        params.abort_callback = self._abort_callback
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            lib.llama_model_free(self._model)
            raise self._refusal(
                f"llama.cpp can't make a context of {placement.n_ctx} tokens: {self._reason()}.", _MORE_MEMORY
            )
        return context

    def _reason(self) -> str:
        return self._errors[-1].removesuffix(".") if self._errors else "it gave no reason"

    def _about(self, path: Path) -> str:
        keys = ("general.architecture", "general.name", "general.basename")
        return " ".join([*map(self._metadata, keys), path.stem])

    def _read_vocabulary(self) -> Vocabulary:
        vocab, fim = self._vocab, self._tokenizer.fim
        special: dict[SpecialName, int] = {**fim.tokens} if fim else {}
        if lib.llama_vocab_get_add_bos(vocab) and (bos := lib.llama_vocab_bos(vocab)) >= 0:
            special["bos"] = bos
        ends = {
            token
            for token in range(self.n_vocab)
            if lib.llama_vocab_is_eog(vocab, token) or lib.llama_vocab_is_control(vocab, token)
        }
        ends |= fim.ends if fim else set()
        pieces = [b"" if token in ends else self._tokenizer.piece(token) for token in range(self.n_vocab)]
        return Vocabulary(pieces, special, frozenset(ends))

    def _read_facts(self, path: Path) -> ModelFacts:
        description = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self._model, description, 256)
        special, fim = self.vocabulary.special, self._tokenizer.fim
        return ModelFacts(
            name=path.stem,
            path=str(path),
            description=description.value.decode("utf-8", "replace"),
            parameters=lib.llama_model_n_params(self._model),
            n_ctx_train=lib.llama_model_n_ctx_train(self._model),
            fim=fim is not None,
            layout=fim.layouts[0] if fim else "psm",
            layouts=fim.layouts if fim and not fim.sure else (),
            separator="separator" in special,
            repository="repository" in special,
            bos="bos" in special,
        )

    def _read_chat_facts(self) -> ChatFacts:
        template = lib.llama_model_chat_template(self._model, None) or b""
        controls = [token for token in range(self.n_vocab) if lib.llama_vocab_is_control(self._vocab, token)]
        bos, eos = lib.llama_vocab_bos(self._vocab), lib.llama_vocab_eos(self._vocab)
        return ChatFacts(
            template=template.decode("utf-8", "replace"),
            architecture=self._metadata("general.architecture"),
            bos=self._name(bos),
            eos=self._name(eos),
            adds_bos=bool(lib.llama_vocab_get_add_bos(self._vocab)),
            controls=tuple(self._name(token) for token in controls[:_MOST_CONTROLS]),
        )

    def _name(self, token: int) -> str:
        """A token as its vocabulary writes it, special ones too; empty for none."""
        text = lib.llama_vocab_get_text(self._vocab, token) if token >= 0 else b""
        return (text or b"").decode("utf-8", "replace")


# How often each file is loaded in this process.
_in_memory: Counter[str] = Counter()


def in_memory() -> frozenset[str]:
    """The paths of the models that are loaded in this process."""
    return frozenset(+_in_memory)


# llama.cpp has one log for all models; it writes a line in the thread that called it, which is the model's own.
_of_thread = threading.local()


def _on_log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").rstrip()
    llama: Llama | None = getattr(_of_thread, "llama", None)
    if line and level != _LOG_CONTINUE and llama:
        llama.heard(level, line)


_log_callback = lib.llama_log_callback(_on_log)


def _pointer(data: npt.NDArray[np.uint8]) -> ctypes._Pointer[ctypes.c_uint8]:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def backend_features() -> str:
    """What the compiled llama.cpp can use on this machine, as llama.cpp words it."""
    return str(lib.llama_print_system_info().decode("utf-8", "replace")).strip(" |")


def llama_build() -> str:
    """The version of the bindings, and so of the llama.cpp compiled with them."""
    return version("llama-cpp-python")
