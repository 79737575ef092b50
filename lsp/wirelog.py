"""A log of every LSP message, for debugging: ``MIDLINE_LSP_LOG=FILE``. It holds the code of open documents."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import IO, Any


def open_wire_log() -> IO[str] | None:
    """The file that ``MIDLINE_LSP_LOG`` names, readable by this user only; None where it isn't set.

    Raises:
        OSError: it can't be written.
    """
    path = os.environ.get("MIDLINE_LSP_LOG")
    if not path:
        return None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # JSON can carry half a surrogate pair, UTF-8 can't: its escape in Python is JSON's, too.
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace", buffering=1)


def write(log: IO[str], direction: str, message: Any, default: Callable[[Any], Any]) -> None:
    """Append a message as one JSON line: ``{"time", "direction": "in" | "out", "message"}``."""
    line = {"time": round(time.time(), 3), "direction": direction, "message": message}
    log.write(json.dumps(line, default=default, ensure_ascii=False) + "\n")
