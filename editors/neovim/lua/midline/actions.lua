--- Code actions: what the server is told for them, and those of its commands that this editor carries out itself.
local M = {}

local METHOD = 'textDocument/codeAction'

--- A selection as a command's parameters have it.
---@param params table
---@param ctx lsp.HandlerContext
---@return midline.Selection
local function selection_of(params, ctx)
  local client = assert(vim.lsp.get_client_by_id(ctx.client_id))
  return require('midline.selection').from_lsp(params, client.offset_encoding)
end

---@type table<string, fun(command: lsp.Command, ctx: lsp.HandlerContext)>
M.commands = {
  ['midline.explain'] = function(command, ctx)
    local params = command.arguments[1]
    require('midline.chat').ask({
      message = params.message or '',
      command = params.command or 'explain',
      selection = selection_of(params, ctx),
      params = params,
    })
  end,
  ['midline.edit'] = function(command, ctx)
    local params = command.arguments[1]
    require('midline.edit').ask({
      message = params.message or '',
      command = params.command or 'edit',
      selection = selection_of(params, ctx),
      params = params,
    })
  end,
  ['midline.askEdit'] = function(command, ctx)
    local params = command.arguments[1]
    local selection = selection_of(params, ctx)
    vim.ui.input({ prompt = 'Change it how? ' }, function(message)
      if message and vim.trim(message) ~= '' then
        require('midline.edit').ask({ message = message, command = 'edit', selection = selection, params = params })
      end
    end)
  end,
}

--- Tell the server with each request for code actions also what other servers find wrong there: Neovim sends a server
--- its own diagnostics alone, and this one has none.
---@param client vim.lsp.Client
function M.watch(client)
  local request = client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, buf)
    if method == METHOD and #(params.context.diagnostics or {}) == 0 then
      local range = params.range
      local found = require('midline.selection').diagnostics(
        vim.uri_to_bufnr(params.textDocument.uri),
        range.start.line,
        range['end'].line,
        client.offset_encoding
      )
      params = vim.tbl_deep_extend('force', params, { context = { diagnostics = found } })
    end
    return request(self, method, params, handler, buf)
  end
end

return M
