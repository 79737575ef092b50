--- What `midline/status` answers, as people read it.
local suggestion = require('midline.suggestion')

local M = {}

local FEW_CHARS = 40

--- The beginning of a text, up to where its first sentence ends.
---@param text any
---@return string # with a colon before it; '' where there is no text
function M.few(text)
  if type(text) ~= 'string' or text == '' then
    return ''
  end
  local sentence = vim.split(text, '[.:;]%s')[1]:gsub('%.$', '')
  local is_long = vim.fn.strchars(sentence) > FEW_CHARS
  return ': ' .. (is_long and vim.fn.strcharpart(sentence, 0, FEW_CHARS - 1) .. '…' or sentence)
end

---@param share any from 0 to 1
---@return string
local function percent(share)
  return type(share) == 'number' and share > 0 and share < 1 and (' %d %%'):format(100 * share) or ''
end

--- In a few words, for a status line.
---@param status table as `midline/status` answers
---@param most integer files that were to come at most since indexing began
---@return string
function M.brief(status, most)
  local engine, index = status.engine or {}, status.index or {}
  if engine.state == 'starting' or engine.state == 'restarting' then
    return 'loading' .. percent(engine.progress)
  elseif engine.state == 'failed' or engine.state == 'disabled' then
    return (engine.state == 'failed' and 'failed' or 'off') .. M.few(engine.detail)
  elseif engine.state == 'busy' then
    return 'writing…'
  elseif most > 0 then
    return 'indexing' .. percent(1 - index.pending / most)
  end
  return engine.state or ''
end

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
