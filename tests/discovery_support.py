"""Models as other programs leave them on the disk."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from models_support import sha256

from lsp.models.discovery.discover import discover


def put(source: Path, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)
    return place


def put_ollama(store_folder: Path, name: str, source: Path, licence: str = "") -> Path:
    """What ``ollama pull`` leaves: a manifest and blobs; returns the model's blob."""
    blob = put(source, store_folder / "blobs" / f"sha256-{sha256(source.read_bytes())}")
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": blob.name.replace("-", ":"), "size": 1}]
    if licence:
        text = store_folder / "blobs" / f"sha256-{sha256(licence.encode())}"
        text.write_text(licence)
        layers.append({"mediaType": "application/vnd.ollama.image.license", "digest": text.name.replace("-", ":")})
    manifest = store_folder / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "config": {}, "layers": layers}))
    return blob


def put_hub(cache: Path, repository: str, commit: str, file: str, source: Path, *, main: bool = False) -> Path:
    """What huggingface_hub leaves: a blob named by its hash, and a link to it in a snapshot; returns the link."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    blob = put(source, folder / "blobs" / sha256(source.read_bytes()))
    link = folder / "snapshots" / commit / file
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    if main:
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
    return link


def names(*folders: str) -> list[str]:
    return [model.name for model in discover(folders).found]
