"""Bring in a GGUF file that the user has: carried in on a stick, or left in the models folder by hand."""

from __future__ import annotations

import re
from pathlib import Path

from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.models.gguf import inspect_gguf, refusal
from lsp.models.progress import Report, ignore
from lsp.models.store import InstalledModel
from lsp.models.workspace import require_space, workspace
from lsp.paths import models_dir


def add(path: Path, name: str | None = None, move: bool = False, progress: Report = ignore) -> InstalledModel:
    """Install the GGUF file at ``path``: check it, copy or move it into the models folder, record its hash.

    A file with the bytes of a catalogue entry gets that entry's name, any other one its file name, unless
    ``name`` is given. If its bytes are installed already, that model is returned and the file left alone.

    Raises:
        MidlineError: it isn't a usable model, its name is taken or not allowed, or there is no room for it.
    """
    path = path.expanduser().absolute()
    if name is not None and not store.NAME.fullmatch(name):
        raise MidlineError(f"{name!r} can't be a model's name.", "Use letters, digits, dots and dashes.")
    info = inspect_gguf(path)
    if info.parts > 1:
        raise refusal(
            path,
            f"it is one of {info.parts} parts",
            "Join them with llama-gguf-split --merge, or give the path of the first part as the model.",
        )
    what = f"the installation of {path}"
    with workspace(what, f"midline model add {path}", progress) as temporary:
        in_folder = path.parent == models_dir().absolute()
        if in_folder or (move and path.stat().st_dev == temporary.stat().st_dev):
            file, sha256 = path, store.hash_file(path, progress)
        else:
            require_space(models_dir(), path.stat().st_size, what)
            file = temporary / "model.gguf"
            with file.open("xb") as copy:
                sha256 = store.hash_file(path, progress, "copy", copy)
        for model in store.installed():
            if model.sha256 == sha256 and model.intact:
                return model
        known = next((entry.name for entry in catalogue.CATALOGUE if entry.sha256 == sha256), None)
        chosen = name or known or _name_of(path)
        _check_free(chosen, sha256, path)
        model = store.install(file, chosen, sha256, "file", info)
        if move and file != path:
            path.unlink()
        return model


def _name_of(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-") or "model"


def _check_free(name: str, sha256: str, path: Path) -> None:
    """Refuse ``name`` if it stands for another model than the one with this hash."""
    cure = "Choose another name for it: midline model add FILE --name NAME."
    entry = catalogue.lookup(name)
    if entry and entry.sha256 not in (None, sha256):
        raise MidlineError(
            f"{path} isn't the {name} of the catalogue: its sha256 is {sha256} instead of {entry.sha256}.",
            cure,
        )
    taken = store.get(name)
    if taken and taken.sha256 != sha256:
        raise MidlineError(f"Another model is called {name} already.", cure)
    place = models_dir() / f"{name}.gguf"
    if not taken and place.exists() and not place.samefile(path):
        raise MidlineError(f"Another file is in the place of {name}: {place}.", cure)
