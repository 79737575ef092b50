"""``midline model …`` as a user or a script meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from models_support import sha256, without_other_models, write_gguf

from lsp.cli import main
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.paths import models_dir

FIELDS = ["name", "path", "bytes", "quantization", "parameters", "fim", "chat", "sha256", "source"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    without_other_models(tmp_path / "user", monkeypatch)


def run(*arguments: str) -> int:
    return main(["model", *arguments])


def test_list_of_nothing_shows_what_can_be_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    out = capsys.readouterr().out
    assert DEFAULT_MODEL.name in out
    assert "not installed" in out
    assert f"midline model pull {DEFAULT_MODEL.name}" in out
    assert not models_dir().exists()


def test_json_of_list_has_the_fields_of_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", fim=False)
    assert run("add", str(path), "--json") == 0
    added = json.loads(capsys.readouterr().out)
    assert run("list", "--json") == 0
    mine, default, *others = json.loads(capsys.readouterr().out)
    assert mine == added
    for row in (mine, default, *others):
        assert list(row)[: len(FIELDS)] == FIELDS
    assert {name: mine[name] for name in FIELDS} == {
        "name": "tiny",
        "path": str(models_dir() / "tiny.gguf"),
        "bytes": path.stat().st_size,
        "quantization": "F16",
        "parameters": 2368,
        "fim": False,
        "chat": True,
        "sha256": sha256(path.read_bytes()),
        "source": "file",
    }
    assert default["name"] == DEFAULT_MODEL.name
    assert default["path"] is None
    assert default["fim"] is True
    assert default["sha256"] == DEFAULT_MODEL.sha256


def test_add_and_verify_tell_what_they_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", str(write_gguf(tmp_path / "a.gguf", fim=False)), "--name", "tiny") == 0
    said = capsys.readouterr()
    assert f"tiny is installed: {models_dir() / 'tiny.gguf'}" in said.out
    assert "can chat, but not complete code" in said.out
    assert "Copying a.gguf: 100 %" in said.err
    assert run("verify", "tiny") == 0
    said = capsys.readouterr()
    assert "tiny is intact" in said.out
    assert "Checking tiny: 100 %" in said.err
    assert run("list") == 0
    assert "tiny" in capsys.readouterr().out


def test_list_mentions_files_that_are_not_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models_dir().mkdir(parents=True)
    (models_dir() / "odd.gguf").write_bytes(b"?")
    assert run("list", "--json") == 0
    said = capsys.readouterr()
    assert {model["path"] for model in json.loads(said.out)} == {None}
    assert "odd.gguf isn't in use" in said.err


@pytest.mark.parametrize(
    ("arguments", "message", "cure"),
    [
        (["pull", "qwen2.5"], "There is no model called 'qwen2.5'.", f"Did you mean {DEFAULT_MODEL.name} or "),
        (["verify", DEFAULT_MODEL.name], "isn't installed.", f"midline model pull {DEFAULT_MODEL.name}."),
        (["add", "none.gguf"], "There is no file", "Check the path."),
    ],
    ids=["pull", "verify", "add"],
)
def test_a_failure_is_one_line_with_its_cure(
    arguments: list[str], message: str, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("midline: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert cure in said.err
    assert run(*arguments, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert message in told["error"]
    assert cure in told["cure"]


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["add"], ["verify"], ["list", "extra"], ["unknown"]):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2
        assert "usage: midline" in capsys.readouterr().err
