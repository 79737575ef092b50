--- The chat: one conversation at a time, asked, streamed into its window, stopped, continued.
local midline = require('midline')
local pace = require('midline.chat.pace')
local prompt = require('midline.chat.prompt')
local selections = require('midline.selection')
local server = require('midline.server')
local stream = require('midline.stream')
local transcript = require('midline.chat.transcript')
local window = require('midline.chat.window')

local M = {}

local REFRESH_MS = 500

---@class midline.UnderWay
---@field pace midline.Pace
---@field message string
---@field new boolean whether it begins a conversation
---@field stream? midline.Stream
---@field stopped? boolean

local conversation = {} ---@type { id?: string, title?: string }
local home ---@type integer? the client whose workspace it is about
local attached ---@type midline.Selection? what the next message is about
local under_way ---@type midline.UnderWay?
local told = '' -- what the last answer cost
local timer ---@type uv.uv_timer_t?

local function keys()
  return midline.config.chat.keymaps
end

--- Show how things stand.
local function refresh()
  local state = told
  if under_way then
    state = ('%s  %s stops'):format(pace.describe(under_way.pace, midline.engine_state()), keys().stop or ':Midline stop')
  end
  window.say(conversation.title or 'midline', state)
  local send = ('%s sends, in Insert mode %s'):format(keys().send or '-', keys().send_insert or '-')
  window.hint(attached and ('about ' .. selections.label(attached) .. ' · ' .. send) or send)
end

local function tick(on)
  if timer then
    timer:stop()
    timer:close()
    timer = nil
  end
  if on then
    timer = assert(vim.uv.new_timer())
    timer:start(REFRESH_MS, REFRESH_MS, vim.schedule_wrap(refresh))
  end
  refresh()
end

--- Take a piece of the answer.
local function on_piece(value)
  if value.kind == 'conversation' then
    conversation = { id = value.id, title = value.title }
    pace.advance(under_way.pace, 'reading')
    refresh()
  elseif value.kind == 'answer' or value.kind == 'reasoning' then
    pace.advance(under_way.pace, value.kind == 'answer' and 'writing' or 'thinking')
    transcript.piece(value.kind, value.text)
  end
end

--- Forget a conversation that the server hasn't kept, since its first question was refused.
local function forget_if_dropped(client)
  local id = conversation.id
  client:request('midline/conversations', { action = 'get', conversation = id }, function(err)
    if err and conversation.id == id then
      conversation = {}
      refresh()
    end
  end)
end

--- End the answer.
---@param problem string|false|nil
---@param result? table
local function on_end(problem, result)
  local ended = under_way ---@type midline.UnderWay
  under_way = nil
  if result then
    told = pace.brief(result)
    conversation.id = result.conversation
    transcript.end_answer(result, pace.cost(result))
  elseif problem == false then
    told = 'stopped'
    transcript.end_answer({}, 'stopped; what came is kept')
  else
    told = ''
    transcript.problem(problem or 'no answer')
    if prompt.text() == '' then
      prompt.set(ended.message) -- to be mended
    end
    if ended.new and conversation.id and ended.stream then
      forget_if_dropped(ended.stream.client)
    end
  end
  tick(false)
end

--- Show the chat.
function M.open()
  if not conversation.id then
    transcript.root = server.root_of(window.code_buffer())
  end
  window.open(M.actions)
  refresh()
end

---@class midline.Question
---@field message string
---@field command? string
---@field selection? midline.Selection
---@field params? table what the request names, where a code action made it

--- Ask, in the conversation that is shown; a new one begins where none is.
---@param question midline.Question
---@return boolean # whether it was sent
function M.ask(question)
  if under_way then
    midline.notify(('an answer is being written; %s stops it.'):format(keys().stop or ':Midline stop'), vim.log.levels.WARN)
    return false
  end
  if not window.is_open() then
    conversation, told = {}, ''
    transcript.buffer()
    transcript.clear()
  end
  M.open()
  local selection = question.selection
  local about = selection and selections.label(selection)
  local shown = vim.trim(('%s %s'):format(question.command or '', question.message))
  transcript.question(shown, about)
  transcript.begin_answer()
  under_way = { pace = pace.begin(), message = question.message, new = conversation.id == nil }
  local this = under_way
  tick(true)
  local buf = selection and selection.buf or conversation.id and prompt.buffer() or window.code_buffer()
  server.with_client(buf, function(client)
    home, transcript.root = client.id, client.root_dir or transcript.root
    if this.stopped then
      return on_end(false)
    elseif selection and not vim.lsp.buf_is_attached(buf, client.id) then
      return on_end('midline doesn\'t know this buffer; see exclude_filetypes in :help midline-setup. Ask without it.')
    end
    local params = question.params or (selection and selections.params(selection, client.offset_encoding)) or {}
    params = vim.tbl_extend('force', params, {
      message = question.message,
      command = question.command,
      conversation = conversation.id,
    })
    this.stream = stream.request(client, 'midline/chat', params, buf, on_piece, on_end)
  end, on_end, home)
  return true
end

--- Stop the answer.
---@return boolean # whether there was one
function M.stop()
  if under_way then
    under_way.stopped = true
    if under_way.stream then
      stream.stop(under_way.stream)
    end
  end
  return under_way ~= nil
end

--- Open the chat to write a message about a selection, or one about nothing in particular.
---@param selection? midline.Selection
function M.write(selection)
  M.open()
  attached = selection
  refresh()
  window.focus()
end

--- Send what stands in the prompt.
function M.send()
  local message = prompt.text()
  if message == '' then
    return
  end
  if M.ask({ message = message, selection = attached }) then
    attached = nil
    prompt.set('')
    refresh()
  end
end

--- Begin a new conversation.
function M.new()
  if M.stop() then
    return midline.notify('stopping the answer first; then once more.')
  end
  conversation, told, attached = {}, '', nil
  transcript.buffer()
  transcript.clear()
  M.write()
end

--- Go on with a conversation that was kept.
---@param kept table as `midline/conversations` gives it with its history
---@param client vim.lsp.Client of its workspace
function M.continue(kept, client)
  if M.stop() then
    return midline.notify('stopping the answer first; then once more.')
  end
  conversation, told, attached = { id = kept.id, title = kept.title }, '', nil
  home, transcript.root = client.id, client.root_dir or transcript.root
  transcript.load(kept.history, pace.cost)
  M.write()
end

--- A conversation was renamed or deleted.
---@param id string
---@param title? string nil: deleted
function M.changed(id, title)
  if conversation.id == id then
    conversation = title and { id = id, title = title } or {}
    if not title then
      transcript.clear()
    end
    refresh()
  end
end

--- What the keys of its windows do.
M.actions = {
  send = M.send,
  new = M.new,
  stop = function()
    if not M.stop() and vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
      vim.cmd.stopinsert()
    end
  end,
  jump = function()
    local place = transcript.cited()
    if place then
      require('midline.chat.citations').jump(window.code_window(), place, transcript.root)
    end
  end,
  yank = function()
    require('midline.chat.code').yank()
  end,
  put = function()
    require('midline.chat.code').put(window.code_window())
  end,
}

return M
