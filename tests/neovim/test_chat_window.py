"""The chat's window, with a server that answers as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from neovim_editor import Editor
from scripted_server import Server, chat_answer

pytestmark = pytest.mark.neovim

CODE = "import os\n\n\ndef size(path):\n    return os.stat(path).st_size\n"
CONVERSATION = {"kind": "conversation", "id": "c1", "title": "What is it?"}


@pytest.fixture
def editor(scripted_editor: Editor) -> Editor:
    return scripted_editor


@pytest.fixture
def server(editor: Editor, tmp_path: Path) -> Server:
    """The server of an editor on ``size.py``."""
    file = tmp_path / "work" / "size.py"
    (file.parent / ".git").mkdir(parents=True)
    file.write_text(CODE)
    return Server(editor, file)


def chat(editor: Editor) -> list[str]:
    """The text of the conversation."""
    return editor.lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('midline://chat'), 0, -1, false)")


def winbar(editor: Editor) -> str:
    return editor.lua("return vim.wo[vim.fn.bufwinid('midline://chat')].winbar")


def go_to(editor: Editor, buffer: str) -> None:
    editor.lua("vim.api.nvim_set_current_win(vim.fn.bufwinid(...))", buffer)


def open_buffer(editor: Editor) -> str:
    return Path(editor.nvim.current.buffer.name).name


def test_a_message_is_answered_in_a_split_and_followed_up(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat What is it?<CR>")
    params = server.asked("midline/chat")
    assert params["message"] == "What is it?"
    assert "conversation" not in params and "selection" not in params
    assert "reading" in winbar(editor)
    server.tell(CONVERSATION, {"kind": "answer", "text": "It "}, {"kind": "answer", "text": "is\na size."})
    assert chat(editor) == ["## You", "", "What is it?", "", "## midline", "", "It is", "a size."]
    server.answer(chat_answer("It is\na size, checked."))
    cost = "310 tokens read, 20 known, 88 written · 5.2 s · 22 tokens/s"
    assert chat(editor)[6:] == ["It is", "a size, checked.", "", cost]
    assert "What is it?" in winbar(editor) and "88 tokens in 5.2 s" in winbar(editor)
    assert editor.mode == "i"  # in the prompt
    editor.keys("and why?<CR>because<C-s>")
    params = server.asked("midline/chat")
    assert (params["message"], params["conversation"]) == ("and why?\nbecause", "c1")
    assert chat(editor)[10:14] == ["", "## You", "", "and why?"]
    assert editor.lines == [""]  # the prompt's
    server.answer(chat_answer("So."))
    editor.keys("<Esc>ithird<Esc><CR>")
    assert server.asked("midline/chat")["message"] == "third"
    assert not editor.messages


def test_what_was_selected_is_sent_to_the_character(editor: Editor, server: Server) -> None:
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, -1, false, { 'a = \"🐇𝔽\" + b', 'c = 1' })")
    editor.keys("gg0f🐇vl:Midline ask why?<CR>")
    params = server.asked("midline/chat")
    assert params["selection"] == {"start": {"line": 0, "character": 5}, "end": {"line": 0, "character": 9}}
    version = editor.lua("return vim.lsp.util.buf_versions[0 + vim.api.nvim_get_current_buf()]")
    assert params["textDocument"] == {"uri": (editor.lua("return vim.uri_from_bufnr(0)")), "version": version}
    assert chat(editor)[0] == "## You · size.py:1"
    assert open_buffer(editor) == "size.py"  # the cursor stays with the code
    server.answer(chat_answer("So."))
    for keys, command in (("ggVj:Midline explain<CR>", "explain"), (":1,2Midline review<CR>", "review")):
        editor.keys(keys)
        params = server.asked("midline/chat")
        assert params["command"] == command
        # The last line has no following one for its end.
        assert params["selection"] == {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 5}}
        server.answer(chat_answer("So."))


def test_what_other_tools_find_wrong_in_the_selection_is_sent_along(editor: Editor, server: Server) -> None:
    editor.lua("""
        local one = { lnum = 4, col = 11, end_lnum = 4, end_col = 13, message = 'no os', severity = 1, source = 'x' }
        local other = { lnum = 0, col = 0, message = 'elsewhere' }
        vim.diagnostic.set(vim.api.nvim_create_namespace('tool'), 0, { one, other })
    """)
    editor.keys("4GVj:Midline ask why?<CR>")
    (told,) = server.asked("midline/chat")["diagnostics"]
    assert (told["message"], told["severity"]) == ("no os", 1)
    assert told["range"] == {"start": {"line": 4, "character": 11}, "end": {"line": 4, "character": 13}}


def test_citations_are_marked_and_jump(editor: Editor, server: Server, tmp_path: Path) -> None:
    other = tmp_path / "work" / "other file.py"
    other.write_text("".join(f"x{n} = {n}\n" for n in range(1, 31)))
    editor.keys(":Midline chat Where?<CR>")
    server.asked("midline/chat")
    page = {"number": 4, "path": "manual.pdf", "start_line": 1, "end_line": 9, "page": 7, "section": "Use > Sizes"}
    source = {"number": 3, "path": "other file.py", "start_line": 12, "end_line": 20, "symbol": "", "reason": "words"}
    place = {"path": "size.py", "start_line": 4, "end_line": 5}
    text = "There [3], and in `size.py:4-5`.\n\n```python\nx[3] = 'size.py:4'\n```"
    cited = [{key: source[key] for key in ("path", "start_line", "end_line")}, place, page]
    server.answer(chat_answer(text, context=[source, page], citations=cited))
    sources = ["- [3] other file.py:12-20", "- size.py:4-5", "- [4] manual.pdf, page 7 · Use > Sizes"]
    assert chat(editor)[-6:-2] == ["", *sources]
    marked = editor.lua("""
        local buf, found = vim.fn.bufnr('midline://chat'), {}
        local ns = vim.api.nvim_get_namespaces()['midline.chat']
        for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(buf, ns, 0, -1, { details = true })) do
          if mark[4].hl_group == 'MidlineCitation' then
            local line = vim.api.nvim_buf_get_lines(buf, mark[2], mark[2] + 1, false)[1]
            table.insert(found, line:sub(mark[3] + 1, mark[4].end_col))
          end
        end
        return found
    """)
    assert marked == ["[3]", "size.py:4-5", "[3]", "size.py:4-5", "[4]"]  # none in the code
    editor.keys("<Esc>")
    for keys, file, line in (("/\\[3<CR><CR>", "other file.py", 12), ("/size.py:4-5<CR>gf", "size.py", 4)):
        go_to(editor, "midline://chat")
        editor.keys("gg" + keys)
        assert (open_buffer(editor), editor.cursor[0]) == (file, line)
    assert editor.lua("return #vim.api.nvim_tabpage_list_wins(0)") == 3
    (other.parent / "manual.pdf").write_text("%PDF")
    editor.lua("vim.ui.open = function(path) _G.opened = path end")
    go_to(editor, "midline://chat")
    editor.keys("G?\\[4<CR><CR>")
    assert editor.lua("return _G.opened") == str(other.parent / "manual.pdf")
    other.unlink()
    editor.nvim.command("bwipeout! other\\ file.py")
    go_to(editor, "midline://chat")
    editor.keys("gg/\\[3<CR><CR>")
    assert editor.messages == ["midline: other file.py is not there any more."]


def test_reasoning_is_folded_away(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat Why?<CR>")
    server.asked("midline/chat")
    server.tell(CONVERSATION, {"kind": "reasoning", "text": "hm,\nlet me\n"}, {"kind": "reasoning", "text": "think"})
    assert "thinking" in winbar(editor) or "reading" in winbar(editor)
    server.tell({"kind": "answer", "text": "\n\nSo."})
    server.answer(chat_answer("So.", reasoning="hm,\nlet me\nthink"))
    assert chat(editor)[6:11] == ["hm,", "let me", "think", "", "So."]
    screen = editor.screen
    assert "reasoning, 3 lines" in screen and "let me" not in screen and "So." in screen


def test_an_answer_is_stopped_and_what_came_stays(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat What?<CR>")
    server.asked("midline/chat")
    server.tell(CONVERSATION, {"kind": "answer", "text": "It is\n```python\nx ="})
    editor.keys("<Esc><C-c>")
    editor.wait(lambda: "stopped" in chat(editor)[-1], "the end")
    assert chat(editor)[6:10] == ["It is", "```python", "x =", "```"]
    editor.keys("iand?<C-s>")
    assert server.asked("midline/chat")["conversation"] == "c1"
    go_to(editor, editor.lua("return vim.api.nvim_buf_get_name(vim.fn.bufnr('size.py'))"))
    editor.keys("<Esc>:Midline stop<CR>")
    editor.wait(lambda: "stopped" in chat(editor)[-1], "the end")
    editor.keys(":Midline stop<CR>")
    assert editor.messages == ["midline: there is nothing to stop."]


def test_a_refusal_is_shown_and_the_message_given_back(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat<CR>")
    editor.keys("what is @nothing?<Esc><CR>")
    server.asked("midline/chat")
    editor.keys("<CR>iagain<C-s>")
    assert "an answer is being written" in editor.messages[-1]
    assert editor.lines == ["again"]
    editor.keys("<Esc>dd")
    server.refuse("There is no @nothing. Say @size.py.")
    assert chat(editor)[-1] == "✗ There is no @nothing. Say @size.py."
    assert editor.lines == ["what is @nothing?"]
    assert "Traceback" not in editor.screen and "stack traceback" not in editor.screen


def test_a_server_that_dies_ends_the_answer(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat What?<CR>")
    server.asked("midline/chat")
    server.tell(CONVERSATION, {"kind": "answer", "text": "It is"})
    editor.lua("vim.lsp.get_clients({ name = 'midline' })[1]:stop(true)")
    editor.wait(lambda: ":Midline restart" in chat(editor)[-1], "the reason")
    assert chat(editor)[6] == "It is"


def test_code_is_yanked_and_put(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat How?<CR>")
    server.asked("midline/chat")
    server.answer(chat_answer("So:\n```python\ndef f():\n    pass\n```\nor\n```\ng()\n```"))
    editor.keys("<Esc>")
    go_to(editor, "midline://chat")
    editor.keys("gg/pass<CR>gy")
    assert editor.nvim.funcs.getreg('"') == "def f():\n    pass\n"
    editor.keys('Gk"agy')
    assert editor.nvim.funcs.getreg("a") == "g()\n"
    editor.keys("gg/pass<CR>gp")
    assert open_buffer(editor) == "size.py"
    assert editor.lines == [CODE.split("\n")[0], "def f():", "    pass", *CODE.split("\n")[1:-1]]
    editor.keys("u")
    assert editor.lines == CODE.split("\n")[:-1]


def test_code_has_its_languages_colours(editor: Editor, server: Server) -> None:
    """Neovim brings a treesitter parser for Lua, and none for Python."""
    colour = """
        local row = ...
        local found = vim.inspect_pos(vim.fn.bufnr('midline://chat'), row - 1, 0)
        return vim.iter(found.syntax):any(function(one) return one.hl_group:find('Statement') ~= nil
          or one.hl_group_link == 'Statement' end)
    """
    editor.nvim.command("syntax on")
    editor.keys(":Midline chat How?<CR>")
    server.asked("midline/chat")
    server.answer(chat_answer("So:\n```lua\nlocal x\n```"))
    assert editor.lua("return vim.treesitter.highlighter.active[vim.fn.bufnr('midline://chat')] ~= nil")
    editor.keys("<Esc>iagain<C-s>")
    server.asked("midline/chat")
    server.answer(chat_answer("```python\ndef f():\n    pass\n```"))
    assert editor.lua(colour, chat(editor).index("def f():") + 1)
    assert editor.lua(colour, chat(editor).index("local x") + 1)
    assert not editor.lua(colour, 1)


def test_windows_close_together_and_the_conversation_comes_back(editor: Editor, server: Server) -> None:
    editor.keys(":Midline chat What?<CR>")
    server.asked("midline/chat")
    server.answer(chat_answer("This."))
    count = "return #vim.api.nvim_tabpage_list_wins(0)"
    for close in ("q", ":q<CR>"):
        editor.keys("<Esc>" + close)
        editor.wait(lambda: editor.lua(count) == 1, "the windows to close")
        assert open_buffer(editor) == "size.py"
        editor.keys(":Midline chat<CR>")
        assert editor.lua(count) == 3
        assert "This." in editor.screen
    editor.keys("<Esc>")
    go_to(editor, "midline://chat")
    editor.keys("igo on<C-s>")  # insert mode is in the prompt
    assert server.asked("midline/chat")["conversation"] == "c1"


@pytest.mark.parametrize("command", ["bwipeout!", "bdelete!"])
def test_a_conversation_whose_buffer_was_taken_away_does_no_harm(editor: Editor, server: Server, command: str) -> None:
    editor.keys(":Midline chat What?<CR>")
    server.asked("midline/chat")
    server.tell(CONVERSATION, {"kind": "answer", "text": "It"})
    editor.keys("<Esc>")
    go_to(editor, "midline://chat")
    editor.keys(f":{command}<CR>")
    server.tell({"kind": "answer", "text": " is"})
    server.answer(chat_answer("It is."))
    editor.keys(":Midline chat<CR>")
    editor.keys("and?<C-s>")
    assert server.asked("midline/chat")["conversation"] == "c1"
    assert chat(editor)[:3] == ["## You", "", "and?"]
    assert "rror" not in editor.nvim.command_output("messages")


def test_conversations_are_listed_continued_renamed_exported_deleted(editor: Editor, server: Server) -> None:
    kept = {"id": "k", "title": "Sizes", "created": "2026-11-22T10:00:00", "changed": "2026-11-22T11:00:00+00:00"}
    history = [
        {"role": "user", "text": "How big?", "reasoning": "", "created": ""},
        chat_answer("", citations=[{"path": "size.py", "start_line": 4, "end_line": 5}])
        | {"role": "assistant", "text": "Big [1].", "reasoning": "hm", "created": ""},
    ]
    editor.lua("""
        _G.chosen = {}
        vim.ui.select = function(items, opts, on_choice)
          local wanted = table.remove(_G.choose, 1)
          for _, item in ipairs(items) do
            local text = opts.format_item(item)
            table.insert(_G.chosen, text)
            if text:find(wanted, 1, true) then return on_choice(item) end
          end
          on_choice(nil)
        end
        vim.ui.input = function(_, on_confirm) on_confirm('Bytes') end
        vim.fn.confirm = function() return 1 end
    """)

    def choose(action: str) -> dict:
        editor.lua("_G.choose = { 'Sizes', ... }", action)
        editor.keys("<Esc>:Midline chats<CR>")
        assert server.asked("midline/conversations")["action"] == "list"
        server.answer([kept | {"messages": 2}])
        return server.asked("midline/conversations")

    assert choose("Continue") == {"action": "get", "conversation": "k"}
    server.answer(kept | {"messages": 2, "history": history})
    assert chat(editor)[:8] == ["## You", "", "How big?", "", "## midline", "", "hm", ""]
    assert chat(editor)[8:11] == ["Big [1].", "", "- size.py:4-5"]
    assert "Sizes" in winbar(editor)
    editor.keys("go on<C-s>")
    assert server.asked("midline/chat")["conversation"] == "k"
    server.answer(chat_answer("On.", conversation="k"))
    assert choose("Rename") == {"action": "rename", "conversation": "k", "title": "Bytes"}
    server.answer(kept | {"title": "Bytes", "messages": 2})
    assert "Bytes" in winbar(editor)
    assert choose("Export") == {"action": "export", "conversation": "k"}
    server.answer({"markdown": "# Sizes\n\nBig."})
    assert editor.lines == ["# Sizes", "", "Big."]
    editor.keys(":bwipeout!<CR>")
    assert choose("Delete") == {"action": "delete", "conversation": "k"}
    server.answer(None)
    assert chat(editor) == [""]
    editor.keys(":Midline chat anew<CR>")
    assert "conversation" not in server.asked("midline/chat")
    assert "2026-11-22" in editor.lua("return _G.chosen[1]") and "2 messages" in editor.lua("return _G.chosen[1]")


def test_mentions_are_completed(editor: Editor, server: Server, tmp_path: Path) -> None:
    app = tmp_path / "work" / "app"
    app.mkdir()
    (app / "store.py").write_text("")
    editor.keys(":Midline chat<CR>")
    editor.keys("what does @")
    editor.wait(lambda: editor.nvim.funcs.pumvisible(), "the menu")
    words = {item["word"] for item in editor.nvim.funcs.complete_info(["items"])["items"]}
    assert words == {"diff", "docs", "size.py", "app/store.py", "app/"}
    editor.keys("stor")
    editor.wait(lambda: len(editor.nvim.funcs.complete_info(["items"])["items"]) == 1, "the file")
    editor.keys("<C-n><C-y> do, and me@")
    assert editor.lines == ["what does @app/store.py do, and me@"]
    assert not editor.nvim.funcs.pumvisible()


def test_progress_that_is_not_ours_goes_where_it_went(editor: Editor, server: Server) -> None:
    editor.lua("""
        _G.heard = {}
        vim.api.nvim_create_autocmd('LspProgress', { callback = function(args)
          table.insert(_G.heard, args.data.params.token)
        end })
    """)
    editor.keys(":Midline chat What?<CR>")
    server.asked("midline/chat")
    server.tell({"kind": "answer", "text": "It"})
    editor.lua("""
        local client = vim.lsp.get_clients({ name = 'midline' })[1]
        local params = { token = 'index', value = { kind = 'begin', title = 'Indexing' } }
        client.handlers['$/progress'](nil, params, { client_id = client.id })
    """)
    assert editor.lua("return _G.heard") == ["index"]
