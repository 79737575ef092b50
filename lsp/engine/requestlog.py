"""A log of every request to the engine, for finding out where tokens and time go: ``MIDLINE_REQUEST_LOG=FILE``.

It holds sizes, counts and times, and neither code nor names of files.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import IO, Any

import msgspec

from lsp.engine.protocol import Done, Failed, Generate, Text

logger = logging.getLogger(__name__)


class RequestLog:
    """Appends a JSON line when a request is sent, and another when it has ended."""

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file

    @classmethod
    def from_environment(cls) -> RequestLog:
        """The log that ``MIDLINE_REQUEST_LOG`` asks for, readable by this user only; one that writes nothing otherwise.

        One that can't be written is told on stderr: no completion is lost for it.
        """
        path = os.environ.get("MIDLINE_REQUEST_LOG")
        if not path:
            return cls(None)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            logger.warning("MIDLINE_REQUEST_LOG can't be written: %s", error)
            return cls(None)
        return cls(os.fdopen(descriptor, "a", encoding="utf-8", buffering=1))

    def sent(self, request: Generate) -> None:
        """A request goes to the engine."""
        # A key is a document's address and the number of one of its bases: only the number is told.
        base = request.key.rpartition("#")[2] if "#" in request.key else ""
        sizes = [len(segment.text) for segment in request.prompt if isinstance(segment, Text)]
        self._write(
            event="sent",
            id=request.id,
            priority=request.priority,
            base=base,
            prompt_chars=sizes,
            max_tokens=request.max_tokens,
            branches=request.branches,
        )

    def ended(self, message: Done | Failed) -> None:
        """A request has ended: what it cost, and what its tokens were computed for."""
        if isinstance(message, Done):
            self._write(event="ended", id=message.id, reason=message.reason, **msgspec.to_builtins(message.usage))
        else:
            self._write(event="failed", id=message.id, reason=message.message)

    def _write(self, **line: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"time": round(time.time(), 3)} | line) + "\n")
