"""Which files ``privacy.exclude`` names: the model never sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pathspec


@dataclass(frozen=True)
class Privacy:
    """What is private in a workspace.

    Args:
        workspace: the folder that is open, if one is.
        patterns: those of ``privacy.exclude`` that are patterns.
    """

    workspace: Path | None = None
    patterns: pathspec.GitIgnoreSpec = field(default_factory=lambda: pathspec.GitIgnoreSpec([]))

    @classmethod
    def of(cls, exclude: Iterable[str], workspace: Path | None) -> tuple[Privacy, list[str]]:
        """What ``privacy.exclude`` makes private, and what is wrong with it."""
        wanted = set(exclude)
        wrong = {text for text in wanted if not _is_pattern(text)}
        problems = [f"privacy.exclude: {text!r} is no pattern of .gitignore. It is ignored." for text in sorted(wrong)]
        return cls(workspace, pathspec.GitIgnoreSpec.from_lines(sorted(wanted - wrong))), problems

    def covers(self, path: Path) -> bool:
        """Whether a file, by its absolute path, is private."""
        root = self.workspace
        inside = path.relative_to(root) if root and path.is_relative_to(root) else path.relative_to(path.anchor)
        return self.patterns.match_file(inside)


def _is_pattern(text: str) -> bool:
    try:
        pathspec.GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error):
        return False
    return True
