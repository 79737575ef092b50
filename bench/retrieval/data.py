"""The repositories that are asked: downloaded by their registries' own clients, checked, unpacked, indexed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from bench.train_embedder import sources
from indexer.index import Index, folder_of
from indexer.scan import Workload

_LIST = Path(__file__).with_name("repositories.toml")


@dataclass(frozen=True)
class Repository:
    """One pinned repository."""

    name: str
    registry: str
    """``sdist`` (of PyPI), ``npm``, ``debian``."""
    version: str
    file: str
    """The archive."""
    sha256: str
    root: str
    """The repository's folder within the archive."""
    package: str
    """The folder in it whose docstrings are asked; empty: none are."""
    part: str
    """``final``, or ``tune``: for choosing weights."""
    pinned: str = ""
    """Its name in the registry, if that is another."""


def repositories() -> list[Repository]:
    """The pinned list."""
    return [Repository(**entry) for entry in tomllib.loads(_LIST.read_text("utf-8"))["repository"]]


def tree(repository: Repository, data: Path) -> Path | None:
    """The repository's folder, downloaded if need be; None, with a line on stderr, where that can't be done."""
    package = sources.Package(
        repository.registry,
        repository.pinned or repository.name,
        repository.version,
        repository.file,
        repository.sha256,
        license="",
    )
    try:
        if repository.registry == "sdist":
            _download_sdist(package, data / "archives")
        (folder,) = sources.trees(package, data)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"{repository.name} is left out: {error}", file=sys.stderr)
        return None
    return folder / repository.root


def _download_sdist(package: sources.Package, folder: Path) -> None:
    """By pip, which makes the metadata with the package's own build tools, in an environment of their own."""
    if (folder / package.file).exists():
        return
    print(f"downloading {package.name}@{package.version}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ["--no-deps", "--no-binary", package.name, f"{package.name}=={package.version}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *wanted, "--dest", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def indexed(workspace: Path, data: Path) -> Index:
    """An index of a folder, up to date; kept under ``data``, so that the next run has it."""
    index = Index(workspace, folder_of(data / "indexes", workspace))
    index.scan(Workload(workers=1))
    index.rank()
    return index
