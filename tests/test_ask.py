"""``midline ask`` as it is typed: what it prints where, what it takes from a pipe, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_support import FakeEngine
from indexer_support import write_tree
from lsp_support import DEADLINE, MIDLINE

from lsp import ask as ask_module
from lsp.ask import finished_blocks
from lsp.chat.conversations import Conversations
from lsp.cli import main
from lsp.engine.config import EngineConfig

FILES = {
    "shop/prices.py": "RATE = 1.2\n\n\ndef price_of(item):\n    return item * RATE\n",
    "midline.toml": '[privacy]\nexclude = ["secret.py"]\n',
    "secret.py": "x = 1\n",
}
CONTRACT = {"answer", "reasoning", "citations", "tokens_evaluated", "tokens_reused", "tokens_generated", "ms", "model"}

Ask = Callable[..., str]


@pytest.fixture
def engine(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that the command finds."""
    fake = FakeEngine("<think>hm</think>It is in [1], not [9].")

    async def close() -> None:
        pass

    fake.start, fake.close = lambda: None, close  # type: ignore[attr-defined]
    fake.config = EngineConfig("models/tiny.gguf")  # type: ignore[attr-defined]
    monkeypatch.setattr(ask_module, "engine_for", lambda config, *callbacks: fake)
    monkeypatch.setattr(ask_module, "chat_config", lambda settings: fake.config)  # type: ignore[attr-defined]
    return fake


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "workspace", FILES)


@pytest.fixture
def ask(
    engine: FakeEngine, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """Runs the command in the workspace; what it prints on stdout."""

    def run(*arguments: str, code: int = 0, stdin: Path = Path("/dev/null")) -> str:
        with stdin.open() as file:
            monkeypatch.setattr("sys.stdin", file)
            assert main(["ask", *arguments, "--workspace", str(workspace)]) == code
        return capsys.readouterr().out

    return run


def asked(ask: Ask, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(*arguments, "--json"))
    return found


def test_the_contract(ask: Ask, workspace: Path) -> None:
    found = asked(ask, "where is price_of defined?")
    assert set(found) >= CONTRACT
    assert (found["answer"], found["reasoning"], found["model"]) == ("It is in [1], not.", "hm", "tiny")
    assert found["citations"] == [{"path": "shop/prices.py", "start_line": 1, "end_line": 5}]
    assert set(found["ms"]) >= {"context", "prefill", "first_token", "generate", "total"}
    (kept,) = Conversations().of(workspace)
    assert (kept.id, kept.title, kept.messages) == (found["conversation"], "where is price_of defined?", 2)


def test_plain_text_goes_out_as_it_is(ask: Ask) -> None:
    assert ask("where is price_of defined?") == "It is in [1], not [9].\n"


@pytest.mark.parametrize(
    ("file", "lines"), [("shop/prices.py", (1, 5)), ("shop/prices.py:4-5", (4, 5)), ("shop/prices.py:1", (1, 1))]
)
def test_a_file_or_some_of_its_lines(
    file: str, lines: tuple[int, int], ask: Ask, engine: FakeEngine, workspace: Path
) -> None:
    found = asked(ask, "What is this?", "--file", str(workspace / file))
    first = found["context"][0]
    assert (first["path"], first["start_line"], first["end_line"]) == ("shop/prices.py", *lines)
    assert "[1] shop/prices.py:" in engine.said[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "empty"),
        (["what?", "--file", "nothing.py"], "no file"),
        (["what?", "--file", "{}/shop/prices.py:9"], "no line 9"),
        (["what?", "--file", "{}/shop/prices.py:3-2"], "before line 3"),
        (["what?", "--file", "{}/secret.py"], "privacy.exclude"),
        (["what is @pricees.py ?"], "@shop/prices.py"),
        (["x " * 20_000], "doesn't fit"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], says: str, ask: Ask, workspace: Path) -> None:
    out = ask(*(argument.replace("{}", str(workspace)) for argument in arguments), "--json", code=1)
    error = json.loads(out)
    assert says in f"{error['error']} {error['cure']}"
    assert Conversations().of(workspace) == []


def test_what_is_piped_in_follows_the_question(ask: Ask, engine: FakeEngine, tmp_path: Path) -> None:
    piped = tmp_path / "log"
    piped.write_text("Traceback ```\n  boom\n")
    ask("what is wrong?", stdin=piped)
    assert engine.said[-1].endswith("what is wrong?\n\n````\nTraceback ```\n  boom\n````")
    ask(stdin=piped)
    assert engine.said[-1].endswith("Traceback ```\n  boom")
    piped.write_bytes(b"x" * (ask_module.MAX_PIPED_BYTES + 1))
    ask("?", stdin=piped, code=1)
    piped.write_bytes(b"x" * 1_000_000)
    assert "doesn't fit" in ask("?", "--json", stdin=piped, code=1)


def test_the_latest_conversation_goes_on(ask: Ask, engine: FakeEngine) -> None:
    first = asked(ask, "hello")
    second = asked(ask, "thanks", "--continue")
    assert second["conversation"] == first["conversation"]
    assert engine.said == ["hello", "It is in [1], not [9].", "thanks"]
    assert asked(ask, "hello again")["conversation"] != first["conversation"]


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("a", ""),
        ("a\n", ""),
        ("a\n\nb", "a\n\n"),
        ("a\n\n```\nb\n\nc", "a\n\n"),
        ("```\n\n```\n\nx\n \ny", "```\n\n```\n\nx\n \n"),
        ("a\n ", ""),
    ],
)
def test_blocks_are_printed_once_they_are_whole(text: str, done: str) -> None:
    assert text[: finished_blocks(text)] == done


# -- with the real model ------------------------------------------------------------------------------------------


@pytest.mark.model
def test_a_follow_up_computes_its_own_tokens_alone(midline_home: Path, workspace: Path) -> None:
    def run(*arguments: str) -> dict[str, Any]:
        command = [MIDLINE, "ask", *arguments, "--json", "--workspace", str(workspace)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first = run("What is the value of RATE in shop/prices.py?")
    assert "1.2" in first["answer"]
    second = run("--continue", "thanks")
    total = first["tokens_evaluated"] + first["tokens_reused"] + first["tokens_generated"]
    assert second["tokens_reused"] == total
    # "thanks", and what the template writes around it and behind the answer.
    assert second["tokens_evaluated"] <= 12


@pytest.mark.model
def test_ctrl_c_stops_and_keeps_what_came(midline_home: Path, workspace: Path) -> None:
    command = [MIDLINE, "ask", "Count from 1 to 300, one number per line.", "--workspace", str(workspace)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        began = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        stopped = time.monotonic()
        rest, said = process.communicate(timeout=DEADLINE)
    assert time.monotonic() - stopped < DEADLINE / 2
    assert process.returncode == 1
    assert "interrupted" in said
    assert "Traceback" not in said
    kept = Conversations()
    latest = kept.of(workspace)[0]
    answered = kept.messages(latest.id)[-1]
    assert answered.details["reason"] == "cancelled"
    assert answered.text.startswith((began + rest).strip()[:1])
