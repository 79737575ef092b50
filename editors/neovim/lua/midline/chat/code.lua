--- Code taken out of an answer: yanked, or put where the user was.
local fences = require('midline.chat.fences')
local midline = require('midline')

local M = {}

--- The block of code nearest to the cursor of the conversation.
local function here()
  local code = fences.near(vim.api.nvim_buf_get_lines(0, 0, -1, false), vim.api.nvim_win_get_cursor(0)[1] - 1)
  if not code then
    midline.notify('there is no code in this conversation.', vim.log.levels.WARN)
  end
  return code
end

--- Yank it, into the register that was named before the key.
function M.yank()
  local code = here()
  if code then
    vim.fn.setreg(vim.v.register, code, 'V')
    midline.notify(('%d line(s) yanked'):format(#code))
  end
end

--- Put it below the cursor of a window.
---@param win integer
function M.put(win)
  local code = here()
  local buf = vim.api.nvim_win_get_buf(win)
  if code and not vim.bo[buf].modifiable then
    midline.notify('this buffer can\'t be changed.', vim.log.levels.WARN)
  elseif code then
    local row = vim.api.nvim_win_get_cursor(win)[1]
    local empty = vim.api.nvim_buf_get_lines(buf, row - 1, row, false)[1] == ''
    vim.api.nvim_buf_set_lines(buf, empty and row - 1 or row, row, false, code)
    vim.api.nvim_set_current_win(win)
  end
end

return M
