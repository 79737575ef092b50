--- Tells the server where the cursor comes to rest, so that it has read that place before anything is typed there.
local M = {}

local REST_MS = 150

local timers = {} ---@type table<integer, uv.uv_timer_t>

local function tell(client, buf)
  local here = vim.api.nvim_get_current_buf() == buf
  if here and not client:is_stopped() and vim.lsp.buf_is_attached(buf, client.id) then
    client:notify('midline/cursorMoved', vim.lsp.util.make_position_params(0, client.offset_encoding))
  end
end

function M.attach(client, buf)
  local timer = timers[buf] or assert(vim.uv.new_timer())
  timers[buf] = timer
  local function rest()
    timer:start(REST_MS, 0, vim.schedule_wrap(function()
      tell(client, buf)
    end))
  end
  local group = vim.api.nvim_create_augroup('midline-cursor-' .. buf, {})
  vim.api.nvim_create_autocmd({ 'CursorMoved', 'InsertEnter', 'BufEnter' }, { group = group, buffer = buf, callback = rest })
  rest()
end

function M.detach(buf)
  pcall(vim.api.nvim_del_augroup_by_name, 'midline-cursor-' .. buf)
  local timer = timers[buf]
  timers[buf] = nil
  if timer then
    timer:stop()
    timer:close()
  end
end

return M
