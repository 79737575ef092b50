"""midline in a real Emacs, with eglot set up as docs/editors.md says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.emacs, pytest.mark.model]

SCRIPT = Path(__file__).with_name("eglot.el")
MIDLINE = Path(sys.executable).with_name("midline")
CODE = 'def absolute(x):\n    """Return x without its sign, by an if and two returns."""\n    if \n'
PATIENCE = 300


@pytest.fixture(scope="module")
def emacs() -> str:
    """Emacs, where it has eglot: built in from 29 on, Debian's package elpa-eglot before."""
    program = shutil.which("emacs")
    if program is None:
        pytest.skip("no Emacs (Debian: emacs-nox and elpa-eglot)")
    code = "(progn (require 'package) (package-initialize) (require 'eglot))"
    done = subprocess.run([program, "--batch", "--eval", code], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this Emacs has no eglot (Debian: elpa-eglot): {done.stderr.strip()[-200:]}")
    return program


def test_completion_at_point_inserts_the_suggestion(emacs: str, midline_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "absolute.py"
    file.write_text(CODE)
    done = subprocess.run(
        [emacs, "--batch", "--load", SCRIPT],
        env=os.environ | {"MIDLINE": str(MIDLINE), "FILE": str(file), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith('{"ready"')]
    assert lines, done.stderr[-2000:]
    found = json.loads(lines[-1])
    assert found["ready"]
    names: dict = {}
    exec(found["text"], names)
    assert [names["absolute"](x) for x in (-2, 0, 3)] == [2, 0, 3], found["text"]
    assert "Document (midline)" in found["actions"]
