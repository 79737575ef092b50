--- The subcommands of :Midline, each a function of its name.
local midline = require('midline')
local describe = require('midline.status').describe
local suggestion = require('midline.suggestion')

local M = {}

local PATIENCE_MS = 3000 -- with a server that is asked to stop

--- All clients, also those whose server hasn't answered yet.
local function clients()
  return vim.lsp.get_clients({ name = 'midline', _uninitialized = true })
end

function M.status()
  local client = midline.client()
  if not client then
    local reason = midline.problem() or 'not running: no open file is one that it completes. See :checkhealth midline.'
    return midline.notify(reason, vim.log.levels.WARN)
  end
  client:request('midline/status', vim.empty_dict(), function(err, status)
    if err then
      return midline.notify('no status: ' .. (err.message or vim.inspect(err)), vim.log.levels.ERROR)
    end
    local failed = vim.tbl_contains({ 'failed', 'disabled' }, vim.tbl_get(status, 'engine', 'state'))
    midline.notify(table.concat(describe(status), '\n'), failed and vim.log.levels.WARN or nil)
  end)
end

function M.why()
  local client = midline.client()
  if not client then
    return M.status()
  end
  client:request('workspace/executeCommand', { command = 'midline.why' }, function(err, why)
    if err then
      return midline.notify('no answer: ' .. (err.message or vim.inspect(err)), vim.log.levels.ERROR)
    end
    local lines = require('midline.why').describe(why)
    vim.lsp.util.open_floating_preview(lines, 'text', { border = 'rounded', title = ' midline: why ', wrap = true })
  end)
end

function M.restart()
  for _, client in ipairs(clients()) do
    client:stop()
  end
  local waited = 0
  local function start_when_gone()
    if #clients() == 0 then
      return midline.start()
    elseif waited == PATIENCE_MS then
      for _, client in ipairs(clients()) do
        client:stop(true)
      end
    end
    waited = waited + 50
    vim.defer_fn(start_when_gone, 50)
  end
  start_when_gone()
end

function M.enable()
  suggestion.enabled = true
end

function M.disable()
  suggestion.enabled = false
  suggestion.clear()
end

return M
