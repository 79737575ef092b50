"""The token that clients of the API show: made once, kept where only this user can read it."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from lsp import paths
from lsp.errors import MidlineError

_MAX_BYTES = 1024
_LEAST_CHARS = 16


def token_file() -> Path:
    """Where the token is kept."""
    return paths.data_dir() / "api-token"


def read_token(*, anew: bool = False) -> str:
    """The token, made where there is none yet; ``anew``: another one takes its place.

    Raises:
        MidlineError: it can't be kept, or others can read or change it.
    """
    path = token_file()
    paths.private_dir(path.parent)
    try:
        if anew:
            path.unlink(missing_ok=True)
        _make(path)
        return _read(path)
    except OSError as error:
        raise MidlineError(
            f"The API's token {path} can't be used: {error.strerror or error}.", "Check the file, or remove it."
        ) from error


def _make(path: Path) -> None:
    """Write a token where there is no file; whole at once, so that nobody ever reads half of one."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
    try:
        os.link(draft, path)  # unlike a rename, this leaves the token of another process that was quicker
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise MidlineError(f"The API's token {path} is not a file of yours.", "Remove it; a new one is made.")
        if status.st_mode & 0o077:
            raise MidlineError(
                f"Others can read the API's token {path}.", "Make a new one: `midline serve-api --new-token`."
            )
        token = file.read(_MAX_BYTES).decode("ascii", "replace").strip()
    if len(token) < _LEAST_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        raise MidlineError(f"The API's token {path} is damaged.", "Make a new one: `midline serve-api --new-token`.")
    return token
