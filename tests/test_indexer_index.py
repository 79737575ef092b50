"""A workspace's index: scanned, changed, shared, and asked."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from indexer_support import (
    HERE,
    SHOP,
    crashing_embedder,
    embedder_of_this_process,
    found,
    held,
    indexed,
    next_embedder,
    write_tree,
)

from indexer.files import FileRules
from indexer.index import Index, folder_of
from indexer.scan import Progress, Workload
from indexer.store import FILE_NAME, Store


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "shop", SHOP)


@pytest.fixture
def index(workspace: Path, tmp_path: Path) -> Iterator[Index]:
    with indexed(workspace, tmp_path / "index") as opened:
        yield opened


# -- what is found ---------------------------------------------------------------------------------------------------


def test_a_question_finds_its_function(index: Index) -> None:
    first = index.search("where are requests sent to the server?")[0]
    assert (first.path, first.start_line, first.end_line, first.symbol, first.kind) == (
        "app/session.py",
        1,
        3,
        "send_request",
        "function",
    )
    assert "connect(url)" in first.text
    assert first.reason


def test_a_name_finds_its_definition(index: Index) -> None:
    first = index.search("Store.save")[0]
    assert (first.path, first.symbol) == ("app/store.py", "Store.save")
    assert first.reason.startswith("defines Store.save")


@pytest.mark.parametrize("query", ["", "   ", "???", "zzzzqqqq", "\0", "请", "a" * 100_000, "\ud800"])
def test_a_question_that_says_nothing_does_no_harm(index: Index, query: str) -> None:
    assert isinstance(index.search(query), list)


def test_totals(index: Index) -> None:
    totals = index.totals()
    assert (totals.files, totals.skipped) == (3, 0)
    assert totals.languages == {"python": 2, "markdown": 1}
    assert totals.chunks >= 4
    assert totals.bytes > 1_000


# -- what changes ----------------------------------------------------------------------------------------------------


def test_nothing_is_digested_twice(index: Index, workspace: Path) -> None:
    assert index.scan(HERE) == 0
    before = held(index.view())
    # A branch is switched away from and back: other bytes, then the same again under a new time.
    file = workspace / "app/session.py"
    old = file.read_text()
    file.write_text("def other():\n    return 1\n")
    assert index.update(["app/session.py"]) == 1
    with sqlite3.connect(index._folder / FILE_NAME) as db:
        digests = db.execute("SELECT count(*) FROM content").fetchone()
    file.write_text(old)
    assert index.update(["app/session.py"]) == 1
    with sqlite3.connect(index._folder / FILE_NAME) as db:
        assert db.execute("SELECT count(*) FROM content").fetchone() == digests
    assert held(index.view()) == before


def test_files_come_change_and_go(index: Index, workspace: Path) -> None:
    write_tree(workspace, {"app/mail.py": "def deliver_letter():\n    return postman\n"})
    assert index.update(["app/mail.py"]) == 1
    assert found(index, "deliver_letter")[0] == "app/mail.py"
    shutil.rmtree(workspace / "app")
    assert index.update(["app"]) == 3
    assert "app/mail.py" not in found(index, "deliver_letter")
    write_tree(workspace, {"app/deep/er/mail.py": "def deliver_letter():\n    return postman\n"})
    assert index.update(["app"]) == 1
    assert found(index, "deliver_letter")[0] == "app/deep/er/mail.py"


def test_unsaved_text_counts_until_it_is_let_go(index: Index) -> None:
    index.overlay("app/session.py", "def receive_parcel():\n    return 2\n")
    assert found(index, "receive_parcel")[0] == "app/session.py"
    assert all(hit.symbol != "send_request" for hit in index.search("send_request"))
    index.overlay("app/new.py", "def unheard_of():\n    return 3\n")
    assert found(index, "unheard_of")[0] == "app/new.py"
    index.overlay("app/session.py", None)
    assert index.search("send_request")[0].symbol == "send_request"


def test_the_workers_do_what_one_process_does(tmp_path: Path) -> None:
    files = {f"pkg{n % 7}/m{n}.py": f"def function_{n}(a):\n    return a + {n}\n" for n in range(90)}
    workspace = write_tree(tmp_path / "many", files)
    seen: list[Progress] = []
    alone = Index(workspace, tmp_path / "alone")
    alone.scan(HERE)
    together = Index(workspace, tmp_path / "together")
    assert together.scan(Workload(workers=2, progress=seen.append)) == 90
    assert held(together.view()) == held(alone.view())
    assert [seen[0].done, seen[-1].done, seen[-1].total] == [0, 90, 90]
    alone.close()
    together.close()


def test_a_file_that_crashes_a_grammar_takes_its_worker_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {f"m{n}.py": f"def function_{n}(a):\n    b = a\n    return b + {n}\n" for n in range(20)}
    workspace = write_tree(tmp_path / "many", files | {"bad.py": "def bad(a):\n    b = a\n    return b\n"})
    index = Index(workspace, tmp_path / "index", make_embedder=crashing_embedder)
    load = Workload(workers=1)
    assert index.scan(load) == 21
    assert sorted(held(index.view())) == sorted(files)
    assert "Taking bad.py apart ends the process; it is left out." in caplog.text
    assert index.totals().skipped == 1
    # It isn't tried again until it changes, and unsaved text does no more harm.
    assert index.scan(load) == 0
    index.overlay("bad.py", "def worse(a):\n    b = a\n    return b\n", load)
    index.overlay("m1.py", "def better(a):\n    b = a\n    return b\n", load)
    assert found(index, "better")[0] == "m1.py"
    index.close()


def test_no_file_is_blamed_where_workers_cannot_start(workspace: Path, tmp_path: Path) -> None:
    index = Index(workspace, tmp_path / "index", make_embedder=embedder_of_this_process)
    with pytest.raises(OSError, match="can't be started"):
        index.scan(Workload(workers=1))
    assert index.totals().skipped == 0
    assert index.scan(HERE) == 3
    index.close()


def test_a_scan_can_be_cancelled_and_goes_on_later(tmp_path: Path) -> None:
    files = {f"m{n}.py": f"def function_{n}(a):\n    return a + {n}\n" for n in range(40)}
    workspace = write_tree(tmp_path / "many", files)
    asked = iter(range(100))
    index = Index(workspace, tmp_path / "index")
    index.scan(Workload(workers=0, cancelled=lambda: next(asked) >= 30))
    part = index.totals().files
    assert 0 < part < 40
    assert index.scan(HERE) == 40 - part
    assert index.totals().files == 40
    index.close()


def test_another_embedder_embeds_all_again_and_words_find_meanwhile(
    index: Index, workspace: Path, tmp_path: Path
) -> None:
    index.close()
    newer = Index(workspace, tmp_path / "index", make_embedder=next_embedder)
    assert not any(part.scales.any() for part in newer.view().segments)
    assert found(newer, "send_request")[0] == "app/session.py"
    assert newer.scan(HERE) == 3
    assert all(part.scales.all() for part in newer.view().segments)
    assert newer.scan(HERE) == 0
    newer.close()


def test_arrays_of_an_index_that_was_made_anew_are_not_taken_for_its_own(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.view._SAVED_FROM", 1)
    monkeypatch.setattr("indexer.view._SMALL", 0)
    index = Index(workspace, tmp_path / "index")
    index.scan(HERE)
    (saved,) = (tmp_path / "index").glob("segment-*")
    kept = shutil.copytree(saved, tmp_path / "kept")
    (workspace / "app/store.py").unlink()
    write_tree(workspace, {"app/a.py": "def quite_another(a):\n    b = a\n    return b\n"})
    index.scan(HERE, rebuild=True)
    index.close()
    # As if it had been killed before the old arrays were replaced.
    for made in (tmp_path / "index").glob("segment-*"):
        shutil.rmtree(made)
    shutil.copytree(kept, saved)
    expected = {"README.md", "app/a.py", "app/session.py"}
    again = Index(workspace, tmp_path / "index")
    assert held(again.view()).keys() == expected
    assert found(again, "quite_another")[0] == "app/a.py"
    again.close()


def test_unsaved_text_outlives_an_index_that_is_made_anew(index: Index) -> None:
    index.overlay("app/session.py", "def receive_parcel():\n    return 2\n")
    index.scan(HERE, rebuild=True)
    assert found(index, "receive_parcel")[0] == "app/session.py"


def test_who_comes_while_the_writer_is_only_beginning_waits_for_it(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    with FileLock(folder / "writer.lock", thread_local=False):
        beginning = threading.Timer(0.2, lambda: Store.open(folder).close())
        beginning.start()
        reader = Index(workspace, folder)
        assert not reader.writable
        assert reader.search("anything") == []
        reader.close()
        beginning.join()


def test_who_closes_it_makes_room_for_another_writer_from_any_thread(index: Index, workspace: Path) -> None:
    index.scan(HERE, rebuild=True)  # opens it a second time
    closing = threading.Thread(target=index.close)
    closing.start()
    closing.join()
    another = Index(workspace, index._folder)
    assert another.writable
    another.close()


def test_what_is_excluded_later_goes(workspace: Path, tmp_path: Path, index: Index) -> None:
    index.close()
    stricter = Index(workspace, tmp_path / "index", FileRules(exclude=("app/store.py",)))
    stricter.scan(HERE)
    assert sorted(held(stricter.view())) == ["README.md", "app/session.py"]
    stricter.close()


# -- several processes -----------------------------------------------------------------------------------------------


def test_one_writes_and_others_read_what_is_new(index: Index, workspace: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from indexer.index import Index\n"
        "index = Index(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "for line in sys.stdin:\n"
        "    print(index.writable, [hit.path for hit in index.search(line.strip())][:1], flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(workspace), str(tmp_path / "index")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin and reader.stdout

        def ask(query: str) -> str:
            assert reader.stdin and reader.stdout
            print(query, file=reader.stdin, flush=True)
            return reader.stdout.readline().strip()

        assert ask("send_request") == "False ['app/session.py']"
        write_tree(workspace, {"app/mail.py": "def deliver_letter():\n    return postman\n"})
        index.update(["app/mail.py"])
        assert ask("deliver_letter") == "False ['app/mail.py']"
        reader.stdin.close()


def test_a_reader_takes_over_when_the_writer_has_gone(index: Index, workspace: Path, tmp_path: Path) -> None:
    # Within one process the lock is the process's own, so the writer is another.
    index.close()
    script = (
        "import sys; from pathlib import Path; from indexer.index import Index\n"
        "index = Index(Path(sys.argv[1]), Path(sys.argv[2])); print(index.writable, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(workspace), str(tmp_path / "index")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout and writer.stdout.readline() == "True\n"
        reader = Index(workspace, tmp_path / "index")
        assert not reader.writable
        write_tree(workspace, {"app/mail.py": "def deliver_letter():\n    return postman\n"})
        assert reader.scan(HERE) == 0
        assert reader.update(["app/mail.py"], HERE) == 0
        writer.kill()
    assert reader.update(["app/mail.py"], HERE) == 1
    assert found(reader, "deliver_letter")[0] == "app/mail.py"
    reader.close()


# -- what stays out --------------------------------------------------------------------------------------------------


def test_secrets_are_nowhere_in_what_is_kept(tmp_path: Path) -> None:
    secret = "Zx9" + "kQ7vT2mW" * 4
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    workspace = write_tree(
        tmp_path / "shop",
        {
            "config.py": f'API_KEY = "{secret}"\n\n\ndef connect():\n    return "{token}"\n',
            ".env": f"PASSWORD={secret}\n",
            "keys/id_rsa": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----\n",
        },
    )
    index = Index(workspace, tmp_path / "index")
    index.scan(HERE)
    index.overlay("config.py", f'API_KEY = "{secret}"\nTOKEN = "{token}"\n')
    texts = [hit.text for query in ("connect", "API_KEY", secret, token) for hit in index.search(query)]
    assert texts
    index.close()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "index").rglob("*") if file.is_file())
    for hidden in (secret, token):
        assert all(hidden not in text for text in texts)
        assert hidden.encode() not in kept
    assert sorted(held(Index(workspace, tmp_path / "index").view())) == ["config.py"]


def test_only_this_user_can_read_it(index: Index, tmp_path: Path) -> None:
    for file in (tmp_path / "index").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gbk.py", "def 连接():\n    return '中文注释'\n".encode("gbk")),
        ("latin.py", "def caf\xe9():\n    return 1\n".encode("latin-1")),
        ("utf16.py", "def wide():\n    return 1\n".encode("utf-16")),
        ("nul.py", b"def f():\n    return '\0'\n"),
        ("mac.py", b"def f():\r    return 1\r\rdef g():\r    return 2\r"),
        ("deep.py", b"(" * 20_000),
        ("cut.json", b'{"a": [1, 2, {"b": '),
        (
            "odd name \xf0\x9f\x98\x80 'quoted' \"twice\".py".encode("latin-1").decode("utf-8", "replace"),
            b"def odd():\n    pass\n",
        ),
        ("new\nline.py", b"def newline():\n    pass\n"),
    ],
)
def test_odd_files_do_no_harm(tmp_path: Path, name: str, data: bytes) -> None:
    workspace = write_tree(tmp_path / "shop", SHOP)
    (workspace / name).write_bytes(data)
    index = Index(workspace, tmp_path / "index")
    index.scan(HERE)
    assert set(SHOP) <= set(held(index.view()))
    assert found(index, "send_request")[0] == "app/session.py"
    index.close()


def test_a_workspace_that_moves_is_another_one(tmp_path: Path, workspace: Path) -> None:
    root = tmp_path / "indexes"
    assert folder_of(root, workspace) == folder_of(root, workspace / ".." / workspace.name)
    assert folder_of(root, workspace) != folder_of(root, tmp_path / "elsewhere" / workspace.name)
    assert folder_of(root, Path("/")).parent == root


def test_reading_does_not_wait_for_what_is_being_written(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.set_meta("color", "red")
    with store._transaction():
        store._writer.execute("UPDATE meta SET value = 'blue' WHERE key = 'color'")
        told: list[str] = []
        reader = threading.Thread(target=lambda: told.append(store.meta("color")))
        reader.start()
        reader.join(5)
        assert told == ["red"], "what was committed last"
    assert store.meta("color") == "blue"
    store.close()


def test_known_names_are_those_that_some_file_defines(index: Index) -> None:
    asked = {"send_request", "Store", "connect", "invented", "save"}
    assert index.known_names(asked) == {"send_request", "Store", "save"}
    assert index.mentioned_names(asked) == asked - {"invented"}
    index.overlay("app/new.py", "def invented():\n    pass\n", HERE)
    assert index.known_names(asked) == asked - {"connect"}
    assert index.known_names([]) == index.mentioned_names([]) == set()
