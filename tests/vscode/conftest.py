"""A real VS Code workbench with the extension as it is built here, driven once for all tests of this folder."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lsp.models import store

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MIDLINE = Path(sys.executable).with_name("midline")
ARTIFACTS = ROOT / "build" / "screenshots" / "vscode"
# The whole run takes some ten minutes on a busy machine; what takes thrice as long will not end.
PATIENCE = 1800


def script(name: str, *arguments: str) -> str:
    """What one of .ci's programs prints; skips where it says why it can't."""
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / name, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(done.stderr.strip()[-500:])
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def vsix() -> Path:
    """The extension, built of the sources as they are."""
    (ROOT / "build").mkdir(exist_ok=True)
    with FileLock(ROOT / "build" / "vsix.lock"):
        done = subprocess.run([sys.executable, ROOT / ".ci" / "vsix.py"], capture_output=True, text=True)
    if done.returncode:
        if "no node" in done.stderr or "npm ci" in done.stderr:
            pytest.skip(done.stderr.strip()[-500:])
        pytest.fail(done.stderr[-3000:])
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def npm() -> dict[str, str]:
    """The environment in which the extension is built."""
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        return importlib.import_module("workbench").environment()
    finally:
        sys.path.remove(str(ROOT / ".ci"))


@pytest.fixture(scope="session")
def results(
    request: pytest.FixtureRequest,
    installed_model: store.InstalledModel,
    home_to_fill: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """What came of each scenario that tests of this run ask for, by its name."""
    tools = script("workbench.py")
    vsix: Path = request.getfixturevalue("vsix")
    root = tmp_path_factory.mktemp("workbench")
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    ARTIFACTS.mkdir(parents=True)
    names = [item.callspec.params["scenario"] for item in request.session.items if "scenario" in _params(item)]
    options = {
        "tools": tools,
        "vsix": str(vsix),
        "python": str(python_extension(root)),
        "root": str(root),
        "program": str(MIDLINE),
        "home": str(home_to_fill),
        "model": [str(file) for file in (installed_model.path, installed_model.path.with_suffix(".json"))],
        "artifacts": str(ARTIFACTS),
        "names": names,
    }
    (root / "options.json").write_text(json.dumps(options))
    isolated = offline()
    node = Path(tools) / "bin" / "node"
    with (root / "run.log").open("w") as log:
        done = subprocess.run(
            [*isolated, node, HERE / "run.mjs", root / "options.json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=PATIENCE,
            env=os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"},
        )
    shutil.rmtree(root / "very-many", ignore_errors=True)  # pytest would keep its 100,000 files for three runs
    found = {result["name"]: result for line in done.stdout.splitlines() for result in [json.loads(line)]}
    found["offline"] = bool(isolated)
    (ARTIFACTS / "results.json").write_text(json.dumps(found, indent=2, ensure_ascii=False))
    found["log"] = (root / "run.log").read_text()[-2000:]
    yield found


def python_extension(folder: Path) -> Path:
    """A stand-in for the Python extension, which is only in Microsoft's shop: the part of its API that midline asks.

    Its active environment is the folder that the file ``python-environment`` in the user's home names; none without it.
    """
    manifest = {
        "name": "python",
        "publisher": "ms-python",
        "version": "0.0.1",
        "engines": {"vscode": "^1.91.0"},
        "main": "./main.js",
        "activationEvents": ["onStartupFinished"],
    }
    program = """
const fs = require('node:fs');
const path = require('node:path');
const file = path.join(require('node:os').homedir(), 'python-environment');
const folder = () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');
exports.activate = () => ({
  environments: {
    getActiveEnvironmentPath: () => ({ path: folder() }),
    resolveEnvironment: async ({ path }) => (path ? { executable: { sysPrefix: path } } : undefined),
  },
});
"""
    package = folder / "python.vsix"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("extension/package.json", json.dumps(manifest))
        archive.writestr("extension/main.js", program)
    return package


def offline() -> list[str]:
    """The words before a command that leave it no network but loopback; none where we may not do that."""
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    try:
        works = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return []
    return words if works else []


def _params(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}
