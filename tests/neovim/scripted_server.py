"""A language server inside the editor that answers what a test tells it to, when the test tells it to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neovim_editor import Editor

# Requests wait in _G.asked, each with what came of it; _G.tell and _G.answer deal with the first that is still open.
SCRIPTED_SERVER = """
function(dispatchers)
  local closing, count = false, 0
  _G.asked = {}
  local function open()
    for _, one in ipairs(_G.asked) do
      if not one.done then return one end
    end
    error('nothing was asked')
  end
  _G.notify = dispatchers.notification
  _G.tell = function(value)
    local params = { token = open().params.partialResultToken, value = value }
    dispatchers.notification('$/progress', params)
  end
  _G.answer = function(result, err)
    local one = open()
    one.done = true
    one.callback(err, result)
    if one.notify then one.notify(one.id) end
  end
  return {
    request = function(method, params, callback, notify)
      count = count + 1
      local id = count
      if method == 'initialize' then
        _G.capabilities = params.capabilities
        vim.schedule(function()
          callback(nil, { capabilities = {
            positionEncoding = 'utf-16',
            codeActionProvider = true,
            textDocumentSync = { openClose = true, change = 1 },
          } })
          if notify then notify(id) end
        end)
      elseif method == 'shutdown' then
        vim.schedule(function() callback(nil, vim.NIL) end)
      else
        table.insert(_G.asked, { id = id, method = method, params = params, callback = callback, notify = notify })
      end
      return true, id
    end,
    notify = function(method, params)
      if method == '$/cancelRequest' then
        for _, one in ipairs(_G.asked) do
          if one.id == params.id and not one.done then
            one.done = true
            vim.schedule(function() one.notify(one.id) end) -- Neovim's own RPC keeps these errors to itself
          end
        end
      end
      return true
    end,
    is_closing = function() return closing end,
    terminate = function() closing = true dispatchers.on_exit(0, 0) end,
  }
end
"""


# All that the plugin remembers goes, and the server with it.
_FORGET = """
for _, client in ipairs(vim.lsp.get_clients()) do client:stop(true) end
vim.wait(2000, function() return #vim.lsp.get_clients({ _uninitialized = true }) == 0 end, 5)
for name in pairs(package.loaded) do
  for _, part in ipairs({ 'chat', 'edit', 'commit', 'commands', 'stream' }) do
    if vim.startswith(name, 'midline.' .. part) then package.loaded[name] = nil end
  end
end
vim.diagnostic.reset()
vim.cmd('silent! tabonly | silent! only!')
"""


class Server:
    """The server of an editor that was set up with `SCRIPTED_SERVER`.

    Args:
        editor: forgets all that went before.
        file: what it opens.
    """

    def __init__(self, editor: Editor, file: Path) -> None:
        self.editor = editor
        editor.keys("<C-\\><C-n>")
        editor.lua(_FORGET)
        editor.open_alone(file)
        editor.wait(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, "the client")

    def asked(self, method: str) -> dict[str, Any]:
        """Wait for a request that is still open; its parameters."""

        def found() -> Any:
            return self.editor.lua(
                "local method = ... for _, one in ipairs(_G.asked) do "
                "if one.method == method and not one.done then return one.params end end",
                method,
            )

        return self.editor.wait(found, method)

    def tell(self, *values: dict[str, Any]) -> None:
        """Send pieces of the answer to the request that is open."""
        for value in values:
            self.editor.lua("_G.tell(...)", value)

    def notify(self, method: str, params: Any) -> None:
        """Send what nobody asked for."""
        self.editor.lua("local method, params = ... _G.notify(method, params)", method, params)

    def answer(self, result: Any) -> None:
        """Answer the request that is open."""
        self.editor.lua("_G.answer(...)", result)

    def refuse(self, message: str, code: int = -32803) -> None:
        """Answer the request that is open with an error."""
        self.editor.lua("local code, message = ... _G.answer(nil, { code = code, message = message })", code, message)


def chat_answer(text: str, **more: Any) -> dict[str, Any]:
    """What ``midline/chat`` answers."""
    return {
        "answer": text,
        "reasoning": "",
        "citations": [],
        "removed_citations": 0,
        "context": [],
        "conversation": "c1",
        "model": "scripted",
        "reason": "eog",
        "dropped_turns": 0,
        "tokens_evaluated": 310,
        "tokens_reused": 20,
        "tokens_generated": 88,
        "ms": {"context": 10.0, "prefill": 900.0, "first_token": 1000.0, "generate": 4000.0, "total": 5200.0},
    } | more
