--- `:Midline chats`: the conversations that are kept, to go on with, rename, delete or export.
local chat = require('midline.chat')
local midline = require('midline')
local server = require('midline.server')

local M = {}

---@param client vim.lsp.Client
---@param params table
---@param fn fun(result: any)
local function request(client, params, fn)
  client:request('midline/conversations', params, function(err, result)
    if err then
      return midline.notify(err.message or vim.inspect(err), vim.log.levels.ERROR)
    end
    fn(result)
  end)
end

local function export(client, one)
  request(client, { action = 'export', conversation = one.id }, function(result)
    vim.cmd.new()
    vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(result.markdown, '\n', { plain = true }))
    vim.bo.filetype = 'markdown'
  end)
end

local function rename(client, one)
  vim.ui.input({ prompt = 'New title: ', default = one.title }, function(title)
    if title and vim.trim(title) ~= '' then
      request(client, { action = 'rename', conversation = one.id, title = title }, function(renamed)
        chat.changed(one.id, renamed.title)
      end)
    end
  end)
end

local function delete(client, one)
  if vim.fn.confirm(('Delete “%s”?'):format(one.title), '&Delete\n&Keep', 2) == 1 then
    request(client, { action = 'delete', conversation = one.id }, function()
      chat.changed(one.id)
    end)
  end
end

local ACTIONS = {
  { 'Continue', function(client, one)
    request(client, { action = 'get', conversation = one.id }, function(kept)
      chat.continue(kept, client)
    end)
  end },
  { 'Rename', rename },
  { 'Export as Markdown', export },
  { 'Delete', delete },
}

--- `2026-11-22T13:20:26…` in UTC as the user's own time.
local function when(stamp)
  local year, month, day, hour, minute = tostring(stamp):match('^(%d+)-(%d+)-(%d+)T(%d+):(%d+)')
  if not year then
    return ''
  end
  local as_local = os.time({ year = year, month = month, day = day, hour = hour, min = minute })
  local now = os.time()
  local offset = os.difftime(now, os.time(os.date('!*t', now) --[[@as osdateparam]]))
  return os.date('%Y-%m-%d %H:%M', as_local + offset)
end

--- Let the user choose a conversation, then what to do with it.
function M.choose()
  server.with_client(require('midline.chat.window').code_buffer(), function(client)
    request(client, { action = 'list' }, function(found)
      if #found == 0 then
        return midline.notify('there are no conversations in this folder yet.')
      end
      vim.ui.select(found, {
        prompt = 'Conversations',
        format_item = function(one)
          return ('%s  (%s, %d messages)'):format(one.title, when(one.changed), one.messages)
        end,
      }, function(one)
        if not one then
          return
        end
        vim.ui.select(ACTIONS, {
          prompt = one.title,
          format_item = function(action)
            return action[1]
          end,
        }, function(action)
          if action then
            action[2](client, one)
          end
        end)
      end)
    end)
  end, function(problem)
    midline.notify(problem, vim.log.levels.ERROR)
  end)
end

return M
