"""What is around suggestions in real Neovims: the commands, health, help, and the server's life."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest
from neovim_editor import CODE, MIDLINE, PLUGIN, Editor, suggest

pytestmark = [pytest.mark.neovim, pytest.mark.model]

OFF = f"{{ cmd = {{ '{MIDLINE}', 'serve' }}, enabled = false }}"


def test_why_says_what_the_last_suggestion_came_from(editor: Editor) -> None:
    ghost = suggest(editor)
    editor.keys("<Esc>:Midline why<CR>")

    def window() -> str:
        return editor.lua(
            "local windows = vim.tbl_filter(function(window) return vim.api.nvim_win_get_config(window).relative ~= '' "
            "end, vim.api.nvim_list_wins()) "
            "local buf = windows[1] and vim.api.nvim_win_get_buf(windows[1]) "
            "return buf and table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), '\\n') or ''"
        )

    text = editor.wait(window, "the window")
    assert all(line in text for line in ghost.split("\n"))
    assert re.search(r"confidence +[01]\.?\d*\n", text)
    assert re.search(r"tokens +evaluated \d+, reused \d+, generated \d+\n", text)
    assert "qwen2.5-coder-0.5b-instruct" in text


def test_disable_and_enable(editor: Editor) -> None:
    suggest(editor)
    editor.keys("<Cmd>Midline disable<CR>")
    assert editor.ghost == ""
    before = editor.status()["completion"]["requests"]
    editor.keys("<Esc>3GAr<BS>")
    editor.keys("<Esc>:Midline status<CR>")
    editor.wait(lambda: any("Midline enable" in message for message in editor.messages), "the status to say it is off")
    assert editor.status()["completion"]["requests"] == before
    editor.keys(":Midline enable<CR>")
    assert suggest(editor)


def test_status_is_readable(editor: Editor) -> None:
    suggest(editor)
    editor.keys("<Esc>:Midline status<CR>")
    (message,) = editor.wait(lambda: editor.messages, "the status")
    assert "midline: ready, qwen2.5-coder-0.5b-instruct" in message
    assert re.search(r"completions: [1-9]\d* asked, [1-9]\d* shown, \d+ accepted, p50 \d+ ms", message)
    assert re.search(r"tokens: \d+ evaluated, \d+ reused, [1-9]\d* generated", message)


def test_command_line_completes_subcommands(start, file: Path) -> None:
    editor = start(file, setup=None)
    offered = editor.nvim.funcs.getcompletion("Midline ", "cmdline")
    assert {"ask", "chat", "edit", "restart", "status", "why"} <= set(offered)
    assert editor.nvim.funcs.getcompletion("Midline ex", "cmdline") == ["explain"]
    assert editor.nvim.funcs.getcompletion("Midline chat ", "cmdline") == []
    editor.keys(":Midline status<CR>")
    assert "setup()" in editor.messages[-1]
    editor.lua(f"require('midline').setup({OFF})")
    editor.keys(":Midline dance<CR>")
    assert "no command `dance`" in editor.messages[-1]


def test_restart_brings_a_new_server_that_suggests(editor: Editor) -> None:
    ghost = suggest(editor)
    (old,) = editor.servers()
    editor.keys("<Esc>:Midline restart<CR>")
    editor.wait(lambda: not old.is_running() and len(editor.servers()) == 1, "another server")
    editor.await_engine()
    assert suggest(editor) == ghost


def test_completes_again_after_the_engine_was_killed(editor: Editor) -> None:
    ghost = suggest(editor)
    engine = psutil.Process(editor.status()["engine"]["pid"])
    engine.kill()
    editor.keys("<Esc>")

    def replaced() -> bool:
        now = editor.status()["engine"]
        return now["state"] == "ready" and now["pid"] != engine.pid

    editor.wait(replaced, "another engine")
    assert suggest(editor) == ghost


def test_missing_program_is_said_once_with_the_cure(start, file: Path, tmp_path: Path) -> None:
    editor = start(file, file.with_name("other.py"), setup="{ cmd = { 'no-such-midline', 'serve' } }")
    editor.keys(":split third.py<CR>")
    (message,) = editor.wait(lambda: editor.messages, "the message")
    assert "no-such-midline" in message and "setup({ cmd" in message
    editor.keys(":Midline status<CR>")
    assert "no-such-midline" in editor.messages[-1]


def test_without_a_model_the_status_says_the_cure(start, empty_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "absolute.py"
    file.write_text(CODE)
    editor = start(file)
    editor.wait(lambda: editor.lua("return require('midline').engine_state()") == "disabled", "the server")
    editor.keys(":Midline status<CR>")
    message = editor.wait(lambda: next((m for m in editor.messages if "cure:" in m), None), "the status")
    assert "midline: disabled" in message and "midline model pull" in message


def test_leaves_special_buffers_and_filetypes_alone(start, file: Path, tmp_path: Path) -> None:
    setup = f"{{ cmd = {{ '{MIDLINE}', 'serve' }}, filetypes = {{ 'python', 'help' }} }}"
    editor = start(file, setup=setup)
    editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the server")
    for command in (f"edit {tmp_path / 'notes.md'}", "help lsp", "enew | setlocal buftype=nofile filetype=python"):
        editor.nvim.command(command)
        editor.lua("vim.wait(50)")
        assert editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 0


def health_report(editor: Editor, last: str) -> str:
    """The text of :checkhealth, once it has come to what it says ``last``."""

    def text() -> str:
        lines = "\n".join(editor.lines)
        return lines if editor.nvim.current.buffer.name.startswith("health") and last in lines else ""

    return editor.wait(text, "the report")


def test_checkhealth_reports_server_and_doctor(editor: Editor) -> None:
    editor.keys(":checkhealth midline<CR>")
    report = health_report(editor, "fim: ")
    assert "ERROR" not in report and "WARNING" not in report
    assert re.search(rf"OK.* midline \d+\.\d+\.\d+ at {re.escape(str(MIDLINE))}", report)
    assert re.search(r"OK.* server attached to 1 buffer", report)
    assert re.search(r"OK.* fim: ", report)


def test_checkhealth_names_what_is_missing(start, file: Path) -> None:
    editor = start(file, setup="{ cmd = { 'no-such-midline', 'serve' } }")
    editor.keys(":checkhealth midline<CR>")
    report = health_report(editor, "no-such-midline")
    assert re.search(r"ERROR.*can't find the program `no-such-midline`", report)


def test_help_is_found(start, file: Path, tmp_path: Path) -> None:
    editor = start(file, setup=None)
    docs = tmp_path / "plugin" / "doc"
    docs.mkdir(parents=True)
    (docs / "midline.txt").write_text((PLUGIN / "doc" / "midline.txt").read_text())
    editor.nvim.command(f"helptags {docs}")
    editor.nvim.command(f"set runtimepath+={docs.parent}")
    for tag in (
        "midline-setup",
        ":Midline",
        "<Plug>(midline-next)",
        ":Midline-edit",
        "midline-chat-keys",
        "midline-edit",
    ):
        editor.nvim.command(f"help {tag}")
        assert editor.nvim.current.buffer.name.endswith("midline.txt")
        assert f"*{tag}*" in "\n".join(editor.lines)


def test_server_ends_with_the_editor(start, file: Path) -> None:
    editor = start(file)
    editor.await_engine()
    servers = editor.servers()
    assert len(servers) == 1
    editor.quit()
    gone, alive = psutil.wait_procs(servers, timeout=30)
    assert gone and not alive


def test_server_ends_when_the_editor_is_killed(start, file: Path) -> None:
    editor = start(file)
    editor.await_engine()
    servers = editor.servers()
    assert len(servers) == 1
    editor.process.kill()
    gone, alive = psutil.wait_procs(servers, timeout=30)
    assert gone and not alive
