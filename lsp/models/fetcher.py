"""Run a program that downloads, watch how much it has got, and tell why it failed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0
_LONGEST_REASON = 300
_EXCEPTION = re.compile(r"^[\w.]+(Error|Exception): ")
_OBJECT = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>: ")


class FetchError(Exception):
    """One source couldn't give what it was asked for; the text is the reason, a clause."""


def fetch(
    command: list[str], scratch: Path, grown: Callable[[int], None], environment: Mapping[str, str] | None = None
) -> None:
    """Run ``command`` to its end, with ``scratch`` as the folder of its temporary files.

    Args:
        command: a program that downloads one file; it and all it starts are ended if this function is left.
        scratch: an empty or missing folder.
        grown: is called several times a second with the size in bytes of the largest file in ``scratch``,
            the best sign of progress that works with every version of such programs.
        environment: more variables for it.

    Raises:
        FetchError: it failed; the reason is what it said last.
    """
    scratch.mkdir(exist_ok=True)
    log = scratch.with_name("log")
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches only us, and we end it with all its children.
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        try:
            largest = 0
            while (code := _wait(child, _POLL_SECONDS)) is None:
                # A file may vanish when it is complete: what was seen of it still counts.
                largest = max(largest, _largest_file(scratch))
                grown(largest)
        finally:
            _end(child)
    if code != 0:
        # Where its temporary files were would tell nobody anything.
        said = log.read_text(errors="replace").replace(f"{scratch}{os.sep}", "")
        raise FetchError(_reason(said, code))


def _wait(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        _wait(child, _PATIENCE_SECONDS)


def _largest_file(folder: Path) -> int:
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, Path(parent, name).lstat().st_size)
            except FileNotFoundError:
                continue
    return largest


def _reason(said: str, code: int) -> str:
    """What to tell of a failed program's output: why it got no connection, else its last error or line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    # pip ends with "no matching distribution" when the network is down; its warnings before tell the cause.
    broken = [line.partition("connection broken by ")[2] for line in lines if "connection broken by " in line]
    # It says "ERROR: Exception:" before a traceback, whose last line is the exception.
    # Its newer errors have a line after a cross, between a headline and hints.
    errors = [line.partition(" ")[2] for line in lines if line.startswith(("ERROR: ", "× "))]
    if broken:
        reason = f"no connection ({_OBJECT.sub('', broken[-1])})"
    elif errors and errors[-1] != "Exception:":
        reason = errors[-1]
    else:
        reason = _EXCEPTION.sub("", lines[-1]) if lines else f"exit code {code}"
    reason = reason.rstrip(".")
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
