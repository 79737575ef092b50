"""Suggestions in real Neovims: one with inline completion built in, one that gets ghost text from the plugin."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest
from neovim_editor import CODE, MIDLINE, Editor, suggest

from lsp.completion.tally import FILE_NAME, read

pytestmark = [pytest.mark.neovim, pytest.mark.model]

OFF = f"{{ cmd = {{ '{MIDLINE}', 'serve' }}, enabled = false }}"


def body(ghost: str) -> list[str]:
    """The file's lines once ``ghost`` was accepted."""
    return [*CODE.splitlines()[:2], *("    " + ghost).split("\n")]


def run(lines: list[str]) -> list[int]:
    """What the function in ``lines`` computes."""
    names: dict = {}
    exec("\n".join(lines), names)
    return [names["absolute"](x) for x in (-2, 0, 3)]


def test_suggests_on_screen_without_touching_the_text(editor: Editor) -> None:
    ghost = suggest(editor)
    assert "return" in ghost
    for line in ghost.split("\n"):
        assert line in editor.screen
    assert editor.ghost_place == (3, 4)
    assert editor.lines == CODE.splitlines()


def test_suggests_to_somebody_who_waits_for_the_model(start, file: Path) -> None:
    editor = start(file)
    editor.keys("3GA")  # long before the server runs
    editor.await_ghost()


def test_tab_accepts_all_and_the_file_holds_it(editor: Editor, file: Path) -> None:
    accepted = editor.status()["completion"]["accepted"]
    ghost = suggest(editor)
    editor.keys("<Tab>")
    editor.wait(lambda: editor.lines != CODE.splitlines(), "the text to be inserted")
    assert editor.lines == body(ghost)
    assert editor.cursor == (len(editor.lines), len(editor.lines[-1]))
    assert editor.mode == "i"
    editor.keys("<Esc>:write<CR>")
    assert file.read_text().splitlines() == body(ghost)
    assert run(editor.lines) == [2, 0, 3]
    heard = editor.wait(lambda: editor.status()["completion"]["accepted"] - accepted, "the server to hear of it")
    assert heard == 1


def test_undo_takes_back_what_was_accepted_and_no_more(editor: Editor) -> None:
    editor.keys("3GAif")
    editor.await_ghost()
    editor.keys("<Tab>")
    editor.wait(lambda: editor.lines[2] != "    if", "the text to be inserted")
    editor.keys("<Esc>u")
    assert editor.lines[2:] == ["    if"]


def test_tab_is_tab_where_nothing_is_suggested(editor: Editor) -> None:
    editor.keys(":Midline disable<CR>")
    editor.keys("3GAa<Tab>b")
    assert editor.lines[2] == "    a   b"


def test_keys_do_what_the_user_mapped_where_nothing_is_suggested(start, file: Path) -> None:
    editor = start(file, setup=None)
    editor.nvim.command("inoremap <expr> <Tab> 'was' .. 'mapped'")
    editor.lua(f"require('midline').setup({OFF})")
    editor.lua(f"require('midline').setup({OFF})")
    editor.keys("3GA<Tab>")
    assert editor.lines[2] == "    wasmapped"


def test_tab_is_left_alone_while_the_popup_menu_is_open(editor: Editor) -> None:
    suggest(editor)
    editor.keys("<C-x><C-n>")
    editor.wait(lambda: editor.nvim.funcs.pumvisible(), "the popup menu")
    chosen = editor.lines[2]
    editor.keys("<Tab>")
    assert editor.lines[2:] == [chosen + " " * (4 - len(chosen) % 4)]


def test_accepts_a_word_at_a_time_and_keeps_the_rest(editor: Editor) -> None:
    ghost = suggest(editor)
    words = re.findall(r"\s*(?:\w+|[^\w\s]+)", ghost)
    with editor.server_paused():
        for taken in range(1, len(words)):
            editor.keys("<M-Right>")
            expected = "".join(words[:taken])
            assert editor.lines == body(expected)
            assert editor.ghost == ghost.removeprefix(expected)
            assert editor.ghost_place == editor.cursor
        editor.keys("<M-Right>")
        assert editor.lines == body(ghost)
        assert editor.ghost == ""


def test_accepts_a_line_at_a_time_and_keeps_the_rest(editor: Editor) -> None:
    ghost = suggest(editor)
    lines = ghost.split("\n")
    assert len(lines) > 2
    with editor.server_paused():
        for taken in (1, 2):
            editor.keys("<M-Down>")
            expected = "\n".join(lines[:taken])
            assert editor.lines == body(expected)
            assert editor.ghost == ghost.removeprefix(expected)
            assert lines[taken] in editor.screen
        editor.keys("<Tab>")
        assert editor.lines == body(ghost)


def test_dismiss_hides_and_asks_again_at_the_next_change(editor: Editor) -> None:
    ghost = suggest(editor)
    editor.keys("<C-]>")
    assert editor.ghost == ""
    editor.keys("<Left><Right>")
    before = editor.status()["completion"]["requests"]
    editor.keys("<Tab>")
    assert editor.lines[2] == "        "
    editor.keys("<BS>")
    editor.wait(lambda: editor.ghost == ghost, "the suggestion to come back")
    assert editor.status()["completion"]["requests"] > before


def test_typing_along_keeps_the_suggestion(editor: Editor) -> None:
    ghost = suggest(editor)
    with editor.server_paused():
        for typed in range(1, 5):
            editor.keys(ghost[typed - 1].replace("<", "<lt>"))
            assert editor.ghost == ghost[typed:]
            assert editor.ghost_place == editor.cursor
            assert ghost.split("\n")[0] in editor.screen
        # What was typed must not come twice.
        editor.keys("<Tab>")
        assert editor.lines == body(ghost)


def test_typing_the_line_break_along_keeps_the_suggestion(editor: Editor) -> None:
    ghost = suggest(editor)
    first, rest = ghost.split("\n", 1)
    with editor.server_paused():
        editor.keys(first.replace("<", "<lt>") + "<CR>")
        indent = len(editor.lines[-1])  # the editor's own indentation counts as typed
        assert editor.ghost == rest[indent:]
        editor.keys("<Tab>")
        assert editor.lines == body(ghost)


def test_keys_that_come_in_one_burst_insert_each_character_once(editor: Editor) -> None:
    ghost = suggest(editor)
    with editor.server_paused():
        editor.keys(ghost[:3] + "<Tab>")
        assert editor.lines == body(ghost)


def test_typing_something_else_hides_the_suggestion_at_once(editor: Editor) -> None:
    suggest(editor)
    with editor.server_paused():
        editor.keys("#")
        assert editor.ghost == ""
        editor.keys("<Tab>")
        assert editor.lines[2] == "    #   "


def test_late_answers_are_not_shown(editor: Editor) -> None:
    suggest(editor)
    editor.keys("<Esc>")
    shown = editor.status()["completion"]["shown"]
    sent = "return next(vim.lsp.get_clients({ name = 'midline' })[1].requests) ~= nil"
    with editor.server_paused():
        editor.keys("3GA")
        editor.wait(lambda: editor.lua(sent), "the request to be sent")
        editor.lua("require('midline.suggestion').enabled = false")  # no newer request, whose answer would hide it
        editor.keys("<Up>")
    editor.wait(lambda: not editor.lua(sent), "the answer")
    assert editor.ghost == ""
    assert editor.status()["completion"]["shown"] == shown + 1  # there was something to show


def test_leaving_insert_mode_or_the_line_clears(editor: Editor) -> None:
    suggest(editor)
    with editor.server_paused():
        editor.keys("<Up>")
        assert editor.ghost == ""
    editor.keys("<Esc>")
    suggest(editor)
    with editor.server_paused():
        editor.keys("<Esc>")
        assert editor.ghost == ""


def test_stays_right_where_characters_are_wide(editor: Editor) -> None:
    """Astral-plane and CJK characters before the cursor are one, two or four units long, as one counts."""
    editor.lua('vim.api.nvim_buf_set_lines(0, 1, -1, false, { [[    """斐波那契 🐇𝔽"""]], \'\' })')
    editor.keys("3GAname = '🐇𝔽斐' + str(n); return ")
    ghost = editor.await_ghost()
    line = editor.lines[2]
    assert editor.ghost_place == editor.cursor == (3, len(line.encode()))
    editor.keys("<Tab>")
    editor.wait(lambda: editor.lines[2:] == (line + ghost).split("\n"), "the text to be inserted")


def test_suggestions_go_before_what_stands_right_of_the_cursor(editor: Editor) -> None:
    lines = ["def area(width, height):", "    return width * height", "", "", "print(area(width=3))"]
    editor.nvim.current.buffer[:] = lines
    editor.keys("5G0f3a,")
    ghost = editor.await_ghost()
    editor.keys("<Tab>")
    editor.wait(lambda: editor.lines == [*lines[:4], f"print(area(width=3,{ghost}))"], "the text to be inserted")


# Answers any request for a completion of `call(🐇` with `a, b)`, which replaces the bracket right of the cursor.
REPLACING_SERVER = """
function(dispatchers)
  local closing = false
  local function answer(method, params)
    if method == 'initialize' then
      return { capabilities = { inlineCompletionProvider = true, positionEncoding = 'utf-16' } }
    elseif method == 'textDocument/inlineCompletion' then
      local start, stop = params.position, vim.deepcopy(params.position)
      stop.character = stop.character + 1
      local whole = start.character == #'call(' + 2
      return { items = whole and { { insertText = ', a)', range = { start = start, ['end'] = stop } } } or {} }
    end
  end
  return {
    request = function(method, params, callback, notify)
      vim.schedule(function() callback(nil, answer(method, params)) if notify then notify(1) end end)
      return true, 1
    end,
    notify = function() return true end,
    is_closing = function() return closing end,
    terminate = function() closing = true dispatchers.on_exit(0, 0) end,
  }
end
"""


def test_a_suggestion_may_replace_what_stands_right_of_the_cursor(start, file: Path) -> None:
    editor = start(file, setup=f"{{ cmd = {REPLACING_SERVER} }}")
    editor.nvim.current.buffer[:] = ["call()"]
    editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the client")
    for accept in ("<Tab>", ", <Tab>", "<M-Right><M-Right><M-Right>"):
        editor.keys("0f(a🐇")
        assert editor.await_ghost() == ", a)"
        editor.keys(accept)
        editor.wait(lambda: editor.lines == ["call(🐇, a)"], "the bracket to be replaced")
        assert editor.cursor == (1, len("call(🐇, a)".encode()))
        editor.nvim.current.buffer[:] = ["call()"]
        editor.keys("<Esc>")


def counted(home: Path) -> dict[str, float]:
    """What became of suggestions in Python, of all kinds."""
    counts: dict[str, float] = {}
    for name, value in read(home / "data" / FILE_NAME).items():
        if name.language == "python":
            counts[name.name] = counts.get(name.name, 0) + value
    return counts


@pytest.mark.parametrize("outcome", ["accepted", "partly", "typed", "rejected"])
def test_what_becomes_of_a_suggestion_is_counted(start, own_home: Path, tmp_path: Path, outcome: str) -> None:
    file = tmp_path / "absolute.py"
    file.write_text(CODE)
    editor = start(file)
    editor.await_engine()
    ghost = suggest(editor)
    first = ghost.split("\n")[0]
    editor.lua("vim.wait(400)")  # who has not seen it has not rejected it
    if outcome == "accepted":
        editor.keys("<Tab>")
    elif outcome == "partly":
        editor.keys("<M-Down>")
        editor.lua("vim.wait(300)")
        editor.keys(" #")
    elif outcome == "typed":
        for char in ghost:  # with the indentation that the editor adds by itself
            if editor.ghost.startswith(char):
                editor.keys({"\n": "<CR>", "<": "<lt>"}.get(char, char))
        assert editor.lines == body(ghost)
    else:
        editor.keys("#")
    editor.lua("vim.wait(300)")
    editor.keys("<Esc>:write<CR>")
    servers = editor.servers()
    editor.quit()
    psutil.wait_procs(servers, timeout=30)
    new = counted(own_home)
    others = {name for name in ("accepted", "partly", "typed") if new.get(name)}
    assert others == {outcome} - {"rejected"}  # what came after it may have been rejected
    assert new[outcome] >= 1
    if outcome == "accepted":
        assert new["characters"] == len(ghost)
        assert new["checked_saved"] == new["alive_saved"] == 1
    elif outcome == "partly":
        assert new["characters"] == len(first)
