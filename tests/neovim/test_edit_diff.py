"""Edits as they are shown in a buffer, accepted and rejected, with a server that answers as it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from neovim_editor import Editor
from scripted_server import Server

pytestmark = pytest.mark.neovim

LINES = ["def area(w, h):", "    # product", "    return w * h", "", "", "def double(x):", "    return x * 2"]
AFTER = [
    '"""Sizes."""',
    "",
    "def area(w, h):",
    "    return h * w",
    "",
    "",
    "def double(x):",
    "    return x + x",
]


@pytest.fixture
def editor(scripted_editor: Editor) -> Editor:
    return scripted_editor


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "work" / "sizes.py"
    (file.parent / ".git").mkdir(parents=True)
    file.write_text("\n".join(LINES) + "\n")
    return file


@pytest.fixture
def server(editor: Editor, file: Path) -> Server:
    return Server(editor, file)


def hunk(first: int, stop: int, old: list[str], new: list[str]) -> dict[str, Any]:
    """Lines from 0, the last one excluded."""
    start, end = {"line": first, "character": 0}, {"line": stop, "character": 0}
    texts = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    return {"range": {"start": start, "end": end}} | dict(zip(("old_text", "new_text"), texts, strict=True))


HUNKS = [
    hunk(0, 0, [], AFTER[:2]),
    hunk(1, 3, LINES[1:3], AFTER[3:4]),
    hunk(6, 7, LINES[6:], AFTER[7:]),
]


def propose(editor: Editor, server: Server, hunks: list[dict[str, Any]], **more: Any) -> None:
    """Ask for an edit of the whole file, and have it answered."""
    editor.keys("<Esc>:%Midline edit do it<CR>")
    server.asked("midline/edit")
    answer = {
        "hunks": hunks,
        "uri": editor.lua("return vim.uri_from_bufnr(0)"),
        "version": editor.lua("return vim.lsp.util.buf_versions[vim.api.nvim_get_current_buf()]"),
        "command": "edit",
        "model": "scripted",
        "attempts": 1,
        "reason": "eog",
        "tokens_evaluated": 100,
        "tokens_reused": 0,
        "tokens_generated": 40,
        "ms": {"total": 3000.0, "generate": 2000.0},
    }
    server.answer(answer | more)


def shown(editor: Editor) -> list[str]:
    """The virtual lines of the proposal."""
    return editor.lua("""
        local found = {}
        local ns = vim.api.nvim_get_namespaces()['midline.edit']
        for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, ns, 0, -1, { details = true })) do
          for _, line in ipairs(mark[4].virt_lines or {}) do
            table.insert(found, (line[1][1]:gsub('%s+$', '')))
          end
        end
        return found
    """)


def keys_of(editor: Editor) -> set[str]:
    return {one["lhs"] for one in editor.nvim.current.buffer.api.get_keymap("n") if "midline" in one.get("desc", "")}


def test_progress_is_shown_at_the_place_and_stopped(editor: Editor, server: Server) -> None:
    editor.keys("2GVj:Midline edit shorter<CR>")
    params = server.asked("midline/edit")
    assert (params["command"], params["message"]) == ("edit", "shorter")
    assert params["selection"] == {"start": {"line": 1, "character": 0}, "end": {"line": 3, "character": 0}}
    editor.wait(lambda: "# product   midline: reading" in editor.screen, "the progress")
    server.tell({"kind": "attempt", "number": 2}, {"kind": "edit", "text": "a\nb\n"})
    editor.keys("ggOx<Esc>")
    assert "again" in editor.screen.split("\n")[2] and "(2 lines)" in editor.screen.split("\n")[2]
    editor.keys(":Midline edit more<CR>")
    assert "is being written" in editor.messages[-1]
    editor.keys("<C-c>")
    editor.wait(lambda: "nothing was changed" in editor.messages[-1], "the end")
    assert editor.lines == ["x", *LINES]
    assert "midline:" not in editor.screen.split("\n")[2]
    assert not keys_of(editor)


def test_hunks_are_accepted_one_by_one_and_undone_one_by_one(editor: Editor, server: Server, file: Path) -> None:
    propose(editor, server, HUNKS)
    assert editor.lines == LINES
    screen = editor.screen
    assert all(line in screen for line in AFTER if line)
    assert screen.index('"""Sizes') < screen.index("def area") < screen.index("# product") < screen.index("h * w")
    assert sum("midline 1/3: do accepts" in line for line in shown(editor)) == 1
    editor.keys("2G]c")
    assert editor.cursor[0] == 7
    editor.keys("do")
    assert editor.lines == [*LINES[:6], AFTER[7]]
    assert editor.cursor[0] == 2  # at the one that is next to be decided on
    editor.keys("do")
    assert editor.lines == [LINES[0], *AFTER[3:]]
    editor.keys("do")
    assert editor.lines == AFTER
    assert not shown(editor) and not keys_of(editor)
    assert editor.messages[-1] == "midline: 3 of 3 hunk(s) accepted."
    editor.keys("u")
    assert editor.lines == AFTER[2:]
    editor.keys("u")
    assert editor.lines == [*LINES[:6], AFTER[7]]
    editor.keys("u")
    assert editor.lines == LINES
    editor.keys("3<C-r>:write<CR>")
    assert file.read_text().splitlines() == AFTER


def test_rejected_hunks_change_nothing(editor: Editor, server: Server) -> None:
    editor.nvim.command("nnoremap <buffer> dp :echo 'mine'<CR>")
    propose(editor, server, HUNKS)
    editor.keys("Gdp")
    assert len([line for line in shown(editor) if "midline" in line]) == 2
    editor.keys("dP")
    assert editor.lines == LINES and not editor.nvim.current.buffer.options["modified"]
    assert not shown(editor)
    assert editor.messages[-1] == "midline: 0 of 3 hunk(s) accepted."
    assert editor.nvim.funcs.maparg("dp", "n") == ":echo 'mine'<CR>"  # what the key was before


def test_a_reloaded_file_shows_no_edit_any_more(editor: Editor, server: Server) -> None:
    propose(editor, server, HUNKS)
    editor.keys(":edit!<CR>")
    assert not shown(editor) and not keys_of(editor)
    editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the client")
    propose(editor, server, HUNKS)
    editor.keys("dO")
    assert editor.lines == AFTER


def test_all_are_accepted_at_once(editor: Editor, server: Server) -> None:
    propose(editor, server, HUNKS)
    editor.keys("dO")
    assert editor.lines == AFTER
    editor.keys("u")
    assert editor.lines == LINES


def test_hunks_move_with_the_text_and_go_when_their_lines_are_touched(editor: Editor, server: Server) -> None:
    propose(editor, server, HUNKS[1:])
    editor.keys("5GOy = 1<CR>z = 2<Esc>ggO# top<Esc>")
    assert len([line for line in shown(editor) if "midline" in line]) == 2
    editor.keys("3GAs<Esc>")
    assert "the lines at 3 have been changed" in editor.messages[-1]
    editor.keys("do")
    assert editor.lines == ["# top", LINES[0], "    # products", *LINES[2:4], "y = 1", "z = 2", *LINES[4:6], AFTER[7]]


def test_nothing_is_inserted_where_the_text_around_has_gone(editor: Editor, server: Server) -> None:
    propose(editor, server, [hunk(3, 3, [], ["x = 1"]), hunk(6, 7, LINES[6:], AFTER[7:8])])
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, -1, false, { '', '', 'def f(): pass', '' })")  # as formatters do
    editor.keys("ix<BS><Esc>")
    assert "have been changed" in " ".join(editor.messages)
    assert not shown(editor)
    assert editor.lines == ["", "", "def f(): pass", ""]


def test_an_edit_of_another_text_is_not_shown(editor: Editor, server: Server) -> None:
    version = editor.lua("return vim.lsp.util.buf_versions[vim.api.nvim_get_current_buf()]")
    propose(editor, server, HUNKS, version=version - 1)
    assert "has changed" in editor.messages[-1]
    propose(editor, server, [hunk(1, 2, ["    # other"], [])])
    assert "not the one" in editor.messages[-1]
    assert not shown(editor) and editor.lines == LINES
    editor.keys(":Midline edit again<CR>")
    server.asked("midline/edit")
    server.refuse("The new lines don't parse. Ask for less.")
    assert editor.messages[-1] == "midline: The new lines don't parse. Ask for less."


@pytest.mark.parametrize("accept", [True, False])
def test_a_new_file_is_made_only_when_it_was_accepted(editor: Editor, server: Server, file: Path, accept: bool) -> None:
    tests = file.parent / "tests" / "test sizes.py"
    new = ["def test_double():", "    assert double(2) == 4"]
    propose(editor, server, [hunk(0, 0, [], new)], uri=tests.as_uri(), version=None, command="tests")
    assert editor.nvim.current.buffer.name == str(tests)
    assert new[0] in editor.screen and not tests.exists()
    editor.keys("do" if accept else "dp")
    if accept:
        assert tests.read_text() == "\n".join(new) + "\n"
    else:
        assert not tests.parent.exists()
        assert editor.nvim.current.buffer.name == str(file)
        assert editor.lua("return #vim.api.nvim_tabpage_list_wins(0)") == 1


def test_what_the_user_wrote_in_a_new_file_outlives_a_rejection(editor: Editor, server: Server, file: Path) -> None:
    tests = file.parent / "test_sizes.py"
    propose(editor, server, [hunk(0, 0, [], ["x = 1"])], uri=tests.as_uri(), version=None, command="tests")
    editor.keys("imine<Esc>")
    assert "have been changed" in " ".join(editor.messages)
    assert editor.lines == ["mine"] and editor.nvim.current.buffer.name == str(tests)


def test_more_is_added_to_another_file(editor: Editor, server: Server, file: Path) -> None:
    tests = file.parent / "test_sizes.py"
    tests.write_text("def test_area():\n    pass\n")
    new = ["", "", "def test_double():", "    pass"]
    propose(editor, server, [hunk(2, 2, [], new)], uri=tests.as_uri(), version=None, command="tests")
    editor.keys("do:write<CR>")
    assert tests.read_text() == "def test_area():\n    pass\n\n\ndef test_double():\n    pass\n"
    assert editor.lua("return #vim.api.nvim_tabpage_list_wins(0)") == 2


def test_dos_line_ends_stay(editor: Editor, server: Server, file: Path) -> None:
    file.write_bytes(b"a = 1\r\nb = 2\r\n")
    editor.nvim.command("edit!")
    editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the client")
    told = hunk(1, 2, ["b = 2"], ["b = 3", "c = 4"])
    for name in ("old_text", "new_text"):
        told[name] = told[name].replace("\n", "\r\n")
    propose(editor, server, [told])
    editor.keys("do:write<CR>")
    assert file.read_bytes() == b"a = 1\r\nb = 3\r\nc = 4\r\n"


def test_code_actions_of_the_server_open_what_this_editor_has_for_them(editor: Editor, server: Server) -> None:
    assert editor.lua("return _G.capabilities.experimental.midline.askEdit")
    editor.lua("""
        local one = { lnum = 2, col = 11, end_lnum = 2, end_col = 12, message = 'undefined w', severity = 1 }
        vim.diagnostic.set(vim.api.nvim_create_namespace('tool'), 0, { one })
        vim.ui.select = function(items, opts, on_choice)
          for _, item in ipairs(items) do
            if opts.format_item(item):find(_G.wanted, 1, true) then return on_choice(item) end
          end
        end
        vim.ui.input = function(_, on_confirm) on_confirm('be brief') end
    """)
    uri = editor.lua("return vim.uri_from_bufnr(0)")
    named = {"uri": uri, "version": editor.lua("return vim.lsp.util.buf_versions[vim.api.nvim_get_current_buf()]")}
    where = {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 4}}
    given = {"textDocument": named, "selection": where}
    actions = [
        ("Explain", "midline.explain", given, "midline/chat", {"command": "explain"}),
        ("Edit", "midline.askEdit", given, "midline/edit", {"command": "edit", "message": "be brief"}),
        ("Fix", "midline.edit", given | {"command": "fix"}, "midline/edit", {"command": "fix"}),
    ]
    for title, command, argument, method, expected in actions:
        editor.lua("_G.wanted = ...", title)
        editor.keys("3G^gra")
        asked = server.asked("textDocument/codeAction")
        assert [one["message"] for one in asked["context"]["diagnostics"]] == ["undefined w"]
        server.answer([{"title": title, "command": {"title": title, "command": command, "arguments": [argument]}}])
        params = server.asked(method)
        assert params["selection"] == where and params["textDocument"] == named
        assert params.items() >= expected.items()
        server.refuse("Enough.")


@pytest.mark.parametrize("waiting", [True, False])
def test_a_commit_message_goes_where_git_wants_it(editor: Editor, server: Server, file: Path, waiting: bool) -> None:
    if waiting:
        message = file.parent / ".git" / "COMMIT_EDITMSG"
        message.write_text("\n# Please enter the commit message.\n")
        editor.nvim.command(f"edit {message} | setfiletype gitcommit")
    editor.keys(":Midline commit<CR>")
    assert server.asked("workspace/executeCommand")["command"] == "midline.commitMessage"
    server.answer({"message": "Say it\n\nSince."})
    assert editor.lines == ["Say it", "", "Since.", *(["# Please enter the commit message."] if waiting else [])]
    assert editor.nvim.current.buffer.options["filetype"] == "gitcommit"
