"""Alternatives, parts that are accepted, and suggestions that grow, with a server that does as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from neovim_editor import Editor

pytestmark = pytest.mark.neovim

# Suggests more to who asks than by itself, half of it first if it is let, and keeps what it is told.
CHOOSING_SERVER = """
function(dispatchers)
  local closing = false
  _G.executed = {}
  local function items(params)
    local texts = params.context.triggerKind == 1 and { 'one(1)', 'two(2)', 'three(3)' } or { 'one(1)' }
    return vim.tbl_map(function(text)
      local range = { start = params.position, ['end'] = params.position }
      local command = { title = '', command = 'midline.accepted', arguments = { text } }
      return { insertText = text, range = range, command = command }
    end, texts)
  end
  return {
    request = function(method, params, callback, notify)
      local function answer(result)
        vim.schedule(function() callback(nil, result) if notify then notify(1) end end)
      end
      if method == 'initialize' then
        local commands = { 'midline.accepted', 'midline.partlyAccepted' }
        local provided = { commands = commands }
        answer({ capabilities = { inlineCompletionProvider = true, executeCommandProvider = provided } })
      elseif method == 'textDocument/inlineCompletion' then
        if _G.paused then
          local where = { uri = params.textDocument.uri, position = params.position, version = 0, text = 'on' }
          vim.schedule(function() dispatchers.notification('midline/partial', where) end)
          _G.resume = function() answer({ items = items(params) }) end
        else
          answer({ items = params.position.line == 0 and items(params) or {} })
        end
      else
        table.insert(_G.executed, { params.command, params.arguments })
        answer(vim.NIL)
      end
      return true, 1
    end,
    notify = function() return true end,
    is_closing = function() return closing end,
    terminate = function() closing = true dispatchers.on_exit(0, 0) end,
  }
end
"""


@pytest.fixture
def chooser(start, tmp_path: Path) -> Editor:
    """An editor on the line ``x = `` with the server above."""
    file = tmp_path / "choices.py"
    file.write_text("x = \n")
    editor = start(file, setup=f"{{ cmd = {CHOOSING_SERVER} }}")
    editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the client")
    return editor


def test_alternatives_are_asked_for_and_gone_through(chooser: Editor) -> None:
    chooser.keys("A")
    assert chooser.await_ghost() == "one(1)"
    chooser.keys("<M-]>")
    chooser.wait(lambda: chooser.ghost == "two(2)", "the second")
    for key, text in (("<M-]>", "three(3)"), ("<M-]>", "one(1)"), ("<M-[>", "three(3)"), ("<M-[>", "two(2)")):
        chooser.keys(key)
        assert chooser.ghost == text
    chooser.keys("t")
    assert chooser.ghost == "wo(2)"
    chooser.lua("vim.wait(400)")
    assert chooser.ghost == "wo(2)"  # what was chosen stays
    chooser.keys("<M-]>")
    assert chooser.ghost == "hree(3)"  # of those that begin with what was typed
    chooser.keys("<Tab>")
    assert chooser.lines == ["x = three(3)"]
    chooser.wait(lambda: chooser.lua("return _G.executed") == [["midline.accepted", ["three(3)"]]], "the report")


def test_alternatives_are_asked_for_where_nothing_is_shown(chooser: Editor) -> None:
    chooser.keys("A")
    chooser.await_ghost()
    chooser.keys("<C-]>")
    assert chooser.ghost == ""
    chooser.keys("<M-[>")
    assert chooser.await_ghost() == "one(1)"
    chooser.keys("<M-[>")
    assert chooser.ghost == "three(3)"


def test_parts_that_are_accepted_are_reported(chooser: Editor) -> None:
    chooser.keys("A")
    chooser.await_ghost()
    chooser.keys("<M-Right><M-Right><Tab>")
    assert chooser.lines == ["x = one(1)"]
    told = [
        ["midline.partlyAccepted", ["one(1)", 3]],
        ["midline.partlyAccepted", ["one(1)", 1]],
        ["midline.accepted", ["one(1)"]],
    ]
    chooser.wait(lambda: chooser.lua("return _G.executed") == told, "the reports")


def test_a_suggestion_is_shown_while_it_grows(chooser: Editor) -> None:
    chooser.lua("_G.paused = true")
    chooser.keys("A")
    assert chooser.await_ghost() == "on"
    chooser.keys("o")
    assert chooser.ghost == "n"
    chooser.wait(lambda: chooser.lua("return _G.resume ~= nil"), "the request")
    chooser.keys("<BS>")
    chooser.wait(lambda: chooser.ghost == "on", "the beginning again")
    chooser.lua("_G.resume()")
    chooser.wait(lambda: chooser.ghost == "one(1)", "all of it")
