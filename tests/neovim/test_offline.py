"""Suggestions in a Neovim that has no network but loopback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from neovim_editor import Editor

pytestmark = [pytest.mark.neovim, pytest.mark.model]

# A new network namespace has nothing but loopback, and that is down.
WORDS = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
# TEST-NET-1 is nobody's address: with a network it times out, without one it can't be reached.
CONNECT = """
local socket, result = vim.uv.new_tcp(), nil
socket:connect('192.0.2.1', 80, function(err) result = err or 'connected' end)
vim.wait(1000, function() return result ~= nil end)
socket:close()
return result or 'on its way'
"""


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


def test_suggests_and_accepts_without_a_network(start, offline: list[str], own_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "absolute.py"
    file.write_text('def absolute(x):\n    """Return x without its sign, by an if and two returns."""\n    \n')
    editor: Editor = start(file, words=offline)
    assert editor.lua("return vim.tbl_keys(vim.uv.interface_addresses())") == ["lo"]
    assert editor.lua(CONNECT).startswith("ENETUNREACH")
    editor.keys("3GA")
    ghost = editor.await_ghost()
    editor.keys("<Tab>")
    editor.wait(lambda: editor.lines[2:] == f"    {ghost}".split("\n"), "the text to be inserted")
    editor.keys("<Esc>:write<CR>")
    names: dict = {}
    exec(file.read_text(), names)
    assert [names["absolute"](x) for x in (-2, 0, 3)] == [2, 0, 3]
