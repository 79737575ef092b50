"""The models on this machine: ``NAME.gguf`` in the models folder, and a ``NAME.json`` that vouches for it."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from lsp.configuration import load
from lsp.errors import MidlineError
from lsp.models import catalogue
from lsp.models.discovery.candidates import Candidate, candidates, is_name, locate
from lsp.models.gguf import GgufInfo, inspect_gguf
from lsp.models.progress import DownloadProgress, Report, Stage, ignore
from lsp.paths import cache_dir, models_dir, private_dir

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK = 1 << 20


class _Record(msgspec.Struct, frozen=True):
    """``NAME.json``: the file as it was when its hash was last checked; ``verified`` is null if it was wrong."""

    sha256: str
    bytes: int
    mtime_ns: int
    source: str
    added: str
    verified: str | None
    info: GgufInfo


@dataclass(frozen=True)
class InstalledModel:
    """A GGUF file ready to be loaded.

    ``bytes`` is what it should have. ``sha256`` is ``None`` for a file used in place, outside the models folder;
    ``claimed`` is what the store it lies in says of it, or "". ``added`` and ``verified`` (when its hash was last
    right) are ISO 8601 in UTC, or ``None``. ``intact`` is false if the file has another size or time than then.
    """

    name: str
    path: Path
    bytes: int
    mtime_ns: int
    sha256: str | None
    source: str
    info: GgufInfo
    added: str | None = None
    verified: str | None = None
    intact: bool = True
    claimed: str = ""

    @property
    def key(self) -> str:
        """A hex digest that changes when the file does: what caches made with this model go by."""
        return self.sha256 or _fingerprint(self.path, self.bytes, self.mtime_ns)


def get(name: str) -> InstalledModel | None:
    """The installed model called ``name``, damaged or not; ``None`` if there is none.

    Raises:
        MidlineError: the models folder can't be read.
    """
    path = models_dir() / f"{name}.gguf"
    try:
        record = msgspec.json.decode(_record_path(name).read_bytes(), type=_Record)
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None  # a model whose record is lost shows up among strays()
    except OSError as error:
        raise MidlineError(f"Can't read {error.filename}: {error.strerror}.", "Check its permissions.") from error
    same = (status.st_size, status.st_mtime_ns) == (record.bytes, record.mtime_ns)
    return InstalledModel(
        name=name,
        path=path,
        bytes=record.bytes,
        mtime_ns=record.mtime_ns,
        sha256=record.sha256,
        source=record.source,
        info=record.info,
        added=record.added,
        verified=record.verified,
        intact=same and record.verified is not None,
    )


def installed() -> list[InstalledModel]:
    """The models that midline put into the models folder, by name."""
    models = (get(path.stem) for path in _files())
    return [model for model in models if model is not None]


def strays() -> list[Path]:
    """GGUF files in the models folder without a record: put there by hand, or their record is lost."""
    return [path for path in _files() if get(path.stem) is None]


def find(name_or_path: str, folders: Sequence[str] | None = None) -> InstalledModel:
    """The model with this name, or the GGUF file at this path, used where it is.

    Args:
        name_or_path: ``NAME`` of one that midline installed, ``ollama/NAME:TAG`` and such of one that another program
            did (``midline model list`` shows them), or a path.
        folders: where else there may be models; None: where the user's settings file says.

    Raises:
        MidlineError: the name is unknown, or known and not installed; the file isn't a usable model, or no
            longer the one that was installed.
    """
    if is_name(name_or_path):
        return _of_another(name_or_path, folders)
    path = Path(name_or_path).expanduser().absolute()
    if path.suffix == ".gguf" or os.sep in name_or_path:
        model = get(path.stem) if path.parent == models_dir().absolute() else None
        model = model or _in_place(path)
    else:
        model = _named(name_or_path)
    if model.sha256 is None or model.intact:
        return model
    size = model.path.stat().st_size
    if size != model.bytes:
        raise damaged(model, f"{model.path} has {size} bytes instead of {model.bytes}")
    if model.verified is None:
        raise damaged(model, f"{model.path} has another sha256 than when it was installed")
    return model  # only its time has changed, as a backup's would: `verify` or `pull` look closer


def verify(name: str, progress: Report = ignore) -> InstalledModel:
    """Read all of the installed model ``name`` and compare its hash with the recorded one.

    Raises:
        MidlineError: it isn't installed, or its bytes have changed; ``find`` then refuses it until ``pull``
            or ``add`` put it right.
    """
    model = (get(name) if NAME.fullmatch(name) else None) or find(name)
    if model.claimed:
        return _verify_claim(model, progress)
    if model.sha256 is None:
        raise MidlineError(
            f"Nothing is known of {model.path} that it could be compared with.",
            f"Install it, then its hash is kept: midline model add {model.path}.",
        )
    try:
        actual = hash_file(model.path, progress)
    except OSError as error:
        raise damaged(model, f"{model.path} can't be read: {error.strerror or error}") from error
    right = actual == model.sha256
    checked = model
    # In a folder that can't be written, the answer is the same; only its date isn't kept.
    with suppress(OSError):
        checked = record_check(model, right)
    if not right:
        raise damaged(model, f"the sha256 of {model.path} is {actual} instead of {model.sha256}")
    return checked


def _verify_claim(model: InstalledModel, progress: Report) -> InstalledModel:
    """A model of another program's, whose store says what its sha256 is."""
    try:
        actual = hash_file(model.path, progress)
    except OSError as error:
        raise MidlineError(f"Can't read {model.path}: {error.strerror or error}.", "Check its permissions.") from error
    if actual != model.claimed:
        raise MidlineError(
            f"The model {model.name} is damaged: the sha256 of {model.path} is {actual} instead of {model.claimed}.",
            f"Get it again with the program that it is from ({model.source}).",
        )
    return replace(model, sha256=actual)


def damaged(model: InstalledModel, reason: str) -> MidlineError:
    """The error for an installed model that is no longer what it was."""
    cure = f"midline model pull {model.name}" if catalogue.lookup(model.name) else "midline model add FILE"
    return MidlineError(f"The model {model.name} is damaged: {reason}.", f"Install it again: {cure}.")


def unknown(name: str) -> MidlineError:
    """The error for a name that neither the catalogue nor a model on this disk has, with those like it."""
    found = [one.name for one in candidates(load()[0].model.folders, lambda _: None)]
    mine = [model.name for model in installed()]
    names = list(dict.fromkeys([*mine, *found, *(entry.name for entry in catalogue.CATALOGUE)]))
    # A part of a name is the commonest guess; difflib alone finds it too unlike a long name.
    parts = [known for known in names if name and name.lower() in known.lower()]
    parts.sort(key=lambda known: not known.lower().startswith(name.lower()))
    close = parts[:3] or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    cure = f"Did you mean {' or '.join(close)}?" if close else "The known ones: midline model list."
    return MidlineError(f"There is no model called {name!r}.", cure)


def hash_file(path: Path, progress: Report, stage: Stage = "check", copy_to: BinaryIO | None = None) -> str:
    """The sha256 of the file at ``path`` as hex; what is read is written to ``copy_to``, too.

    Raises:
        OSError: it can't be read, or the copy can't be written.
    """
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if copy_to is not None:
                copy_to.write(chunk)
            done += len(chunk)
            progress(DownloadProgress(stage, done, total))
    return digest.hexdigest()


def install(file: Path, name: str, sha256: str, source: str, info: GgufInfo) -> InstalledModel:
    """Move a checked GGUF to its place as model ``name``; to be called within ``workspace``.

    Raises:
        OSError: it can't be moved there; ``file`` must be on the disk of the models folder.
    """
    file.chmod(0o600)
    _sync(file)
    status = file.stat()
    path = models_dir() / f"{name}.gguf"
    now = _now()
    model = InstalledModel(name, path, status.st_size, status.st_mtime_ns, sha256, source, info, now, now)
    # The record goes first: one without its model is ignored, a model without its record would be a stray.
    _write_private(_record_path(name), _encode(model))
    file.replace(path)
    _sync(path.parent)
    return model


def _of_another(name: str, folders: Sequence[str] | None) -> InstalledModel:
    candidate: Candidate | None = locate(name, load()[0].model.folders if folders is None else folders)
    if candidate is None:
        raise unknown(name)
    return replace(_in_place(candidate.path), name=name, source=candidate.source, claimed=candidate.sha256)


def _named(name: str) -> InstalledModel:
    model = get(name) if NAME.fullmatch(name) else None
    if model:
        return model
    if catalogue.lookup(name):
        raise MidlineError(f"The model {name} isn't installed.", f"Install it: midline model pull {name}.")
    stray = models_dir() / f"{name}.gguf"
    if stray in strays():
        raise MidlineError(f"The model {name} was never checked.", f"Add it: midline model add {stray}.")
    raise unknown(name)


def _in_place(path: Path) -> InstalledModel:
    try:
        status = path.stat()
    except OSError:
        inspect_gguf(path)  # says what is wrong with it
        raise
    fingerprint = _fingerprint(path, status.st_size, status.st_mtime_ns)
    cached = cache_dir() / "gguf" / f"{fingerprint}.json"
    try:
        info = msgspec.json.decode(cached.read_bytes(), type=GgufInfo)
    except (OSError, msgspec.DecodeError):
        info = inspect_gguf(path)
        # Without the cache it is inspected again next time.
        with suppress(OSError, MidlineError):
            private_dir(cached.parent)
            _write_private(cached, msgspec.json.encode(info))
    return InstalledModel(
        name=path.stem,
        path=path,
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        sha256=None,
        source="file",
        info=info,
    )


def _files() -> list[Path]:
    return sorted(models_dir().glob("*.gguf"))


def _record_path(name: str) -> Path:
    return models_dir() / f"{name}.json"


def record_check(model: InstalledModel, right: bool) -> InstalledModel:
    """Record that the hash of ``model``, with its file as it is now, was found right or wrong.

    Raises:
        OSError: the record can't be written.
    """
    verified = _now() if right else None
    now = replace(model, mtime_ns=model.path.stat().st_mtime_ns, verified=verified, intact=verified is not None)
    _write_private(_record_path(model.name), _encode(now))
    return now


def _encode(model: InstalledModel) -> bytes:
    assert model.sha256 is not None
    assert model.added is not None
    record = _Record(
        sha256=model.sha256,
        bytes=model.bytes,
        mtime_ns=model.mtime_ns,
        source=model.source,
        added=model.added,
        verified=model.verified,
        info=model.info,
    )
    return msgspec.json.format(msgspec.json.encode(record))


def _write_private(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make what ``path`` holds (a folder: its names) survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fingerprint(path: Path, size: int, mtime_ns: int) -> str:
    return hashlib.sha256(f"{path}\0{size}\0{mtime_ns}".encode(errors="surrogateescape")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
