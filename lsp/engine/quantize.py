"""``python -m lsp.engine.quantize JOB``: llama.cpp's quantization, for ``lsp.models.quantize``, which starts it.

It says what it would do, waits for a line on stdin, does it, and loads what it made. Where stdin ends, it ends too:
whoever wanted the model has gone. llama.cpp tells how far it is in its log alone.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable
from itertools import accumulate

import llama_cpp.llama_cpp as lib
import msgspec

from lsp.engine.offload import choose_threads
from lsp.models.quantize import Estimate, Failed, Finished, Job, Progress, Said

_LOG_WARN, _LOG_ERROR = 3, 4  # ggml_log_level
_MOST_MEMORY = 1 << 30  # bytes of a tensor's rows held at once; llama.cpp's own limit is 8 GiB
_FULL = ("f32", "f16", "bf16")
# `[   3/ 291] output.weight - [   896, 151936,      1,      1], type =   q5_0, size = 89.3 MiB -> 137.9 MiB (q8_0)`
_TENSOR = re.compile(r"\[ *(\d+)/ *\d+\] \S+ +- \[[^]]*\], type = +(\w+), ")
_TENSOR_SIZE = re.compile(rf"{_TENSOR.pattern}size = +([\d.]+) MiB( ->)?")
_TOTAL = re.compile(r"(model|quant) size += +([\d.]+) MiB")
_FALLBACKS = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback")


def main(arguments: list[str]) -> int:
    """Do the one job in ``arguments``; return the exit code."""
    job = msgspec.json.decode(arguments[0], type=Job)
    try:
        said = _quantize(job, dry_run=True)
        estimate = _estimate(said)
        _say(estimate)
        _wait()
        done = [0.0, *accumulate(float(size) for _, _, size, _ in _TENSOR_SIZE.findall(said))]
        _quantize(job, lambda tensors: _say(Progress("quantize", done[tensors], done[-1])))
        _say(Progress("quantize", done[-1], done[-1]))
        _load(job.target, lambda share: _say(Progress("load", share * estimate.target_mib, estimate.target_mib)))
    except ValueError as error:
        _say(Failed(str(error)))
        return 1
    _say(Finished())
    return 0


def _say(message: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _wait() -> None:
    """Wait for the word to begin; from then on, the end of stdin ends this process, whatever llama.cpp is doing."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    if not sys.stdin.buffer.readline():
        sys.exit(1)
    threading.Thread(target=watch, daemon=True).start()


def _quantize(job: Job, on_tensor: Callable[[int], None] = lambda _: None, *, dry_run: bool = False) -> str:
    """Run llama.cpp's quantization; returns what it logged.

    Args:
        job: what to do.
        on_tensor: called with how many tensors are done.
        dry_run: only log what would be done.

    Raises:
        ValueError: it can't be done; the text is the reason, a clause.
    """
    said: list[str] = []
    errors: list[str] = []

    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, data: bytes, _: object) -> None:
        text = data.decode(errors="replace")
        if level == _LOG_ERROR:
            errors.append(text)
        elif not dry_run and (tensor := _TENSOR.match(text)):
            on_tensor(int(tensor[1]) - 1)
        said.append(text)

    lib.llama_log_set(listen, ctypes.c_void_p(0))
    params = lib.llama_model_quantize_default_params()
    params.ftype = _file_type(job.type)
    params.nthread = choose_threads(job.threads)
    params.allow_requantize = job.requantize
    params.max_buf_size = _MOST_MEMORY
    params.dry_run = dry_run
    if lib.llama_model_quantize(os.fsencode(job.source), os.fsencode(job.target), ctypes.byref(params)):
        raise ValueError(_reason(errors))
    return "".join(said)


def _file_type(name: str) -> int:
    number = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{name}", None)
    return int(getattr(lib, f"LLAMA_FTYPE_ALL_{name}") if number is None else number)


def _estimate(said: str) -> Estimate:
    tensors = _TENSOR_SIZE.findall(said)
    total = dict(_TOTAL.findall(said))
    fallbacks = _FALLBACKS.search(said)
    if not tensors or len(total) != 2:
        raise ValueError("llama.cpp doesn't say what it would do")
    return Estimate(
        source_mib=float(total["model"]),
        target_mib=float(total["quant"]),
        tensors=len(tensors),
        requantized=sum(bool(converted) and kind not in _FULL for _, kind, _, converted in tensors),
        fallbacks=int(fallbacks[1]) if fallbacks else 0,
    )


def _load(path: str, on_progress: Callable[[float], None]) -> None:
    """Load the model at ``path`` and have llama.cpp look at all of its weights.

    Raises:
        ValueError: it can't be loaded, or has weights that are out of range.
    """
    errors: list[str] = []

    @lib.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, data: bytes, _: object) -> None:
        if level == _LOG_ERROR:
            errors.append(data.decode(errors="replace"))

    @lib.llama_progress_callback  # type: ignore[untyped-decorator]
    def tell(share: float, _: object) -> bool:
        on_progress(share)
        return True

    lib.llama_log_set(listen, ctypes.c_void_p(0))
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    params.check_tensors = True
    params.progress_callback = tell
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ValueError(f"the result can't be loaded: {_reason(errors)}")
    lib.llama_model_free(model)


def _reason(errors: list[str]) -> str:
    """The last thing that llama.cpp says, without the names of its functions."""
    text = " ".join(errors[-1].split()) if errors else "llama.cpp doesn't say why"
    return re.sub(r"^(?:\w+: )?(?:failed to quantize: )?", "", text).rstrip(".!")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
