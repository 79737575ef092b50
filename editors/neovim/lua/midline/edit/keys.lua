--- Keys that a buffer has for a while; what they did in it before comes back.
local M = {}

local covered = {} ---@type table<integer, table<string, table|false>> by buffer and key

--- Give a buffer keys in Normal mode.
---@param buf integer
---@param actions table<string, { [1]: fun(), desc: string }> by key
function M.give(buf, actions)
  covered[buf] = covered[buf] or {}
  for key, action in pairs(actions) do
    if covered[buf][key] == nil then
      local before = vim.api.nvim_buf_call(buf, function()
        return vim.fn.maparg(key, 'n', false, true)
      end)
      covered[buf][key] = before.buffer == 1 and before or false
    end
    vim.keymap.set('n', key, action[1], { buffer = buf, nowait = true, desc = 'midline: ' .. action.desc })
  end
end

--- Take keys away again.
---@param buf integer
---@param actions table<string, any> by key
function M.take(buf, actions)
  if not vim.api.nvim_buf_is_valid(buf) then
    covered[buf] = nil
    return
  end
  for key in pairs(actions) do
    local before = covered[buf] and covered[buf][key]
    if before ~= nil then
      pcall(vim.keymap.del, 'n', key, { buffer = buf })
      if before then
        vim.api.nvim_buf_call(buf, function()
          vim.fn.mapset(before)
        end)
      end
      covered[buf][key] = nil
    end
  end
end

return M
