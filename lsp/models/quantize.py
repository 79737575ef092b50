"""A smaller model made of one that is there: llama.cpp's quantization, in a process of its own, checked, installed.

What the two processes tell each other is in ``Job`` and ``Said``; the other one is ``lsp.engine.quantize``.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.models.gguf import inspect_gguf, signal_name
from lsp.models.progress import DownloadProgress, Report, Stage, ignore
from lsp.models.store import InstalledModel
from lsp.models.workspace import require_space, workspace
from lsp.paths import models_dir

TYPES = (
    *("F32", "BF16", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0"),
    *("IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "Q2_K", "MXFP4_MOE", "TQ2_0", "TQ1_0"),
)
"""The types that llama.cpp can quantize to with nothing but the model, about from large to small."""

MATRIX_TYPES = ("IQ3_XXS", "IQ3_XS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
"""Those that it refuses without an importance matrix, measured on texts."""

_FULL = ("F32", "F16", "BF16")
_MIB = 1 << 20


class Job(msgspec.Struct, frozen=True):
    """What the other process is to do; it begins when it reads a line, and ends when its stdin does."""

    source: str
    target: str
    type: str
    threads: int
    requantize: bool


class Estimate(msgspec.Struct, tag="estimate", frozen=True):
    """What llama.cpp says that it would do; sizes in MiB, of weights alone.

    ``requantized`` counts the tensors to convert that are quantized already, ``fallbacks`` those whose shape has
    another type chosen for them.
    """

    source_mib: float
    target_mib: float
    tensors: int
    requantized: int
    fallbacks: int


class Progress(msgspec.Struct, tag="progress", frozen=True):
    """How far it is, in MiB of weights: of the source while quantizing, of the target while checking."""

    stage: Stage
    done_mib: float
    total_mib: float


class Finished(msgspec.Struct, tag="finished", frozen=True):
    """The target is written, and llama.cpp has loaded it and found no block of weights that is out of range."""


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """It can't be done, for a reason that is a clause."""

    reason: str


Said = Estimate | Progress | Finished | Failed

_decoder: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


@dataclass(frozen=True)
class Quantized:
    """The model that was made, and of which; the counts are those of `Estimate`."""

    model: InstalledModel
    source: str
    tensors: int
    requantized: int
    fallbacks: int


def quantize(
    name_or_path: str,
    type_name: str,
    output: str | None = None,
    *,
    threads: int = 0,
    requantize: bool = False,
    progress: Report = ignore,
) -> Quantized:
    """Make a model of another type of weights out of an installed one, or of a GGUF file; install it.

    Args:
        name_or_path: the model it is made of; of a split one its first file.
        type_name: one of ``TYPES``, in upper or lower case.
        output: what to call it; else after its source, ``NAME-q4_k_m``.
        threads: that compute; 0: as many as the engine takes.
        requantize: whether weights that are quantized already may be quantized again, which loses more than it
            would from the original.
        progress: told how far it is.

    Raises:
        MidlineError: there is no such type or model, the name is taken, the disk is too full, llama.cpp can't do it,
            or it was interrupted; nothing half-made is left.
    """
    wanted = _known_type(type_name)
    source = store.find(name_or_path)
    name = output or _named_after(source.name, wanted)
    what = f"the quantization of {source.name}"
    with workspace(what, f"midline model quantize {name_or_path} {wanted}", progress) as temporary:
        _check_free(name)
        target = temporary / "model.gguf"
        job = Job(str(source.path), str(target), wanted, threads, requantize)
        estimate = _carry_out(job, source, what, progress)
        info = inspect_gguf(target)
        if info.parameters != source.info.parameters:
            raise MidlineError(
                f"What llama.cpp made of {source.name} has {info.parameters} weights instead of "
                f"{source.info.parameters}; it isn't kept."
            )
        sha256 = store.hash_file(target, progress)
        model = store.install(target, name, sha256, f"quantized from {source.name}", info)
    return Quantized(model, source.name, estimate.tensors, estimate.requantized, estimate.fallbacks)


def _known_type(text: str) -> str:
    name = text.upper().replace("-", "_")
    if name in TYPES:
        return name
    if name in MATRIX_TYPES:
        raise MidlineError(
            f"{name} needs an importance matrix, which midline can't make.", f"Types without: {', '.join(TYPES)}."
        )
    close = difflib.get_close_matches(name, TYPES, n=2)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    raise MidlineError(f"There is no type of weights called {text!r}.", f"{hint}The types: {', '.join(TYPES)}.")


def _named_after(name: str, type_name: str) -> str:
    """``name`` with the new type in the place of the one that it ends with, if any."""
    known = "|".join(map(re.escape, sorted((*TYPES, *MATRIX_TYPES), key=len, reverse=True)))
    stem = re.sub(rf"[-._](?:{known})$", "", name, flags=re.IGNORECASE)
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", stem)
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', stem).strip('._-') or 'model'}-{type_name.lower()}"


def _check_free(name: str) -> None:
    cure = "Choose another name for it with --output NAME."
    if not store.NAME.fullmatch(name):
        raise MidlineError(f"{name!r} can't be a model's name.", "Use letters, digits, dots and dashes.")
    if catalogue.lookup(name):
        raise MidlineError(f"{name} is the name of a model in the catalogue.", cure)
    place = models_dir() / f"{name}.gguf"
    if place.exists():
        raise MidlineError(f"There is a model called {name} already: {place}.", cure)


def _carry_out(job: Job, source: InstalledModel, what: str, progress: Report) -> Estimate:
    """Have the other process do its job, if there is room for it and nothing speaks against it."""
    estimate = None
    with _process(job) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            said = _decoder.decode(line)
            if isinstance(said, Estimate):
                estimate = said
                _check_requantizing(job, source, said)
                # Besides its weights a file has its vocabulary and the like.
                rest = max(0, source.bytes - round(said.source_mib * _MIB))
                require_space(models_dir(), round(said.target_mib * _MIB) + rest, what)
                process.stdin.write(b"go\n")
                process.stdin.flush()
            elif isinstance(said, Progress):
                progress(DownloadProgress(said.stage, round(said.done_mib * _MIB), round(said.total_mib * _MIB)))
            elif isinstance(said, Failed):
                raise _impossible(job, said.reason)
            elif estimate is not None:
                return estimate
        code = process.wait()
    raise _impossible(job, f"llama.cpp crashed ({signal_name(-code)})" if code < 0 else f"exit code {code}")


def _impossible(job: Job, reason: str) -> MidlineError:
    return MidlineError(
        f"{job.source} can't be quantized to {job.type}: {reason}.", "Check the file, or try another type."
    )


def _check_requantizing(job: Job, source: InstalledModel, estimate: Estimate) -> None:
    if estimate.requantized and not job.requantize:
        raise MidlineError(
            f"{source.name} is quantized already ({source.info.quantization}): {estimate.requantized} of its "
            f"{estimate.tensors} tensors would lose precision twice.",
            f"Take the original ({', '.join(_FULL)}), or add --requantize.",
        )


@contextlib.contextmanager
def _process(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """The other process, which doesn't outlive the body."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lsp.engine.quantize", msgspec.json.encode(job).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is ours to answer
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
