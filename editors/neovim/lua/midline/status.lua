--- What `midline/status` answers, as people read it.
local suggestion = require('midline.suggestion')

local M = {}

--- One line of numbers, from the fields of `values` in the order given; what is unknown is a dash.
local function line(template, values, fields)
  local numbers = vim.tbl_map(function(field)
    return type(values[field]) == 'number' and ('%d'):format(values[field]) or '-'
  end, fields)
  return '  ' .. template:format(unpack(numbers))
end

---@param status table as `midline/status` answers
---@return string[]
function M.describe(status)
  local engine, counts = status.engine or {}, status.completion or {}
  local head = { engine.state or 'unknown' }
  for _, key in ipairs({ 'model', 'detail' }) do
    if type(engine[key]) == 'string' and engine[key] ~= '' then
      table.insert(head, engine[key])
    end
  end
  local lines = { table.concat(head, ', ') }
  if type(engine.cure) == 'string' and engine.cure ~= '' then
    table.insert(lines, '  cure: ' .. engine.cure)
  end
  vim.list_extend(lines, {
    line('engine: pid %s, context %s tokens, %s layers on the GPU', engine, { 'pid', 'n_ctx', 'gpu_layers' }),
    line('completions: %s asked, %s shown, %s accepted, p50 %s ms', counts, {
      'requests',
      'shown',
      'accepted',
      'p50_ms',
    }),
    line('tokens: %s evaluated, %s reused, %s generated', counts, {
      'tokens_evaluated',
      'tokens_reused',
      'tokens_generated',
    }),
  })
  local index = status.index or {}
  if type(index.state) == 'string' then
    local told = index.state == 'disabled' and '  index: disabled'
      or line('index: ' .. index.state .. ', %s files in %s chunks, %s to come', index, { 'files', 'chunks', 'pending' })
    local why = type(index.detail) == 'string' and index.detail ~= '' and (' (' .. index.detail .. ')') or ''
    table.insert(lines, told .. why)
  end
  if not suggestion.enabled then
    table.insert(lines, '  suggestions are off in this Neovim; cure: :Midline enable')
  end
  return lines
end

return M
