"""LoRA adapters: where those lie that settings name, and whether one fits a model.

An adapter steers all that a model writes, and llama.cpp's loader of them trusts its files: it aborts where metadata are
of another kind, and doesn't compare all dimensions (https://github.com/ggml-org/llama.cpp/issues/29128: memory is
overwritten). So a file is compared with the model's header, dimension by dimension, before llama.cpp sees it; and a
workspace's settings may only choose among those that the user has put into their own folder.
"""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from lsp.engine.config import MAX_ADAPTERS, Adapter
from lsp.errors import MidlineError
from lsp.models.header import Header, Tensor, read_header
from lsp.paths import adapters_dir
from lsp.setting import is_path

_A, _B, _NORM = ".lora_a", ".lora_b", "_norm.weight"
_TYPES = ("F32", "F16", "BF16", "Q8_0")
_MOST_SCALE = 100.0
_ONLY_INVOKED = "adapter.alora.invocation_tokens"


class _File(NamedTuple):
    """A file as it is now."""

    path: Path
    bytes: int
    mtime_ns: int


def resolve(named: Sequence[str], model: Path) -> tuple[Adapter, ...]:
    """The adapters that ``model.adapters`` names, each checked to fit ``model``; each once, with the sum of its scales.

    Args:
        named: names of files in the user's folder of adapters, or paths; each may end in ``:SCALE``.
        model: the GGUF file that they are to change.

    Raises:
        MidlineError: there is no such adapter, or it doesn't fit.
    """
    if len(named) > MAX_ADAPTERS:
        raise MidlineError(f"`model.adapters` names {len(named)} adapters.", f"Name {MAX_ADAPTERS} at most.")
    scales: defaultdict[_File, float] = defaultdict(float)
    for entry in named:
        file, scale = _found(entry)
        _check(file, _file(model))
        scales[file] += scale
    # Sorted: what is computed with the same ones is shared, in whatever order they are named.
    return tuple(
        Adapter(str(file.path), scale, f"{file.bytes} {file.mtime_ns}")
        for file, scale in sorted(scales.items())
        if scale
    )


def check(adapter: Adapter, model: Path) -> None:
    """Refuse an adapter that isn't the file any more that was resolved, or doesn't fit ``model``.

    Raises:
        MidlineError: that is so.
    """
    file = _file(Path(adapter.path))
    if f"{file.bytes} {file.mtime_ns}" != adapter.stamp:
        raise MidlineError(f"The adapter {file.path} has changed since it was checked.", "Set `model.adapters` again.")
    _check(file, _file(model))


def _found(entry: str) -> tuple[_File, float]:
    name, scale = _scaled(entry)
    path = Path(name).expanduser()
    if is_path(name):
        return _file(path.absolute()), scale
    path = adapters_dir() / f"{name}.gguf"
    if not path.is_file():
        known = sorted(file.stem for file in adapters_dir().glob("*.gguf"))
        close = difflib.get_close_matches(name, known, n=2)
        cure = f"Did you mean {' or '.join(close)}?" if close else f"Put it there as {name}.gguf, or name its path."
        raise MidlineError(f"There is no adapter {name!r} in {adapters_dir()}.", cure)
    return _file(path), scale


def _scaled(entry: str) -> tuple[str, float]:
    """What is named, and its scale."""
    name, colon, number = entry.rpartition(":")
    try:
        scale = float(number) if colon else 1.0
    except ValueError:
        return entry, 1.0  # a colon of the path's own
    if not math.isfinite(scale) or abs(scale) > _MOST_SCALE:
        raise MidlineError(
            f"The scale of the adapter {name} is {number}.", f"Choose one from -{_MOST_SCALE:g} to {_MOST_SCALE:g}."
        )
    return name if colon else entry, scale


def _file(path: Path) -> _File:
    try:
        status = path.stat()
    except OSError as error:
        raise MidlineError(f"Can't read {path}: {error.strerror or error}.", "Check `model.adapters`.") from error
    return _File(path, status.st_size, status.st_mtime_ns)


@lru_cache(32)
def _check(adapter: _File, model: _File) -> None:
    header = read_header(adapter.path)
    base = read_header(model.path)
    reason = _metadata_fault(header, base) or _tensor_fault(header, base)
    if reason:
        raise MidlineError(f"{adapter.path} is no adapter for {model.path.stem}: {reason}.", "Change `model.adapters`.")


def _metadata_fault(adapter: Header, base: Header) -> str:
    """What is wrong with an adapter's metadata, a clause; empty where nothing is."""
    said = adapter.metadata
    if said.get("general.type") != "adapter":
        return "it is a model itself" if "tokenizer.ggml.model" in said else "it doesn't say that it is an adapter"
    if said.get("adapter.type") != "lora":
        return f"it is of type {said.get('adapter.type')!r:.40}; only LoRA adapters can be used"
    wanted = base.metadata.get("general.architecture")
    if said.get("general.architecture") != wanted:
        return f"it is for a model of the architecture {said.get('general.architecture')!r:.40}, this one is {wanted!r}"
    if adapter.kinds.get("adapter.lora.alpha", "float32") != "float32":
        return "its alpha is no number of 32 bits"
    if _ONLY_INVOKED in said:
        return "it counts only behind certain words (aLoRA), which midline doesn't know of"
    if len(adapter.parts) > 1:
        return "it is split into parts"
    return ""


def _tensor_fault(adapter: Header, base: Header) -> str:
    """What is wrong with an adapter's tensors, a clause; empty where nothing is."""
    halves = {tensor.name: tensor for tensor in adapter.tensors if not tensor.name.endswith(_NORM)}
    known = {tensor.name: tensor for tensor in base.tensors}
    if not halves:
        return "it changes nothing"
    for name, tensor in halves.items():
        stem, suffix = name[: -len(_A)], name[-len(_A) :]
        if suffix not in (_A, _B):
            return f"its tensor {name!r:.80} is no part of a LoRA"
        if tensor.type not in _TYPES:
            return f"its tensor {name!r:.80} has the type {tensor.type}"
        if stem + _A not in halves or stem + _B not in halves:
            return f"half of {stem!r:.80} is missing"
        if stem not in known:
            return f"the model has no {stem!r:.80}"
        if not _fits(halves[stem + _A], halves[stem + _B], known[stem]):
            return f"{stem!r:.80} has another shape in the model"
    return ""


def _fits(a: Tensor, b: Tensor, weight: Tensor) -> bool:
    """Whether ``weight + b · a`` can be computed, in all dimensions that llama.cpp relies on."""
    (a0, a1, *a_more), (b0, b1, *b_more), (w0, w1, *more) = map(_padded, (a, b, weight))
    if weight.name.endswith("token_embd.weight"):
        w0, w1, a0, a1 = w1, w0, a1, a0  # its rows are looked up, so both are the other way round
    return (a0, a1, b1) == (w0, b0, w1) and a_more == b_more == more


def _padded(tensor: Tensor) -> tuple[int, int, int, int]:
    first, second, third, fourth = (*tensor.shape, 1, 1, 1)[:4]
    return first, second, third, fourth
