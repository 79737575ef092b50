--- The subcommands of :Midline, each a function of what stands behind its name, and of the range.
local midline = require('midline')
local describe = require('midline.status').describe
local statusline = require('midline.statusline')
local suggestion = require('midline.suggestion')

local M = {}

---@type table<string, fun(rest: string, range: { range: integer, line1: integer, line2: integer })>
M.all = {}

local PATIENCE_MS = 3000 -- with a server that is asked to stop

--- All clients, also those whose server hasn't answered yet.
local function clients()
  return vim.lsp.get_clients({ name = 'midline', _uninitialized = true })
end

function M.all.status()
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

function M.all.why()
  local client = midline.client()
  if not client then
    return M.all.status()
  end
  client:request('workspace/executeCommand', { command = 'midline.why' }, function(err, why)
    if err then
      return midline.notify('no answer: ' .. (err.message or vim.inspect(err)), vim.log.levels.ERROR)
    end
    local lines = require('midline.why').describe(why)
    vim.lsp.util.open_floating_preview(lines, 'text', { border = 'rounded', title = ' midline: why ', wrap = true })
  end)
end

function M.all.restart()
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

function M.all.enable()
  suggestion.enabled = true
  statusline.announce()
end

function M.all.disable()
  suggestion.enabled = false
  suggestion.clear()
  statusline.announce()
end

function M.all.chat(message, range)
  local chat = require('midline.chat')
  local selection = range.range > 0 and require('midline.selection').of(range) or nil
  if message == '' then
    chat.write(selection)
  elseif chat.ask({ message = message, selection = selection }) then
    require('midline.chat.window').focus()
  end
end

function M.all.chats()
  require('midline.chat.conversations').choose()
end

--- Call `fn` with `text`, or where that is empty with what the user then types.
local function with_text(text, question, fn)
  if text ~= '' then
    return fn(text)
  end
  vim.ui.input({ prompt = question }, function(typed)
    if typed and vim.trim(typed) ~= '' then
      fn(typed)
    end
  end)
end

function M.all.ask(message, range)
  local selection = require('midline.selection').of(range)
  with_text(message, 'Ask about it: ', function(question)
    require('midline.chat').ask({ message = question, selection = selection })
  end)
end

for _, command in ipairs({ 'explain', 'review' }) do
  M.all[command] = function(message, range)
    local selection = require('midline.selection').of(range)
    require('midline.chat').ask({ message = message, command = command, selection = selection })
  end
end

function M.all.edit(instruction, range)
  local selection = require('midline.selection').of(range)
  with_text(instruction, 'Change it how? ', function(message)
    require('midline.edit').ask({ message = message, command = 'edit', selection = selection })
  end)
end

for _, command in ipairs({ 'fix', 'document', 'types', 'tests' }) do
  M.all[command] = function(message, range)
    local selection = require('midline.selection').of(range)
    require('midline.edit').ask({ message = message, command = command, selection = selection })
  end
end

function M.all.commit()
  require('midline.commit').write()
end

function M.all.stop()
  local chat = package.loaded['midline.chat']
  local any = chat and chat.stop()
  if not require('midline.stream').stop_all() and not any then
    midline.notify('there is nothing to stop.')
  end
end

---@return string[]
function M.names()
  local names = vim.tbl_keys(M.all)
  table.sort(names)
  return names
end

return M
