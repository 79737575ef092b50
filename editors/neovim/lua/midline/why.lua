--- What `midline.why` answers, as people read it.
local M = {}

local function text_of(value)
  return type(value) == 'string' and value or ''
end

local function number_of(value)
  return type(value) == 'number' and ('%.4g'):format(value) or '-'
end

--- `name 1, name 2` of the fields of `values` in the order given.
local function numbers(values, fields)
  values = type(values) == 'table' and values or {}
  return table.concat(
    vim.tbl_map(function(field)
      return ('%s %s'):format((field:gsub('^tokens_', ''):gsub('_', ' ')), number_of(values[field]))
    end, fields),
    ', '
  )
end

---@param piece table of the context
local function describe_piece(piece)
  local symbol = text_of(piece.symbol) ~= '' and (' ' .. piece.symbol) or ''
  local lines = ('%s-%s'):format(number_of(piece.start_line), number_of(piece.end_line))
  return ('  %s:%s%s: %s'):format(text_of(piece.path), lines, symbol, text_of(piece.reason))
end

---@param why table the last suggestion, or the reason why there was none
---@return string[]
function M.describe(why)
  local lines = {}
  if text_of(why.text) ~= '' then
    vim.list_extend(lines, { why.cached and 'Suggested (known already):' or 'Suggested:' })
    for line in vim.gsplit(why.text, '\n', { plain = true }) do
      lines[#lines + 1] = '  | ' .. line
    end
  else
    lines[1] = 'Nothing suggested: ' .. text_of(why.reason)
  end
  if text_of(why.model) == '' then
    return lines -- the model wasn't asked
  end
  vim.list_extend(lines, {
    '',
    ('mode        %s'):format(text_of(why.mode)),
    ('confidence  %s'):format(number_of(why.confidence)),
    ('filters     %s'):format(#(why.filters or {}) > 0 and table.concat(why.filters, ', ') or 'none'),
    'tokens      ' .. numbers(why, { 'tokens_evaluated', 'tokens_reused', 'tokens_generated' }),
    'ms          ' .. numbers(why.ms, { 'context', 'prefill', 'first_token', 'generate', 'total' }),
    ('model       %s'):format(why.model),
    #(why.context or {}) > 0 and 'context' or 'context     none',
  })
  vim.list_extend(lines, vim.tbl_map(describe_piece, why.context or {}))
  return lines
end

return M
