"""``python -m lsp.engine.inspect FILE``: print what llama.cpp reads in a GGUF's metadata, as JSON.

A process of its own, since a corrupt file may crash llama.cpp. A failure is one line on stderr, exit code 1.
Only the vocabulary is loaded; llama.cpp checks on the way that each tensor lies within the file.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import llama_cpp.llama_cpp as llama
import msgspec

from lsp.engine.tokenizer import Tokenizer
from lsp.errors import MidlineError
from lsp.models.gguf import FimTokens, GgufInfo
from lsp.models.header import read_header

_LOG_ERROR = 4  # ggml_log_level
_SIGNS_OF_TRUNCATION = ("not within the file bounds", "failed to read")


def main(arguments: list[str]) -> int:
    """Inspect the one file named in ``arguments``; return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m lsp.engine.inspect FILE", file=sys.stderr)
        return 2
    try:
        info = read_info(Path(arguments[0]))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(info) + b"\n")
    return 0


def read_info(path: Path) -> GgufInfo:
    """Load the metadata and vocabulary of the GGUF at ``path`` into this process and describe it.

    Raises:
        ValueError: llama.cpp refuses it, or it holds no language model; the text is the reason, a clause.
    """
    errors: list[str] = []

    @llama.llama_log_callback  # type: ignore[untyped-decorator]
    def keep_errors(level: int, text: bytes, _: object) -> None:
        if level == _LOG_ERROR:
            errors.append(text.decode(errors="replace").strip())

    llama.llama_log_set(keep_errors, ctypes.c_void_p(0))
    params = llama.llama_model_default_params()
    params.vocab_only = True
    params.use_mmap = False
    model = llama.llama_model_load_from_file(bytes(path), params)
    if not model:
        raise ValueError(_no_model(path) or _reason(errors))
    vocab = llama.llama_model_get_vocab(model)
    if vocab is None:
        raise ValueError("it has no vocabulary")
    architecture = _text(model, "general.architecture") or ""
    name = _text(model, "general.name") or path.stem
    kind = _text(model, "general.type")
    if kind not in (None, "model"):
        raise ValueError(f"it is of type {kind}, not a model")
    if llama.llama_model_n_params(model) == 0:
        raise ValueError("it holds a vocabulary but no weights")
    return GgufInfo(
        architecture=architecture,
        name=name,
        parameters=llama.llama_model_n_params(model),
        quantization=_quantization(_text(model, "general.file_type")),
        context_length=_number(model, f"{architecture}.context_length"),
        fim=_fim(vocab, " ".join([architecture, name, _text(model, "general.basename") or "", path.stem])),
        chat_template=llama.llama_model_chat_template(model, None) is not None,
        vocabulary=llama.llama_vocab_n_tokens(vocab),
        layers=_number(model, f"{architecture}.block_count"),
        embedding=_number(model, f"{architecture}.embedding_length"),
        licence=_text(model, "general.license"),
        parts=int(_text(model, "split.count") or 0) or 1,
    )


def _no_model(path: Path) -> str:
    """What a file says to be instead of a model, a clause; empty where it doesn't."""
    try:
        kind = read_header(path).metadata.get("general.type", "model")
    except MidlineError:
        return ""
    return "" if kind == "model" else f"it is of type {kind}, not a model"


def _reason(errors: list[str]) -> str:
    """The most telling of llama.cpp's error lines, without the names of its functions."""
    # The first line says what is wrong; those after it that something was.
    first = errors[0] if errors else "llama.cpp refused it and didn't say why"
    prefix, _, rest = first.partition(": ")
    text = rest if rest and " " not in prefix else first
    text = " ".join(text.removeprefix("error loading model: ").rstrip(".").split())
    cut = any(sign in text for sign in _SIGNS_OF_TRUNCATION)
    return f"it is cut short or corrupt ({text})" if cut else text


def _text(model: llama.llama_model_p, key: str) -> str | None:
    buffer = ctypes.create_string_buffer(1024)
    length = llama.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode(errors="replace") if length >= 0 else None


def _number(model: llama.llama_model_p, key: str) -> int:
    text = _text(model, key)
    if text is None or not text.isdecimal() or int(text) == 0:
        raise ValueError(f"its metadata lacks {key}" if text is None else f"its metadata says {key} = {text}")
    return int(text)


def _quantization(file_type: str | None) -> str:
    # Not llama_model_ftype(): that is only filled in when the weights are loaded.
    if file_type is None or not file_type.isdecimal():
        return "unknown"
    for name, value in vars(llama).items():
        if name.startswith("LLAMA_FTYPE_") and value == int(file_type):
            return name.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_")
    return f"type {file_type}"


def _fim(vocab: llama.llama_vocab_p, about: str) -> FimTokens | None:
    fim = Tokenizer(vocab, about).fim
    if fim is None:
        return None
    ids: dict[str, object] = {str(name): token for name, token in fim.tokens.items()}
    return msgspec.convert(ids | {"family": fim.family, "layouts": fim.layouts, "sure": fim.sure}, FimTokens)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
