#!/usr/bin/env python3
"""Build the VS Code extension: ``python3 .ci/vsix.py`` prints the path of ``build/midline-VERSION.vsix``.

Nothing is done again that is newer than its sources. ``--test`` runs the extension's own tests of types and logic,
too. Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from workbench import ROOT, UnavailableError, environment

FOLDER = ROOT / "editors" / "vscode"
MADE = ("node_modules", "dist", "build", "LICENSE")


def sources() -> Iterator[Path]:
    """Everything that the extension is built from."""
    yield ROOT / "LICENSE"
    for entry in FOLDER.iterdir():
        if entry.name not in MADE:
            yield from (path for path in (entry.rglob("*") if entry.is_dir() else [entry]) if path.is_file())


def newer(made: Path, than: list[Path]) -> bool:
    """Whether ``made`` is there and not older than any of these."""
    return made.exists() and made.stat().st_mtime >= max(path.stat().st_mtime for path in than)


def main() -> int:
    """Install what building needs, check, build."""
    env = environment()
    version = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["version"]
    package = ROOT / "build" / f"midline-{version}.vsix"

    def run(*command: str) -> None:
        subprocess.run(command, cwd=FOLDER, env=env, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)

    if not newer(FOLDER / "node_modules" / ".package-lock.json", [FOLDER / "package-lock.json"]):
        run("npm", "ci", "--no-fund", "--no-audit", "--loglevel=error")
    if "--test" in sys.argv[1:]:
        run("npm", "run", "--silent", "check")
        run("npm", "run", "--silent", "test")
    if not newer(package, list(sources())):
        package.parent.mkdir(exist_ok=True)
        run("npx", "vsce", "package", "--no-dependencies", "--out", str(package))
    print(package)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UnavailableError, subprocess.CalledProcessError) as error:
        sys.exit(f"The extension can't be built: {error}")
