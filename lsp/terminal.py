"""What the commands of the terminal that run a model have in common."""

from __future__ import annotations

import sys
from pathlib import Path

from lsp.configuration import load
from lsp.errors import MidlineError
from lsp.privacy import Privacy
from lsp.settings import Settings


def tell(message: str) -> None:
    """Say something beside the output."""
    print(f"midline: {message}", file=sys.stderr)


def settings_for(workspace: Path) -> tuple[Settings, Privacy]:
    """The settings of a workspace, and what they keep from models; what is wrong with them is told.

    Raises:
        MidlineError: there is no such folder.
    """
    if not workspace.is_dir():
        raise MidlineError(f"There is no folder {workspace}.", "Name the folder whose settings count.")
    settings, problems = load(workspace)
    privacy, wrong = Privacy.of(settings.privacy.exclude, workspace.absolute())
    for problem in problems + wrong:
        tell(problem)
    return settings, privacy
