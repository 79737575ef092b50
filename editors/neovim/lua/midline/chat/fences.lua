--- Fenced code in Markdown: where it is, its colours, taking it out.
local M = {}

local FENCE = '^%s?%s?%s?(```+)([^`]*)$'

---@class midline.Block
---@field first integer row of the opening fence, from 0
---@field last integer row of the closing one, or of the last line where it isn't closed
---@field language string
---@field closed boolean

--- The blocks of code in a text.
---@param lines string[]
---@return midline.Block[]
function M.blocks(lines)
  local found, open, mark = {}, nil, ''
  for index, line in ipairs(lines) do
    local ticks, info = line:match(FENCE)
    if ticks and not open then
      open, mark = { first = index - 1, last = #lines - 1, language = info:match('[%w_+#.-]*'), closed = false }, ticks
      found[#found + 1] = open
    elseif ticks and #ticks >= #mark and vim.trim(info) == '' then
      open.last, open.closed, open = index - 1, true, nil
    end
  end
  return found
end

--- For each line, whether it belongs to a block of code.
---@param lines string[]
---@return boolean[]
function M.inside(lines)
  local inside = {}
  for index = 1, #lines do
    inside[index] = false
  end
  for _, block in ipairs(M.blocks(lines)) do
    for row = block.first, block.last do
      inside[row + 1] = true
    end
  end
  return inside
end

--- A text whose last block of code is closed, so that what follows isn't code.
---@param text string
---@return string
function M.closed(text)
  local lines = vim.split(text, '\n', { plain = true })
  local blocks = M.blocks(lines)
  local last = blocks[#blocks]
  return last and not last.closed and (text .. '\n' .. lines[last.first + 1]:match(FENCE)) or text
end

--- The code of the block at a row, else of the next one above, else of the next one below.
---@param lines string[]
---@param row integer from 0
---@return string[]? code
---@return string? language
function M.near(lines, row)
  local chosen ---@type midline.Block?
  for _, block in ipairs(M.blocks(lines)) do
    if block.first <= row or not chosen then
      chosen = block
    end
  end
  if chosen then
    local stop = chosen.closed and chosen.last or chosen.last + 1
    return vim.list_slice(lines, chosen.first + 2, stop), chosen.language
  end
end

--- Whether treesitter colours a language in this Neovim.
local function has_parser(language)
  language = vim.treesitter.language.get_lang(language) or language
  local ok, added = pcall(vim.treesitter.language.add, language)
  return ok and added and vim.treesitter.query.get(language, 'highlights') ~= nil
end

--- Colour the code of a buffer: by treesitter where there is a parser, else by the language's syntax file.
---@param buf integer
function M.highlight(buf)
  local by_treesitter = pcall(vim.treesitter.start, buf, 'markdown')
  local coloured = vim.b[buf].midline_languages or {}
  for _, block in ipairs(M.blocks(vim.api.nvim_buf_get_lines(buf, 0, -1, false))) do
    local name = block.language:lower()
    local filetype = name ~= '' and (vim.filetype.match({ filename = 'x.' .. name }) or name) or ''
    local safe = filetype:match('^%w+$')
    if safe and not coloured[name] then
      coloured[name] = true
      if not (by_treesitter and has_parser(filetype)) and vim.fn.globpath(vim.o.rtp, 'syntax/' .. filetype .. '.vim') ~= '' then
        M.include(buf, name, filetype)
      end
    end
  end
  vim.b[buf].midline_languages = coloured
end

--- Colour the blocks of a language by its syntax file.
---@param buf integer
---@param name string as it stands behind the fence
---@param filetype string
function M.include(buf, name, filetype)
  vim.api.nvim_buf_call(buf, function()
    local current = vim.b.current_syntax
    vim.b.current_syntax = nil
    pcall(vim.cmd, ('syntax include @midline_%s syntax/%s.vim'):format(filetype, filetype))
    vim.b.current_syntax = current
    local opening = [[^\s*```\+\s*]] .. vim.fn.escape(name, [[/\.*$^~[]]) .. [[\>.*$]]
    pcall(
      vim.cmd,
      ([[syntax region midlineCode matchgroup=Comment start=/%s/ end=/^\s*```\+\s*$/ contains=@midline_%s keepend]]):format(
        opening,
        filetype
      )
    )
  end)
end

return M
