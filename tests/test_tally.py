"""The file of counts, and what may be wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from lsp.completion.tally import KEPT_DAYS, LEARNT_DAYS, Name, Tally, erase, read
from lsp.errors import MidlineError

TODAY = date(2026, 5, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "counts"


def shown(path: Path) -> float:
    return read(path).get(Name("python", "line", "shown"), 0.0)


def count(path: Path, number: int = 1, today: date = TODAY) -> None:
    tally = Tally(path, lambda: today)
    for _ in range(number):
        tally.add("python", "line", shown=1)
    tally.close()


def test_counts_add_up_over_sessions(path: Path) -> None:
    count(path, 2)
    count(path, 3)
    assert read(path) == {Name("python", "line", "shown"): 5}
    later = Tally(path, lambda: TODAY)
    later.add("python", "line", shown=1)
    later.flush()
    assert later.recent("python", "line", "shown") == 6
    assert later.recent("python", "body", "shown") == 0


def test_nothing_is_there_before_anything_was_counted(path: Path) -> None:
    Tally(path).close()
    assert read(path) == {}
    assert not path.exists()
    assert not erase(path)


def test_old_counts_are_forgotten(path: Path) -> None:
    count(path, 7, TODAY - timedelta(KEPT_DAYS + 1))
    count(path, 2, TODAY - timedelta(LEARNT_DAYS + 1))
    tally = Tally(path, lambda: TODAY)
    tally.add("python", "line", shown=1)
    tally.flush()
    assert shown(path) == 3
    assert tally.recent("python", "line", "shown") == 1


def test_several_servers_at_once(path: Path) -> None:
    with ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(count, path, 5) for _ in range(12)]:
            future.result()
    assert shown(path) == 60


def test_a_damaged_file_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database, but long enough to be looked at " * 50)
    tally = Tally(path, lambda: TODAY)
    tally.add("python", "line", shown=1)
    tally.flush()
    tally.add("python", "line", shown=1)
    tally.flush()
    assert shown(path) == 2
    assert path.with_name("counts.damaged").exists()
    assert len(caplog.records) == 1
    assert erase(path)
    assert list(path.parent.iterdir()) == []


def test_what_cannot_be_written_is_written_later(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    count(path)
    tally = Tally(path, lambda: TODAY)
    fill(path)
    tally.add("python", "line", shown=1)
    tally.flush()
    tally.flush()
    assert len(caplog.records) == 1
    with sqlite3.connect(path) as connection:
        connection.execute("drop trigger full")
    tally.flush()
    assert shown(path) == 2


def fill(path: Path) -> None:
    """Refuse what is written, as a full disk does."""
    with sqlite3.connect(path) as connection:
        connection.execute("create trigger full before insert on counts begin select raise(abort, 'x'); end")


def test_a_folder_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    tally = Tally(tmp_path / "file" / "counts")
    tally.add("python", "line", shown=1)
    tally.close()
    assert tally.recent("python", "line", "shown") == 1
    assert len(caplog.records) == 1


def test_a_newer_midlines_file_is_left_alone(path: Path) -> None:
    count(path)
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 9")
    count(path)
    with pytest.raises(MidlineError, match="newer"):
        read(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("select value from counts").fetchall() == [(1,)]


@pytest.mark.parametrize("again", [count, lambda path: Tally(path).flush()])
def test_what_is_erased_stays_erased(path: Path, again: Callable[[Path], None]) -> None:
    tally = Tally(path, lambda: TODAY)
    tally.add("python", "line", shown=60)
    tally.flush()
    assert erase(path)
    tally.add("python", "line", shown=1)
    tally.flush()
    assert shown(path) == 1
    assert tally.recent("python", "line", "shown") <= 1
    again(path)
    assert shown(path) <= 2
