local json = require("lib.json")
local M = {}
local LIMIT = 3

-- Finds it.
function M.find(key)
  return repo.find(key)
end

function M:save(o)
  local x = o
  return x
end

local function helper(x)
  local y = x
  return y
end

M.other = function(a)
  local b = a
  return b
end
return M
