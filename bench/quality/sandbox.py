"""Runs a program that a model wrote, in a process that can do little: no network, few resources, an empty folder."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from functools import cache

WALL_SECONDS = 10.0
_LIMITS = {
    resource.RLIMIT_CPU: 8,
    resource.RLIMIT_AS: 1 << 30,
    resource.RLIMIT_NPROC: 64,
    resource.RLIMIT_FSIZE: 1 << 20,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_CORE: 0,
}


def run(program: str) -> str:
    """Run a Python program; empty if it ended well, or else how it failed."""
    with tempfile.TemporaryDirectory(prefix="midline-sandbox-") as folder:
        try:
            done = subprocess.run(
                [*_without_network(), sys.executable, "-I", "-S", "-"],
                input=program,
                text=True,
                encoding="utf-8",
                capture_output=True,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"},
                timeout=WALL_SECONDS,
                preexec_fn=_limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "timeout"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"


@cache
def _without_network() -> tuple[str, ...]:
    """What to put before a command so that it has no network; nothing where that isn't permitted."""
    if shutil.which("unshare"):
        for command in (("unshare", "-n"), ("unshare", "-rn")):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    return ()


def _limit() -> None:
    for kind, most in _LIMITS.items():
        resource.setrlimit(kind, (most, most))
