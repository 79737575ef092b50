"""A real Neovim, driven over its RPC channel, with the plugin of this checkout."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pynvim

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "editors" / "neovim"
MIDLINE = Path(sys.executable).with_name("midline")
CODE = 'def absolute(x):\n    """Return x without its sign, by an if and two returns."""\n    \n'
"""A function whose body is missing."""

# How long anything may take on a busy machine before a test gives up; no test depends on it otherwise.
PATIENCE = 60.0

# The lines of Lua below run in the editor. Both ghost texts are extmarks, each in its own namespace.
_GHOST = """
local parts = {}
for name, id in pairs(vim.api.nvim_get_namespaces()) do
  if name == 'midline.ghost' or name == 'nvim.lsp.inline_completion' then
    for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, id, 0, -1, { details = true })) do
      local details = mark[4]
      local lines = { details.virt_text or {} }
      vim.list_extend(lines, details.virt_lines or {})
      for index, line in ipairs(lines) do
        lines[index] = vim.iter(line):map(function(chunk) return chunk[1] end):join('')
      end
      parts[#parts + 1] = { row = mark[2], col = mark[3], text = table.concat(lines, '\\n') }
    end
  end
end
return parts
"""
_STATE = "local midline = require('midline') return { midline.engine_state(), midline.status() }"
_SCREEN = """
local rows = {}
for row = 1, vim.o.lines do
  local cells = {}
  for col = 1, vim.o.columns do cells[col] = vim.fn.screenstring(row, col) end
  rows[row] = table.concat(cells):gsub('%s+$', '')
end
return rows
"""
# Messages are also what plugins see who replace vim.notify, so that is where they are counted.
_RECORD_MESSAGES = """
_G.messages = {}
local notify = vim.notify
vim.notify = function(text, level, ...)
  table.insert(_G.messages, text)
  return notify(text, level, ...)
end
"""


class Editor:
    """One Neovim.

    Args:
        program: Neovim's path.
        setup: Lua arguments of the plugin's ``setup``; None leaves it out.
        files: what to open.
        before: Lua that runs before the plugin is loaded.
        words: of the command that Neovim is started by, such as ``unshare``.
        size: of the screen, in columns and lines.
        ui: options of ``nvim_ui_attach``.
    """

    def __init__(
        self,
        program: Path,
        setup: str | None,
        files: Sequence[Path] = (),
        size: tuple[int, int] = (100, 40),
        before: str = "",
        words: Sequence[str] = (),
        **ui: bool,
    ) -> None:
        arguments = [
            "--embed",
            "--headless",
            "--clean",
            "-n",
            "--cmd",
            f"set runtimepath^={PLUGIN} messagesopt=wait:0,history:500",
            *(["--cmd", f"lua {before}"] if before else []),
        ]
        self.nvim = pynvim.attach("child", argv=[*words, str(program), *arguments])
        self.process = psutil.Process(self.nvim.funcs.getpid())
        self.nvim.ui_attach(*size, rgb=True, **ui)
        self.lua(_RECORD_MESSAGES)
        for file in files:
            self.nvim.command(f"edit {file}")
        if setup is not None:
            self.lua(f"require('midline').setup({setup})")

    def open_alone(self, file: Path) -> None:
        """Forget all that went before, and open ``file``."""
        self.nvim.input("<Esc>")
        self.lua("_G.messages = {}")
        self.nvim.command("Midline enable")
        self.nvim.command("%bwipeout!")
        self.nvim.command(f"edit {file}")

    def lua(self, code: str, *arguments: Any) -> Any:
        """Run Lua in the editor."""
        # A call would never return while the editor asks for a key ("Press ENTER").
        assert not self.nvim.api.get_mode()["blocking"], "Neovim waits for a key"
        return self.nvim.exec_lua(code, *arguments)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until ``condition`` gives something true, and give that."""
        deadline = time.monotonic() + PATIENCE
        while not (result := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}; messages: {self.messages}; screen:\n{self.screen}")
            time.sleep(0.05)
        return result

    def keys(self, keys: str) -> None:
        """Type, and return when the editor has dealt with it."""
        self.nvim.input(keys)
        self.lua("vim.wait(0)")
        self.wait(lambda: not self.nvim.api.get_mode()["blocking"], f"Neovim to read {keys}")

    @property
    def mode(self) -> str:
        return self.nvim.api.get_mode()["mode"]

    @property
    def lines(self) -> list[str]:
        return self.nvim.current.buffer[:]

    @property
    def cursor(self) -> tuple[int, int]:
        """Line from 1, bytes from 0."""
        return tuple(self.nvim.current.window.cursor)

    @property
    def screen(self) -> str:
        self.nvim.command("redraw")
        return "\n".join(self.lua(_SCREEN))

    @property
    def messages(self) -> list[str]:
        return self.lua("return _G.messages")

    @property
    def ghost(self) -> str:
        """The ghost text, all of its lines; empty without one."""
        parts = self.lua(_GHOST)
        assert len(parts) <= 1, f"more than one ghost text: {parts}"
        return parts[0]["text"] if parts else ""

    @property
    def ghost_place(self) -> tuple[int, int]:
        """Where the ghost text stands: line from 1, bytes from 0."""
        (part,) = self.lua(_GHOST)
        return part["row"] + 1, part["col"]

    def await_engine(self) -> None:
        """Wait until the model is loaded; with each step on the way there patience begins anew."""
        step = ["", ""]
        while step[0] != "ready":
            step = self.wait(
                lambda last=step: (now := self.lua(_STATE)) != last and now, f"what comes after {step}, for the engine"
            )

    def await_ghost(self) -> str:
        """Wait for ghost text."""
        return self.wait(lambda: self.ghost, "ghost text")

    def status(self) -> dict[str, Any]:
        """The server's answer to ``midline/status``."""
        client = "vim.lsp.get_clients({ name = 'midline' })[1]"
        answer = self.lua(f"return {client}:request_sync('midline/status', vim.empty_dict(), 30000)")
        return answer["result"]

    def servers(self) -> list[psutil.Process]:
        """The language servers that this editor runs."""
        return [child for child in self.process.children() if _serves(child)]

    def notifications(self) -> Iterator[list[Any]]:
        """What the editor has sent unasked so far: kind, name and arguments of each."""
        self.lua("vim.rpcnotify(..., 'all-sent')", self.nvim.channel_id)
        while (message := self.nvim.next_message())[1] != "all-sent":
            yield message

    @contextmanager
    def server_paused(self) -> Iterator[None]:
        """Let the server answer nothing for a while, so that what is seen is the editor's doing alone."""
        (server,) = self.servers()
        server.suspend()
        try:
            yield
        finally:
            server.resume()

    def quit(self) -> None:
        """Leave without saving."""
        if self.process.is_running():
            self.nvim.input("<Esc>:qa!<CR>")
            try:
                self.process.wait(20)
            except psutil.TimeoutExpired:
                self.process.kill()
        self.nvim.close()


def _serves(process: psutil.Process) -> bool:
    """Whether it is a language server; one that has just ended, and waits to be reaped, has no command line."""
    try:
        return "serve" in process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return False


def version_of(program: str | Path) -> tuple[int, int]:
    """Major and minor version of a Neovim; (0, 0) where it doesn't run."""
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
        major, minor = output.split()[1].lstrip("v").split(".")[:2]
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0, 0


def suggest(editor: Editor) -> str:
    """Go to the body and wait for what is suggested there."""
    editor.keys("3GA")
    return editor.await_ghost()
