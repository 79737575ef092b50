"""Which models were being loaded when an engine died: one that takes the engine with it isn't loaded for ever.

llama.cpp may crash on a file, and a system that runs out of memory kills the engine. Its clients start it again and ask
for the same model, and all other models in the engine would die with it, time and again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lsp import paths
from lsp.errors import MidlineError

# The second time may have been another program's fault; the third is one too many.
MAX_DEATHS = 2
_lock = threading.Lock()


@contextlib.contextmanager
def loading(model: Path) -> Iterator[None]:
    """To be held while ``model`` is loaded into this process.

    Raises:
        MidlineError: the engine died ``MAX_DEATHS`` times in a row in doing so. The next try is a first one again.
    """
    deaths = _change(model, 1)
    if deaths > MAX_DEATHS:
        _change(model, 0)
        raise MidlineError(
            f"The engine died {MAX_DEATHS} times while it loaded {model}.",
            "There may be too little memory for it (`midline plan`), or the file is damaged (`midline model verify`).",
        )
    try:
        yield
    finally:
        _change(model, 0)


def _change(model: Path, add: int) -> int:
    """Count ``add`` more for ``model``, or forget it for 0; the count. Where nothing can be written, nothing counts."""
    with _lock, contextlib.suppress(OSError, MidlineError):
        file = paths.private_dir(paths.runtime_dir()) / "loading.json"
        try:
            counts = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):
            counts = {}
        before = counts.pop(str(model), 0)
        if add:
            counts[str(model)] = before + add
        temporary = file.with_name(f".loading.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(counts))
        temporary.replace(file)
        return before + add
    return 0
