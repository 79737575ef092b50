--- Requests to the server whose answer comes in pieces, each by `$/progress` to the request's own token.
local M = {}

local CANCELLED = -32800
local METHOD_NOT_FOUND = -32601
local PATIENCE_MS = 5000 -- with a server that was told to stop

---@class midline.Stream
---@field client vim.lsp.Client
---@field token string
---@field on_piece fun(value: table)
---@field on_end fun(problem: string|false|nil, result: any) problem: what to tell the user, false when it was stopped
---@field id? integer
---@field stopping? boolean

local running = {} ---@type table<string, midline.Stream>
local count = 0

--- Ends a request once, whatever else may come for it.
---@param stream midline.Stream
local function finish(stream, problem, result)
  if running[stream.token] == stream then
    running[stream.token] = nil
    stream.on_end(problem, result)
  end
end

---@param err lsp.ResponseError
---@return string|false # what to tell the user; false: the request was cancelled
local function reason_of(err)
  if err.code == CANCELLED then
    return false
  elseif err.code == METHOD_NOT_FOUND then
    return 'the server doesn\'t know this request: it is older than the plugin. Update midline, then :Midline restart.'
  end
  return err.message or vim.inspect(err)
end

--- Send a request.
---@param client vim.lsp.Client
---@param method string
---@param params table `partialResultToken` is added
---@param buf integer that the request is about: what was typed there is sent first
---@param on_piece fun(value: table)
---@param on_end fun(problem: string|false|nil, result: any)
---@return midline.Stream
function M.request(client, method, params, buf, on_piece, on_end)
  count = count + 1
  local token = ('midline-plugin-%d'):format(count)
  local stream = { client = client, token = token, on_piece = on_piece, on_end = on_end } ---@type midline.Stream
  running[token] = stream
  params = vim.tbl_extend('force', params, { partialResultToken = token })
  local sent, id = client:request(method, params, function(err, result)
    finish(stream, err and reason_of(err), result)
  end, buf)
  stream.id = id
  if not sent then
    finish(stream, 'the server is gone. :Midline restart starts it again.')
  end
  return stream
end

--- Stop a request; what came of it is kept. It has ended only once the server says so, which Neovim tells nobody but
--- those who listen to LspRequest.
---@param stream midline.Stream
function M.stop(stream)
  if not running[stream.token] or not stream.id or stream.stopping then
    return
  end
  stream.stopping = true
  local function ended()
    finish(stream, false)
  end
  local listener = vim.api.nvim_create_autocmd('LspRequest', {
    callback = function(args)
      local data = args.data
      if data.client_id == stream.client.id and data.request_id == stream.id and data.request.type == 'complete' then
        vim.schedule(ended) -- a result that came all the same is dealt with first
        return true
      end
    end,
  })
  vim.defer_fn(function()
    pcall(vim.api.nvim_del_autocmd, listener)
    ended()
  end, PATIENCE_MS)
  stream.client:cancel_request(stream.id)
end

--- Stop all requests.
---@return boolean # whether there was one
function M.stop_all()
  local any = next(running) ~= nil
  for _, stream in pairs(running) do
    M.stop(stream)
  end
  return any
end

--- Takes a `$/progress` that is for one of these requests; others are not touched.
---@param params lsp.ProgressParams
---@return boolean # whether it was
function M.take(params)
  local stream = running[params.token]
  if stream and type(params.value) == 'table' then
    stream.on_piece(params.value)
  end
  return stream ~= nil
end

--- The server went away, and with it all that it was asked for.
---@param client_id integer
function M.client_gone(client_id)
  for _, stream in pairs(vim.deepcopy(vim.tbl_keys(running))) do
    if running[stream].client.id == client_id then
      finish(running[stream], 'the server ended before it had answered. :Midline restart starts it again.')
    end
  end
end

return M
