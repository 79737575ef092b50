"""Suggestions in a Neovim that has no network but loopback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from neovim_editor import Editor

pytestmark = [pytest.mark.neovim, pytest.mark.model]

# A new network namespace has nothing but loopback, and that is down.
WORDS = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


@pytest.fixture
def offline() -> list[str]:
    """The words before a command that leave it no network."""
    try:
        done = subprocess.run([*WORDS, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no network can be taken away here: {error}")
    if done.returncode:
        pytest.skip(f"no network can be taken away here: {done.stderr.strip()}")
    return WORDS


def network_of(process: int) -> str:
    """The network namespace that a process is in."""
    return str(Path(f"/proc/{process}/ns/net").readlink())


def test_suggests_and_accepts_without_a_network(start, offline: list[str], own_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "absolute.py"
    file.write_text('def absolute(x):\n    """Return x without its sign, by an if and two returns."""\n    \n')
    editor: Editor = start(file, words=offline)
    assert editor.lua("return vim.tbl_keys(vim.uv.interface_addresses())") == ["lo"]
    editor.keys("3GA")
    ghost = editor.await_ghost()
    (server,) = editor.servers()
    processes = (editor.process.pid, server.pid, editor.status()["engine"]["pid"])
    assert network_of(os.getpid()) not in {network_of(process) for process in processes}
    editor.keys("<Tab>")
    editor.wait(lambda: editor.lines[2:] == f"    {ghost}".split("\n"), "the text to be inserted")
    editor.keys("<Esc>:write<CR>")
    names: dict = {}
    exec(file.read_text(), names)
    assert [names["absolute"](x) for x in (-2, 0, 3)] == [2, 0, 3]
