"""The log of requests: what each cost, and nothing of what was in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsp.engine.protocol import Done, Failed, Generate, Special, Text, Usage
from lsp.engine.requestlog import RequestLog

SECRET = "password_of_the_vault"


def test_a_request_leaves_its_sizes_and_costs_and_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "requests.log"
    monkeypatch.setenv("MIDLINE_REQUEST_LOG", str(file))
    log = RequestLog.from_environment()
    prompt = [Special("prefix"), Text(SECRET), Special("suffix"), Text("xy")]
    log.sent(Generate(7, f"file:///home/{SECRET}.py#3", prompt, 48))
    log.ended(Done(7, "cancelled", Usage(tokens_evaluated=2, queue_ms=1.5, why={"healing": 2})))
    log.ended(Failed(8, "the engine stopped"))
    sent, ended, failed = map(json.loads, file.read_text().splitlines())
    assert (sent["event"], sent["id"], sent["base"], sent["prompt_chars"]) == ("sent", 7, "3", [len(SECRET), 2])
    assert (ended["reason"], ended["tokens_evaluated"], ended["queue_ms"], ended["why"]) == (
        "cancelled",
        2,
        1.5,
        {"healing": 2},
    )
    assert (failed["event"], failed["reason"]) == ("failed", "the engine stopped")
    assert SECRET not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_written_costs_no_completion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MIDLINE_REQUEST_LOG", str(tmp_path / "nowhere" / "requests.log"))
    RequestLog.from_environment().ended(Done(1, "eog", Usage()))
    assert "MIDLINE_REQUEST_LOG can't be written" in caplog.text


def test_nothing_is_written_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIDLINE_REQUEST_LOG", raising=False)
    monkeypatch.chdir(tmp_path)
    RequestLog.from_environment().ended(Done(1, "eog", Usage()))
    assert not list(tmp_path.iterdir())
