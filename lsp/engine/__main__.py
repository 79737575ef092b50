"""``python -m lsp.engine``: the engine's process; started by ``lsp.engine.client``, never by hand."""

from __future__ import annotations

import asyncio
import logging
import os

import filelock

from lsp.engine.config import socket_path
from lsp.engine.service import quiet_stdio, serve


def main() -> int:
    """Serve unless another engine does; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    quiet_stdio()
    os.umask(0o077)  # also what llama.cpp writes is this user's alone
    path = socket_path()
    lock = filelock.FileLock(path.with_suffix(".lock"), timeout=0, mode=0o600)
    try:
        with lock:
            asyncio.run(serve(path))
    except filelock.Timeout:
        return 0
    return 0


if __name__ == "__main__":
    # The model's thread may still be in llama.cpp; the system takes the memory back faster than destructors do.
    code = main()
    logging.shutdown()
    os._exit(code)
