"""The sources of blink.cmp and nvim-cmp, asked as these plugins ask, and in the plugins themselves where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import SETUP
from neovim_editor import Editor

pytestmark = [pytest.mark.neovim, pytest.mark.model]

# The line before the cursor has wide characters, and a word that the item stands in for.
LINE = "name = '🐇𝔽斐' + str(n); ret"

ASK = {
    "blink": """
local source = require('midline.blink').new({}, {})
_G.source = source
if not source:enabled() then return end
source:get_completions({}, function(response)
  assert(response.is_incomplete_forward and response.is_incomplete_backward)
  _G.found = response.items
end)
""",
    "cmp": """
local source = require('midline.cmp').new()
_G.source = source
_G.encoding = source:get_position_encoding_kind()
if not source:is_available() then return end
source:complete({}, function(response)
  assert(response.isIncomplete)
  _G.found = response.items
end)
""",
}
TAKE = """
local name = ...
local item = _G.found[1]
local encoding = _G.encoding or vim.lsp.get_client_by_id(item.client_id).offset_encoding
local function insert() vim.lsp.util.apply_text_edits({ item.textEdit }, vim.api.nvim_get_current_buf(), encoding) end
local function done() _G.done = true end
if name == 'blink' then
  _G.source:execute({}, item, done, insert)
else
  insert()
  _G.source:execute(item, done)
end
"""
BLINK = """
require('blink.cmp').setup({
  fuzzy = { implementation = 'lua' },
  keymap = { preset = 'none', ['<C-y>'] = { 'select_and_accept' } },
  cmdline = { enabled = false },
  sources = {
    default = { 'midline' },
    providers = { midline = { name = 'midline', module = 'midline.blink', async = true } },
  },
})
"""
CMP = """
require('midline.cmp').register()
local cmp = require('cmp')
cmp.setup({
  snippet = { expand = function(args) vim.snippet.expand(args.body) end },
  mapping = { ['<C-y>'] = cmp.mapping.confirm({ select = true }) },
  sources = { { name = 'midline' } },
})
"""


@pytest.fixture
def editor(start, file: Path) -> Editor:
    """An editor that has the suggestion nowhere but in a menu."""
    editor = start(file, setup=SETUP.replace("{", "{ ghost_text = false,", 1))
    editor.await_engine()
    return editor


def accepted(editor: Editor) -> int:
    return editor.status()["completion"]["accepted"]


@pytest.mark.parametrize("name", ["blink", "cmp"])
def test_a_source_gives_the_suggestion_and_reports_what_was_accepted(editor: Editor, name: str) -> None:
    before = accepted(editor)
    editor.keys(f"3GA{LINE}")
    editor.lua(ASK[name])
    (item,) = editor.wait(lambda: editor.lua("return _G.found"), "the item")
    text = editor.status()["last_completion"]["text"]
    assert item["textEdit"]["newText"] == f"ret{text}"
    assert item["filterText"] == item["label"] == f"ret{text}".split("\n")[0].strip()
    assert text in item["documentation"]["value"]
    assert item["insertTextFormat"] == 1
    editor.lua(TAKE, name)
    assert editor.lines[2:] == f"    {LINE}{text}".split("\n")
    editor.wait(lambda: accepted(editor) == before + 1, "the server to hear of it")
    assert editor.lua("return _G.done")
    assert editor.ghost == ""
    editor.keys("<Esc>:Midline disable<CR>")
    editor.lua("_G.found = nil")
    editor.lua(ASK[name])
    assert editor.lua("return _G.found") is None


@pytest.mark.parametrize(
    ("plugin", "setup", "visible"),
    [
        ("blink.cmp", BLINK, "return require('blink.cmp').is_visible()"),
        ("nvim-cmp", CMP, "return require('cmp').visible()"),
    ],
)
def test_the_plugin_itself_shows_and_inserts_it(start, file: Path, plugin: str, setup: str, visible: str) -> None:
    plugins = os.environ.get("MIDLINE_NVIM_PLUGINS")
    if not plugins:
        pytest.skip("MIDLINE_NVIM_PLUGINS names no folder with checkouts of Neovim plugins")
    path = f"vim.opt.runtimepath:append('{plugins}/{plugin}')"
    editor = start(file, setup=SETUP.replace("{", "{ ghost_text = false,", 1), before=path)
    editor.lua(setup)
    editor.await_engine()
    before = accepted(editor)
    editor.keys("3GA")  # nvim-cmp asks for nothing in one burst
    editor.keys("i")
    editor.wait(lambda: editor.lua(visible), "the menu")
    editor.keys("f")
    editor.wait(lambda: editor.lua(visible) and editor.status()["last_completion"]["text"], "the menu")
    text = editor.status()["last_completion"]["text"]
    first = f"if{text}".split("\n")[0].strip()
    editor.wait(lambda: first in editor.screen, "the item")
    editor.keys("<C-y>")
    expected = f"    if{text}".split("\n")
    editor.wait(lambda: editor.lines[2:] == expected, f"the text to be inserted: {expected}")
    editor.wait(lambda: accepted(editor) == before + 1, "the server to hear of it")
