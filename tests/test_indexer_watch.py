"""The watcher, with real files: what it tells of, what it leaves out, and what it does where it can't watch."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer import inotify, watch
from indexer.files import FileRules
from indexer.watch import Watcher


class Seen:
    def __init__(self, workspace: Path, **options: float) -> None:
        self.changes: set[str] = set()
        self.batches: list[set[str]] = []
        self.rescans: list[str] = []
        self._news = threading.Condition()
        self.watcher = Watcher(workspace, self._change, self._rescan, FileRules(exclude=("private/",)), **options)

    def _change(self, paths: set[str]) -> None:
        with self._news:
            self.changes |= paths
            self.batches.append(paths)
            self._news.notify_all()

    def _rescan(self, reason: str) -> None:
        with self._news:
            self.rescans.append(reason)
            self._news.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(condition, 20), (self.changes, self.rescans)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "node_modules/lib").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    (tmp_path / ".gitignore").write_text("*.log\nout/\n")
    (tmp_path / "src/a.py").write_text("a")
    seen = Seen(tmp_path)
    seen.watcher.start()
    yield seen
    seen.watcher.stop()


def test_files_written_made_moved_and_deleted_are_told_of(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "src/a.py").write_text("changed")
    (tmp_path / "src/deep/new é \U0001f600\n.py").write_text("new")
    seen.until(lambda: {"src/a.py", "src/deep/new é \U0001f600\n.py"} <= seen.changes)
    (tmp_path / "src/a.py").rename(tmp_path / "src/b.py")
    seen.until(lambda: "src/b.py" in seen.changes)
    (tmp_path / "src/deep/new é \U0001f600\n.py").unlink()
    seen.changes.clear()
    (tmp_path / "src/b.py").unlink()
    seen.until(lambda: "src/b.py" in seen.changes)
    assert not seen.rescans and not seen.watcher.degraded


def test_ignored_places_wake_nobody(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "node_modules/lib/x.js").write_text("x")
    (tmp_path / "private/x.py").write_text("x")
    (tmp_path / "src/x.log").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.py").write_text("x")
    (tmp_path / "src/a.py").read_text()
    (tmp_path / "src/last.py").write_text("x")
    seen.until(lambda: "src/last.py" in seen.changes)
    assert seen.changes == {"src/last.py"}


def test_a_new_folder_is_watched_with_what_is_in_it_already(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "new/inner").mkdir(parents=True)
    (tmp_path / "new/inner/x.py").write_text("x")
    seen.until(lambda: "new" in seen.changes)
    seen.changes.clear()
    (tmp_path / "new/inner/later.py").write_text("x")
    seen.until(lambda: "new/inner/later.py" in seen.changes)


def test_a_moved_folder_is_told_of_at_both_places_and_watched_at_the_new_one(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "src").rename(tmp_path / "lib")
    seen.until(lambda: {"src", "lib"} <= seen.changes)
    (tmp_path / "lib/deep/x.py").write_text("x")
    seen.until(lambda: "lib/deep/x.py" in seen.changes)
    assert "src/deep/x.py" not in seen.changes
    shutil.rmtree(tmp_path / "lib")
    seen.changes.clear()
    seen.until(lambda: "lib" in seen.changes)


def test_changed_ignore_rules_ask_for_a_rescan_and_hold_from_then_on(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "src/.gitignore").write_text("deep/\n")
    seen.until(lambda: bool(seen.rescans))
    assert seen.rescans == ["src/.gitignore has changed"]
    (tmp_path / "src/deep/x.py").write_text("x")
    (tmp_path / "src/last.py").write_text("x")
    seen.until(lambda: "src/last.py" in seen.changes)
    assert "src/deep/x.py" not in seen.changes


def test_a_workspace_that_goes_and_comes_back_is_watched_again(seen: Seen, tmp_path: Path) -> None:
    aside = tmp_path.with_name("aside")
    tmp_path.rename(aside)
    (aside / "src/meanwhile.py").write_text("x")
    time.sleep(0.3)
    aside.rename(tmp_path)
    seen.until(lambda: "the workspace's folder has come back" in seen.rescans)
    (tmp_path / "src/after.py").write_text("x")
    seen.until(lambda: "src/after.py" in seen.changes)


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_another_branch_is_one_rescan(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    for number in range(30):
        (tmp_path / f"f{number}.py").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "checkout", "-qb", "other")
    for number in range(30):
        (tmp_path / f"f{number}.py").write_text("two")
    git(tmp_path, "commit", "-qam", "two")
    seen = Seen(tmp_path)
    seen.watcher.start()
    try:
        git(tmp_path, "checkout", "-q", "main")
        seen.until(lambda: bool(seen.rescans))
        assert seen.rescans == ["git checkout (main)"] and not seen.changes
    finally:
        seen.watcher.stop()


def test_the_kernel_s_limit_is_said_once_and_rescans_take_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(inotify.InotifyFD, "add_callback", full)
    seen = Seen(tmp_path, degraded_seconds=0.0)
    seen.watcher.start()
    try:
        seen.until(lambda: len(seen.rescans) > 1)
        assert "max_user_watches" in seen.watcher.degraded
        assert set(seen.rescans) == {seen.watcher.degraded}
    finally:
        seen.watcher.stop()


def test_lost_events_are_a_rescan_after_which_watching_goes_on(seen: Seen, tmp_path: Path) -> None:
    source = seen.watcher._source
    assert isinstance(source, inotify.Folders)
    source.on_queue_overflow()
    seen.until(lambda: "more changes than the system" in "".join(seen.rescans))
    (tmp_path / "src/after.py").write_text("x")
    seen.until(lambda: "src/after.py" in seen.changes)


def test_a_callback_that_fails_does_not_end_the_watch(tmp_path: Path) -> None:
    told = threading.Event()

    def fail(paths: set[str]) -> None:
        if "second.py" in paths:
            told.set()
        raise RuntimeError("boom")

    watcher = Watcher(tmp_path, fail, lambda reason: None)
    watcher.start()
    try:
        (tmp_path / "first.py").write_text("x")
        time.sleep(0.5)
        (tmp_path / "second.py").write_text("x")
        assert told.wait(20)
    finally:
        watcher.stop()


def test_a_recursive_watch_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_source", watch._Tree)
    (tmp_path / ".gitignore").write_text("*.log\n")
    seen = Seen(tmp_path)
    seen.watcher.start()
    try:
        (tmp_path / "x.log").write_text("x")
        (tmp_path / "a.py").write_text("x")
        seen.until(lambda: "a.py" in seen.changes)
        (tmp_path / "a.py").rename(tmp_path / "b.py")
        seen.until(lambda: "b.py" in seen.changes)
        assert "x.log" not in seen.changes
    finally:
        seen.watcher.stop()
