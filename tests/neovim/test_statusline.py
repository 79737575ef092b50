"""What a status line shows of midline, with a server that says what a test tells it to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from neovim_editor import PLUGIN, ROOT, Editor
from scripted_server import Server

pytestmark = pytest.mark.neovim

STATUS = "return require('midline').status()"
COUNT_CHANGES = """
_G.changes = 0
vim.api.nvim_create_autocmd('User', {
  group = vim.api.nvim_create_augroup('test', {}),
  pattern = 'MidlineStatus',
  callback = function() _G.changes = _G.changes + 1 end,
})
"""


def told(state: str, index: dict[str, Any] | None = None, **engine: Any) -> dict[str, Any]:
    """What ``midline/statusChanged`` says."""
    return {"engine": {"state": state, **engine}, "index": index or {"state": "disabled"}}


@pytest.fixture
def server(scripted_editor: Editor, tmp_path: Path) -> Server:
    file = tmp_path / "absolute.py"
    file.write_text("x = 1\n")
    return Server(scripted_editor, file)


def say(server: Server, status: dict[str, Any]) -> str:
    """What is shown once the server has said ``status``."""
    server.notify("midline/statusChanged", status)
    return server.editor.lua(STATUS)


def test_every_state_is_told_in_few_words(server: Server) -> None:
    assert server.editor.lua(STATUS) == "loading"
    cause = "the engine did not start within a minute, and I have no idea why. Its log says more."
    shown = {
        "loading": told("starting", progress=0.0),
        "loading 40 %": told("starting", progress=0.404, detail="loading the model"),
        "ready": told("ready", progress=1.0),
        "writing…": told("busy", progress=1.0),
        "loading 5 %": told("restarting", progress=0.05),
        "failed": told("failed", detail=None),
        "failed: the engine died": told("failed", detail="the engine died: killed by signal 9", cure="x"),
        "failed: the engine did not start within a minut…": told("failed", detail=cause),
        "off: no model is installed": told("disabled", detail="no model is installed."),
    }
    assert {text: say(server, status) for text, status in shown.items()} == {text: text for text in shown}


def test_indexing_is_a_share_of_what_was_to_come_at_most(server: Server) -> None:
    shown = [
        say(server, told("ready", {"state": state, "pending": pending}))
        for state, pending in [("busy", 200), ("busy", 400), ("busy", 300), ("busy", 1), ("ready", 0), ("busy", 2)]
    ]
    assert shown == ["indexing", "indexing", "indexing 25 %", "indexing 99 %", "ready", "indexing"]


def test_off_is_told_for_all_and_for_a_buffer(server: Server, tmp_path: Path) -> None:
    editor = server.editor
    say(server, told("ready"))
    editor.keys(":Midline disable<CR>")
    assert editor.lua(STATUS) == "off"
    editor.keys(":Midline enable<CR>")
    assert editor.lua(STATUS) == "ready"
    first = editor.nvim.current.buffer.number
    editor.nvim.command(f"edit {tmp_path / 'git-rebase-todo'} | setfiletype gitrebase")
    assert editor.lua(STATUS) == "off here"
    assert editor.lua("return require('midline').status(...)", first) == "ready"
    for special in ("enew | setlocal buftype=nofile", "help lsp"):
        editor.nvim.command(special)
        assert editor.lua(STATUS) == ""


def test_changes_are_announced_once_and_drawing_asks_the_server_nothing(server: Server) -> None:
    editor = server.editor
    say(server, told("ready"))
    editor.lua(COUNT_CHANGES)
    for _ in range(3):
        say(server, told("busy"))
        _ = editor.screen
    assert editor.lua("return _G.changes") == 1
    say(server, told("ready", rss_bytes=1))
    say(server, told("ready", rss_bytes=2))
    editor.keys(":Midline disable<CR>:Midline enable<CR>")
    assert editor.lua("return _G.changes") == 4
    assert editor.lua("return #_G.asked") == 0


def test_the_recipe_shows_it_and_nothing_where_it_is_empty(server: Server) -> None:
    editor = server.editor
    (recipe,) = re.findall(r"^ +(set statusline=.*)$", (PLUGIN / "doc" / "midline.txt").read_text(), re.MULTILINE)
    assert recipe in (ROOT / "README.md").read_text()
    before = editor.nvim.options["statusline"]
    try:
        editor.nvim.command(recipe)
        editor.nvim.command("set laststatus=2")
        say(server, told("starting", progress=0.4))
        assert "midline: loading 40 % 1:1" in editor.screen
        say(server, told("ready"))
        assert "midline: ready 1:1" in editor.screen
        editor.nvim.command("enew | setlocal buftype=nofile")
        assert "midline:" not in editor.screen
    finally:
        editor.nvim.options["statusline"] = before


def test_a_missing_program_and_a_server_that_ended_are_failures(start, tmp_path: Path) -> None:
    file = tmp_path / "absolute.py"
    file.write_text("x = 1\n")
    missing = start(file, setup="{ cmd = { 'no-such-midline', 'serve' } }")
    assert missing.lua(STATUS) == "failed: can't find the program `no-such-midline`"
    ending = start(file, setup="{ cmd = { 'sh', '-c', 'exit 3', 'serve' } }")
    ending.wait(lambda: ending.lua(STATUS) == "failed: the server has ended", "the end of the server")


def test_lualine_shows_it(start, tmp_path: Path) -> None:
    plugins = os.environ.get("MIDLINE_NVIM_PLUGINS")
    if not plugins:
        pytest.skip("MIDLINE_NVIM_PLUGINS names no folder with checkouts of Neovim plugins")
    editor = start(tmp_path / "absolute.py", setup=None)
    editor.nvim.command(f"set runtimepath+={plugins}/lualine.nvim")
    editor.lua("require('midline').status = function() return 'loading 40 %' end")
    sections = "{ lualine_x = { { require('midline.lualine'), icon = 'midline' } } }"
    editor.lua(f"require('lualine').setup({{ sections = {sections} }})")
    editor.wait(lambda: "midline loading 40 % " in editor.screen, "lualine")
    editor.lua("require('midline').status = function() return '' end")
    editor.wait(lambda: "midline" not in editor.screen, "lualine to hide it")
