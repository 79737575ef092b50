--- The buffer that messages are written in.
local M = {}

local PLACEHOLDER = 'Ask about the code; @ names a file.'
local namespace = vim.api.nvim_create_namespace('midline.chat.prompt')

local buf ---@type integer?

--- Show what it is for while nothing stands in it.
local function show_placeholder()
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  if M.text() == '' then
    vim.api.nvim_buf_set_extmark(buf, namespace, 0, 0, {
      virt_text = { { PLACEHOLDER, 'MidlineNote' } },
      virt_text_pos = 'overlay',
    })
  end
end

--- The buffer, made where there is none.
---@return integer
function M.buffer()
  if buf and vim.api.nvim_buf_is_loaded(buf) then
    return buf
  end
  buf = require('midline.chat.scratch').create('midline://prompt')
  vim.bo[buf].filetype = 'midline-prompt'
  vim.bo[buf].omnifunc = 'v:lua.require\'midline.chat.mentions\'.complete'
  vim.bo[buf].completeopt = 'menuone,noselect'
  pcall(vim.treesitter.start, buf, 'markdown')
  vim.keymap.set('i', '@', '@<Cmd>lua require(\'midline.chat.mentions\').offer()<CR>', { buffer = buf })
  vim.api.nvim_create_autocmd({ 'TextChanged', 'TextChangedI', 'TextChangedP' }, { buffer = buf, callback = show_placeholder })
  show_placeholder()
  return buf
end

--- The message.
---@return string
function M.text()
  return vim.trim(table.concat(vim.api.nvim_buf_get_lines(M.buffer(), 0, -1, false), '\n'))
end

--- Write a message for the user.
---@param text string
function M.set(text)
  vim.api.nvim_buf_set_lines(M.buffer(), 0, -1, false, vim.split(text, '\n', { plain = true }))
  show_placeholder()
end

return M
