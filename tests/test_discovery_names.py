"""Models of other programs by their names: which stay, and are listed and used where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from discovery_support import names, put, put_hub, put_ollama
from models_support import sha256, without_other_models, write_gguf

from lsp.cli import main
from lsp.errors import MidlineError
from lsp.models import store
from lsp.models.adding import add
from lsp.models.discovery.discover import discover
from lsp.paths import models_dir


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "midline"))
    return without_other_models(tmp_path / "home", monkeypatch)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same size, with other weights."""
    return write_gguf(tmp_path_factory.mktemp("other") / "other.gguf", seed=1)


def test_a_name_stays_when_models_come_and_go(home: Path, tiny: Path, other: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        put(tiny, tmp_path / folder / "tiny.gguf")
    both = [str(tmp_path / "one"), str(tmp_path / "two")]
    first, second = names(*both)
    assert first == "folder/tiny"
    assert second.startswith("folder/tiny~")
    put(other, tmp_path / "one/another.gguf")
    assert [name for name in names(*both) if "another" not in name] == [first, second]


def test_commits_of_one_file_are_told_apart_only_where_they_differ(home: Path, tiny: Path, other: Path) -> None:
    cache = home / ".cache/huggingface/hub"
    put_hub(cache, "maker/tiny", "a" * 40, "tiny.gguf", other)
    newest = put_hub(cache, "maker/tiny", "b" * 40, "tiny.gguf", tiny, main=True)
    put_hub(cache, "maker/tiny", "c" * 40, "tiny.gguf", tiny)
    found = discover().found
    assert [model.name for model in found] == ["huggingface/maker/tiny/tiny", "huggingface/maker/tiny/tiny@aaaaaaaa"]
    assert found[0].path == newest
    assert found[0].sha256 == sha256(tiny.read_bytes())


def test_stores_that_were_moved_are_known_by_what_is_in_them(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "snapshots/disk"  # a name that is also a part of the cache's layout
    put_hub(cache, "maker/tiny", "c0", "tiny.gguf", tiny)
    put_ollama(tmp_path / "away", "registry.ollama.ai/library/tiny/1b", tiny)
    assert names(str(cache), str(tmp_path / "away")) == ["huggingface/maker/tiny/tiny", "ollama/tiny:1b"]


def test_midlines_own_folder_is_not_another_programs(tiny: Path) -> None:
    add(tiny, name="mine")
    assert names(str(models_dir())) == []


def test_a_found_model_is_used_where_it_is(home: Path, tiny: Path) -> None:
    blob = put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/1b", tiny, "Some License\nmore")
    model = store.find("ollama/tiny:1b")
    assert (model.name, model.path, model.source) == ("ollama/tiny:1b", blob, "ollama")
    assert model.info.fim is not None
    assert store.verify("ollama/tiny:1b").sha256 == sha256(tiny.read_bytes())
    put(tiny, home / ".lmstudio/models/a/b/tiny.gguf")
    with pytest.raises(MidlineError, match="Nothing is known") as caught:
        store.verify("lmstudio/a/b/tiny")
    assert "midline model add /" in caught.value.cure
    with blob.open("ab") as file:
        file.write(b"!")
    with pytest.raises(MidlineError, match="ollama/tiny:1b is damaged") as caught:
        store.verify("ollama/tiny:1b")
    assert "ollama" in caught.value.cure


def test_a_name_that_is_nearly_right_is_told(home: Path, tiny: Path) -> None:
    put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/1b", tiny)
    for wrong in ("ollama/tiny", "tiny:1b"):
        with pytest.raises(MidlineError, match="no model called") as caught:
            store.find(wrong)
        assert "ollama/tiny:1b" in caught.value.cure


def test_a_folder_of_the_settings_counts_for_names_too(home: Path, tiny: Path, tmp_path: Path) -> None:
    put(tiny, tmp_path / "mine/tiny.gguf")
    config = tmp_path / "midline/config"
    config.mkdir(parents=True)
    (config / "midline.toml").write_text(f'[model]\nfolders = ["{tmp_path / "mine"}"]\n')
    assert store.find("folder/tiny").path == tmp_path / "mine/tiny.gguf"
    with pytest.raises(MidlineError, match="no model called"):
        store.find("folder/tiny", [])


def test_list_shows_what_was_found(home: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(tiny, name="mine")
    put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/1b", tiny)
    put(tiny, home / ".lmstudio/models/a/b/broken.gguf").write_text("no model")
    assert main(["model", "list", "--json"]) == 0
    said = capsys.readouterr()
    rows = {row["name"]: row for row in json.loads(said.out)}
    found = rows["ollama/tiny:1b"]
    assert (found["source"], found["same_as"], found["sha256_by"]) == ("ollama", "mine", "store")
    assert (found["fim"], found["fim_layout"], found["licence"], found["kind"]) == (True, "psm", "mit", "model")
    assert rows["lmstudio/a/b/broken"]["problem"]
    assert len({frozenset(row) for row in rows.values()}) == 1  # all have the same fields
    assert "lmstudio/a/b/broken" in said.err
    assert main(["model", "list"]) == 0
    assert "same as mine" in " ".join(capsys.readouterr().out.split())
