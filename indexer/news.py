"""What a source of file events tells the watcher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

GIT_FILES = frozenset({"HEAD", "index.lock"})
"""Those of git's own files that say that it has begun or ended something."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The workspace's folder has been moved or deleted."""


@dataclass(frozen=True, slots=True)
class Git:
    """Git has begun or ended something."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Events were lost, or can't be had any more."""

    reason: str
    """A sentence, for people."""
    for_good: bool = False
    """Whether trying again is of no use."""


News = str | Gone | Git | Lost
"""A path that has changed, relative to the workspace, or one of the above."""
Tell = Callable[[News], None]


def reason_of(error: OSError) -> str:
    """Why nothing can be watched, as a sentence with its cure."""
    cure = "looking for changes now and then instead."
    if "limit" in str(error):
        setting = "fs.inotify.max_user_instances" if "instance" in str(error) else "fs.inotify.max_user_watches"
        return f"The system's limit of watches ({setting}) is reached: {cure} Raising it makes changes known at once."
    return f"Changes can't be watched ({error.strerror or error}): {cure}"
