"""Ollama's store: a manifest for each model's name, and blobs named by their sha256.

The layout: manifests/HOST/NAMESPACE/MODEL/TAG is a JSON document, an OCI image manifest, whose layers have the media
types application/vnd.ollama.image.{model,projector,adapter,template,license,params,system}; blobs/sha256-HEX is one.
https://github.com/ollama/ollama/blob/main/docs/import.mdx, server/manifest.go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lsp.models.discovery.walk import Tell

_MODEL = "application/vnd.ollama.image.model"
_LICENCE = "application/vnd.ollama.image.license"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_MOST_MANIFEST_BYTES = 1 << 20
_MOST_MANIFESTS = 20_000
_LICENCE_BYTES = 200


class _Layer(msgspec.Struct):
    mediaType: str = ""  # noqa: N815 - as it is called there
    digest: str = ""


class _Manifest(msgspec.Struct):
    layers: list[_Layer]


@dataclass(frozen=True)
class Pulled:
    """A model of Ollama's by the name that ``ollama list`` shows: its file, that one's sha256, its licence's title."""

    name: str
    path: Path
    sha256: str
    licence: str


def pulled(folder: Path, tell: Tell) -> Iterator[Pulled]:
    """The models that the store in ``folder`` has a manifest and the file of, by name.

    Args:
        folder: what holds "manifests" and "blobs".
        tell: called with a clause for each manifest that leads nowhere.
    """
    manifests = folder / "manifests"
    for path in sorted(_files(manifests, tell))[:_MOST_MANIFESTS]:
        host, *namespace, model, tag = path.relative_to(manifests).parts
        name = _shown(host, "/".join(namespace), model, tag)
        try:
            with path.open("rb") as file:
                manifest = msgspec.json.decode(file.read(_MOST_MANIFEST_BYTES), type=_Manifest)
        except OSError as error:
            tell(f"can't read the manifest of Ollama's {name}: {error.strerror or error}")
            continue
        except (msgspec.DecodeError, UnicodeDecodeError):
            tell(f"the manifest of Ollama's {name} isn't one: {path}")
            continue
        digest = _digest(manifest, _MODEL)
        if digest is None:
            continue  # one that runs elsewhere, or has its weights in another format
        blob = folder / "blobs" / f"sha256-{digest}"
        if not os.path.lexists(blob):
            tell(f"Ollama's {name} isn't whole: {blob} is missing (ollama pull {name})")
            continue
        yield Pulled(name, blob, digest, _first_line(folder, _digest(manifest, _LICENCE)))


def _files(manifests: Path, tell: Tell) -> Iterator[Path]:
    """Links aren't followed: Ollama makes none."""

    def closed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            tell(f"can't look into {error.filename}: {error.strerror or error}")

    for parent, _, names in os.walk(manifests, onerror=closed):
        for name in names:
            path = Path(parent, name)
            if len(path.relative_to(manifests).parts) >= 3 and not name.startswith("."):
                yield path


def _shown(host: str, namespace: str, model: str, tag: str) -> str:
    """Ollama leaves out its own registry's name, and that of its library."""
    parts = [model]
    if host != "registry.ollama.ai" or namespace != "library":
        parts.insert(0, namespace)
    if host != "registry.ollama.ai":
        parts.insert(0, host)
    return f"{'/'.join(filter(None, parts))}:{tag}"


def _digest(manifest: _Manifest, media_type: str) -> str | None:
    for layer in manifest.layers:
        match = _DIGEST.fullmatch(layer.digest)  # anything else could lead out of the store
        if layer.mediaType == media_type and match:
            return match[1]
    return None


def _first_line(folder: Path, digest: str | None) -> str:
    if digest is None:
        return ""
    try:
        with (folder / "blobs" / f"sha256-{digest}").open("rb") as file:
            text = file.read(_LICENCE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return next(filter(None, lines), "")
