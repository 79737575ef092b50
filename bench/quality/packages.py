"""The pinned packages whose code is completed: downloaded, checked, unpacked."""

from __future__ import annotations

import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from bench.retrieval.data import Repository, tree

_LIST = Path(__file__).with_name("packages.toml")
_POOL = "http://deb.debian.org/debian/pool/main"


@dataclass(frozen=True)
class Package:
    """One pinned package; ``root`` is the folder of its archive that is the workspace."""

    language: str
    registry: str
    """``sdist`` (of PyPI), ``npm``, ``debian`` (a source package's original archive)."""
    name: str
    version: str
    file: str
    sha256: str
    root: str

    def workspace(self, data: Path) -> Path | None:
        """Its folder, downloaded if need be; None, with a line on stderr, where that can't be done."""
        archive = data / "archives" / self.file
        try:
            if self.registry == "debian" and not archive.exists():
                _download(self, archive)
        except (OSError, URLError) as error:
            print(f"{self.name} is left out: {error}", file=sys.stderr)
            return None
        return tree(
            Repository(self.name, self.registry, self.version, self.file, self.sha256, self.root, "", "final"), data
        )


def packages() -> list[Package]:
    """The pinned list."""
    return [Package(**entry) for entry in tomllib.loads(_LIST.read_text("utf-8"))["package"]]


def _download(package: Package, archive: Path) -> None:
    """From Debian's pool, where an archive lies by its source package's name."""
    name = package.name
    folder = name[:4] if name.startswith("lib") else name[:1]
    print(f"downloading {package.file}", file=sys.stderr)
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(archive.name + ".partial")
    with urlopen(f"{_POOL}/{folder}/{name}/{quote(package.file)}") as source, partial.open("wb") as target:
        shutil.copyfileobj(source, target)
    partial.replace(archive)
