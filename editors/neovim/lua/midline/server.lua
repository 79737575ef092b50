--- The server, also where no file is open that it was started for.
local midline = require('midline')

local M = {}

local POLL_MS = 50

--- The client of a buffer, else any, else a new one for the working directory.
---@param buf integer
---@return vim.lsp.Client?
local function client_for(buf)
  for _, filter in ipairs({ { bufnr = buf }, {}, { _uninitialized = true } }) do
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
function M.with_client(buf, fn, fail)
  local problem = midline.problem()
  local client = not problem and client_for(buf)
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

--- The path of a place that the server named.
---@param path string absolute, or relative to the workspace
---@return string
function M.absolute(path)
  if vim.startswith(path, '/') or vim.startswith(path, '~') then
    return vim.fs.normalize(path)
  end
  local client = midline.client()
  return vim.fs.joinpath(client and client.root_dir or vim.fn.getcwd(), path)
end

return M
