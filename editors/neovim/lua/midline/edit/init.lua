--- Edits: asked for, shown while they are being written, then as a diff in the buffer that they are of.
local diff = require('midline.edit.diff')
local keys = require('midline.edit.keys')
local midline = require('midline')
local pace = require('midline.chat.pace')
local selections = require('midline.selection')
local server = require('midline.server')
local stream = require('midline.stream')

local M = {}

local namespace = vim.api.nvim_create_namespace('midline.edit.progress')

---@class midline.Writing
---@field buf integer
---@field row integer where it began, from 0
---@field mark? integer of that row
---@field timer? uv.uv_timer_t
---@field pace midline.Pace
---@field stream? midline.Stream
---@field stopped? boolean
---@field lines integer
---@field attempt integer
---@field stop_key table

local writing = {} ---@type table<integer, midline.Writing> by buffer

local function stop_key()
  return midline.config.edit.keymaps.stop
end

--- Say at the place how it is getting on.
local function show_progress(this)
  if not vim.api.nvim_buf_is_valid(this.buf) then
    return
  end
  local at = this.mark and vim.api.nvim_buf_get_extmark_by_id(this.buf, namespace, this.mark, {}) or { this.row, 0 }
  local again = this.attempt > 1 and 'again, ' or ''
  local told = this.lines > 0 and (' (%d lines)'):format(this.lines) or ''
  local text = ('  midline: %s%s%s  %s stops'):format(
    again,
    pace.describe(this.pace, midline.engine_state()),
    told,
    stop_key() or ':Midline stop'
  )
  this.mark = vim.api.nvim_buf_set_extmark(this.buf, namespace, at[1] or 0, 0, {
    id = this.mark,
    virt_text = { { text, 'MidlineEditHint' } },
    virt_text_pos = 'eol',
  })
end

local function on_piece(this, value)
  if value.kind == 'attempt' then
    this.attempt, this.lines = value.number, 0
    pace.advance(this.pace, 'reading')
  elseif value.kind == 'edit' then
    pace.advance(this.pace, 'writing')
    this.lines = this.lines + select(2, value.text:gsub('\n', ''))
  end
  show_progress(this)
end

local function clear_progress(this)
  writing[this.buf] = nil
  if this.timer then
    this.timer:stop()
    this.timer:close()
  end
  if vim.api.nvim_buf_is_valid(this.buf) then
    vim.api.nvim_buf_clear_namespace(this.buf, namespace, 0, -1)
  end
  keys.take(this.buf, this.stop_key)
end

--- The buffer that an edit is of, shown in a window; nil with the reason where the edit can't be shown in it. Who is
--- typing elsewhere is left there.
---@param result table of `midline/edit`
---@return integer? buf
---@return string|boolean # the reason; or whether the file is new
local function open(result)
  local path = vim.uri_to_fname(result.uri)
  local buf = vim.uri_to_bufnr(result.uri)
  local is_new = vim.fn.filereadable(path) == 0 and not vim.api.nvim_buf_is_loaded(buf)
  if type(result.version) == 'number' then
    if vim.lsp.util.buf_versions[buf] ~= result.version then
      return nil, 'the text has changed just as the edit came. Ask again.'
    end
  elseif vim.api.nvim_buf_is_loaded(buf) and vim.bo[buf].modified then
    return nil, ('%s has changes that are not saved. Save it and ask again.'):format(vim.fn.fnamemodify(path, ':~:.'))
  end
  if diff.is_shown(buf) then
    return nil, 'another edit is shown in that file. Accept or reject it, and ask again.'
  elseif #vim.fn.win_findbuf(buf) == 0 then
    vim.bo[buf].buflisted = true
    vim.api.nvim_open_win(buf, vim.api.nvim_get_mode().mode == 'n', { split = 'below' })
  end
  return buf, is_new
end

--- Say what came of an edit; a file that is new is written once it was accepted, and leaves no trace otherwise.
local function conclude(buf, is_new, total, accepted)
  if is_new and accepted > 0 then
    local written, why = vim.api.nvim_buf_call(buf, function()
      return pcall(vim.cmd, 'silent write ++p')
    end)
    if not written then
      return midline.notify(('the file is not saved: %s'):format(why), vim.log.levels.ERROR)
    end
  elseif is_new and vim.deep_equal(vim.api.nvim_buf_get_lines(buf, 0, -1, false), { '' }) then
    vim.api.nvim_buf_delete(buf, { force = true }) -- the user has written nothing in it
  end
  midline.notify(('%d of %d hunk(s) accepted.'):format(accepted, total))
end

--- Show what was written.
local function show(result)
  local buf, about = open(result)
  if not buf then
    return midline.notify(about --[[@as string]], vim.log.levels.WARN)
  end
  local total = #result.hunks
  local notes = { pace.cost(result) }
  if type(result.reason) == 'string' and result.reason ~= '' then
    table.insert(notes, 1, 'Look at it well: ' .. result.reason)
  end
  local is_shown = diff.show(buf, result.hunks, notes, function(accepted)
    conclude(buf, about == true, total, accepted)
  end)
  if not is_shown then
    return midline.notify('the text is not the one that the edit was written for. Ask again.', vim.log.levels.WARN)
  end
  midline.notify(('%d hunk(s) proposed.'):format(total))
end

---@param question midline.Question
---@return string? # why it can't be asked
local function objection(question)
  local buf = question.selection.buf
  if not vim.bo[buf].modifiable or vim.bo[buf].readonly then
    return 'this buffer can\'t be changed.'
  elseif writing[buf] then
    return ('an edit of this buffer is being written; %s stops it.'):format(stop_key() or ':Midline stop')
  elseif diff.is_shown(buf) then
    local map = midline.config.edit.keymaps
    return ('an edit is shown already: accept (%s) or reject (%s) it first.'):format(
      map.accept_all or '-',
      map.reject_all or '-'
    )
  end
end

--- Ask for an edit.
---@param question midline.Question
function M.ask(question)
  local problem = objection(question)
  if problem then
    return midline.notify(problem, vim.log.levels.WARN)
  end
  local selection = question.selection --[[@as midline.Selection]]
  local buf = selection.buf
  local this = { buf = buf, row = selection.first[1], pace = pace.begin(), lines = 0, attempt = 1 } ---@type midline.Writing
  writing[buf] = this
  this.stop_key = stop_key() and { [stop_key()] = { function() M.stop(buf) end, desc = 'stop the edit' } } or {}
  keys.give(buf, this.stop_key)
  this.timer = assert(vim.uv.new_timer())
  this.timer:start(0, 500, vim.schedule_wrap(function()
    if writing[buf] == this then
      show_progress(this)
    end
  end))
  local function on_end(trouble, result)
    clear_progress(this)
    if result then
      return show(result)
    elseif trouble then
      midline.notify(trouble, vim.log.levels.ERROR)
    else
      midline.notify('stopped; nothing was changed.')
    end
  end
  server.with_client(buf, function(client)
    if this.stopped then
      return on_end(false)
    elseif not vim.lsp.buf_is_attached(buf, client.id) then
      return on_end('midline doesn\'t know this buffer; see exclude_filetypes in :help midline-setup.')
    end
    local params = question.params or selections.params(selection, client.offset_encoding)
    params = vim.tbl_extend('force', params, { command = question.command, message = question.message })
    this.stream = stream.request(client, 'midline/edit', params, buf, function(value)
      on_piece(this, value)
    end, on_end)
  end, on_end)
end

--- Stop the edit that is being written in a buffer.
---@param buf integer
function M.stop(buf)
  local this = writing[buf]
  if this then
    this.stopped = true
    if this.stream then
      stream.stop(this.stream)
    end
  end
end

return M
