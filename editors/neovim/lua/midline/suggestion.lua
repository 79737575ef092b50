--- The suggestion at the cursor: asked for, kept in step with what is typed, chosen, accepted in parts, dropped.
---
--- Who asks also draws: Neovim's own `vim.lsp.inline_completion` where it exists, else `midline.ghost`. Both do it
--- through `client:request`, so that is where this module sits. It adds what the built-in leaves out: superseded
--- requests are cancelled, late answers never shown, and what the user types is taken off the suggestion (the
--- built-in would insert it a second time).
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2 -- InlineCompletionTriggerKind

M.enabled = true

---@class midline.Place
---@field buf integer
---@field row integer 0-based
---@field before string text of the line before the cursor
---@field after string text of the line after the cursor

---@class midline.Suggestion
---@field place midline.Place where it is to be inserted
---@field text string what is to be inserted
---@field replaced integer how many bytes after the cursor it replaces
---@field client vim.lsp.Client
---@field command? lsp.Command to be run when all of it was accepted
---@field draw fun(items: table[]) show these LSP items instead of what is shown
---@field partial? boolean more of it is still to come
---@field choices? midline.Suggestion[] what the user, who asked, may choose from
---@field chosen? integer which of them this is

---@class midline.Pending
---@field client vim.lsp.Client
---@field place midline.Place
---@field draw fun(items: table[])
---@field id? integer

local current ---@type midline.Suggestion?
local pending ---@type midline.Pending?
local dismissed ---@type { buf: integer, tick: integer }?
local wished ---@type { buf: integer, tick: integer, step: integer }? an explicit request that is to be sent
local unwatched = setmetatable({}, { __mode = 'k' }) ---@type table<vim.lsp.Client, function> each client's own `request`

---@return midline.Place
local function here()
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local line = vim.api.nvim_get_current_line()
  return { buf = vim.api.nvim_get_current_buf(), row = row - 1, before = line:sub(1, col), after = line:sub(col + 1) }
end

---@param at { buf: integer, tick: integer }?
---@param buf integer
local function unchanged_since(at, buf)
  return at ~= nil and at.buf == buf and at.tick == vim.api.nvim_buf_get_changedtick(buf)
end

local function inserting()
  return vim.startswith(vim.api.nvim_get_mode().mode, 'i')
end

--- What was typed at `place` since; nil when anything else changed.
---@param place midline.Place
---@return string?
local function typed_at(place)
  local now = here()
  if now.buf ~= place.buf or now.row < place.row or now.after ~= place.after then
    return nil
  end
  local lines = vim.api.nvim_buf_get_text(place.buf, place.row, 0, now.row, #now.before, {})
  local text = table.concat(lines, '\n')
  return vim.startswith(text, place.before) and text:sub(#place.before + 1) or nil
end

--- What is left of a suggestion at the cursor; nil when it no longer fits.
---@param suggestion midline.Suggestion
---@return string?
local function rest_of(suggestion)
  local typed = typed_at(suggestion.place)
  if not typed or #typed >= #suggestion.text or not vim.startswith(suggestion.text, typed) then
    return nil
  end
  return suggestion.text:sub(#typed + 1)
end

--- What a suggestion replaces, in terms of LSP.
---@param suggestion midline.Suggestion
---@param before integer how many bytes before the cursor it replaces, too
---@return lsp.Range
function M.range_of(suggestion, before)
  local place = suggestion.place
  local function position(bytes)
    local encoding = suggestion.client.offset_encoding
    local character = vim.str_utfindex(place.before .. place.after, encoding, bytes, false)
    return { line = place.row, character = character }
  end
  return { start = position(#place.before - before), ['end'] = position(#place.before + suggestion.replaced) }
end

---@param suggestion midline.Suggestion
---@return table item in terms of LSP, placed at the cursor
local function lsp_item(suggestion)
  return { insertText = suggestion.text, range = M.range_of(suggestion, 0), command = suggestion.command }
end

--- Reads an item that answers a request made at `place`.
---@param item table
---@param place midline.Place
---@param client vim.lsp.Client
---@return midline.Suggestion?
local function read(item, place, client)
  local text, replaced = item.insertText, 0
  if type(text) ~= 'string' then
    return nil -- a snippet, which we never ask for
  end
  if item.range then
    local line = place.before .. place.after
    local function byte(position)
      return vim.str_byteindex(line, client.offset_encoding, position.character, false)
    end
    local kept = place.before:sub(byte(item.range.start) + 1)
    if item.range.start.line ~= place.row or item.range['end'].line ~= place.row or not vim.startswith(text, kept) then
      return nil -- it would change text that isn't at the cursor
    end
    text = text:sub(#kept + 1)
    replaced = math.max(0, byte(item.range['end']) - #place.before)
  end
  return { place = place, text = text, replaced = replaced, client = client, command = item.command }
end

--- Reads an answer to a request made at `place`.
---@param result any
---@param place midline.Place
---@param client vim.lsp.Client
---@return midline.Suggestion[]
local function read_all(result, place, client)
  local found = {}
  for _, item in ipairs(result and (result.items or result) or {}) do
    found[#found + 1] = read(item, place, client)
  end
  return found
end

---@param suggestion midline.Suggestion?
local function show(suggestion)
  local draw = (suggestion or current or {}).draw
  current = suggestion
  if draw then
    draw(suggestion and { lsp_item(suggestion) } or {})
  end
end

local function cancel()
  if pending and pending.id then
    pending.client:cancel_request(pending.id)
  end
  pending = nil
end

--- Take what was typed off the suggestion, or drop it if something else was typed.
function M.follow()
  if not current then
    return
  end
  local rest = rest_of(current)
  if not rest then
    show(nil)
  elseif rest ~= current.text then
    show(vim.tbl_extend('force', current, { place = here(), text = rest }))
  end
end

--- A suggestion under way has grown: show what there is of it.
---@param client_id integer
---@param params { uri: string, position: lsp.Position, text: string } as `midline/partial` says
function M.grow(client_id, params)
  local asked = pending
  if not asked or asked.client.id ~= client_id or not inserting() then
    return
  end
  local place, encoding = asked.place, asked.client.offset_encoding
  local line, character = params.position.line, params.position.character
  local here_too = params.uri == vim.uri_from_bufnr(place.buf)
    and line == place.row
    and character == vim.str_utfindex(place.before, encoding, #place.before, false)
  local grown = { place = place, text = params.text, replaced = 0, client = asked.client, draw = asked.draw, partial = true }
  local rest = here_too and rest_of(grown)
  if rest then
    show(vim.tbl_extend('force', grown, { place = here(), text = rest }))
  end
end

--- Show the next of `suggestion.choices` that fits what was typed, `step` further on; false where there is none.
---@param suggestion midline.Suggestion
---@param step integer
local function choose(suggestion, step)
  local choices = suggestion.choices or {}
  for further = 1, #choices - 1 do
    local chosen = (suggestion.chosen - 1 + step * further) % #choices + 1
    local rest = rest_of(choices[chosen])
    if rest and rest ~= suggestion.text then
      local now = { place = here(), text = rest, choices = choices, chosen = chosen, draw = suggestion.draw }
      show(vim.tbl_extend('force', choices[chosen], now))
      return true
    end
  end
  return false
end

--- Show the next alternative to what is shown, or the previous one; asks for some if there are none yet.
---@param step 1|-1
function M.cycle(step)
  M.follow()
  if not inserting() or not M.enabled then
    return
  elseif current and current.choices then
    choose(current, step)
    return
  end
  local buf = vim.api.nvim_get_current_buf()
  wished = { buf = buf, tick = vim.api.nvim_buf_get_changedtick(buf), step = step }
  dismissed = nil
  cancel()
  vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = buf }) -- what asking listens to
end

--- Drop the suggestion and whatever has been asked for.
function M.clear()
  cancel()
  show(nil)
  dismissed, wished = nil, nil
end

--- As `clear`, and don't ask again before the text changes.
---@return boolean # whether there was a suggestion
function M.dismiss()
  local shown = current ~= nil
  M.clear()
  local buf = vim.api.nvim_get_current_buf()
  dismissed = { buf = buf, tick = vim.api.nvim_buf_get_changedtick(buf) }
  return shown
end

--- The client went away, and what it drew with it.
---@param client_id integer
function M.forget(client_id)
  if current and current.client.id == client_id then
    current = nil
  end
  if pending and pending.client.id == client_id then
    pending = nil
  end
end

--- Whether a suggestion is shown that fits the cursor. Changes nothing, so that an <expr> map can ask.
---@return boolean
function M.visible()
  return current ~= nil and inserting() and rest_of(current) ~= nil
end

local parts = {
  word = [[^\_s*\%(\k\+\|\%(\k\@![^ \t\n]\)\+\)]], -- a word or a run of punctuation, with the space before it
  line = [[^\n*[^\n]*]],
}

--- Tell the server that a part was accepted.
---@param suggestion midline.Suggestion
---@param taken string
local function report_part(suggestion, taken)
  local id = vim.tbl_get(suggestion, 'command', 'arguments', 1)
  if id then
    local command = { title = 'Accepted', command = 'midline.partlyAccepted', arguments = { id, vim.fn.strchars(taken) } }
    suggestion.client:exec_cmd(command, { bufnr = suggestion.place.buf })
  end
end

--- Insert the suggestion, or its next part, keeping the rest shown.
---@param part? 'word'|'line' default: all of it
---@return boolean # whether there was a suggestion
function M.accept(part)
  M.follow()
  if not current or not inserting() then
    return false
  end
  local suggestion, place = current, current.place
  local taken = part and vim.fn.matchstr(suggestion.text, parts[part]) or suggestion.text
  taken = taken == '' and suggestion.text or taken
  local rest = suggestion.text:sub(#taken + 1)
  local lines = vim.split(taken, '\n', { plain = true })
  local col = #place.before
  cancel()
  -- What is replaced goes when the last part comes.
  local end_col = rest == '' and col + suggestion.replaced or col
  vim.api.nvim_buf_set_text(place.buf, place.row, col, place.row, end_col, lines)
  vim.api.nvim_win_set_cursor(0, { place.row + #lines, (#lines == 1 and col or 0) + #lines[#lines] })
  if rest ~= '' then
    show(vim.tbl_extend('force', suggestion, { place = here(), text = rest }))
    report_part(suggestion, taken)
    return true
  end
  show(nil)
  if suggestion.command then
    suggestion.client:exec_cmd(suggestion.command, { bufnr = place.buf })
  end
  return true
end

--- Show what the server suggests.
---@param choices midline.Suggestion[]
---@param asked midline.Pending
---@param wish? { step: integer } of the user who asked for it
local function answer(choices, asked, wish)
  local first, shown = choices[1], current
  local rest = first and inserting() and rest_of(first)
  if not first then
    show(nil)
  elseif rest then -- else the text has changed since: the answer to the next request is on its way
    local suggestion = vim.tbl_extend('force', first, { place = here(), text = rest, draw = asked.draw })
    if wish then
      suggestion.choices, suggestion.chosen = choices, 1
    end
    local known = wish and shown and shown.text == rest
    if not (known and choose(suggestion, wish.step)) then
      show(suggestion)
    end
  end
end

--- Watch over the client's requests for inline completion.
---@param client vim.lsp.Client
function M.watch(client)
  local request = client.request
  unwatched[client] = request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, buf)
    if method ~= METHOD or not handler then
      return request(self, method, params, handler, buf)
    end
    local place = here()
    if buf ~= place.buf or not M.enabled or unchanged_since(dismissed, buf) or not inserting() then
      return false
    end
    local wish = unchanged_since(wished, buf) and wished or nil
    wished = nil
    if wish then
      params.context = { triggerKind = INVOKED }
    elseif current and current.choices and rest_of(current) then
      return false -- the user has chosen
    end
    cancel()
    local function draw(items)
      handler(nil, { items = items }, { method = METHOD, client_id = client.id, bufnr = buf, params = params })
    end
    local asked = { client = client, place = place, draw = draw } ---@type midline.Pending
    pending = asked
    local sent, id = request(self, method, params, function(err, result, ctx)
      if pending ~= asked then
        return -- superseded
      end
      pending = nil
      if err then
        if current and current.partial then
          show(nil) -- it grows no more
        end
        return handler(err, result, ctx)
      end
      answer(read_all(result, place, client), asked, wish)
    end, buf)
    asked.id = id
    return sent, id
  end
end

--- Ask for what somebody else shows, such as a menu; what is shown here stays.
---@param client vim.lsp.Client
---@param fn fun(suggestions: midline.Suggestion[]) not called once it was cancelled
---@return fun() cancel
function M.fetch(client, fn)
  local place = here()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@diagnostic disable-next-line: inject-field
  params.context = { triggerKind = AUTOMATIC }
  local sent, id = unwatched[client](client, METHOD, params, function(_, result)
    fn(read_all(result, place, client))
  end, place.buf)
  if not sent then
    fn({})
  end
  return function()
    if id then
      client:cancel_request(id)
    end
  end
end

--- Ask for a suggestion if one would be shown and none is.
function M.ask_again()
  if inserting() and not current and not pending then
    vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = vim.api.nvim_get_current_buf() }) -- what asking listens to
  end
end

--- Keep suggestions in step with what happens in a buffer.
---@param buf integer
function M.attach(buf)
  local group = vim.api.nvim_create_augroup('midline.suggestion:' .. buf, {})
  vim.api.nvim_create_autocmd({ 'TextChangedI', 'TextChangedP', 'CursorMovedI' }, {
    group = group,
    buffer = buf,
    callback = function()
      M.follow()
    end,
  })
  vim.api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, {
    group = group,
    buffer = buf,
    callback = function()
      M.clear()
    end,
  })
end

return M
