"""``midline stats``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsp.cli import main
from lsp.completion.tally import Tally, tally_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def count() -> None:
    tally = Tally()
    tally.add("python", "line", shown=4, accepted=1, partly=1, rejected=2, characters=30)
    tally.add("python", "line", checked_30s=2, alive_30s=1.5)
    tally.add("rust", "body", shown=6, typed=1, rejected=5)
    tally.close()


def test_counts_by_language_and_mode(capsys: pytest.CaptureFixture[str]) -> None:
    count()
    assert main(["stats", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(tally_path())
    rust, python = told["cells"]
    assert python == {
        "language": "python",
        "mode": "line",
        "shown": 4,
        "accepted": 1,
        "partly": 1,
        "typed": 0,
        "rejected": 2,
        "characters": 30,
        "accepted_share": 0.5,
        "alive": {"30s": 0.75, "5min": None, "saved": None},
    }
    assert (rust["mode"], rust["shown"], rust["accepted_share"]) == ("body", 6, 0)
    assert (told["total"]["shown"], told["total"]["accepted_share"]) == (10, 0.2)


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    count()
    assert main(["stats"]) == 0
    head, rust, python, total, *_ = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[:3] == ["language", "mode", "shown"]
    assert rust[:3] == ["rust", "body", "6"]
    assert python == ["python", "line", "4", "1", "1", "0", "2", "50%", "30", "75%", "–", "–"]
    assert total[:2] == ["all", "10"]


def test_before_anything_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats"]) == 0
    assert "Nothing has been counted yet." in capsys.readouterr().out
    assert main(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == []
    assert not tally_path().exists()


def test_erase_removes_all(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count()
    assert main(["stats", "--erase"]) == 0
    assert str(tally_path()) in capsys.readouterr().out
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert main(["stats", "--erase", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"erased": False}


def test_a_damaged_file_is_told_with_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    count()
    tally_path().write_bytes(b"damaged " * 1000)
    assert main(["stats", "--json"]) == 1
    assert "--erase" in json.loads(capsys.readouterr().out)["cure"]
