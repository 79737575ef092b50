"""The index kept fresh: what changes on the disk or in the editor is found soon after, without being asked."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from indexer_support import held, write_tree

from indexer.index import Index
from indexer.keeper import Freshness, Keeper
from indexer.scan import Workload

DEADLINE = 60.0
TREE = {"app/session.py": "def send_request(url):\n    body = open(url)\n    return body\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "shop", TREE)


@pytest.fixture
def told() -> list[Freshness]:
    return []


@pytest.fixture
def keeper(workspace: Path, tmp_path: Path, told: list[Freshness]) -> Iterator[Keeper]:
    kept = Keeper(Index(workspace, tmp_path / "index"), Workload(workers=1), told.append)
    kept.start()
    until(lambda: kept.freshness.state == "ready")
    yield kept
    kept.stop()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def defined(keeper: Keeper, name: str) -> list[str]:
    """Where a name is defined, as the index has it."""
    return [hit.path for hit in keeper.index.search(name) if hit.symbol == name]


def test_it_tells_what_it_does_and_holds(keeper: Keeper, told: list[Freshness]) -> None:
    assert next(freshness.state for freshness in told) == "busy"
    assert (told[-1].state, told[-1].files, told[-1].pending) == ("ready", 1, 0)
    assert told[-1].chunks >= 1


def test_a_saved_file_is_found_and_a_removed_one_is_not(keeper: Keeper, workspace: Path) -> None:
    write_tree(workspace, {"app/mail.py": "def deliver_letter(to):\n    post = to\n    return post\n"})
    until(lambda: defined(keeper, "deliver_letter") == ["app/mail.py"])
    (workspace / "app/mail.py").rename(workspace / "app/post.py")
    until(lambda: defined(keeper, "deliver_letter") == ["app/post.py"])
    shutil.rmtree(workspace / "app")
    until(lambda: not held(keeper.index.view()))
    until(lambda: keeper.freshness.files == 0)


def test_unsaved_text_is_found_and_forgotten(keeper: Keeper) -> None:
    keeper.overlay("app/session.py", "def receive_parcel(sender):\n    box = sender\n    return box\n")
    until(lambda: defined(keeper, "receive_parcel") == ["app/session.py"])
    assert not defined(keeper, "send_request")
    keeper.overlay("app/session.py", None)
    until(lambda: defined(keeper, "send_request") == ["app/session.py"])


def test_unsaved_text_of_a_file_that_is_kept_out_is_not_taken(keeper: Keeper, workspace: Path) -> None:
    (workspace / ".gitignore").write_text("secret.py\n")
    keeper.overlay("secret.py", "def hidden_thing(a):\n    b = a\n    return b\n")
    keeper.overlay(".env.py", "def open_thing(a):\n    b = a\n    return b\n")
    keeper.overlay("fine.py", "def fine_thing(a):\n    b = a\n    return b\n")
    until(lambda: defined(keeper, "fine_thing"))
    assert not defined(keeper, "hidden_thing")


def test_a_switched_branch_is_followed(workspace: Path, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=workspace, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("switch", "-c", "other")
    for n in range(30):
        write_tree(workspace, {f"lib/m{n}.py": f"def on_other_{n}(a):\n    b = a\n    return b\n"})
    git("add", ".")
    git("commit", "-m", "two")
    kept = Keeper(Index(workspace, tmp_path / "index"), Workload(workers=1))
    kept.start()
    until(lambda: kept.freshness.files == 31)
    git("switch", "main")
    until(lambda: list(held(kept.index.view())) == ["app/session.py"])
    git("switch", "other")
    until(lambda: len(held(kept.index.view())) == 31)
    kept.stop()


def test_a_failure_is_told_and_made_good(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.keeper._RETRY_SECONDS", 0.2)
    with monkeypatch.context() as broken:
        broken.setattr(keeper.index, "update", lambda *_: 1 / 0)
        keeper.changed(["app/session.py"])
        until(lambda: keeper.freshness.state == "failed")
        assert "division by zero" in keeper.freshness.detail
    until(lambda: keeper.freshness.state == "ready")
    keeper.overlay("app/session.py", "def receive_parcel(sender):\n    box = sender\n    return box\n")
    until(lambda: defined(keeper, "receive_parcel") == ["app/session.py"])


def test_it_can_be_stopped_while_it_is_held_up(workspace: Path, tmp_path: Path) -> None:
    kept = Keeper(Index(workspace, tmp_path / "index"), Workload(workers=1, hold=lambda: True))
    kept.start()
    until(lambda: kept.freshness.state == "busy")
    kept.stop()
    again = Index(workspace, tmp_path / "index")
    assert again.totals().files == 0
    again.scan()
    assert again.totals().files == 1
    again.close()
