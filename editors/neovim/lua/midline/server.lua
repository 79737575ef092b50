--- The server, also where no file is open that it was started for.
local midline = require('midline')

local M = {}

local POLL_MS = 50

--- The client of a buffer, else the one preferred, else any, else a new one for the working directory.
---@param buf integer
---@param preferred? integer
---@return vim.lsp.Client?
local function client_for(buf, preferred)
  for _, filter in ipairs({ { bufnr = buf }, { id = preferred or -1 }, {}, { _uninitialized = true } }) do
    filter.name = 'midline'
    local client = vim.lsp.get_clients(filter)[1]
    if client and not client:is_stopped() then
      return client
    end
  end
  local config = vim.deepcopy(vim.lsp.config.midline)
  config.root_dir = vim.fs.root(vim.fn.getcwd(), midline.config.root_markers) or vim.fn.getcwd()
  local id = vim.lsp.start(config, { attach = false, silent = true })
  return id and vim.lsp.get_client_by_id(id)
end

--- Call `fn` with a client that can take requests, as soon as there is one; `fail` with the reason if there can't be.
---@param buf integer which the requests are about
---@param fn fun(client: vim.lsp.Client)
---@param fail fun(problem: string)
---@param preferred? integer the client for what is about no buffer of any
function M.with_client(buf, fn, fail, preferred)
  local problem = midline.problem()
  local client = not problem and client_for(buf, preferred)
  if not client then
    return fail(problem or 'the server doesn\'t start; see :checkhealth midline.')
  end
  local function poll()
    if client.initialized then
      fn(client)
    elseif client:is_stopped() or not vim.lsp.get_client_by_id(client.id) then
      fail('the server doesn\'t start; see :checkhealth midline.')
    else
      vim.defer_fn(poll, POLL_MS)
    end
  end
  poll()
end

--- The workspace of a buffer.
---@param buf integer
---@return string
function M.root_of(buf)
  local client = vim.lsp.get_clients({ name = 'midline', bufnr = buf })[1] or midline.client()
  return client and client.root_dir or vim.fn.getcwd()
end

return M
