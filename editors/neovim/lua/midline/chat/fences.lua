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
local function has_parser(filetype)
  local language = vim.treesitter.language.get_lang(filetype) or filetype
  local ok, added = pcall(vim.treesitter.language.add, language)
  return ok and added and vim.treesitter.query.get(language, 'highlights') ~= nil
end

--- The filetypes of the languages that stand behind a text's fences, by their names there.
local function filetypes_in(lines)
  local found = {}
  for _, block in ipairs(M.blocks(lines)) do
    local name = block.language:lower()
    local filetype = name ~= '' and (vim.filetype.match({ filename = 'x.' .. name }) or name) or ''
    if filetype:find('^%w+$') then
      found[name] = filetype
    end
  end
  return found
end

--- Colour the blocks of a language by its syntax file, if there is one.
local function include(name, filetype)
  local opening = [[^\s*```\+\s*]] .. vim.fn.escape(name, [[/\.*$^~[]]) .. [[\>.*$]]
  local region = [[syntax region midlineCode matchgroup=Comment start=/%s/ end=/^\s*```\+\s*$/ keepend contains=@midline_%s]]
  vim.b.current_syntax = nil -- or syntax files do nothing
  if pcall(vim.cmd, ('syntax include @midline_%s syntax/%s.vim'):format(filetype, filetype)) then
    vim.cmd(region:format(opening, filetype))
  end
  vim.b.current_syntax = 'markdown'
end

--- Colour Markdown and the code in it: by treesitter if it has all languages that stand in it, else by syntax files.
--- Both at once don't go: treesitter's colour for code of any language would lie over the others.
---@param buf integer
function M.highlight(buf)
  local filetypes = filetypes_in(vim.api.nvim_buf_get_lines(buf, 0, -1, false))
  local by_syntax = vim.b[buf].midline_languages ~= nil
  if not by_syntax and vim.iter(vim.tbl_values(filetypes)):all(has_parser) and pcall(vim.treesitter.start, buf, 'markdown') then
    return
  end
  vim.api.nvim_buf_call(buf, function()
    if not by_syntax then
      pcall(vim.treesitter.stop, buf)
      vim.bo.syntax = 'markdown'
      vim.b.midline_languages = {}
    end
    local coloured = vim.b.midline_languages
    for name, filetype in pairs(filetypes) do
      if not coloured[name] then
        coloured[name] = true
        include(name, filetype)
      end
    end
    vim.b.midline_languages = coloured
  end)
end

return M
