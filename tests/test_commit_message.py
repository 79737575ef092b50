"""Commit messages: what of the staged changes is shown, what becomes of what a model writes, and the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_support import FakeEngine, FakeGeneration
from hypothesis import given
from hypothesis import strategies as st
from indexer_support import write_tree
from lsp_support import DEADLINE, MIDLINE, until

from lsp import commit as commit_module
from lsp.chat.commit_shape import BODY_CHARS, SUBJECT_CHARS, in_shape
from lsp.chat.staged import StagedFile, fitting, staged
from lsp.cli import main
from lsp.engine.config import EngineConfig
from lsp.errors import MidlineError

Git = Callable[..., str]

LONG = "".join(f"line {number}\n" for number in range(400))


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in a new repository, whatever the developer's own settings are."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    root = tmp_path / "repository"
    root.mkdir()

    def run(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout

    run("init", "-q", "-b", "main")
    for name, value in (("user.name", "a"), ("user.email", "a@b")):
        run("config", name, value)
    return run


@pytest.fixture
def root(git: Git, tmp_path: Path) -> Path:
    """A repository with two commits, and one change staged."""
    root = tmp_path / "repository"
    write_tree(
        root, {"shop/prices.py": "RATE = 1.2\n\n\ndef price_of(item):\n    return item * RATE\n", "old.py": LONG}
    )
    git("add", "-A")
    git("commit", "-qm", "Know prices (#12)\n\nA body.")
    write_tree(root, {"README.md": "Shop\n"})
    git("add", "-A")
    git("commit", "-qm", "Say what it is")
    write_tree(root, {"shop/prices.py": "RATE = 1.3\n\n\ndef price_of(item):\n    return item * RATE\n"})
    git("add", "-A")
    return root


def public(_: Path) -> bool:
    return False


# -- what is staged ----------------------------------------------------------------------------------------------------


def test_what_is_staged(git: Git, root: Path) -> None:
    git("mv", "old.py", "new name.py")
    write_tree(
        root, {"tests/tést.py": "x = 1\n", "a\\b\t.py": "y = 1\n", "image.png": "\0\1", "shop/later.py": "z = 1\n"}
    )
    git("add", "tests", "a\\b\t.py", "image.png")
    git("rm", "-q", "--cached", "README.md")
    found = staged(root / "shop", public)
    assert found.subjects == ("Say what it is", "Know prices")
    files = {one.path: one for one in found.files}
    assert {path: (one.kind, one.added, one.removed, one.shown) for path, one in files.items()} == {
        "README.md": ("deleted", 0, 1, "all"),
        "a\\b\t.py": ("added", 1, 0, "all"),
        "image.png": ("added", None, None, "none"),
        "new name.py": ("renamed", 0, 0, "none"),
        "shop/prices.py": ("changed", 1, 1, "all"),
        "tests/tést.py": ("added", 1, 0, "all"),
    }
    assert files["new name.py"].before == "old.py"
    assert files["shop/prices.py"].diff == "@@\n-RATE = 1.2\n+RATE = 1.3\n "


def test_private_secret_and_locked_files_are_named_but_not_shown(git: Git, root: Path) -> None:
    key = "ghp_" + "a1B2c3D4e5" * 4
    write_tree(root, {"private.py": "x = 1\n", ".env": "A=1\n", "uv.lock": "x\n", "shop/key.py": f'TOKEN = "{key}"\n'})
    git("add", "-A")
    found = staged(root, lambda path: path.name == "private.py")
    shown = {one.path: one.diff for one in found.files}
    assert [shown[path] for path in ("private.py", ".env", "uv.lock")] == ["", "", ""]
    assert "TOKEN" in shown["shop/key.py"]
    assert key not in shown["shop/key.py"]


def test_settings_of_the_repository_run_nothing_and_change_nothing(git: Git, root: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in ("diff.external", "core.fsmonitor", "core.pager", "diff.evil.textconv", "diff.evil.command"):
        git("config", name, f"touch {ran}; true")
    write_tree(root, {".gitattributes": "*.py diff=evil\n"})
    for name, value in (
        ("diff.noprefix", "true"),
        ("color.ui", "always"),
        ("diff.renames", "false"),
        ("diff.relative", "1"),
    ):
        git("config", name, value)
    assert [one.path for one in staged(root / "shop", public).files] == ["shop/prices.py"]
    assert not ran.exists()


def test_what_cannot_be_described(git: Git, root: Path, tmp_path: Path) -> None:
    git("reset", "-q")
    with pytest.raises(MidlineError, match="git add"):
        staged(root, public)
    with pytest.raises(MidlineError, match="not in a git repository"):
        staged(tmp_path, public)
    git("stash", "-q")
    git("checkout", "-qb", "other", "HEAD~1")
    for branch, text in (("other", "a\n"), ("main", "b\n")):
        git("checkout", "-q", branch)
        write_tree(root, {"shop/prices.py": text})
        git("commit", "-qam", branch)
    subprocess.run(["git", "-C", str(root), "merge", "-q", "other"], capture_output=True, check=False)
    with pytest.raises(MidlineError, match="conflict"):
        staged(root, public)


def test_the_first_commit(git: Git, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "repository", {"a.py": "x = 1\n"})
    git("add", "-A")
    found = staged(root, public)
    assert (found.subjects, [one.kind for one in found.files]) == ((), ["added"])


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(0, 600))
def test_large_changes_are_cut_fairly(sizes: list[int], room: int) -> None:
    files = [
        StagedFile(f"{i}.py", "changed", "", size, 0, "\n".join(["+ line"] * size), "all" if size else "none")
        for i, size in enumerate(sizes)
    ]
    kept = fitting(files, room)
    assert [one.path for one in kept] == [one.path for one in files]
    assert sum(len(one.diff) for one in kept) <= room
    cut = [one for one, whole in zip(kept, files, strict=True) if one.diff != whole.diff]
    assert all(one.shown in ("part", "none") for one in cut)
    # Nobody's whole change is longer than what is left of another's, but for the line that was cut.
    longest = max((len(one.diff) for one in kept if one not in cut), default=0)
    assert all(len(one.diff) + len("\n+ line") >= longest for one in cut)


# -- what a model writes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "subject", "body"),
    [
        ("Fix the rate", "Fix the rate", ""),
        ("Fix the rate.\n", "Fix the rate", ""),
        ("```\nFix the rate\n\nIt was wrong.\n```", "Fix the rate", "It was wrong."),
        ("Here is a commit message:\n\n```text\nFix the rate\n```\nIt says so.", "Fix the rate", ""),
        ("Sure!\n\nHere's the message:\n\nFix the rate", "Fix the rate", ""),
        ("Subject: Fix the rate\n\nBody: It was wrong.", "Fix the rate", "It was wrong."),
        ("**Commit message:** `Fix the rate`", "Fix the rate", ""),
        ('"Fix the rate"', "Fix the rate", ""),
        ("`Session.run` ends when `stop` is called", "`Session.run` ends when `stop` is called", ""),
        ("# Fix the rate\n\n- one\n- two\n* three", "Fix the rate", "- one\n- two\n- three"),
        ("fix(shop): use 1.3", "fix(shop): use 1.3", ""),
        ("修正价格计算。", "修正价格计算。", ""),
        ("Fix it\n\nSigned-off-by: A B <a@b>\nCo-authored-by: C", "Fix it", ""),
        ("Fix it\nat once", "Fix it", "at once"),
        ("Wait ...", "Wait ...", ""),
        (" \n\n", "", ""),
    ],
)
def test_answers_become_messages(answer: str, subject: str, body: str) -> None:
    assert in_shape(answer, ["Know prices"]) == (subject, body)


def test_a_full_stop_stays_where_the_repository_has_it() -> None:
    assert in_shape("Fix the rate.", ["Know prices.", "Say what it is.", "Odd"])[0] == "Fix the rate."


def test_a_long_subject_is_cut_and_kept_whole_in_the_body() -> None:
    said = "Raise the rate to 1.3, since prices have risen all over the country in the last twelve months or so"
    subject, body = in_shape(said, [])
    assert subject == "Raise the rate to 1.3, since prices have risen all over the country in"
    assert body.replace("\n", " ") == said
    subject, _ = in_shape("word " * 40, [])
    assert subject == ("word " * 14).strip()


@pytest.mark.parametrize(
    "answer", ["# #a", '"#a"', "a\n\n# `#b`", f"a\n\n{'word ' * 14}#12 {'word ' * 20}", "- #a\n- b"]
)
def test_no_line_is_what_git_takes_for_a_comment(answer: str) -> None:
    subject, body = in_shape(answer, [])
    assert subject
    assert not any(line.startswith("#") for line in [subject, *body.split("\n")])
    assert "#12" in body or "#12" not in answer


@given(st.text(st.sampled_from("ab `#*-.:\n中é\"'\t"), max_size=300))
def test_whatever_it_is_it_has_the_shape_of_a_message(answer: str) -> None:
    subject, body = in_shape(answer, [])
    assert len(subject) <= SUBJECT_CHARS
    assert "\n" not in subject
    assert subject == subject.strip()
    assert subject or not body
    assert all(len(line) <= BODY_CHARS or " " not in line.strip("- ") for line in body.split("\n"))
    assert not any(line.startswith("#") for line in [subject, *body.split("\n")])


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that the command finds."""
    fake = FakeEngine("Raise the rate.\n\nPrices have risen.")

    async def close() -> None:
        pass

    fake.start, fake.close = lambda: None, close  # type: ignore[attr-defined]
    fake.config = EngineConfig("models/tiny.gguf")  # type: ignore[attr-defined]
    monkeypatch.setattr(commit_module, "engine_for", lambda config, *callbacks: fake)
    monkeypatch.setattr(commit_module, "chat_config", lambda settings: fake.config)  # type: ignore[attr-defined]
    return fake


def run(root: Path, *arguments: str) -> int:
    return main(["commit-message", "--workspace", str(root), *arguments])


def test_the_message_is_all_that_is_printed(engine: FakeEngine, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root) == 0
    assert capsys.readouterr() == ("Raise the rate\n\nPrices have risen.\n", "")
    assert "- Know prices" in engine.asked
    assert "shop/prices.py (changed, +1 -1):\n```diff\n@@\n-RATE = 1.2\n+RATE = 1.3\n" in engine.asked


def test_the_contract(engine: FakeEngine, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found | {"ms": {}} == {
        "message": "Raise the rate\n\nPrices have risen.",
        "subject": "Raise the rate",
        "body": "Prices have risen.",
        "files": [{"path": "shop/prices.py", "kind": "changed", "added": 1, "removed": 1, "shown": "all"}],
        "model": "tiny",
        "tokens_evaluated": 7,
        "tokens_reused": 5,
        "tokens_generated": 5,
        "ms": {},
    }
    assert set(found["ms"]) == {"context", "prefill", "first_token", "generate", "total"}


def test_names_of_all_files_are_told_however_large_the_change(engine: FakeEngine, git: Git, root: Path) -> None:
    write_tree(root, {f"many/f{i}.py": LONG for i in range(90)})
    git("add", "-A")
    assert run(root) == 0
    told = engine.asked
    assert "many/f0.py (added, +400 -0)" in told
    assert "shop/prices.py (changed, +1 -1)" in told
    assert len(told) < 40_000


def test_a_chinese_repository_gets_chinese(engine: FakeEngine, git: Git, root: Path) -> None:
    git("commit", "-qm", "修正价格")
    for subject in ("新增测试", "更新文档"):
        git("commit", "-qm", subject, "--allow-empty")
    write_tree(root, {"a.py": "x = 1\n"})
    git("add", "-A")
    assert run(root) == 0
    assert "in Chinese" in engine.asked


def test_failures_print_no_message(engine: FakeEngine, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine.make = lambda pieces: FakeGeneration(pieces, fails=True)
    assert run(root) == 1
    out, err = capsys.readouterr()
    assert (out, "restarted" in err) == ("", True)
    engine.make = FakeGeneration
    engine.answers = ["```\n```"]
    assert run(root) == 1
    assert "no message" in capsys.readouterr().err
    assert run(root / "nowhere") == 1


# -- with the real model -----------------------------------------------------------------------------------------------


@pytest.mark.model
def test_git_takes_it(midline_home: Path, git: Git, root: Path) -> None:
    command = [MIDLINE, "commit-message", "--workspace", str(root)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=True, text=True
    )
    assert done.stderr == ""
    (root.parent / "message").write_text(done.stdout)
    git("commit", "-q", "-F", str(root.parent / "message"))
    subject = git("log", "-1", "--format=%s").strip()
    assert done.stdout.startswith(subject)
    assert 0 < len(subject) <= SUBJECT_CHARS


@pytest.mark.model
async def test_ctrl_c_stops_it(midline_home: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "requests.log"
    monkeypatch.setenv("MIDLINE_REQUEST_LOG", str(log))
    write_tree(root, {"shop/prices.py": LONG})
    subprocess.run(["git", "-C", str(root), "add", "-A"], check=True)  # noqa: ASYNC221
    command = [MIDLINE, "commit-message", "--workspace", str(root)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    await until(lambda: log.exists() and log.read_text(), lambda: "the model being asked")
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert (process.returncode, out) == (1, b"")
    assert b"interrupted" in err
    assert b"Traceback" not in err
