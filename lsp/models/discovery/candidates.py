"""The models of each store by name and path, before any of them is opened.

A name says where a model is and what it is called there: ``ollama/qwen2.5-coder:7b``,
``huggingface/OWNER/REPO/FILE``, ``lmstudio/OWNER/REPO/FILE``, ``folder/FILE``. It depends on nothing but the model's
place in its store, so that it can stand in settings.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from lsp.models.discovery import ollama
from lsp.models.discovery.places import HUB_REPOSITORY, SOURCES, Place, Source, places
from lsp.models.discovery.walk import Tell, gguf_files, stem

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Candidate:
    """A file that may be a model. ``sha256`` and ``licence`` are what its store says of it, empty if nothing."""

    name: str
    path: Path
    source: Source
    sha256: str = ""
    licence: str = ""


def candidates(folders: Iterable[str], tell: Tell, source: str = "") -> Iterator[Candidate]:
    """The models in all stores of this machine, in a fixed order; names are unique.

    Args:
        folders: further folders, from the settings.
        tell: called with a clause for whatever can't be read.
        source: if given, the only store to look into.
    """
    taken: set[str] = set()
    for place in places(folders):
        if source in ("", place.source):
            for one in _in(place, tell):
                # Two folders of a store may hold files of one name: the second's says which.
                name = one.name if one.name not in taken else f"{one.name}~{_short(one.path)}"
                taken.add(name)
                yield replace(one, name=name)


def locate(name: str, folders: Iterable[str]) -> Candidate | None:
    """The model called ``name``, if there is one."""
    source, slash, _ = name.partition("/")
    if not slash or source not in SOURCES:
        return None
    return next((one for one in candidates(folders, lambda _: None, source) if one.name == name), None)


def is_name(text: str) -> bool:
    """Whether ``text`` has the form of a found model's name, rather than that of a path."""
    source, slash, rest = text.partition("/")
    return bool(slash and rest) and source in SOURCES and not text.endswith(".gguf")


def _in(place: Place, tell: Tell) -> Iterator[Candidate]:
    if place.source == "ollama":
        for model in ollama.pulled(place.folder, tell):
            yield Candidate(f"ollama/{model.name}", model.path, "ollama", model.sha256, model.licence)
    elif place.source == "huggingface":
        yield from _hub(place, tell)
    else:
        for path in gguf_files(place.folder, tell):
            yield Candidate(f"{place.source}/{_relative(path, place.folder)}", path, place.source)


def _relative(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).with_name(stem(path)).as_posix()
    return name.removesuffix("/model")  # Jan has a folder for each model, and calls all files so


def _hub(place: Place, tell: Tell) -> Iterator[Candidate]:
    """models--OWNER--REPO/snapshots/COMMIT/FILE links to ../../blobs/SHA256; refs/main holds a commit."""
    for repository in _folders(place.folder, tell):
        if repository.name.startswith(HUB_REPOSITORY):
            found = [
                (_relative(path, snapshot), number, snapshot.name, path)
                for number, snapshot in enumerate(_snapshots(repository, tell))
                for path in gguf_files(snapshot, tell)
            ]
            title = repository.name.removeprefix(HUB_REPOSITORY).replace("--", "/")
            for file, versions in groupby(sorted(found), key=lambda one: one[0]):
                paths = [(commit, path) for _, _, commit, path in versions]
                yield from _versions(f"huggingface/{title}/{file}", paths)


def _versions(name: str, paths: list[tuple[str, Path]]) -> Iterator[Candidate]:
    """One file in several commits: the first has the plain name, others only where their bytes differ."""
    blobs: set[str] = set()
    for commit, path in paths:
        blob = os.path.realpath(path)
        if blob in blobs:
            continue
        sha256 = Path(blob).name if _SHA256.fullmatch(Path(blob).name) else ""
        yield Candidate(f"{name}@{commit[:8]}" if blobs else name, path, "huggingface", sha256)
        blobs.add(blob)


def _snapshots(repository: Path, tell: Tell) -> list[Path]:
    """The commits that are there, that of the main branch first."""
    try:
        main = (repository / "refs" / "main").read_text(errors="replace").strip()
    except OSError:
        main = ""
    snapshots = _folders(repository / "snapshots", tell)
    return sorted(snapshots, key=lambda snapshot: snapshot.name != main)


def _folders(folder: Path, tell: Tell) -> list[Path]:
    try:
        with os.scandir(folder) as listing:
            return sorted(Path(entry.path) for entry in listing if entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        tell(f"can't look into {folder}: {error.strerror or error}")
        return []


def _short(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:6]
