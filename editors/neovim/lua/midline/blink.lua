--- A source of blink.cmp. See |midline-menus|.
local item = require('midline.item')

local M = {}

function M.new()
  return setmetatable({}, { __index = M })
end

function M:enabled()
  return item.client() ~= nil
end

function M:get_trigger_characters()
  return item.TRIGGERS
end

--- Any key may make it another suggestion.
function M:get_completions(_, callback)
  return item.ask(function(items)
    callback({ items = items, is_incomplete_forward = true, is_incomplete_backward = true })
  end)
end

function M:execute(_, chosen, callback, insert)
  insert()
  item.accepted(chosen)
  callback()
end

return M
