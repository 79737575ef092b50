--- The chat's two windows: the conversation, and below it the prompt.
local midline = require('midline')
local prompt = require('midline.chat.prompt')
local transcript = require('midline.chat.transcript')

local M = {}

local wins = {} ---@type { chat?: integer, prompt?: integer }
local code_win ---@type integer? where the user was before

local CHAT_OPTIONS = {
  breakindent = true,
  colorcolumn = '',
  cursorline = false,
  foldcolumn = '0',
  foldenable = true,
  foldmethod = 'manual',
  foldtext = 'v:lua.require(\'midline.chat.transcript\').fold_text()',
  linebreak = true,
  list = false,
  number = false,
  relativenumber = false,
  signcolumn = 'no',
  spell = false,
  statuscolumn = '',
  winfixbuf = true,
  wrap = true,
}

local function valid(win)
  return win ~= nil and vim.api.nvim_win_is_valid(win)
end

--- Whether the chat is shown in this tab page.
---@return boolean
function M.is_open()
  return valid(wins.chat) and vim.api.nvim_win_get_tabpage(wins.chat) == vim.api.nvim_get_current_tabpage()
end

--- Whether a window is one of the chat's.
---@param win integer
---@return boolean
function M.is_ours(win)
  return win == wins.chat or win == wins.prompt
end

--- Whether a window may show the user's code.
local function is_for_code(win)
  return valid(win)
    and not M.is_ours(win)
    and vim.api.nvim_win_get_config(win).relative == ''
    and vim.bo[vim.api.nvim_win_get_buf(win)].buftype == ''
end

--- The window with the user's code: the one they came from, else any, else a new one.
---@return integer
function M.code_window()
  if not is_for_code(code_win) then
    code_win = vim.iter(vim.api.nvim_tabpage_list_wins(0)):find(is_for_code)
  end
  if not code_win then
    local empty = vim.api.nvim_create_buf(true, false)
    code_win = vim.api.nvim_open_win(empty, false, { split = 'left', win = -1 })
  end
  return code_win
end

--- The buffer that the user came from.
---@return integer
function M.code_buffer()
  local here = vim.api.nvim_get_current_win()
  return vim.api.nvim_win_get_buf(M.is_ours(here) and valid(code_win) and code_win or here)
end

local function set_options(win, options)
  for name, value in pairs(options) do
    vim.wo[win][0][name] = value
  end
end

local function map(buf, modes, key, action, desc)
  if key then
    vim.keymap.set(modes, key, action, { buffer = buf, desc = 'midline: ' .. desc, nowait = true })
  end
end

--- The keys of both windows.
---@param actions table<string, fun()> by what they are called in |midline-chat-keys|
local function map_keys(buf, actions)
  local keys = midline.config.chat.keymaps
  map(buf, 'n', keys.close, M.close, 'close the chat')
  map(buf, { 'n', 'i' }, keys.stop, actions.stop, 'stop the answer')
  map(buf, 'n', keys.new, actions.new, 'begin a new conversation')
  if buf == transcript.buffer() then
    map(buf, 'n', keys.jump, actions.jump, 'go to what is cited here')
    map(buf, 'n', 'gf', actions.jump, 'go to what is cited here')
    map(buf, 'n', keys.yank, actions.yank, 'yank the block of code')
    map(buf, 'n', keys.put, actions.put, 'put the block of code at the cursor of the code')
    for _, key in ipairs({ 'i', 'a', 'o', 'I', 'A', 'O' }) do
      map(buf, 'n', key, M.focus, 'write a message')
    end
  else
    map(buf, 'n', keys.send, actions.send, 'send the message')
    map(buf, 'i', keys.send_insert, actions.send, 'send the message')
  end
end

--- Close the other window with the one that is closed.
local function close_together()
  local group = vim.api.nvim_create_augroup('midline.chat', {})
  vim.api.nvim_create_autocmd('WinClosed', {
    group = group,
    callback = function(args)
      if M.is_ours(tonumber(args.match)) then
        vim.schedule(M.close)
      end
    end,
  })
  vim.api.nvim_create_autocmd('WinLeave', {
    group = group,
    callback = function()
      if is_for_code(vim.api.nvim_get_current_win()) then
        code_win = vim.api.nvim_get_current_win()
      end
    end,
  })
end

--- Show the chat; the cursor stays where it is.
---@param actions table<string, fun()>
function M.open(actions)
  if M.is_open() then
    return
  end
  M.close()
  local options = midline.config.chat
  local across = options.split == 'left' or options.split == 'right'
  local share = options.size < 1 and math.floor((across and vim.o.columns or vim.o.lines) * options.size) or options.size
  code_win = vim.api.nvim_get_current_win()
  local chat, ask = transcript.buffer(), prompt.buffer()
  wins.chat = vim.api.nvim_open_win(chat, false, {
    split = options.split,
    win = -1,
    width = across and share or nil,
    height = not across and share or nil,
  })
  set_options(wins.chat, CHAT_OPTIONS)
  wins.prompt = vim.api.nvim_open_win(ask, false, { split = 'below', win = wins.chat, height = options.prompt_height })
  set_options(wins.prompt, vim.tbl_extend('force', CHAT_OPTIONS, { winfixheight = true }))
  if across then
    vim.wo[wins.chat][0].winfixwidth = true
    vim.wo[wins.prompt][0].winfixwidth = true
  end
  map_keys(chat, actions)
  map_keys(ask, actions)
  close_together()
  transcript.fold()
  vim.api.nvim_win_set_cursor(wins.chat, { vim.api.nvim_buf_line_count(chat), 0 })
end

--- Close both windows; the conversation stays.
function M.close()
  pcall(vim.api.nvim_del_augroup_by_name, 'midline.chat')
  local back = M.is_ours(vim.api.nvim_get_current_win()) and code_win
  for _, win in pairs(wins) do
    if valid(win) and not pcall(vim.api.nvim_win_close, win, true) then
      vim.wo[win].winfixbuf = false -- the last window can't be closed
      vim.api.nvim_win_set_buf(win, vim.api.nvim_create_buf(true, false))
    end
  end
  wins = {}
  if back and valid(back) then
    vim.api.nvim_set_current_win(back)
  end
end

--- Go to the prompt and write.
function M.focus()
  if valid(wins.prompt) then
    vim.api.nvim_set_current_win(wins.prompt)
    vim.cmd.startinsert({ bang = true })
  end
end

local function escaped(text)
  return (text:gsub('%%', '%%%%'))
end

--- What stands above the conversation: its title as far as there is room, and how the answer is getting on.
---@param title string
---@param state string
function M.say(title, state)
  if valid(wins.chat) then
    local room = vim.api.nvim_win_get_width(wins.chat) - vim.api.nvim_strwidth(state) - 5
    if vim.api.nvim_strwidth(title) > room then
      title = vim.fn.strcharpart(title, 0, math.max(room - 1, 0)) .. '…'
    end
    vim.wo[wins.chat][0].winbar = (' %s %%=%%#MidlineNote#%s '):format(escaped(title), escaped(state))
  end
end

--- What stands above the prompt.
---@param text string
function M.hint(text)
  if valid(wins.prompt) then
    vim.wo[wins.prompt][0].winbar = '%#MidlineNote# ' .. escaped(text)
  end
end

return M
