--- Completion of `@…` in a message: the workspace's files and folders, its documents, what isn't committed.
local M = {}

local MOST = 200 -- that the menu shows
local MOST_FILES = 50000
local FRESH_MS = 10000
local PATIENCE_MS = 2000 -- with git

local known ---@type { root: string, time: integer, paths: string[] }?

--- The paths of files, as git knows them, else as they are found, relative to the folder.
---@param root string
---@return string[]
local function files(root)
  local command = { 'git', 'ls-files', '--cached', '--others', '--exclude-standard' }
  local ok, process = pcall(vim.system, command, { cwd = root, text = true })
  local done = ok and process:wait(PATIENCE_MS)
  if done and done.code == 0 then
    return vim.split(done.stdout, '\n', { plain = true, trimempty = true })
  end
  local found = {}
  for path, kind in vim.fs.dir(root, {
    depth = 8,
    skip = function(folder)
      return not vim.startswith(vim.fs.basename(folder), '.') and vim.fs.basename(folder) ~= 'node_modules'
    end,
  }) do
    if kind == 'file' then
      found[#found + 1] = path
    end
    if #found >= MOST_FILES then
      break
    end
  end
  return found
end

--- All that can be mentioned in a folder.
---@param root string
---@return string[]
local function mentionable(root)
  local now = vim.uv.now()
  if not known or known.root ~= root or now - known.time > FRESH_MS then
    local paths, folders = files(root), {}
    for _, path in ipairs(paths) do
      for folder in vim.fs.parents(path) do
        if folder ~= '.' and folder ~= '/' then
          folders[folder .. '/'] = true
        end
      end
    end
    local all = vim.list_extend({ 'diff', 'docs' }, paths)
    known = { root = root, time = now, paths = vim.list_extend(all, vim.tbl_keys(folders)) }
  end
  return known.paths
end

--- The byte column at which the mention before the cursor begins, its `@` left out; nil without one.
local function start_of(line, col)
  local before = line:sub(1, col)
  local start = before:match('^.*()@[%w_./+-]*$')
  if start and (start == 1 or not before:sub(start - 1, start - 1):match('[%w_@/.]')) then
    return start
  end
end

--- An 'omnifunc'.
---@param findstart 0|1
---@param base string
function M.complete(findstart, base)
  if findstart == 1 then
    return start_of(vim.api.nvim_get_current_line(), vim.api.nvim_win_get_cursor(0)[2]) or -3
  end
  local all = mentionable(require('midline.chat.transcript').root)
  local found = base == '' and all or vim.fn.matchfuzzy(all, base, { limit = MOST })
  return { words = vim.list_slice(found, 1, MOST), refresh = 'always' }
end

--- Open the menu behind an `@` that was just typed.
function M.offer()
  local col = vim.api.nvim_win_get_cursor(0)[2]
  if start_of(vim.api.nvim_get_current_line(), col) == col and vim.fn.pumvisible() == 0 then
    vim.api.nvim_feedkeys(vim.keycode('<C-x><C-o>'), 'n', false)
  end
end

return M
