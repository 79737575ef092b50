--- `:Midline commit`: a message for what is staged, in the buffer that git opened or in one of its own.
local midline = require('midline')
local server = require('midline.server')
local stream = require('midline.stream')

local M = {}

--- Whether a buffer is a commit message in which the user has written nothing yet.
local function is_waiting(buf)
  return vim.bo[buf].filetype == 'gitcommit'
    and vim.iter(vim.api.nvim_buf_get_lines(buf, 0, -1, false)):all(function(line)
      return line == '' or vim.startswith(line, '#')
    end)
end

local function insert(buf, lines)
  local first = vim.api.nvim_buf_get_lines(buf, 0, 1, false)[1]
  vim.api.nvim_buf_set_lines(buf, 0, first == '' and 1 or 0, false, lines)
end

--- Have it written.
function M.write()
  local buf = vim.api.nvim_get_current_buf()
  local function fail(problem)
    if problem == false then
      return midline.notify('stopped.')
    end
    midline.notify(problem, vim.log.levels.ERROR)
  end
  server.with_client(buf, function(client)
    midline.notify('writing a commit message … (:Midline stop stops)')
    -- Lua's empty table would be a list.
    local params = { command = 'midline.commitMessage', arguments = { vim.empty_dict() } }
    stream.request(client, 'workspace/executeCommand', params, buf, function() end, function(problem, result)
      if not result then
        return fail(problem)
      end
      local lines = vim.split(vim.trim(result.message), '\n', { plain = true })
      if vim.api.nvim_buf_is_valid(buf) and is_waiting(buf) then
        return insert(buf, lines)
      end
      vim.cmd.new()
      vim.bo.buftype, vim.bo.bufhidden, vim.bo.filetype = 'nofile', 'wipe', 'gitcommit'
      vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
    end)
  end, fail)
end

return M
