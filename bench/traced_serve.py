"""``midline serve`` that also writes down every request to its engine: which base, how large, what it cost; no text.

For finding out where tokens go: the benches use it where ``MIDLINE_BENCH_TRACE`` names a file to write to.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from lsp.engine import client
from lsp.engine.protocol import Done, Failed, Generate, Text


def trace(path: Path) -> None:
    """Have all engine clients of this process append a JSON line per request's start and end to ``path``."""
    log = path.open("a", buffering=1)
    send = client.EngineClient._send
    put = client.Generation.put

    def write(**line: Any) -> None:
        log.write(json.dumps({"t": round(time.time(), 3)} | line) + "\n")

    def traced_send(self: client.EngineClient, message: Any) -> None:
        if isinstance(message, Generate):
            sizes = [len(segment.text) for segment in message.prompt if isinstance(segment, Text)]
            base = message.key.rpartition("#")[2]
            write(sent=message.id, base=base, priority=message.priority, most=message.max_tokens, chars=sizes)
        elif type(message).__name__ != "Ask":
            write(message=type(message).__name__, id=getattr(message, "id", None))
        send(self, message)

    def traced_put(self: client.Generation, message: Any) -> None:
        if isinstance(message, Done):
            usage = msgspec.to_builtins(message.usage)
            write(ended=message.id, reason=message.reason, **{name: value for name, value in usage.items() if value})
        elif isinstance(message, Failed):
            write(failed=message.id, message=message.message)
        put(self, message)

    client.EngineClient._send = traced_send  # type: ignore[method-assign]
    client.Generation.put = traced_put  # type: ignore[method-assign]


if __name__ == "__main__":
    from lsp.server import serve

    trace(Path(os.environ["MIDLINE_BENCH_TRACE"]))
    serve(None)
