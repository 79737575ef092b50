"""The docs' pictures of VS Code, out of the last run of its tests: ``python tests/vscode/pictures.py``.

Run ``pytest tests/vscode`` first: its screenshots are in build/screenshots/vscode.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots" / "vscode"
IMAGES = ROOT / "docs" / "images"
PICTURES = {"ghost": "vscode", "apply": "vscode-chat", "edit-in-place": "vscode-edit"}
"""Screenshots of the tests, and the pictures that they become; both without ``.png``."""


def main() -> int:
    """Copy all of them, or say which are missing and copy none."""
    shots = {SHOTS / f"{shot}.png": IMAGES / f"{picture}.png" for shot, picture in PICTURES.items()}
    missing = [shot.name for shot in shots if not shot.exists()]
    if missing:
        print(f"{SHOTS} has no {', '.join(missing)}: run pytest tests/vscode", file=sys.stderr)
        return 1
    for shot, picture in shots.items():
        shutil.copyfile(shot, picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
