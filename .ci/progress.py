"""Run one long command: its output in a log, its progress on stderr, a clean stop, the cause of a failure.

Standard library only, in syntax that Python 3.7 can read (see bootstrap.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

# What a line of pip's log says is going on; the first match counts.
PHASES = (
    (re.compile(r"\s*\[(\d+)/(\d+)\] "), r"compiling llama.cpp [\1/\2]"),  # ninja
    (re.compile(r"\s*\[ *(\d+)%\] "), r"compiling llama.cpp [\1%]"),  # make, where there is no ninja
    (re.compile(r".*\*\*\* Configuring CMake"), "configuring llama.cpp"),
    (re.compile(r".*\*\*\* Making wheel"), "packing llama.cpp"),
    (re.compile(r"\s*Installing build dependencies: started"), "getting the build tools"),
    (re.compile(r"\s*Downloading (\S+?)-\d\S* \((.+)\)"), r"downloading \1 (\2)"),
    (re.compile(r"\s*Installing collected packages"), "unpacking"),
)

# What in a failed log names the cause, and its cure; the first pattern found anywhere counts.
CURES = (
    (r"No space left on device", "Free some disk space (about 2 GB)."),
    (
        r"compiler error: Killed|signal terminated program|: Killed",
        "Memory ran out: set CMAKE_BUILD_PARALLEL_LEVEL=1.",
    ),
    (
        r"CMake Error",
        "CMake lacks what it needs: if your CMAKE_ARGS ask for it, install it or say CMAKE_ARGS= (nothing).",
    ),
    (
        r"name resolution|NewConnectionError|ConnectTimeout|Read timed out|ProxyError|SSLError"
        r"|No matching distribution",
        "Check that pip reaches a package index (pip config list; PIP_INDEX_URL; HTTPS_PROXY).",
    ),
)
TELLING = re.compile(r"\berror\b|FAILED:|No space left|Killed|CMake Error|Could not find", re.IGNORECASE)
# A compiler's command line, whose -Werror=… is no error, and what pip says of any failure.
NOISE = re.compile(r"\s*\[ *\d+(/\d+|%)\] |.*(exited-with-error|This error originates|status 'error'|build.* wheel)")


class SetupError(Exception):
    """A failure told in one line, with what to do about it."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.message, self.cure = message, cure


def phase_of(line: str) -> str | None:
    """What one line of pip's log says is going on, in the user's words; None if it says nothing new."""
    for pattern, words in PHASES:
        match = pattern.match(line)
        if match:
            return match.expand(words)
    return None


def clock(seconds: float) -> str:
    """``151`` → ``2:31``."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}"


class Display:
    """One line that updates itself on a terminal; elsewhere a plain line every 15 seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.live, self.next_line = stream, stream.isatty(), 15.0

    def show(self, phase: str, seconds: float) -> None:
        """Say what is going on, ``seconds`` after the step began."""
        text = f"  {phase} {clock(seconds)}"
        if self.live:
            width = shutil.get_terminal_size().columns
            self.stream.write("\r\x1b[K" + text[: width - 1])
        elif seconds >= self.next_line:
            self.next_line = seconds + 15
            self.stream.write(text + "\n")
        self.stream.flush()

    def end(self, text: str) -> None:
        """Put the step's last word in the place of the updating line; an empty text only wipes that."""
        self.stream.write(("\r\x1b[K" if self.live else "") + (text + "\n" if text else ""))
        self.stream.flush()


def stop(child: subprocess.Popen) -> None:
    """End a step's whole process group: pip, CMake, ninja, compilers.

    ninja puts each compiler in a group of its own and ends it when told to end itself: so the group gets the
    time to do so before what is left of it is killed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # we are ending already
    with contextlib.suppress(ProcessLookupError):
        for force, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 2)):
            os.killpg(child.pid, force)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                child.poll()
                os.killpg(child.pid, 0)
                time.sleep(0.05)
    child.wait()


def run(name: str, command: list[str], log: Path, env: dict[str, str]) -> None:
    """Run one step, called ``name`` in what is shown, with its output in ``log``.

    It runs in a session of its own, so that a Ctrl-C reaches it through ``stop`` only.

    Raises:
        SetupError: it failed; what its log says of the cause has been shown.
    """
    display, phase, rest, begun = Display(sys.stderr), name, "", time.monotonic()
    with log.open("wb") as out, log.open(errors="replace") as tail:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
        )
        try:
            while child.poll() is None:
                display.show(phase, time.monotonic() - begun)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)
                *lines, rest = (rest + tail.read()).split("\n")
                for line in lines:
                    phase = phase_of(line) or phase
        except BaseException:
            display.end("")
            stop(child)
            raise
    took = clock(time.monotonic() - begun)
    if child.returncode == 0:
        display.end(f"  {name}: done in {took}")
        return
    display.end(f"  {name}: failed after {took}")
    text = log.read_text(errors="replace")
    print("\n".join("  | " + line for line in telling_lines(text)), file=sys.stderr)
    raise SetupError(f"{name} failed; its whole output is in {log}.", f"{cure_for(text)} Then run this again.")


def telling_lines(log: str, most: int = 12) -> list[str]:
    """The last lines of a failed log that name an error, or just its last lines when none does."""
    lines = [line.rstrip()[:300] for line in log.splitlines() if line.strip()]
    telling, follow = [], 0
    for line in lines:
        follow = 4 if "CMake Error" in line else follow - 1  # CMake says what is wrong below that
        if follow > 0 or (TELLING.search(line) and not NOISE.match(line)):
            telling.append(line)
    return (telling or lines)[-most:]


def cure_for(log: str) -> str:
    """What to do about a failed step, as far as its log tells."""
    for pattern, cure in CURES:
        if re.search(pattern, log):
            return cure
    return "The lines above tell why."
