"""The process that renders chat templates: started when it is wanted, and again when a template has ended it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from threading import Event, Lock, Timer
from types import TracebackType
from typing import Any


class Renderer:
    """Renders one template after the other, called from any thread.

    A process costs a tenth of a second to start and a template as much as a token to compile; who renders often keeps
    a renderer, which remembers templates. Nothing else of what it was given stays.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def render(self, asked: Mapping[str, Any], seconds: float) -> str:
        """What the template makes of its variables; ``asked`` as ``lsp.chat.rendering`` reads it.

        Raises:
            ValueError: nothing, or not within ``seconds``; the text is the reason, a clause.
        """
        line = json.dumps(asked).encode() + b"\n"
        with self._lock:
            kept = self._child is not None
            answer = self._ask(line, seconds)
            if not answer and kept:  # its time for processing may have been used up by others
                answer = self._ask(line, seconds)
        if not answer:
            raise ValueError("it takes more time or memory than is allowed")
        told: dict[str, str] = json.loads(answer)
        if "reason" in told:
            raise ValueError(told["reason"])
        return told["text"]

    def _ask(self, line: bytes, seconds: float) -> bytes:
        """The child's answer, a line; empty where it has ended instead.

        Raises:
            ValueError: it takes too long.
        """
        child = self._child = self._child or _start()
        assert child.stdin is not None
        assert child.stdout is not None
        late = Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = Timer(seconds, end)
        timer.start()
        try:
            child.stdin.write(line)
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            timer.cancel()
        if not answer.endswith(b"\n"):
            self.close()
            if late.is_set():
                raise ValueError(f"it isn't done after {seconds:g} s")
            return b""
        return answer

    def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child:
            child.kill()
            with contextlib.suppress(BrokenPipeError):
                child.communicate()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _start() -> subprocess.Popen[bytes]:
    # -P: a file named like a module of ours in the current folder must not be imported.
    command = [sys.executable, "-P", "-m", "lsp.chat.rendering"]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise ValueError(f"no process can be started for it: {error.strerror or error}") from error
