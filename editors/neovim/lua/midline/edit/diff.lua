--- An edit shown in the buffer itself, hunk by hunk, until each was accepted or rejected.
local hunks = require('midline.edit.hunks')
local keys = require('midline.edit.keys')
local midline = require('midline')

local M = {}

local namespace = vim.api.nvim_create_namespace('midline.edit')

for name, link in pairs({ Added = 'DiffAdd', Removed = 'DiffDelete', Hint = 'NonText' }) do
  vim.api.nvim_set_hl(0, 'MidlineEdit' .. name, { default = true, link = link })
end

---@class midline.Diff
---@field buf integer
---@field hunks midline.Hunk[] those that are still to be decided on
---@field accepted integer
---@field notes string[] shown with the first hunk
---@field actions table
---@field on_done fun(accepted: integer)

local shown = {} ---@type table<integer, midline.Diff> by buffer

--- Whether an edit is shown in a buffer.
---@param buf integer
---@return boolean
function M.is_shown(buf)
  return shown[buf] ~= nil
end

--- What can be done, in a line below each hunk; what is for all of them stands below the first.
local function hint(index, count)
  local map, parts = midline.config.edit.keymaps, {}
  for _, action in ipairs({
    { 'accept', 'accepts' },
    { 'reject', 'rejects' },
    { 'accept_all', 'accepts all', true },
    { 'reject_all', 'rejects all', true },
    { 'next', 'next', true },
  }) do
    local key = map[action[1]]
    if key and (not action[3] or (count > 1 and index == 1)) then
      table.insert(parts, ('%s %s'):format(key, action[2]))
    end
  end
  return ('  midline %d/%d: %s'):format(index, count, table.concat(parts, ' · '))
end

--- Draw a hunk.
local function draw(diff, index)
  local hunk, count = diff.hunks[index], #diff.hunks
  local first, stop = hunks.rows(hunk)
  if not first then
    return
  end
  for row = first, stop - 1 do
    vim.api.nvim_buf_set_extmark(hunk.buf, namespace, row, 0, { line_hl_group = 'MidlineEditRemoved', priority = 300 })
  end
  local lines = vim.tbl_map(function(line)
    local spare = math.max(vim.o.columns - vim.fn.strdisplaywidth(line), 0)
    return { { line .. (' '):rep(spare), 'MidlineEditAdded' } }
  end, hunk.new)
  table.insert(lines, { { hint(index, count), 'MidlineEditHint' } })
  for _, note in ipairs(index == 1 and diff.notes or {}) do
    table.insert(lines, { { '  ' .. note, 'MidlineEditHint' } })
  end
  local above = stop == 0
  vim.api.nvim_buf_set_extmark(hunk.buf, namespace, above and 0 or stop - 1, 0, {
    virt_lines = lines,
    virt_lines_above = above,
  })
end

--- Windows scroll virtual lines above the first line in only when they are told to.
local function show_top(diff)
  local first, stop = hunks.rows(diff.hunks[1])
  if first == 0 and stop == 0 then
    for _, win in ipairs(vim.fn.win_findbuf(diff.buf)) do
      vim.api.nvim_win_call(win, function()
        if vim.fn.winsaveview().topline == 1 then
          vim.fn.winrestview({ topfill = #diff.hunks[1].new + 1 + #diff.notes })
        end
      end)
    end
  end
end

--- Take down all that belongs to an edit that is shown.
local function take_down(diff)
  shown[diff.buf] = nil
  vim.api.nvim_create_augroup('midline.edit:' .. diff.buf, {})
  if vim.api.nvim_buf_is_valid(diff.buf) then
    vim.api.nvim_buf_clear_namespace(diff.buf, namespace, 0, -1)
  end
  keys.take(diff.buf, diff.actions)
end

--- Draw what is left; end when nothing is.
local function redraw(diff)
  if #diff.hunks == 0 then
    take_down(diff)
    return diff.on_done(diff.accepted)
  end
  vim.api.nvim_buf_clear_namespace(diff.buf, namespace, 0, -1)
  for index in ipairs(diff.hunks) do
    draw(diff, index)
  end
  show_top(diff)
end

--- Drop the hunks whose lines were changed.
local function check(diff)
  local kept, dropped = {}, {}
  for _, hunk in ipairs(diff.hunks) do
    local first = hunks.rows(hunk)
    if first then
      table.insert(kept, hunk)
    else
      table.insert(dropped, hunks.line(hunk))
      hunks.forget(hunk)
    end
  end
  if #dropped > 0 then
    diff.hunks = kept
    midline.notify(
      ('the lines at %s have been changed: what was proposed there is dropped.'):format(table.concat(dropped, ', ')),
      vim.log.levels.WARN
    )
  end
  return #dropped > 0
end

--- The hunk at the cursor, else the nearest: its number.
local function current(diff)
  local row = vim.api.nvim_win_get_cursor(0)[1] - 1
  local best, least = 1, math.huge
  for index, hunk in ipairs(diff.hunks) do
    local first, stop = hunks.rows(hunk)
    local away = not first and math.huge or row < first and first - row or row >= stop and row - stop + 1 or 0
    if away < least then
      best, least = index, away
    end
  end
  return best
end

--- Go to a hunk.
local function go(diff, index)
  local hunk = diff.hunks[index]
  local first = hunk and hunks.rows(hunk)
  if first then
    vim.cmd('normal! m\'')
    vim.api.nvim_win_set_cursor(0, { math.min(first + 1, vim.api.nvim_buf_line_count(diff.buf)), 0 })
    vim.cmd('normal! zv')
    show_top(diff)
  end
end

--- Go to the first hunk where none of it is on the screen, unless the user is busy elsewhere.
local function show_first(diff)
  local first = hunks.rows(diff.hunks[1])
  local here = vim.api.nvim_get_current_buf() == diff.buf and vim.api.nvim_get_mode().mode == 'n'
  if here and first and (first + 1 < vim.fn.line('w0') or first + 1 > vim.fn.line('w$')) then
    go(diff, 1)
  end
end

--- Decide on the hunk at the cursor.
local function decide(diff, accept)
  check(diff)
  diff.notes = {}
  local index = current(diff)
  local hunk = table.remove(diff.hunks, index)
  if hunk and accept and hunks.apply(hunk) then
    diff.accepted = diff.accepted + 1
  elseif hunk then
    hunks.forget(hunk)
  end
  redraw(diff)
  if #diff.hunks > 0 then
    go(diff, math.min(index, #diff.hunks))
  end
end

--- Decide on all that are left.
local function decide_all(diff, accept)
  check(diff)
  for _, hunk in ipairs(diff.hunks) do
    if accept and hunks.apply(hunk) then
      diff.accepted = diff.accepted + 1
    else
      hunks.forget(hunk)
    end
  end
  diff.hunks = {}
  redraw(diff)
end

--- Go to the next hunk, or the one before.
local function move(diff, step)
  local row, count = vim.api.nvim_win_get_cursor(0)[1] - 1, #diff.hunks
  for offset = 1, count do
    local index = step > 0 and offset or count + 1 - offset
    local first = hunks.rows(diff.hunks[index])
    if first and (first - row) * step > 0 then
      return go(diff, index)
    end
  end
  go(diff, step > 0 and 1 or count)
end

---@param diff midline.Diff
local function actions_of(diff)
  local map, actions = midline.config.edit.keymaps, {}
  for name, action in pairs({
    accept = { function() decide(diff, true) end, desc = 'accept the hunk' },
    reject = { function() decide(diff, false) end, desc = 'reject the hunk' },
    accept_all = { function() decide_all(diff, true) end, desc = 'accept all hunks' },
    reject_all = { function() decide_all(diff, false) end, desc = 'reject all hunks' },
    next = { function() move(diff, 1) end, desc = 'next hunk' },
    previous = { function() move(diff, -1) end, desc = 'previous hunk' },
  }) do
    if map[name] then
      actions[map[name]] = action
    end
  end
  return actions
end

--- Show an edit.
---@param buf integer
---@param told table[] the hunks as `midline/edit` answers them
---@param notes string[] what else to say about it
---@param on_done fun(accepted: integer) called when all hunks were decided on
---@return boolean # whether there was anything to show: nothing is, where the buffer has another text
function M.show(buf, told, notes, on_done)
  local diff = { buf = buf, hunks = {}, accepted = 0, notes = notes, on_done = on_done }
  for _, one in ipairs(told) do
    local hunk = hunks.place(buf, one)
    if not hunk then
      vim.iter(diff.hunks):each(hunks.forget)
      return false
    end
    table.insert(diff.hunks, hunk)
  end
  if #diff.hunks == 0 then
    return false
  end
  shown[buf] = diff
  diff.actions = actions_of(diff)
  keys.give(buf, diff.actions)
  local group = vim.api.nvim_create_augroup('midline.edit:' .. buf, {})
  vim.api.nvim_create_autocmd({ 'TextChanged', 'TextChangedI', 'TextChangedP' }, {
    group = group,
    buffer = buf,
    callback = function()
      if check(diff) then
        redraw(diff)
      end
    end,
  })
  vim.api.nvim_create_autocmd({ 'BufUnload', 'BufWipeout' }, {
    group = group,
    buffer = buf,
    once = true,
    callback = function()
      take_down(diff) -- it is reloaded, or goes
    end,
  })
  redraw(diff)
  show_first(diff)
  return true
end

--- Decide on all hunks of a buffer at once.
---@param buf integer
---@param accept boolean
function M.decide_all(buf, accept)
  if shown[buf] then
    decide_all(shown[buf], accept)
  end
end

return M
