--- Ghost text for Neovim 0.11, which has no `vim.lsp.inline_completion`: asks when typing pauses, and draws.
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local AUTOMATIC = 2 -- InlineCompletionTriggerKind
local namespace = vim.api.nvim_create_namespace('midline.ghost')
local timer ---@type uv.uv_timer_t?

--- Draws the first item at the cursor, or nothing. An `lsp-handler`.
local function draw(err, result, ctx)
  if err then
    vim.lsp.log.error(METHOD, err)
    return
  end
  vim.api.nvim_buf_clear_namespace(ctx.bufnr, namespace, 0, -1)
  local item = result.items[1]
  if not item then
    return
  end
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = {}
  for line in vim.gsplit(item.insertText, '\n', { plain = true }) do
    lines[#lines + 1] = { { line, 'ComplHint' } }
  end
  -- Virtual lines expand tabs, virtual text within a line doesn't.
  lines[1][1][1] = lines[1][1][1]:gsub('\t', (' '):rep(vim.bo[ctx.bufnr].tabstop))
  vim.api.nvim_buf_set_extmark(ctx.bufnr, namespace, row - 1, col, {
    virt_text = lines[1],
    virt_text_pos = vim.deep_equal(item.range.start, item.range['end']) and 'inline' or 'overlay',
    virt_lines = { unpack(lines, 2) },
    hl_mode = 'combine',
  })
end

---@param client vim.lsp.Client
---@param buf integer
local function ask(client, buf)
  if vim.api.nvim_get_current_buf() ~= buf or client:is_stopped() then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@diagnostic disable-next-line: inject-field
  params.context = { triggerKind = AUTOMATIC }
  client:request(METHOD, params, draw, buf)
end

--- Suggest in a buffer.
---@param client vim.lsp.Client
---@param buf integer
---@param debounce_ms integer
function M.attach(client, buf, debounce_ms)
  vim.api.nvim_set_hl(0, 'ComplHint', { default = true, link = 'NonText' }) -- 0.12's name for it
  local group = vim.api.nvim_create_augroup('midline.ghost:' .. buf, {})
  vim.api.nvim_create_autocmd({ 'InsertEnter', 'CursorMovedI', 'TextChangedP' }, {
    group = group,
    buffer = buf,
    callback = function()
      if timer and not timer:is_closing() then
        timer:close()
      end
      timer = vim.defer_fn(function()
        ask(client, buf)
      end, debounce_ms)
    end,
  })
end

--- Take down what was drawn in a buffer and stop asking.
---@param buf integer
function M.detach(buf)
  vim.api.nvim_create_augroup('midline.ghost:' .. buf, {})
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
end

return M
