"""The extension by itself: its types and logic, what it is packed of, and whether it knows the server's settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pictures import PICTURES

from lsp import __version__

FOLDER = Path(__file__).parents[2] / "editors" / "vscode"
LARGEST = 1_000_000


def test_it_has_all_settings_of_the_server() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "scripts" / "settings.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_its_version_is_the_servers() -> None:
    assert json.loads((FOLDER / "package.json").read_text())["version"] == __version__


@pytest.mark.vscode
def test_its_types_and_logic(vsix: Path, npm: dict[str, str]) -> None:
    for script in ("check", "test"):
        done = subprocess.run(["npm", "run", script], cwd=FOLDER, env=npm, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.vscode
def test_it_is_small_and_holds_its_licences(vsix: Path) -> None:
    assert vsix.stat().st_size < LARGEST
    with zipfile.ZipFile(vsix) as package:
        names = package.namelist()
        notices = package.read("extension/dist/THIRD-PARTY-NOTICES.txt").decode()
        scripts = [package.read(name).decode() for name in names if name.endswith(".js")]
    assert "extension/LICENSE.txt" in names
    assert not [name for name in names if name.endswith((".ts", ".map")) or "node_modules" in name]
    for part in ("vscode-languageclient", "markdown-it", "highlight.js"):
        assert part in notices
    for script in scripts:
        assert "eval(" not in script  # nor would the page's policy allow it


def test_all_pictures_of_it_in_the_docs_come_from_the_tests() -> None:
    root = FOLDER.parents[1]
    shown: set[str] = set()
    for page in (root / "README.md", root / "docs" / "editors.md"):
        shown |= set(re.findall(r"images/(vscode[\w-]*)\.png", page.read_text(encoding="utf-8")))
    assert shown == set(PICTURES.values())
    taken = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.mjs"))
    assert all(f"screenshot('{shot}')" in taken for shot in PICTURES)
    assert all((root / "docs" / "images" / f"{picture}.png").exists() for picture in shown)
