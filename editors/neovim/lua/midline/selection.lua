--- A place in a buffer as requests name it: the selection or the cursor, the text's version, and what is wrong there.
local M = {}

local MOST_DIAGNOSTICS = 50

---@class midline.Selection
---@field buf integer
---@field version? integer of the text, as the server knows it
---@field first integer[] row and byte column of its beginning, from 0
---@field last integer[] of its end, exclusive
---@field lines [integer, integer]? first and last line from 1; nil for the cursor

--- The byte after the character at a byte of a line, both from 0.
local function after_char(line, col)
  if col >= #line then
    return #line
  end
  local following = vim.fn.byteidx(line, vim.fn.charidx(line, col) + 1)
  return following < 0 and #line or following
end

--- Whole lines, from 1, both included.
local function whole_lines(buf, line1, line2)
  local count = vim.api.nvim_buf_line_count(buf)
  if line2 < count then
    return { line1 - 1, 0 }, { line2, 0 }
  end
  local text = vim.api.nvim_buf_get_lines(buf, count - 1, count, false)[1] or ''
  return { line1 - 1, 0 }, { count - 1, #text }
end

--- What a command's range selects in the current buffer: the last visual selection to the character where the range is
--- its lines, else whole lines; without a range, the cursor.
---@param range { range: integer, line1: integer, line2: integer } as a user command is given
---@return midline.Selection
function M.of(range)
  local buf = vim.api.nvim_get_current_buf()
  local made = { buf = buf, version = vim.lsp.util.buf_versions[buf] }
  if range.range == 0 then
    local row, col = unpack(vim.api.nvim_win_get_cursor(0))
    made.first, made.last = { row - 1, col }, { row - 1, col }
    return made
  end
  made.lines = { range.line1, range.line2 }
  local from, to = vim.fn.getpos('\'<'), vim.fn.getpos('\'>')
  if range.range == 2 and from[2] == range.line1 and to[2] == range.line2 and vim.fn.visualmode() == 'v' then
    local line = vim.fn.getline(to[2])
    local stop = vim.o.selection == 'exclusive' and math.min(to[3] - 1, #line) or after_char(line, to[3] - 1)
    made.first, made.last = { from[2] - 1, math.min(from[3] - 1, #vim.fn.getline(from[2])) }, { to[2] - 1, stop }
  else
    made.first, made.last = whole_lines(buf, range.line1, range.line2)
  end
  return made
end

--- The selection that a request's parameters name.
---@param params table
---@param encoding string
---@return midline.Selection
function M.from_lsp(params, encoding)
  local buf, range = vim.uri_to_bufnr(params.textDocument.uri), params.selection
  local function bytes(place)
    local line = vim.api.nvim_buf_get_lines(buf, place.line, place.line + 1, false)[1] or ''
    return { place.line, vim.str_byteindex(line, encoding, place.character, false) }
  end
  local made = { buf = buf, version = params.textDocument.version, first = bytes(range.start), last = bytes(range['end']) }
  if not vim.deep_equal(made.first, made.last) then
    made.lines = { made.first[1] + 1, made.last[2] == 0 and made.last[1] or made.last[1] + 1 }
  end
  return made
end

--- A byte position as LSP has it.
---@param buf integer
---@param place integer[] row and byte, from 0
---@param encoding string
local function position(buf, place, encoding)
  local line = vim.api.nvim_buf_get_lines(buf, place[1], place[1] + 1, false)[1] or ''
  return { line = place[1], character = vim.str_utfindex(line, encoding, math.min(place[2], #line), false) }
end

---@param buf integer
---@param first integer[]
---@param last integer[]
---@param encoding string
---@return lsp.Range
local function range_of(buf, first, last, encoding)
  return { start = position(buf, first, encoding), ['end'] = position(buf, last, encoding) }
end

--- What any tool says is wrong in some lines, as LSP has it.
---@param buf integer
---@param first integer row from 0
---@param last integer row, included
---@param encoding string
---@return lsp.Diagnostic[]
function M.diagnostics(buf, first, last, encoding)
  local found = vim.tbl_filter(function(one)
    return one.lnum <= last and (one.end_lnum or one.lnum) >= first
  end, vim.diagnostic.get(buf))
  return vim.tbl_map(function(one)
    local stop = { one.end_lnum or one.lnum, one.end_col or one.col }
    return {
      range = range_of(buf, { one.lnum, one.col }, stop, encoding),
      severity = one.severity,
      message = one.message,
      source = one.source,
      code = one.code,
    }
  end, vim.list_slice(found, 1, MOST_DIAGNOSTICS))
end

--- The parameters that name a selection.
---@param selection midline.Selection
---@param encoding string
---@return table
function M.params(selection, encoding)
  local buf, last = selection.buf, selection.last
  local inside = last[2] == 0 and last[1] > selection.first[1] and last[1] - 1 or last[1]
  return {
    textDocument = { uri = vim.uri_from_bufnr(buf), version = selection.version },
    selection = range_of(buf, selection.first, last, encoding),
    diagnostics = M.diagnostics(buf, selection.first[1], inside, encoding),
  }
end

--- A selection as people read it: `lsp/session.py:12-20`.
---@param selection midline.Selection
---@return string
function M.label(selection)
  local name = vim.api.nvim_buf_get_name(selection.buf)
  local client = vim.lsp.get_clients({ name = 'midline', bufnr = selection.buf })[1]
  name = client and client.root_dir and vim.fs.relpath(client.root_dir, name) or vim.fn.fnamemodify(name, ':~:.')
  local first, last = unpack(selection.lines or { selection.first[1] + 1, selection.first[1] + 1 })
  return ('%s:%s'):format(name == '' and '[No Name]' or name, first == last and first or (first .. '-' .. last))
end

return M
