--- What a status line says of midline, from what the server tells unasked: drawing it asks nobody anything.
local brief = require('midline.status').brief
local suggestion = require('midline.suggestion')

local M = {}

---@class midline.Told
---@field status table as `midline/statusChanged` said it last
---@field most integer files that were to come at most since indexing began

local told = {} ---@type table<integer, midline.Told> by client
local problem ---@type string? why there is no server

--- Say that what `text` gives may have changed.
function M.announce()
  vim.cmd.redrawstatus({ bang = true })
  vim.api.nvim_exec_autocmds('User', { pattern = 'MidlineStatus', modeline = false })
end

--- Keep what a server told.
---@param client_id integer
---@param status table as `midline/statusChanged` says it
function M.tell(client_id, status)
  local before = told[client_id]
  local index = type(status.index) == 'table' and status.index or {}
  local pending = index.state == 'busy' and type(index.pending) == 'number' and index.pending or 0
  local most = pending > 0 and math.max(pending, before and before.most or 0) or 0
  told[client_id] = { status = status, most = most }
  if not before or brief(before.status, before.most) ~= brief(status, most) then
    M.announce()
  end
end

--- Forget a server that is gone.
---@param client_id integer
function M.forget(client_id)
  told[client_id] = nil
end

--- There is no server, or there is one again.
---@param reason string?
function M.fail(reason)
  problem = reason
  M.announce()
end

--- The engine's state as the server has it; '' where it has told nothing.
---@param client_id integer
---@return string
function M.engine_state(client_id)
  return vim.tbl_get(told, client_id, 'status', 'engine', 'state') or ''
end

--- In few words how midline is doing in a buffer; '' where there is nothing to say.
---@param buf integer
---@return string
function M.text(buf)
  if vim.bo[buf].buftype ~= '' then
    return ''
  end
  local client = vim.lsp.get_clients({ name = 'midline', bufnr = buf, _uninitialized = true })[1]
  if not client and problem then
    return problem
  elseif not client then
    local elsewhere = vim.bo[buf].filetype ~= '' and #vim.lsp.get_clients({ name = 'midline' }) > 0
    return elsewhere and 'off here' or ''
  elseif not suggestion.enabled then
    return 'off'
  end
  local known = told[client.id]
  return known and brief(known.status, known.most) or 'loading'
end

return M
