"""What this machine has for models: llama.cpp is asked in a process of its own, for loading it may fail."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import psutil

from lsp.engine.planning.memory import Gpu, Machine
from lsp.errors import MidlineError

_SECONDS = 60
_REINSTALL = "Install it again: pip install --force-reinstall --no-cache-dir llama-cpp-python==0.3.36"


class Backend(msgspec.Struct, frozen=True):
    """What the compiled llama.cpp can use: ``features`` as it words them, whether it can offload, and to what."""

    features: str
    offload: bool
    gpus: tuple[Gpu, ...]


def backend() -> Backend:
    """Ask llama.cpp.

    Raises:
        MidlineError: it can't be loaded, or doesn't answer.
    """
    command = [sys.executable, "-P", "-m", "lsp.engine.features"]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise MidlineError("llama.cpp did not say what it can do.", _REINSTALL) from error
    if child.returncode:
        reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise MidlineError(f"llama.cpp can't be loaded: {reason}.", _REINSTALL)
    try:
        return msgspec.json.decode(child.stdout.splitlines()[-1], type=Backend)
    except (msgspec.DecodeError, IndexError) as error:
        raise MidlineError("llama.cpp did not say what it can do.", _REINSTALL) from error


def this_machine() -> Machine:
    """The memory that is free here now.

    Raises:
        MidlineError: as ``backend``.
    """
    return Machine(backend().gpus, psutil.virtual_memory().available)
