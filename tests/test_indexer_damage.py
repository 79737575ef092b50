"""What becomes of an index that is damaged, killed in the middle of its work, or out of room."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexer_support import HERE, SHOP, found, held, holdings, indexed, write_tree

from indexer.index import Index
from indexer.store import FILE_NAME


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "shop", SHOP)


@pytest.fixture
def index(workspace: Path, tmp_path: Path) -> Iterator[Index]:
    with indexed(workspace, tmp_path / "index") as opened:
        yield opened


@pytest.mark.parametrize("how", ["garbage", "cut", "hole", "empty", "another"])
def test_a_damaged_index_is_set_aside_and_made_again(
    index: Index, workspace: Path, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = held(index.view())
    index.close()
    file = tmp_path / "index" / FILE_NAME
    data = file.read_bytes()
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    if how == "another":
        with sqlite3.connect(file) as db:
            db.execute("UPDATE meta SET value = '0' WHERE key = 'schema'")
        db.close()
    else:
        damaged = {
            "garbage": b"no database" * 1000,
            "cut": data[: len(data) // 2],
            "hole": data[:4096] + b"\xff" * (len(data) - 4096),
            "empty": b"",
        }
        file.write_bytes(damaged[how])
    again = Index(workspace, tmp_path / "index")
    again.scan(HERE)
    assert held(again.view()) == expected
    again.close()
    if how in ("garbage", "hole"):
        assert "is made again" in caplog.text
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_killed_fifty_times_it_equals_one_made_afresh(tmp_path: Path) -> None:
    rng = random.Random(3)
    files = {f"p{n % 5}/m{n}.py": _module(rng, n) for n in range(30)}
    workspace, folder = write_tree(tmp_path / "many", files), tmp_path / "index"
    Index(workspace, folder).close()
    killed = 0
    for _ in range(50):
        for n in rng.sample(range(30), 6):
            file = workspace / f"p{n % 5}/m{n}.py"
            if rng.random() < 0.3:
                file.unlink(missing_ok=True)
            else:
                file.write_text(_module(rng, n))
        child = os.fork()
        if child == 0:
            try:
                Index(workspace, folder).scan(HERE)
            finally:
                os._exit(0)
        time.sleep(rng.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert killed > 10
    opened = Index(workspace, folder)
    opened.scan(HERE)
    survived = held(opened.view())
    opened.close()
    fresh = Index(workspace, tmp_path / "fresh")
    fresh.scan(HERE)
    assert survived == held(fresh.view())
    fresh.close()


def _module(rng: random.Random, number: int) -> str:
    return "\n\n".join(
        f"def f{number}_{i}(x):\n    return x * {rng.randrange(1000)}\n" for i in range(rng.randrange(1, 9))
    )


def test_a_full_disk_is_said_and_nothing_is_lost(index: Index, workspace: Path, tmp_path: Path) -> None:
    before = held(index.view())
    index.close()
    big = "\n\n".join(f"def f{n}(x):\n    return x * {n}\n" for n in range(3000))
    write_tree(workspace, {"app/big.py": big})
    script = (
        "import resource, signal, sys; from pathlib import Path; from indexer.index import Index\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "index = Index(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "index.scan()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(workspace), str(tmp_path / "index")], capture_output=True, text=True
    )
    assert ended.returncode != 0
    assert "sqlite3.OperationalError" in ended.stderr
    assert holdings(workspace, tmp_path / "index") == before
    index = Index(workspace, tmp_path / "index")
    index.scan(HERE)
    assert found(index, "f2999")[0] == "app/big.py"
    index.close()
