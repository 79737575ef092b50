--- A source of nvim-cmp. See |midline-menus|.
local item = require('midline.item')

local M = {}

function M.new()
  return setmetatable({}, { __index = M })
end

--- Make nvim-cmp know it, by the name of `midline`.
function M.register()
  require('cmp').register_source('midline', M.new())
end

function M:is_available()
  return item.client() ~= nil
end

function M:get_position_encoding_kind()
  local client = item.client()
  return client and client.offset_encoding or 'utf-16'
end

function M:get_trigger_characters()
  return item.TRIGGERS
end

--- Any key may make it another suggestion.
function M:complete(_, callback)
  item.ask(function(items)
    callback({ items = items, isIncomplete = true })
  end)
end

function M:execute(chosen, callback)
  item.accepted(chosen)
  callback()
end

return M
