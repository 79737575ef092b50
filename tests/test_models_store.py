"""Models on disk: adding, finding and checking them, and what goes wrong with disks."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from models_support import sha256, write_gguf

from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.models.adding import add
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.store import InstalledModel
from lsp.paths import models_dir

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A folder with a model in it, outside midline's home."""
    folder = tmp_path / "stick"
    folder.mkdir()
    write_gguf(folder / "My Tiny (1).gguf")
    return folder / "My Tiny (1).gguf"


@pytest.fixture(scope="module")
def home_with_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where a model called tiny was added, to be copied."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIDLINE_HOME", str(folder / "home"))
        add(write_gguf(folder / "tiny.gguf"))
    return folder / "home"


@pytest.fixture
def tiny(home: Path, home_with_tiny: Path) -> InstalledModel:
    """The model tiny, installed."""
    shutil.copytree(home_with_tiny, home)
    return store.find("tiny")


def contents() -> set[str]:
    """The names in the models folder, but for the lock."""
    return {path.name for path in models_dir().iterdir()} - {".lock"}


def test_add_copies_and_records_a_model(stick: Path) -> None:
    model = add(stick)
    assert model.name == "My-Tiny-1"
    assert model.path == models_dir() / "My-Tiny-1.gguf"
    assert model.path.read_bytes() == stick.read_bytes()
    assert model.sha256 == sha256(stick.read_bytes())
    assert model.info.fim is not None
    assert model.intact
    assert contents() == {"My-Tiny-1.gguf", "My-Tiny-1.json"}
    assert store.installed() == [model]
    assert store.find("My-Tiny-1") == store.find(str(model.path)) == model


def test_only_the_user_can_read_what_was_added(stick: Path) -> None:
    stick.chmod(0o644)
    model = add(stick)
    assert stat.S_IMODE(model.path.parent.stat().st_mode) == 0o700
    for path in model.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_add_with_move_leaves_no_second_copy(stick: Path) -> None:
    data = stick.read_bytes()
    model = add(stick, name="tiny", move=True)
    assert model.path.read_bytes() == data
    assert not stick.exists()


def test_adding_the_same_bytes_again_returns_the_model_that_is_there(stick: Path) -> None:
    first = add(stick, name="first")
    again = add(stick, name="second", move=True)
    assert again == first
    assert stick.exists()
    assert contents() == {"first.gguf", "first.json"}


def test_a_name_is_never_given_to_two_models(tiny: InstalledModel, tmp_path: Path) -> None:
    other = write_gguf(tmp_path / "other.gguf", seed=1)
    with pytest.raises(MidlineError, match="called tiny already") as caught:
        add(other, name="tiny")
    assert "--name" in caught.value.cure
    assert store.find("tiny") == tiny


def test_a_catalogue_name_stands_for_its_hash_only(stick: Path) -> None:
    with pytest.raises(MidlineError, match=r"isn't the .* of the catalogue"):
        add(stick, name=DEFAULT_MODEL.name)
    assert contents() == set()


def test_a_file_with_the_bytes_of_the_catalogue_gets_its_name(stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = catalogue.CatalogueEntry("known", "Known", 1, sha256(stick.read_bytes()), "MIT", 1, "F16", True, True, ())
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    assert add(stick).name == "known"


def test_names_that_would_leave_the_folder_are_refused(stick: Path) -> None:
    for name in ("../evil", "a/b", "", ".hidden", "a b"):
        with pytest.raises(MidlineError, match="can't be a model's name"):
            add(stick, name=name)


def test_a_truncated_file_is_not_added(stick: Path) -> None:
    stick.write_bytes(stick.read_bytes()[:-100])
    with pytest.raises(MidlineError, match="cut short"):
        add(stick)
    assert not models_dir().exists()


def test_a_model_left_in_the_folder_by_hand_is_a_stray_until_added() -> None:
    models_dir().mkdir(parents=True)
    path = write_gguf(models_dir() / "mine.gguf")
    assert store.installed() == []
    assert store.strays() == [path]
    with pytest.raises(MidlineError, match="never checked") as caught:
        store.find("mine")
    assert "midline model add" in caught.value.cure
    assert add(path).path == path
    assert store.strays() == []
    assert store.find("mine").intact


def test_a_damaged_record_makes_a_stray_and_adding_mends_it(tiny: InstalledModel) -> None:
    tiny.path.with_suffix(".json").write_text('{"sha256": 3')
    assert store.strays() == [tiny.path]
    assert add(tiny.path).sha256 == tiny.sha256
    assert store.find("tiny").intact


def test_a_path_is_used_in_place_and_its_metadata_kept(stick: Path, home: Path) -> None:
    model = store.find(str(stick))
    assert (model.path, model.sha256, model.source) == (stick, None, "file")
    assert model.info.fim is not None
    assert not models_dir().exists()
    cached = list((home / "cache").rglob("*.json"))
    assert len(cached) == 1
    # What is cached is used: changing it shows.
    cached[0].write_text(cached[0].read_text().replace("Tiny", "From the cache"))
    assert store.find(str(stick)).info.name == "From the cache"
    os.utime(stick, ns=(1, 1))
    changed = store.find(str(stick))
    assert changed.info.name == "Tiny"
    assert changed.key != model.key


def test_a_path_is_used_in_place_even_if_nothing_can_be_cached(stick: Path, home: Path) -> None:
    home.write_text("a file where midline wants its folder")
    assert store.find(str(stick)).info.name == "Tiny"


def test_finding_what_is_not_there_names_the_cure(tiny: InstalledModel) -> None:
    with pytest.raises(MidlineError, match="isn't installed") as caught:
        store.find(DEFAULT_MODEL.name)
    assert caught.value.cure == f"Install it: midline model pull {DEFAULT_MODEL.name}."
    with pytest.raises(MidlineError, match="no model called 'tyni'") as caught:
        store.find("tyni")
    assert "tiny" in caught.value.cure
    with pytest.raises(MidlineError) as caught:
        store.find("qwen")
    assert DEFAULT_MODEL.name in caught.value.cure
    with pytest.raises(MidlineError, match="no model called") as caught:
        store.find("zzz")
    assert "midline model list" in caught.value.cure
    with pytest.raises(MidlineError, match="There is no file"):
        store.find("./none.gguf")


def test_verify_accepts_an_intact_model_and_renews_its_record(tiny: InstalledModel) -> None:
    os.utime(tiny.path, ns=(1, 1))
    assert not store.find("tiny").intact
    assert store.verify("tiny").intact
    assert store.find("tiny").intact


def test_verify_finds_a_changed_byte_and_the_model_is_refused_from_then_on(
    tiny: InstalledModel, tmp_path: Path
) -> None:
    (tmp_path / "tiny.gguf").write_bytes(tiny.path.read_bytes())
    data = bytearray(tiny.path.read_bytes())
    data[-1] ^= 1
    tiny.path.write_bytes(data)
    os.utime(tiny.path, ns=(tiny.mtime_ns, tiny.mtime_ns))
    for attempt in (store.verify, store.find):
        with pytest.raises(MidlineError, match="tiny is damaged") as caught:
            attempt("tiny")
        assert "midline model add" in caught.value.cure
    # Adding the right file puts it right.
    assert add(tmp_path / "tiny.gguf").intact
    assert store.verify("tiny").sha256 == tiny.sha256


def test_a_model_cut_short_after_it_was_installed_is_refused(tiny: InstalledModel) -> None:
    os.truncate(tiny.path, 100)
    with pytest.raises(MidlineError, match="has 100 bytes instead of"):
        store.find("tiny")


def test_verify_of_a_file_in_place_has_nothing_to_compare_with(stick: Path) -> None:
    with pytest.raises(MidlineError, match="Nothing is known") as caught:
        store.verify(str(stick))
    assert "midline model add" in caught.value.cure


def test_no_disk_space_is_told_before_anything_is_written(stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 90, 10))
    with pytest.raises(MidlineError, match="Not enough disk space") as caught:
        add(stick)
    assert "10 bytes are free" in caught.value.message
    assert "MIDLINE_HOME" in caught.value.cure
    assert contents() == set()


def test_leftovers_of_a_killed_process_are_removed(stick: Path) -> None:
    leftover = models_dir() / ".tmp" / "source"
    leftover.mkdir(parents=True)
    (leftover / "model.gguf").write_bytes(b"half")
    add(stick, name="tiny")
    assert contents() == {"tiny.gguf", "tiny.json"}


def test_a_home_that_cannot_be_made_is_one_clear_error(stick: Path, home: Path) -> None:
    home.write_text("a file where midline wants its folder")
    with pytest.raises(MidlineError, match="Can't use the folder") as caught:
        add(stick)
    assert "MIDLINE_HOME" in caught.value.cure


ADD = """
import sys
from pathlib import Path
from lsp.errors import MidlineError
from lsp.models.adding import add
try:
    print(add(Path(sys.argv[1])).path)
except MidlineError as error:
    print("midline:", error, file=sys.stderr)
    sys.exit(1)
"""


def add_in_child(path: Path, prepare: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ADD, str(path)]
    return subprocess.run(command, preexec_fn=prepare, capture_output=True, text=True, check=False)


def forget_being_root() -> None:
    """Have file permissions hold for root, too: a program begun after this can't override them."""
    cap_dac_override, pr_capbset_drop = 1, 24
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override)


def test_a_read_only_models_folder_is_one_clear_error(stick: Path) -> None:
    models_dir().mkdir(parents=True)
    models_dir().chmod(0o500)
    child = add_in_child(stick, forget_being_root)
    models_dir().chmod(0o700)
    assert child.returncode == 1, child.stdout
    assert child.stderr.startswith("midline: Can't finish")
    assert "Permission denied" in child.stderr
    assert "MIDLINE_HOME" in child.stderr
    assert "Traceback" not in child.stderr
    assert contents() == set()


def test_a_disk_that_fails_in_mid_copy_leaves_nothing(stick: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    child = add_in_child(stick, small_files_only)
    assert child.returncode == 1, child.stdout
    assert "nothing half-made was left" in child.stderr
    assert "Traceback" not in child.stderr
    assert contents() == set()
