--- The suggestion at the cursor as an item of a completion menu: what the sources of blink.cmp and nvim-cmp share.
local suggestion = require('midline.suggestion')

local M = {}

local SNIPPET = 15 -- CompletionItemKind
local LABEL_CHARS = 60

--- What besides letters is worth asking after.
M.TRIGGERS = { ' ', '.', '(', '[', '{', '=', ',', ':' }

--- The client that suggests in the current buffer; nil where suggestions are off.
---@return vim.lsp.Client?
function M.client()
  return suggestion.enabled and vim.lsp.get_clients({ name = 'midline', bufnr = 0 })[1] or nil
end

--- The item stands in for the word before the cursor, too, so that menus find it by what was typed.
---@param found midline.Suggestion
---@return lsp.CompletionItem
local function item_of(found)
  local word = vim.fn.matchstr(found.place.before, [[\k*$]])
  local text = word .. found.text
  local line = vim.split(vim.trim(text), '\n', { plain = true })[1]
  return {
    label = vim.fn.strcharpart(line, 0, LABEL_CHARS),
    kind = SNIPPET,
    detail = 'midline',
    documentation = { kind = 'markdown', value = ('```%s\n%s\n```'):format(vim.bo[found.place.buf].filetype, text) },
    filterText = line,
    insertTextFormat = 1, -- plain text
    textEdit = { newText = text, range = suggestion.range_of(found, #word) },
    command = found.command,
    client_id = found.client.id,
  }
end

--- Ask for the suggestion at the cursor.
---@param fn fun(items: lsp.CompletionItem[])
---@return fun() cancel
function M.ask(fn)
  local client = M.client()
  if not client then
    fn({})
    return function() end
  end
  return suggestion.fetch(client, function(found)
    fn(vim.tbl_map(item_of, found))
  end)
end

--- Tell the server that an item was accepted.
---@param item lsp.CompletionItem
function M.accepted(item)
  local client = vim.lsp.get_client_by_id(item.client_id)
  if client and item.command then
    client:exec_cmd(item.command, { bufnr = vim.api.nvim_get_current_buf() })
  end
end

return M
