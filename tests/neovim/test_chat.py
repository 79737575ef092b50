"""Chat and edits in real Neovims, with the real server and the real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from neovim_editor import Editor

pytestmark = [pytest.mark.neovim, pytest.mark.model]

CODE = '''class Store:
    """Keeps readings until they are flushed to a file."""

    def __init__(self, file):
        self.file = file
        self.pending = []

    def flush(self):
        """Write what is pending to the file."""
        for reading in self.pending:
            self.file.write(f"{reading}\\n")
        self.pending.clear()


def mean(values):
    return sum(values) / len(values)
'''


@pytest.fixture
def file(midline_home: Path, tmp_path: Path) -> Path:
    file = tmp_path / "work" / "store.py"
    (file.parent / ".git").mkdir(parents=True)
    file.write_text(CODE)
    return file


@pytest.fixture
def editor(shared_editor: Editor, file: Path) -> Iterator[Editor]:
    shared_editor.keys("<C-\\><C-n>")
    shared_editor.nvim.command("silent! only!")
    shared_editor.open_alone(file)
    shared_editor.nvim.command("Midline disable")
    shared_editor.wait(lambda: shared_editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the server")
    shared_editor.wait(lambda: request(shared_editor, "midline/status", {})["index"]["files"], "the index")
    yield shared_editor
    # Each test's folder has a server of its own; those who have the editor next count on one.
    shared_editor.keys("<C-\\><C-n>")
    shared_editor.lua("for _, client in ipairs(vim.lsp.get_clients()) do client:stop() end")
    shared_editor.wait(lambda: not shared_editor.servers(), "the server to end")


def chat(editor: Editor) -> str:
    """The text of the conversation."""
    code = "return vim.api.nvim_buf_get_lines(vim.fn.bufnr('midline://chat'), 0, -1, false)"
    return "\n".join(editor.lua(code))


def ended(editor: Editor) -> str:
    """Wait for an answer's end, and give the conversation."""
    return editor.wait(lambda: "tokens read" in chat(editor) and chat(editor), "the answer")


def request(editor: Editor, method: str, params: dict[str, Any]) -> Any:
    """What the server answers."""
    code = """
        local method, params = ...
        local buf = vim.fn.bufnr('store.py$')
        local client = vim.lsp.get_clients({ name = 'midline', bufnr = buf })[1]
        return client:request_sync(method, next(params) and params or vim.empty_dict(), 60000).result
    """
    return editor.lua(code, method, params)


def test_answers_stream_are_about_the_selection_and_what_they_cite_is_gone_to(editor: Editor) -> None:
    editor.keys("8GV4j:Midline ask When does `flush` write to the file?<CR>")
    begun = editor.wait(lambda: chat(editor).partition("## midline\n\n")[2], "the first words")
    assert "tokens read" not in begun
    assert len(ended(editor).partition("## midline\n\n")[2]) > len(begun)
    editor.keys(":Midline chat What does @Store.flush do with `pending`? Begin with: `flush`<CR>")
    whole = editor.wait(lambda: chat(editor).count("tokens read") == 2 and chat(editor), "the second answer")
    (kept,) = request(editor, "midline/conversations", {"action": "list"})
    kept = request(editor, "midline/conversations", {"action": "get", "conversation": kept["id"]})
    _, about_selection, _, about_symbol = kept["history"]
    first = about_selection["context"][0]
    assert (first["reason"], first["path"], first["start_line"], first["end_line"]) == ("selection", "store.py", 8, 12)
    place = about_symbol["citations"][0]
    assert f"{place['path']}:{place['start_line']}-{place['end_line']}" in whole
    editor.keys("<Esc>")
    editor.lua("vim.api.nvim_set_current_win(vim.fn.bufwinid('midline://chat'))")
    editor.keys(f"G?{place['path']}:<CR><CR>")
    assert Path(editor.nvim.current.buffer.name).name == "store.py"
    assert editor.cursor[0] == place["start_line"]
    assert not editor.messages


def test_stopping_keeps_what_came_and_the_conversation_goes_on(editor: Editor) -> None:
    editor.keys(":Midline chat Explain @store.py at length, line by line.<CR>")
    editor.wait(lambda: chat(editor).partition("## midline\n\n")[2], "the first words")
    editor.keys("<C-c>")
    editor.wait(lambda: "stopped; what came is kept" in chat(editor), "the end")
    assert request(editor, "midline/status", {})["chat"]["cancelled"] == 1
    editor.keys("<Esc>iSay only: yes<C-s>")
    ended(editor)
    assert chat(editor).count("## midline") == 2
    editor.keys("<Esc>q")
    (kept,) = request(editor, "midline/conversations", {"action": "list"})
    assert kept["messages"] == 4


def await_proposal(editor: Editor) -> None:
    """Wait until an edit is shown."""
    messages = editor.wait(lambda: editor.messages, "the proposal")
    assert editor.lua("return require('midline.edit.diff').is_shown(vim.api.nvim_get_current_buf())"), messages


def test_an_edit_is_accepted_and_the_file_holds_it(editor: Editor, file: Path) -> None:
    editor.keys("15GVj:Midline edit Rename the parameter values to numbers.<CR>")
    await_proposal(editor)
    assert "numbers" in editor.screen and editor.lines == CODE.splitlines()
    editor.keys("dO:write<CR>")
    written = file.read_text()
    names: dict[str, Any] = {}
    exec(written, names)
    assert "numbers" in written and names["mean"]([1, 2]) == 1.5
    assert written.splitlines()[:14] == CODE.splitlines()[:14]
    editor.keys("u")
    assert editor.lines == CODE.splitlines()


def test_lines_that_change_while_they_are_rewritten_are_left_alone(editor: Editor) -> None:
    editor.keys("15GVj:Midline edit Rename the parameter values to numbers.<CR>")
    editor.keys("15Go# mine<Esc>")
    messages = editor.wait(lambda: editor.messages, "the refusal")
    assert "changed" in messages[0]
    assert editor.lines == [*CODE.splitlines()[:15], "    # mine", *CODE.splitlines()[15:]]


def test_the_menu_of_code_actions_has_midlines(editor: Editor) -> None:
    editor.lua("""
        vim.ui.select = function(items, opts, on_choice)
          _G.offered = vim.tbl_map(opts.format_item, items)
          for index, item in ipairs(items) do
            if _G.offered[index]:find('Document', 1, true) then return on_choice(item) end
          end
        end
    """)
    editor.keys("15Ggra")
    await_proposal(editor)
    offered = "\n".join(editor.lua("return _G.offered"))
    for title in ("Explain", "Edit with midline", "Add type hints", "Write tests"):
        assert title in offered
    assert '"""' in editor.screen.partition("def mean")[2]
    editor.keys("dP")
    assert editor.lines == CODE.splitlines()
