--- The hunks of an edit in a buffer: where each is, whether its lines still are as they were, and carrying it out.
---
--- Extmarks follow what is typed around a hunk. Its lines are compared with what they were before anything is done with
--- it; where they are all blank, so that they could be any, the lines around them are compared, too.
local M = {}

local namespace = vim.api.nvim_create_namespace('midline.edit.hunks')

---@class midline.Hunk
---@field buf integer
---@field mark integer
---@field guard string[] lines that must be as they were, from the mark's on
---@field skip integer how many of them stand above those that change
---@field old string[] the lines that change; none: lines are inserted
---@field new string[]

--- The lines of a text of whole lines.
local function lines_of(text)
  local lines = vim.split(text:gsub('\r\n', '\n'), '\n', { plain = true })
  if lines[#lines] == '' then
    lines[#lines] = nil
  end
  return lines
end

local function is_blank(lines)
  return not vim.iter(lines):any(function(line)
    return line:find('%S') ~= nil
  end)
end

--- Take a hunk as `midline/edit` answers it.
---@param buf integer that has the text which the hunk is of
---@param told { range: lsp.Range, old_text: string, new_text: string }
---@return midline.Hunk? # nil when the buffer has another text
function M.place(buf, told)
  local first, stop = told.range.start.line, told.range['end'].line
  if told.range['end'].character > 0 then
    stop = stop + 1
  end
  local count = vim.api.nvim_buf_line_count(buf)
  local old = vim.api.nvim_buf_get_lines(buf, first, stop, false)
  if not vim.deep_equal(old, lines_of(told.old_text)) then
    return nil
  end
  if #old == 0 and count == 1 and vim.api.nvim_buf_get_lines(buf, 0, 1, false)[1] == '' then
    old, stop = { '' }, 1 -- an empty buffer has one line
  end
  local from, to = first, stop
  if is_blank(old) then
    from, to = math.max(first - 1, 0), math.min(stop + 1, count)
  end
  local guard = vim.api.nvim_buf_get_lines(buf, from, to, false)
  local mark = vim.api.nvim_buf_set_extmark(buf, namespace, from, 0, {
    end_row = to - 1,
    end_col = #guard[#guard],
  })
  return { buf = buf, mark = mark, guard = guard, skip = first - from, old = old, new = lines_of(told.new_text) }
end

--- Where the lines that change are now.
---@param hunk midline.Hunk
---@return integer? first row, from 0; nil when they are no longer as they were
---@return integer row that they end before
function M.rows(hunk)
  local at = vim.api.nvim_buf_get_extmark_by_id(hunk.buf, namespace, hunk.mark, { details = true })
  local first, size = at[1], #hunk.guard
  if not first or at[3].end_row - first ~= size - 1 then
    return nil, 0
  end
  if not vim.deep_equal(vim.api.nvim_buf_get_lines(hunk.buf, first, first + size, false), hunk.guard) then
    return nil, 0
  end
  return first + hunk.skip, first + hunk.skip + #hunk.old
end

--- Where a hunk is or was, for telling the user: a line, from 1.
---@param hunk midline.Hunk
---@return integer
function M.line(hunk)
  local at = vim.api.nvim_buf_get_extmark_by_id(hunk.buf, namespace, hunk.mark, {})
  return (at[1] or 0) + hunk.skip + 1
end

--- Carry a hunk out.
---@param hunk midline.Hunk
---@return boolean # whether it still could be
function M.apply(hunk)
  local first, stop = M.rows(hunk)
  if first then
    vim.api.nvim_buf_set_lines(hunk.buf, first, stop, false, hunk.new)
  end
  M.forget(hunk)
  return first ~= nil
end

---@param hunk midline.Hunk
function M.forget(hunk)
  vim.api.nvim_buf_del_extmark(hunk.buf, namespace, hunk.mark)
end

return M
