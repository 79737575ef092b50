--- The text of a conversation: who said what, as Markdown, with citations, folded reasoning and what each answer cost.
local citations = require('midline.chat.citations')
local fences = require('midline.chat.fences')

local M = {}

local marks = vim.api.nvim_create_namespace('midline.chat')

M.root = '' -- of the workspace that the conversation is about

local buf ---@type integer?
local numbers = {} ---@type table<integer, table> the places of this conversation's sources
local thoughts = {} ---@type [integer, integer][] first and last row of each reasoning, from 0
local answer ---@type { row: integer, kind: string }? what is being written, and where it began

for name, link in pairs({ Citation = 'Underlined', Reasoning = 'Comment', Note = 'NonText', Problem = 'DiagnosticError' }) do
  vim.api.nvim_set_hl(0, 'Midline' .. name, { default = true, link = link })
end

--- Whether there is a buffer to write to.
function M.is_there()
  return buf ~= nil and vim.api.nvim_buf_is_loaded(buf)
end

--- The buffer, made where there is none.
---@return integer
function M.buffer()
  if not M.is_there() then
    buf = require('midline.chat.scratch').create('midline://chat')
    vim.bo[buf].filetype = 'markdown'
    vim.bo[buf].modifiable = false
    vim.bo[buf].undolevels = -1
    vim.api.nvim_create_autocmd('BufEnter', { buffer = buf, command = 'stopinsert' })
    fences.highlight(buf)
    M.clear()
  end
  return buf
end

--- Change the text; the user can't.
local function change(fn)
  vim.bo[buf].modifiable = true
  fn()
  vim.bo[buf].modifiable = false
  vim.bo[buf].modified = false
end

local function last_row()
  return vim.api.nvim_buf_line_count(buf) - 1
end

local function line_at(row)
  return vim.api.nvim_buf_get_lines(buf, row, row + 1, false)[1] or ''
end

--- Add text at the end. Windows that show the end go on doing so.
---@param text string
local function append(text)
  local row = last_row()
  local following = vim.tbl_filter(function(win)
    return vim.api.nvim_win_get_cursor(win)[1] > row
  end, vim.fn.win_findbuf(buf))
  change(function()
    vim.api.nvim_buf_set_text(buf, row, #line_at(row), row, #line_at(row), vim.split(text, '\n', { plain = true }))
  end)
  for _, win in ipairs(following) do
    vim.api.nvim_win_set_cursor(win, { last_row() + 1, 0 })
  end
end

--- Add a block of lines, with a blank one before it.
---@return integer # the row that it begins at
local function append_block(text)
  local empty = last_row() == 0 and line_at(0) == ''
  local blank = line_at(last_row()) == ''
  append((empty and '' or blank and '\n' or '\n\n') .. text)
  return last_row() - select(2, text:gsub('\n', ''))
end

local function has_file(path)
  return vim.fn.filereadable(citations.full_path(M.root, path)) == 1
end

--- Mark the citations between two rows that no code holds.
local function mark_citations(first, last)
  vim.api.nvim_buf_clear_namespace(buf, marks, first, last + 1)
  local lines = vim.api.nvim_buf_get_lines(buf, first, last + 1, false)
  for index, in_code in ipairs(fences.inside(lines)) do
    for _, cited in ipairs(in_code and {} or citations.find(lines[index], numbers, has_file)) do
      vim.api.nvim_buf_set_extmark(buf, marks, first + index - 1, cited.first, {
        end_col = cited.last,
        hl_group = 'MidlineCitation',
      })
    end
  end
end

--- Add a line in a colour of its own.
local function append_line(text, group)
  local row = append_block((text:gsub('%s*\n%s*', ' ')))
  vim.api.nvim_buf_set_extmark(buf, marks, row, 0, {
    end_col = #line_at(row),
    hl_group = group,
    priority = 200, -- above Markdown's
  })
end

--- Begin anew.
function M.clear()
  numbers, thoughts, answer = {}, {}, nil
  vim.api.nvim_buf_clear_namespace(buf, -1, 0, -1)
  change(function()
    vim.api.nvim_buf_set_lines(buf, 0, -1, false, {})
  end)
end

--- Show a question.
---@param text string
---@param about? string what it is about, as people read it
function M.question(text, about)
  M.buffer()
  append_block(('## You%s\n\n%s'):format(about and (' · ' .. about) or '', fences.closed(text)))
end

--- Show the beginning of an answer.
function M.begin_answer()
  append_block('## midline\n\n')
  answer = { row = last_row(), kind = '' }
end

local function end_reasoning()
  append('\n\n')
  M.fold()
end

--- Show the next piece of what the model writes.
---@param kind 'answer'|'reasoning'
---@param text string
function M.piece(kind, text)
  if not answer or not M.is_there() then
    return
  elseif kind ~= answer.kind then
    if kind == 'reasoning' then
      table.insert(thoughts, { last_row(), last_row() })
    elseif answer.kind == 'reasoning' then
      end_reasoning()
    end
    answer.kind, answer.row = kind, last_row()
  end
  if last_row() == answer.row and line_at(answer.row) == '' then
    text = text:gsub('^%s*\n', '')
  end
  append(text)
  if kind == 'reasoning' then
    local thought = thoughts[#thoughts]
    thought[2] = last_row()
    thought.mark = vim.api.nvim_buf_set_extmark(buf, marks, thought[1], 0, {
      id = thought.mark,
      end_row = thought[2],
      end_col = #line_at(thought[2]),
      hl_group = 'MidlineReasoning',
      priority = 200,
    })
  end
end

--- Put what the server checked in the place of what was streamed; without it, end what was streamed.
---@param text? string
local function settle(text)
  if answer.kind == 'reasoning' then
    end_reasoning()
    answer.row = last_row()
  end
  text = text or table.concat(vim.api.nvim_buf_get_lines(buf, answer.row, -1, false), '\n')
  change(function()
    vim.api.nvim_buf_set_lines(buf, answer.row, -1, false, vim.split(fences.closed(text), '\n', { plain = true }))
  end)
end

--- A place as people read it: `lsp/session.py:12-20`, `manual.pdf, page 3`, with the section of a document.
local function described(place)
  local where
  if (place.page or 0) > 0 then
    where = (', page %d'):format(place.page)
  elseif place.start_line == place.end_line then
    where = (':%d'):format(place.start_line)
  else
    where = (':%d-%d'):format(place.start_line, place.end_line)
  end
  local section = place.section or ''
  return place.path .. where .. (section ~= '' and (' · ' .. section) or '')
end

--- The places that an answer cites, by the numbers that it cites them by.
---@param places table[]
---@return string
local function sources_of(places)
  return table.concat(
    vim.tbl_map(function(place)
      for number, source in pairs(numbers) do
        if source.path == place.path and source.start_line == place.start_line and source.end_line == place.end_line then
          return ('- [%d] %s'):format(number, described(place))
        end
      end
      return '- ' .. described(place)
    end, places),
    '\n'
  )
end

--- End an answer.
---@param result table as `midline/chat` gives it, or as the conversation keeps it
---@param note? string what to say about it
function M.end_answer(result, note)
  if not answer or not M.is_there() then
    return
  end
  for _, source in ipairs(result.context or {}) do
    numbers[source.number] = source
  end
  settle(result.answer)
  local sources = sources_of(result.citations or {})
  if sources ~= '' then
    append_block(sources)
  end
  mark_citations(answer.row, last_row())
  fences.highlight(buf)
  if note and note ~= '' then
    append_line(note, 'MidlineNote')
  end
  answer = nil
end

--- Show why there is no answer, or not all of it.
---@param problem string
function M.problem(problem)
  M.buffer()
  if answer then
    settle()
  end
  answer = nil
  append_line('✗ ' .. problem, 'MidlineProblem')
end

--- Show a conversation that was kept.
---@param history table[]
---@param note fun(message: table): string
function M.load(history, note)
  M.buffer()
  M.clear()
  for _, message in ipairs(history) do
    if message.role == 'user' then
      M.question(message.text)
    else
      M.begin_answer()
      if message.reasoning and message.reasoning ~= '' then
        M.piece('reasoning', message.reasoning)
      end
      M.piece('answer', message.text)
      M.end_answer(vim.tbl_extend('force', message, { answer = message.text }), note(message))
    end
  end
end

--- The place cited at the cursor of the current window.
---@return table?
function M.cited()
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  return citations.at(line_at(row - 1), col, numbers)
end

--- Fold the reasoning away in the windows that show the conversation. By hand: 'foldexpr' rests in Insert mode, in
--- which the user is who writes the next message.
function M.fold()
  for _, win in ipairs(vim.fn.win_findbuf(buf)) do
    vim.api.nvim_win_call(win, function()
      vim.cmd('normal! zE')
      for _, thought in ipairs(thoughts) do
        vim.cmd(('%d,%dfold'):format(thought[1] + 1, thought[2] + 1))
      end
    end)
  end
end

--- For 'foldtext'.
function M.fold_text()
  return ('▸ reasoning, %d lines (zo opens)'):format(vim.v.foldend - vim.v.foldstart + 1)
end

return M
