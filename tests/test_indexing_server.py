"""The index as an editor and a terminal meet it: in the status, while files change, and by two commands."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from indexer_support import write_tree
from lsp_support import DEADLINE, MIDLINE, Editor, editing, until
from lsprotocol import types

TREE = {
    "app/session.py": 'def send_request(url):\n    """Send a request to a server."""\n    return connect(url)\n',
    "app/store.py": "class Store:\n    def save(self, row):\n        self.check(row)\n        return self.write(row)\n",
    "build/out.py": "made = 1\n",
    ".gitignore": "build/\n",
    ".env": "PASSWORD=hunter22hunter22\n",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "shop", TREE)


def midline(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MIDLINE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        env=os.environ | {"MIDLINE_HOME": str(home)},
    )


def result(home: Path, *arguments: object) -> Any:
    done = midline(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- the terminal ----------------------------------------------------------------------------------------------------


def test_index_tells_what_it_holds(empty_home: Path, workspace: Path) -> None:
    told = result(empty_home, "index", workspace)
    assert told.keys() >= {"files", "chunks", "skipped", "seconds", "bytes", "languages"}
    assert (told["files"], told["languages"]["python"], told["changed"]) == (3, 2, 3)
    assert result(empty_home, "index", workspace)["changed"] == 0
    assert result(empty_home, "index", workspace, "--rebuild")["changed"] == 3
    assert "3 files in" in midline(empty_home, "index", workspace).stdout


def test_search_finds_what_changed_since(empty_home: Path, workspace: Path) -> None:
    first = result(empty_home, "search", "where are requests sent?", workspace)[0]
    assert first.keys() >= {"path", "start_line", "end_line", "symbol", "kind", "score", "text"}
    assert (first["path"], first["start_line"], first["symbol"]) == ("app/session.py", 1, "send_request")
    write_tree(workspace, {"app/mail.py": "def deliver_letter(to):\n    post = to\n    return post\n"})
    assert [hit["path"] for hit in result(empty_home, "search", "deliver_letter", workspace, "-k", 1)] == [
        "app/mail.py"
    ]
    shown = midline(empty_home, "search", "deliver_letter", workspace).stdout
    assert "app/mail.py:1-3  deliver_letter" in shown
    assert "return post" in shown


def test_search_that_finds_nothing(empty_home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert result(empty_home, "search", "anything", tmp_path / "empty") == []
    done = midline(empty_home, "search", "anything", tmp_path / "empty")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing was found" in done.stderr


@pytest.mark.parametrize("command", [["index"], ["search", "x"]])
def test_a_folder_that_is_not_there(empty_home: Path, tmp_path: Path, command: list[str]) -> None:
    done = midline(empty_home, *command, tmp_path / "nowhere")
    assert done.returncode == 1
    assert "There is no folder" in done.stderr


@pytest.mark.parametrize(
    ("file", "included", "reason"),
    [
        ("app/session.py", True, ""),
        ("build/out.py", False, ".gitignore"),
        (".env", False, "secret"),
        ("nowhere.py", False, ""),
    ],
)
def test_why_a_file_is_in_or_out(empty_home: Path, workspace: Path, file: str, included: bool, reason: str) -> None:
    told = result(empty_home, "index", workspace, "--explain", workspace / file)
    assert told["included"] is included
    assert reason in told["reason"]
    assert ("in" if included else "out") in midline(
        empty_home, "index", workspace, "--explain", workspace / file
    ).stdout


def test_what_is_redacted_is_told_without_the_secret(empty_home: Path, workspace: Path) -> None:
    secret = "hT7" + "xQ2pL9vB" * 3
    write_tree(workspace, {"app/conf.py": f'\n\nPASSWORD = "{secret}"\n'})
    done = midline(empty_home, "index", workspace, "--explain", workspace / "app/conf.py")
    assert "line 3" in done.stdout
    assert secret not in done.stdout
    hits = midline(empty_home, "search", "PASSWORD", workspace, "--json").stdout
    assert "app/conf.py" in hits
    assert secret not in hits


# -- the editor ------------------------------------------------------------------------------------------------------


async def until_index(editor: Editor, **wanted: object) -> dict[str, Any]:
    """Wait until the latest status' index is as wanted."""

    def index() -> dict[str, Any]:
        return editor.states[-1]["index"] if editor.states else {}

    await until(lambda: index().items() >= wanted.items(), lambda: f"{wanted}; is {index()}")
    return index()


async def test_the_status_follows_the_folder(empty_home: Path, workspace: Path) -> None:
    async with editing(empty_home, root=workspace) as editor:
        index = await until_index(editor, state="ready", files=3, pending=0)
        assert index["chunks"] >= 3
        assert (await editor.status())["index"] == index
        write_tree(workspace, {"app/mail.py": "def deliver_letter(to):\n    return to\n"})
        await until_index(editor, state="ready", files=4)
        # Another process reads what this one keeps.
        assert result(empty_home, "search", "deliver_letter", workspace)[0]["path"] == "app/mail.py"
        (workspace / "app/mail.py").unlink()
        await until_index(editor, state="ready", files=3)


async def test_settings_switch_it_off_and_on(empty_home: Path, workspace: Path) -> None:
    async with editing(empty_home, root=workspace, options={"index.enabled": False}) as editor:
        assert (await editor.status())["index"]["state"] == "disabled"
        editor.configure({"midline": {"index": {"enabled": True, "exclude": ["*.md", "store.py"]}}})
        await until_index(editor, state="ready", files=2)
        editor.configure({"midline": {"index": {"enabled": False}}})
        await until_index(editor, state="disabled", detail="index.enabled is false")


async def test_an_index_that_is_opened_anew_is_kept_fresh_as_before(empty_home: Path, workspace: Path) -> None:
    async with editing(empty_home, root=workspace) as editor:
        await until_index(editor, state="ready", files=3)
        for excluded, files in (("*.md", 3), ("store.py", 2), ("session.py", 2)):
            editor.configure({"midline": {"index": {"exclude": [excluded]}}})
            await until_index(editor, state="ready", files=files)
        write_tree(workspace, {"app/mail.py": "def deliver_letter(to):\n    return to\n"})
        await until_index(editor, state="ready", files=3)
        refused = midline(empty_home, "index", workspace, "--rebuild")
        assert refused.returncode == 1
        assert "can't be made anew while another process keeps it fresh" in refused.stderr


async def test_an_editor_without_a_folder_has_no_index(empty_home: Path) -> None:
    async with editing(empty_home) as editor:
        await until_index(editor, state="disabled", detail="the editor has no folder open")


async def test_an_index_that_cannot_be_kept_is_one_message(empty_home: Path, workspace: Path) -> None:
    cache = empty_home / "cache"
    cache.mkdir(exist_ok=True)
    (cache / "index").write_text("in the way")
    async with editing(empty_home, root=workspace) as editor:
        await until_index(editor, state="failed")
        await until(lambda: any("index" in said for said in editor.said), lambda: str(editor.said))


async def test_a_large_scan_shows_progress(empty_home: Path, tmp_path: Path) -> None:
    files = {f"p{n % 9}/m{n}.py": f"def function_{n}(a):\n    return a + {n}\n" for n in range(400)}
    workspace = write_tree(tmp_path / "many", files)
    async with editing(empty_home, root=workspace) as editor:
        await until_index(editor, state="ready", files=400)
        reports = [report for reports in editor.progress_reports.values() for report in reports]
        messages = [report.message or "" for report in reports if not isinstance(report, types.WorkDoneProgressEnd)]
        assert any(message.startswith("indexing ") for message in messages)
        ends = [report.message for report in reports if isinstance(report, types.WorkDoneProgressEnd)]
        assert "400 files indexed" in ends
