"""Neovim without the plugin: suggestions stand in its own completion menu."""

from __future__ import annotations

from pathlib import Path

import pytest
from neovim_editor import CODE, MIDLINE, Editor

pytestmark = [pytest.mark.neovim, pytest.mark.model]

# What a user's configuration has for any server; 0.12 announces inline completion, which this user has no use for.
CLIENT = """
vim.o.completeopt = 'menuone,noselect,popup'
vim.lsp.config('midline', {
  cmd = { %s, 'serve' },
  filetypes = { 'python' },
  init_options = { midline = { completion = { menu = 'always', menu_wait_ms = 60000 } } },
  on_attach = function(client, buf)
    vim.lsp.completion.enable(true, client.id, buf, { autotrigger = true })
  end,
})
vim.lsp.enable('midline')
"""


@pytest.fixture
def editor(start, file: Path) -> Editor:
    editor = start(setup=None)
    editor.lua(CLIENT % repr(str(MIDLINE)))
    editor.nvim.command(f"edit {file}")
    editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the client")
    editor.wait(lambda: editor.status()["engine"]["state"] == "ready", "the engine")
    return editor


def items(editor: Editor) -> list[dict]:
    """What the menu shows."""
    return editor.nvim.funcs.complete_info(["items"])["items"] if editor.nvim.funcs.pumvisible() else []


def result(editor: Editor) -> list[int]:
    names: dict = {}
    exec("\n".join(editor.lines), names)
    return [names["absolute"](x) for x in (-2, 0, 3)]


def test_a_letter_that_is_typed_on_keeps_the_item_and_accepting_it_inserts_all(editor: Editor) -> None:
    editor.keys("3GAif ")  # the space asks
    (item,) = editor.wait(lambda: items(editor), "the menu")
    assert item["menu"] == "midline"
    whole = editor.status()["last_completion"]["text"]
    assert whole.strip() in item["info"] and "```python" in item["info"]
    assert whole.startswith("x")
    editor.keys("x")
    (item,) = editor.wait(lambda: items(editor), "the menu again")
    editor.keys("<C-n><C-y>")
    expected = [*CODE.splitlines()[:2], *f"    if {whole}".split("\n")]
    editor.wait(lambda: editor.lines == expected, f"the text to be inserted: {expected}, {editor.lines}")
    assert result(editor) == [2, 0, 3]
    editor.wait(lambda: editor.status()["completion"]["accepted"] == 1, "the server to hear of it")


def test_nothing_pops_up_on_an_empty_line_until_it_is_called_for(editor: Editor) -> None:
    before = editor.status()["completion"]["requests"]
    editor.keys("3GA ")
    editor.lua("vim.wait(300)")
    assert editor.status()["completion"]["requests"] == before
    editor.keys("<BS><C-x><C-o>")
    (item,) = editor.wait(lambda: items(editor), "the menu")
    assert item["menu"] == "midline"
