#!/usr/bin/env python3
"""A real VS Code workbench for tests, and the node and npm that build the extension.

``python3 .ci/workbench.py`` prints the folder of an installation: the one that MIDLINE_WORKBENCH names, or one in the
cache that the maintainers' tools, beside the checkout, install once per machine. Exit code 1, with the reason on
stderr, where there is none to be had. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GET_CODE_SERVER = ROOT.parent / "shared" / "tools" / "get-code-server"
OLDEST_NODE = 20


class UnavailableError(Exception):
    """There is no workbench, or no node, and this is why."""


def find_workbench(install: bool = True) -> Path:
    """The folder of an installation, made if need be.

    Raises:
        UnavailableError: there is none.
    """
    named = os.environ.get("MIDLINE_WORKBENCH")
    if named:
        if not (Path(named) / "env").is_file():
            raise UnavailableError(f"MIDLINE_WORKBENCH names {named}, which get-code-server has not finished")
        return Path(named).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "midline-tests" / "workbench"
    if (folder / "env").is_file():
        return folder
    if not GET_CODE_SERVER.exists():
        raise UnavailableError("no VS Code workbench; MIDLINE_WORKBENCH=/a/folder names one that get-code-server made")
    if not install:
        raise UnavailableError("no VS Code workbench is installed")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([GET_CODE_SERVER, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or not (folder / "env").is_file():
        raise UnavailableError(f"no VS Code workbench, and it can't be installed: {done.stdout.strip()[-300:]}")
    return folder


def environment() -> dict[str, str]:
    """The environment in which ``node`` and ``npm`` run: the machine's own, else the workbench's.

    Raises:
        UnavailableError: there is neither.
    """
    node = shutil.which("node")
    if node and shutil.which("npm"):
        version = subprocess.run([node, "--version"], stdout=subprocess.PIPE, text=True).stdout
        if int(version.lstrip("v").split(".")[0] or 0) >= OLDEST_NODE:
            return dict(os.environ)
    try:
        folder = find_workbench()
    except UnavailableError as error:
        raise UnavailableError(f"no node {OLDEST_NODE} or newer with npm on the PATH, and {error}") from error
    tools = folder / "node" / "bin"  # npm; the wrapper of node beside it is hidden by the real one
    return {**os.environ, "PATH": os.pathsep.join([str(folder / "bin"), str(tools), os.environ.get("PATH", "")])}


if __name__ == "__main__":
    try:
        print(find_workbench())
    except UnavailableError as error:
        sys.exit(f"{error}")
