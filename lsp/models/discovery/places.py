"""Where other programs keep their models, by their own documentation, environment variables and settings files."""

from __future__ import annotations

import configparser
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lsp.paths import models_dir

Source = Literal["ollama", "lmstudio", "llama.cpp", "huggingface", "gpt4all", "jan", "folder"]
SOURCES: tuple[Source, ...] = ("ollama", "lmstudio", "llama.cpp", "huggingface", "gpt4all", "jan", "folder")

# Where Ollama runs as a service: its own installer's place, and those of distributions.
_OLLAMA_SERVICES = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models"), Path("/var/lib/ollama"))
HUB_REPOSITORY = "models--"
"""How the folders of repositories in Hugging Face's cache begin."""

_MOST_SETTINGS_BYTES = 1 << 20


@dataclass(frozen=True)
class Place:
    """A folder that may hold models, and whose it is."""

    source: Source
    folder: Path


def places(folders: Iterable[str] = ()) -> list[Place]:
    """The folders of this machine that may hold models, those that exist, in a fixed order and none twice.

    Args:
        folders: further ones, which the user's settings name.
    """
    by_source = {
        "ollama": _ollama(),
        "lmstudio": _lmstudio(),
        "llama.cpp": _llama_cpp(),
        "huggingface": _hub(),
        "gpt4all": _gpt4all(),
        "jan": _jan(),
        "folder": (Path(folder).expanduser().absolute() for folder in folders),
    }
    known = {_identity(models_dir())}  # midline's own are told of elsewhere
    found = []
    for source in SOURCES:
        for folder in by_source[source]:
            identity = _identity(folder)
            if identity and identity not in known:
                known.add(identity)
                found.append(Place(_layout(folder) or source, folder))
    return found


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from all others; None where it isn't there, or isn't ours to look at."""
    try:
        status = folder.stat()
        return (status.st_dev, status.st_ino) if folder.is_dir() else None
    except OSError:
        return None


def missing(folders: Iterable[str]) -> list[str]:
    """Those of the folders in the settings that can't be looked into, each with the reason."""
    problems = []
    for folder in folders:
        try:
            os.scandir(Path(folder).expanduser()).close()
        except OSError as error:
            problems.append(f"model.folders names {folder}: {error.strerror or error}")
    return problems


def _layout(folder: Path) -> Source | None:
    """Whose store a folder is by what is in it: the settings may name one that was moved to another disk."""
    try:
        if (folder / "manifests").is_dir() and (folder / "blobs").is_dir():
            return "ollama"
        return "huggingface" if next(folder.glob(f"{HUB_REPOSITORY}*"), None) else None
    except OSError:
        return None


def _ollama() -> Iterator[Path]:
    """https://github.com/ollama/ollama/blob/main/docs/faq.mdx#where-are-models-stored."""
    set_to = os.environ.get("OLLAMA_MODELS")
    yield Path(set_to).expanduser() if set_to else Path.home() / ".ollama" / "models"
    yield from _OLLAMA_SERVICES


def _lmstudio() -> Iterator[Path]:
    """~/.lmstudio-home-pointer names the folder of LM Studio, whose settings may name another one for models."""
    pointer = _text(Path.home() / ".lmstudio-home-pointer").strip()
    homes = [Path(pointer)] if pointer else []
    for home in (*homes, Path.home() / ".lmstudio", Path.home() / ".cache" / "lm-studio"):
        named = _json_string(home / "settings.json", "downloadsFolder")
        if named:
            yield Path(named)
        yield home / "models"


def _llama_cpp() -> Iterator[Path]:
    """common/common.cpp: fs_get_cache_directory."""
    set_to = os.environ.get("LLAMA_CACHE")
    yield Path(set_to) if set_to else _cache_home() / "llama.cpp"


def _hub() -> Iterator[Path]:
    """https://huggingface.co/docs/hub/local-cache; newer versions of llama.cpp download into it, too."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if set_to := os.environ.get(name):
            yield Path(set_to).expanduser()
    if home := os.environ.get("HF_HOME"):
        yield Path(home).expanduser() / "hub"
    # Not ~/Library/Caches on macOS.
    yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface" / "hub"


def _gpt4all() -> Iterator[Path]:
    """https://docs.gpt4all.io/gpt4all_desktop/settings.html; the Python package has a folder of its own."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read_string(_text(_config_home() / "nomic.ai" / "GPT4All.ini"))
        if named := settings.get("General", "modelPath", fallback=""):
            yield Path(named)
    except configparser.Error:
        pass  # its default folder is looked into all the same
    yield _data_home() / "nomic.ai" / "GPT4All"
    yield Path.home() / ".cache" / "gpt4all"


def _jan() -> Iterator[Path]:
    """src-tauri/src/core/app/commands.rs: resolve_jan_data_folder; older versions kept models in ~/jan."""
    data = [os.environ.get("JAN_DATA_FOLDER", "")]
    data += [_json_string(home / "Jan" / "settings.json", "data_folder") for home in (_data_home(), _config_home())]
    data += [str(_data_home() / "Jan" / "data"), str(_config_home() / "Jan" / "data"), str(Path.home() / "jan")]
    for folder in filter(None, data):
        yield Path(folder) / "llamacpp" / "models"
        yield Path(folder) / "models"


def _mac(*parts: str) -> Path | None:
    return Path.home().joinpath("Library", *parts) if sys.platform == "darwin" else None


def _cache_home() -> Path:
    return _mac("Caches") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _data_home() -> Path:
    return _mac("Application Support") or Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _config_home() -> Path:
    return _mac("Application Support") or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _text(path: Path) -> str:
    """What a small text file holds; empty where there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_SETTINGS_BYTES).decode("utf-8", "replace").replace("\0", "")
    except OSError:
        return ""


def _json_string(path: Path, key: str) -> str:
    try:
        document = json.loads(_text(path) or "null")
    except (ValueError, RecursionError):
        return ""
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""
