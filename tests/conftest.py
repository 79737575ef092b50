"""What the tests share: a home with the real model in it, and no way to the developer's own."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Before numpy comes in: its threads would only wait for each other beside the model's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from lsp.errors import MidlineError
from lsp.models import store
from lsp.models.catalogue import DEFAULT_MODEL

if TYPE_CHECKING:
    from api_support import Api

# In the background of a script, SIGINT is ignored, and the commands under test would inherit that. At import, since
# pynvim later puts back whatever it found when it was imported.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Engines that tests started shall not outlive them by minutes, but by a moment, for the next test's sake.
# Most tests are about what becomes of a suggestion, however unsure the model is of it.
SETTINGS = "[engine]\nidle_minutes = 0.25\nthreads = 1\n[completion]\nmin_confidence = 0\n"


@pytest.fixture(scope="session")
def installed_model() -> store.InstalledModel:
    """The default model as `midline model pull` left it in the user's data folder."""
    try:
        return store.find(DEFAULT_MODEL.name)
    except MidlineError as error:
        pytest.fail(f"{error} (`make test` does)")


def make_home(home: Path, model: store.InstalledModel | None) -> Path:
    """A MIDLINE_HOME with the tests' settings, holding ``model`` without a copy of its bytes."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "midline.toml").write_text(SETTINGS)
    models = home / "data" / "models"
    models.mkdir(parents=True)
    if model:
        for file in (model.path, model.path.with_suffix(".json")):
            (models / file.name).symlink_to(file)
    return home


@pytest.fixture(scope="session")
def shared_home(installed_model: store.InstalledModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that all tests share which only complete: the model is loaded once for all of them."""
    return make_home(tmp_path_factory.mktemp("home"), installed_model)


@pytest.fixture
def midline_home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``shared_home``, in force for this test and the processes it starts."""
    monkeypatch.setenv("MIDLINE_HOME", str(shared_home))
    return shared_home


@pytest.fixture
def own_home(installed_model: store.InstalledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own with the real model: its engine is nobody else's."""
    home = make_home(tmp_path / "home", installed_model)
    monkeypatch.setenv("MIDLINE_HOME", str(home))
    return home


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a model."""
    home = make_home(tmp_path / "home", None)
    monkeypatch.setenv("MIDLINE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def home_to_fill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without a model, for tests that install one later."""
    return make_home(tmp_path_factory.mktemp("home"), None)


@pytest.fixture(autouse=True, scope="session")
def _as_at_a_users() -> Iterator[None]:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    yield


@pytest.fixture(scope="module")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a model of some kilobytes, called ``tiny``."""
    from api_support import install_tiny

    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("MIDLINE_HOME", str(home))
        install_tiny(tmp_path_factory.mktemp("model"))
        yield home


@pytest.fixture
async def api(tiny_home: Path) -> AsyncIterator[Api]:
    """The API with an engine that is a stand-in, asked without a server."""
    from api_support import Api, Scripted, made

    engine = Scripted()
    async with made(engine) as app:
        yield Api("http://localhost", engine, app)


@pytest.fixture
async def served(tiny_home: Path) -> AsyncIterator[Api]:
    """The same on a real port, where it matters how bytes come and clients leave."""
    from api_support import Scripted, serving

    async with serving(Scripted()) as running:
        yield running
