"""Where midline keeps things: models, caches, settings, sockets; all of it moves with ``MIDLINE_HOME``."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import platformdirs

from lsp.errors import MidlineError

_APP = "midline"


def _home() -> Path | None:
    home = os.environ.get("MIDLINE_HOME")
    return Path(home).expanduser().absolute() if home else None


def config_dir() -> Path:
    """The folder of the user's ``midline.toml``; never created by midline."""
    home = _home()
    return home / "config" if home else Path(platformdirs.user_config_dir(_APP, appauthor=False))


def data_dir() -> Path:
    """The folder of what the user would miss: models."""
    home = _home()
    return home / "data" if home else Path(platformdirs.user_data_dir(_APP, appauthor=False))


def cache_dir() -> Path:
    """The folder of what can be made again: indexes, KV snapshots, logs."""
    home = _home()
    return home / "cache" if home else Path(platformdirs.user_cache_dir(_APP, appauthor=False))


def models_dir() -> Path:
    """The folder that holds the GGUF files midline installed."""
    return data_dir() / "models"


def adapters_dir() -> Path:
    """The folder of the user's LoRA adapters, ``NAME.gguf``; never created by midline."""
    return data_dir() / "adapters"


def runtime_dir() -> Path:
    """The folder of sockets and locks of this user's running engines."""
    home = _home()
    if home:
        return home / "run"
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR it is a folder of this user's under the temporary one, which is said in a warning.
        warnings.simplefilter("ignore")
        return Path(platformdirs.user_runtime_dir(_APP, appauthor=False))


def private_dir(path: Path) -> Path:
    """Make ``path`` (and its parents) a folder that only this user can enter, and return it.

    Raises:
        MidlineError: the folder can't be made, or belongs to somebody else.
    """
    try:
        # Not `parents=True`, which gives `mode` to the last folder only.
        for folder in reversed([path, *path.parents]):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
        status = path.stat()
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            raise MidlineError(
                f"The folder {path} belongs to another user.",
                "Set MIDLINE_HOME to a folder of your own.",
            )
        if status.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise MidlineError(
            f"Can't use the folder {path}: {error.strerror or error}.",
            "Set MIDLINE_HOME to a folder you can write to.",
        ) from error
    return path
