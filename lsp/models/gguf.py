"""What a GGUF file says about itself, told without loading llama.cpp into this process.

The first bytes are read here, to name the commonest mistakes (a web page, a Git LFS pointer, a wheel).
The rest is llama.cpp's to judge, in a process of its own: a corrupt file may crash it.
"""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec

from lsp.errors import MidlineError
from lsp.models.fim import LayoutName
from lsp.paths import adapters_dir

_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata pairs
_KNOWN_VERSIONS = (2, 3)
_REFETCH = "Get the file again, or install one from the catalogue: midline model list."


class FimTokens(msgspec.Struct, frozen=True):
    """Ids of the tokens that mark an infilling prompt, ``None`` where a model has none; see `lsp.models.fim.Fim`."""

    prefix: int
    suffix: int
    middle: int | None = None
    separator: int | None = None
    repository: int | None = None
    family: str = ""
    layouts: tuple[LayoutName, ...] = ()
    sure: bool = False


class GgufInfo(msgspec.Struct, frozen=True):
    """The metadata of one GGUF model.

    ``parameters`` counts all stored weights (a tied embedding stored twice counts twice), ``context_length``
    is in tokens, ``vocabulary`` is its number of tokens, ``parts`` is the number of files it is split into.
    ``fim`` is ``None`` for a model that can't fill in the middle.
    """

    architecture: str
    name: str
    parameters: int
    quantization: str
    context_length: int
    fim: FimTokens | None
    chat_template: bool
    vocabulary: int
    layers: int
    embedding: int
    licence: str | None = None
    parts: int = 1


def inspect_gguf(path: Path, timeout: float = 60.0) -> GgufInfo:
    """Read the metadata of the GGUF file at ``path``, and check that it is whole.

    Whole means: every tensor it declares lies within the file. The weights themselves aren't read; only a
    hash tells whether they are right.

    Args:
        path: the file.
        timeout: seconds after which llama.cpp is taken to hang on it.

    Raises:
        MidlineError: it isn't a GGUF model that this llama.cpp can use; the message names the reason.
    """
    check_start(path)
    # -P: a file named like a module of ours in the current folder must not be imported.
    command = [sys.executable, "-P", "-m", "lsp.engine.inspect", os.fspath(path.absolute())]
    try:
        child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise refusal(path, f"llama.cpp didn't finish reading its metadata in {timeout:g} s") from error
    except OSError as error:
        raise MidlineError(f"Can't start a process to read {path}: {error.strerror or error}.") from error
    if child.returncode == 0:
        try:
            return msgspec.json.decode(child.stdout, type=GgufInfo)
        except msgspec.DecodeError as error:
            raise refusal(path, "its metadata can't be understood") from error
    if child.returncode < 0:
        raise refusal(path, f"llama.cpp crashed reading it ({signal_name(-child.returncode)})")
    said = child.stderr.decode(errors="replace").strip().splitlines()
    reason = said[-1] if said else f"llama.cpp gave up on it (exit code {child.returncode})"
    if reason.startswith("unknown model architecture"):
        raise refusal(path, reason, "It needs a newer midline, or isn't a language model.")
    if reason.startswith("it is of type adapter"):
        raise refusal(path, reason, f"Put it into {adapters_dir()} and name it in `model.adapters`.")
    raise refusal(path, reason)


def refusal(path: Path, reason: str, cure: str = _REFETCH) -> MidlineError:
    """The error for a file that can't be used as a model, because of ``reason`` (a clause, no full stop)."""
    return MidlineError(f"{path} isn't a usable GGUF model: {reason}.", cure)


def check_start(path: Path) -> None:
    """Refuse what a look at its first bytes shows not to be a GGUF file of a version that llama.cpp reads."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise refusal(path, "it is a folder", "Name the .gguf file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise refusal(path, "it isn't a regular file")
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError as error:
        raise MidlineError(f"There is no file {path}.", "Check the path.") from error
    except OSError as error:
        raise MidlineError(f"Can't read {path}: {error.strerror or error}.", "Check its permissions.") from error
    if not head:
        raise refusal(path, "it is empty")
    if not head.startswith(b"GGUF"):
        raise refusal(path, _what_it_is(head))
    if len(head) < _HEADER_BYTES:
        raise refusal(path, f"it ends after {len(head)} bytes, in the middle of its header")
    version = int.from_bytes(head[4:8], "little")
    if version in _KNOWN_VERSIONS:
        return
    if int.from_bytes(head[4:8], "big") in _KNOWN_VERSIONS:
        raise refusal(path, "it is big-endian, made for another kind of processor")
    if version == 1:
        raise refusal(path, "it has version 1 of the format, which llama.cpp no longer reads")
    raise refusal(
        path,
        f"it has version {version} of the format; known are {' and '.join(map(str, _KNOWN_VERSIONS))}",
        "Get the file again; if it is right, it needs a newer midline.",
    )


_MAGICS = (
    (b"PK\x03\x04", "it is a ZIP archive (a wheel or a PyTorch checkpoint?)"),
    (b"version https://git-lfs", "it is a Git LFS pointer, not the file itself (git lfs pull gets that)"),
    (b"\x1f\x8b", "it is compressed with gzip"),
    (b"\xfd7zXZ\x00", "it is compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive"),
    (b"lmgg", "it has llama.cpp's old format GGML, from before GGUF"),
    (b"fmgg", "it has llama.cpp's old format GGMF, from before GGUF"),
    (b"tjgg", "it has llama.cpp's old format GGJT, from before GGUF"),
)


def _what_it_is(head: bytes) -> str:
    for magic, reason in _MAGICS:
        if head.startswith(magic):
            return reason
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "it is a web page (an error or log-in page saved under the model's name?)"
    # safetensors: the length of a JSON header in 8 bytes, then that header
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "it is a safetensors file; midline reads GGUF only"
    if head[:1] == pickle.PROTO and head[1] in range(2, pickle.HIGHEST_PROTOCOL + 1):
        return "it is a Python pickle (a PyTorch checkpoint?); midline reads GGUF only"
    if not any(head):
        return "it begins with zeros (space set aside for a download that never came?)"
    try:
        head[: len(head) - 4].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return f"it doesn't begin with GGUF but with the bytes {head[:4].hex(' ')}"
    return "it is a text file" if b"\0" not in head else "it doesn't begin with GGUF"


def signal_name(number: int) -> str:
    """What the signal with this number is called."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
