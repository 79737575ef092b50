"""The one error type a user ever sees: what went wrong, and what to do about it."""

from __future__ import annotations


class MidlineError(Exception):
    """A failure told to the user in one line, without a traceback.

    Args:
        message: what went wrong, naming the thing it went wrong with.
        cure: what the user can do about it, as a sentence; empty when there is nothing to do.
    """

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message} {self.cure}".strip()
