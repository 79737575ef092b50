"""``midline doctor``: all well, and each thing that may not be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest
from lsp_support import DEADLINE, MIDLINE
from tiny_gguf import write_tiny_gguf

from lsp.cli import main
from lsp.models.catalogue import DEFAULT_MODEL

NAMES = ["python", "settings", "folders", "disk", "backend", "threads", "model", "memory", "fim", "editors"]


class Checks(Protocol):
    def __call__(self, code: int) -> dict[str, dict[str, Any]]: ...


@pytest.fixture
def checks(capsys: pytest.CaptureFixture[str]) -> Checks:
    """Runs ``midline doctor --json``, which shall exit with a code; what it found, by the checks' names."""

    def run(code: int) -> dict[str, dict[str, Any]]:
        assert main(["doctor", "--json"]) == code
        out, err = capsys.readouterr()
        assert err == ""
        report = json.loads(out)
        assert report.keys() == {"ok", "checks"}
        for check in report["checks"]:
            assert check.keys() == {"name", "ok", "detail", "cure"}
            assert check["detail"]
            assert check["ok"] or check["cure"], check
        assert [check["name"] for check in report["checks"]] == NAMES
        assert report["ok"] is all(check["ok"] for check in report["checks"]) is (code == 0)
        return {check["name"]: check for check in report["checks"]}

    return run


def broken(found: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, check in found.items() if not check["ok"]}


def add_settings(home: Path, text: str) -> None:
    with (home / "config" / "midline.toml").open("a") as settings:
        settings.write(text)


@pytest.mark.model
def test_all_is_well(midline_home: Path, checks: Checks) -> None:
    found = checks(0)
    assert DEFAULT_MODEL.sha256 in found["model"]["detail"]
    assert "+ b" in found["fim"]["detail"]
    assert found["backend"]["detail"].startswith(("CPU only", "GPU offload"))
    assert str(midline_home) in found["folders"]["detail"]


def test_no_model(empty_home: Path, checks: Checks) -> None:
    found = checks(1)
    assert broken(found) == {"model", "memory", "fim"}
    assert f"midline model pull {DEFAULT_MODEL.name}" in found["model"]["cure"]


def test_what_a_human_is_shown(empty_home: Path) -> None:
    done = subprocess.run([MIDLINE, "doctor"], capture_output=True, encoding="utf-8", timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert "✓ folders: " in done.stdout
    assert f"✗ model: The model {DEFAULT_MODEL.name} isn't installed." in done.stdout
    assert f"→ Install it: midline model pull {DEFAULT_MODEL.name}." in done.stdout
    assert done.stderr == ""


def test_wrong_settings(empty_home: Path, checks: Checks) -> None:
    add_settings(empty_home, '[index]\nmax_file_kib = "many"\n')
    found = checks(1)
    assert "index.max_file_kib" in found["settings"]["detail"]


def test_too_many_threads(empty_home: Path, checks: Checks) -> None:
    settings = empty_home / "config" / "midline.toml"
    settings.write_text("[engine]\nthreads = 500\n")
    assert "engine.threads" in checks(1)["threads"]["cure"]


def test_a_damaged_model(empty_home: Path, tmp_path: Path, checks: Checks) -> None:
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf", "full")
    add = [MIDLINE, "model", "add", str(tiny)]
    subprocess.run(add, check=True, capture_output=True, timeout=DEADLINE)
    add_settings(empty_home, '[model]\ncompletion = "tiny"\n')
    installed = empty_home / "data" / "models" / "tiny.gguf"
    data = installed.read_bytes()
    installed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    found = checks(1)
    assert "model" in broken(found)
    assert "sha256" in found["model"]["detail"]
    assert "midline model add" in found["model"]["cure"]


def test_a_model_that_answers_nonsense(empty_home: Path, tmp_path: Path, checks: Checks) -> None:
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf", "full")
    add_settings(empty_home, f"[model]\ncompletion = {json.dumps(str(tiny))}\n")
    found = checks(1)
    assert broken(found) == {"fim"}
    assert "known gaps filled: psm 0" in found["fim"]["detail"]
    assert "midline model recommend" in found["fim"]["cure"]


def test_a_model_that_cannot_fill_in(empty_home: Path, tmp_path: Path, checks: Checks) -> None:
    tiny = write_tiny_gguf(tmp_path / "chatty.gguf", "full", fim=())
    add_settings(empty_home, f"[model]\ncompletion = {json.dumps(str(tiny))}\n")
    found = checks(1)
    assert broken(found) == {"model", "fim"}
    assert "fill-in-the-middle" in found["model"]["detail"]
    assert "midline model recommend" in found["model"]["cure"]


def test_a_home_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: Checks) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "file" / "home"))
    found = checks(1)
    assert broken(found) >= {"folders", "disk", "model"}
    assert "MIDLINE_HOME" in found["folders"]["cure"]
