--- Citations in a conversation, `[3]` and `path:12-20`: where they stand in a text, and the jump to what they name.
local M = {}

local PLACE = [=[\v[[:alnum:]_./~+-]*[[:alnum:]_]:\d+%(-\d+)?]=]
local NUMBER = [=[\v\[\d{1,3}%(,\s*\d{1,3})*\]]=]

---@class midline.Cited
---@field first integer byte column, from 0
---@field last integer exclusive
---@field place table path, start_line, end_line

--- What `path:12-20` stands for.
local function place_of(text)
  local path, first, last = text:match('^(.-):(%d+)%-?(%d*)$')
  return { path = path, start_line = tonumber(first), end_line = tonumber(last) or tonumber(first) }
end

--- The citations in a line.
---@param line string
---@param numbers table<integer, table>
---@param is_there? fun(path: string): boolean leaves out paths that it says no to
---@return midline.Cited[]
function M.find(line, numbers, is_there)
  local found = {}
  for _, pattern in ipairs({ NUMBER, PLACE }) do
    local from = 0
    while true do
      local text, first, last = unpack(vim.fn.matchstrpos(line, pattern, from))
      if first < 0 then
        break
      end
      if vim.startswith(text, '[') then
        for offset, number in text:gmatch('()(%d+)') do -- each of `[1, 2]` is a place of its own
          local place = numbers[tonumber(number)]
          local alone = #text == #number + 2
          local start = first + (alone and 0 or offset - 1)
          if place then
            table.insert(found, { first = start, last = start + (alone and #text or #number), place = place })
          end
        end
      else
        local place = place_of(text)
        if not is_there or is_there(place.path) then
          table.insert(found, { first = first, last = last, place = place })
        end
      end
      from = last
    end
  end
  return found
end

--- The place that the text at a byte of a line cites.
---@param line string
---@param col integer from 0
---@param numbers table<integer, table>
---@return table?
function M.at(line, col, numbers)
  for _, cited in ipairs(M.find(line, numbers)) do
    if col >= cited.first and col < cited.last then
      return cited.place
    end
  end
end

--- The full path of what an answer cites.
---@param root string the workspace
---@param path string relative to it, or absolute
---@return string
function M.full_path(root, path)
  return vim.startswith(path, '/') and path or vim.fs.joinpath(root, path)
end

--- Go to a place in a window.
---@param win integer
---@param place table
---@param root string the workspace
function M.jump(win, place, root)
  local path = M.full_path(root, place.path)
  if vim.fn.filereadable(path) == 0 then
    return require('midline').notify(('%s is not there any more.'):format(place.path), vim.log.levels.WARN)
  elseif (place.page or 0) > 0 then
    vim.ui.open(path) -- a PDF, which is no text here
    return
  end
  vim.api.nvim_set_current_win(win)
  vim.cmd('normal! m\'')
  if vim.fn.bufnr(path) ~= vim.api.nvim_get_current_buf() then
    vim.cmd.edit({ vim.fn.fnameescape(path) })
  end
  local last = vim.api.nvim_buf_line_count(0)
  vim.api.nvim_win_set_cursor(0, { math.min(math.max(place.start_line, 1), last), 0 })
  vim.cmd('normal! zvzz')
  M.flash(place)
end

local flashes = vim.api.nvim_create_namespace('midline.cited')

--- Show the cited lines for a moment.
---@param place table
function M.flash(place)
  local buf, count = vim.api.nvim_get_current_buf(), vim.api.nvim_buf_line_count(0)
  vim.hl.range(buf, flashes, 'Visual', { math.min(place.start_line, count) - 1, 0 }, {
    math.min(place.end_line, count) - 1,
    vim.v.maxcol,
  }, { regtype = 'V', timeout = 600 })
end

return M
