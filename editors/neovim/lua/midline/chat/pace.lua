--- How an answer is getting on, and what it cost, as people read it.
local M = {}

---@class midline.Pace
---@field began integer ms
---@field phase 'waiting'|'reading'|'thinking'|'writing'
---@field first? integer when the first piece came, ms
---@field pieces integer

---@return midline.Pace
function M.begin()
  return { began = vim.uv.now(), phase = 'waiting', pieces = 0 }
end

--- Take a piece that came.
---@param pace midline.Pace
---@param phase 'reading'|'thinking'|'writing'
function M.advance(pace, phase)
  pace.phase = phase
  if phase ~= 'reading' then
    pace.first = pace.first or vim.uv.now()
    pace.pieces = pace.pieces + 1
  end
end

local function seconds(ms)
  return ('%.1f s'):format(ms / 1000)
end

--- `writing … 12 tokens/s`. A piece is a token, or nearly.
---@param pace midline.Pace
---@param state string of the engine
---@return string
function M.describe(pace, state)
  local now = vim.uv.now()
  if pace.phase == 'waiting' and (state == 'starting' or state == 'restarting') then
    return ('the model is being loaded … %d s'):format((now - pace.began) / 1000)
  elseif not pace.first or now - pace.first < 500 then
    return ('%s … %d s'):format(pace.first and pace.phase or 'reading', (now - pace.began) / 1000)
  end
  return ('%s … %.0f tokens/s'):format(pace.phase, pace.pieces * 1000 / (now - pace.first))
end

local REASONS = {
  length = 'cut off at its greatest length',
  repetition = 'stopped, since it went round in circles',
  cancelled = 'stopped',
  failed = 'not finished, since the engine failed',
}

--- What an answer cost, in few words.
---@param result table of `midline/chat`
---@return string
function M.brief(result)
  return ('%d tokens in %s'):format(result.tokens_generated, seconds(result.ms.total))
end

--- What an answer cost: `310 tokens read, 88 written · 5.2 s`.
---@param result table of `midline/chat` or `midline/edit`, or a kept message
---@return string
function M.cost(result)
  local told = {}
  if REASONS[result.reason] then
    table.insert(told, REASONS[result.reason])
  end
  if type(result.tokens_generated) == 'number' then
    local reused = (result.tokens_reused or 0) > 0 and (', %d known'):format(result.tokens_reused) or ''
    table.insert(told, ('%d tokens read%s, %d written'):format(result.tokens_evaluated or 0, reused, result.tokens_generated))
  end
  local ms = type(result.ms) == 'table' and result.ms or {}
  if type(ms.total) == 'number' then
    table.insert(told, seconds(ms.total))
  end
  if type(ms.generate) == 'number' and ms.generate > 0 and (result.tokens_generated or 0) > 1 then
    table.insert(told, ('%.0f tokens/s'):format(result.tokens_generated * 1000 / ms.generate))
  end
  if (result.removed_citations or 0) > 0 then
    table.insert(told, ('%d wrong citation(s) taken out'):format(result.removed_citations))
  end
  if (result.dropped_turns or 0) > 0 then
    table.insert(told, ('the first %d exchange(s) no longer read'):format(result.dropped_turns))
  end
  return table.concat(told, ' · ')
end

return M
