"""What a process that reads something untrusted takes from itself before it does."""

from __future__ import annotations

import contextlib
import resource


def limit_process(seconds: int, memory: int) -> None:
    """From now on: so many seconds of CPU time and bytes of memory, and no file can be written."""
    limits = (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, most in limits:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some; the caller's deadline holds anyhow
            resource.setrlimit(kind, (most, most))
