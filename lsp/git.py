"""What git tells of a folder, without anything of the repository's own being run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lsp.errors import MidlineError

_SECONDS = 10.0
# A repository's own settings could have programs run.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "diff.external=", "-c", "core.quotePath=false")

DIFF_OPTIONS = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
"""For ``git diff``: its plain format, whatever is configured."""


def git(folder: Path, *arguments: str, wanted: str) -> str:
    """What a git command prints. Takes ``_SECONDS`` at the most: call it in a thread.

    Args:
        folder: where.
        arguments: the command, which must only read.
        wanted: what it is to tell, for the error: "what has changed".

    Raises:
        MidlineError: there is no git or no repository, or it can't tell.
    """
    command = ["git", "-C", str(folder), "--no-optional-locks", *_SAFE, *arguments]
    # What a partial clone lacks it would get from the network.
    environment = os.environ | {"GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MidlineError(f"git can't tell {wanted}: {error}.") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise MidlineError(f"git can't tell {wanted}: {said[-1] if said else done.returncode}.")
    return done.stdout.decode("utf-8", "replace")
