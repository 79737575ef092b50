--- midline in Neovim: starts the server, shows what it suggests, answers and edits, and says how it is doing.
local statusline = require('midline.statusline')
local suggestion = require('midline.suggestion')

local M = {}

local NAME = 'midline'

---@class midline.Config
M.config = {
  cmd = { 'midline', 'serve' },
  filetypes = nil, ---@type string[]? nil: all but `exclude_filetypes`
  exclude_filetypes = { 'gitrebase', 'help', 'man', 'qf' },
  root_markers = { 'midline.toml', '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
  settings = {}, -- as in midline.toml
  enabled = true,
  ghost_text = true,
  debounce_ms = 100, -- Neovim 0.11 only; the built-in of 0.12 has its own 200
  keymaps = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    dismiss = '<C-]>',
    next = '<M-]>',
    previous = '<M-[>',
  },
  chat = {
    split = 'right', -- or 'left', 'below', 'above'
    size = 0.4, -- of the screen; above 1: columns or lines
    prompt_height = 4,
    keymaps = {
      send = '<CR>', -- in Normal mode
      send_insert = '<C-s>',
      stop = '<C-c>',
      close = 'q',
      new = 'gn',
      jump = '<CR>', -- in the conversation
      yank = 'gy',
      put = 'gp',
    },
  },
  edit = {
    keymaps = { -- while an edit is shown
      accept = 'do',
      reject = 'dp',
      accept_all = 'dO',
      reject_all = 'dP',
      next = ']c',
      previous = '[c',
      stop = '<C-c>', -- while it is being written
    },
  },
}

M.is_setup = false
M.built_in = vim.lsp.inline_completion ~= nil

--- Say something to the user.
---@param message string
---@param level? integer of vim.log.levels
function M.notify(message, level)
  vim.notify('midline: ' .. message, level or vim.log.levels.INFO)
end

--- Why the server can't be started; nil when it can.
---@return string?
function M.problem()
  local program = type(M.config.cmd) == 'table' and M.config.cmd[1]
  if program and vim.fn.executable(program) == 0 then
    return ('can\'t find the program `%s`. Install midline, then put it on PATH or give its full path: '
      .. 'require("midline").setup({ cmd = { "/path/to/midline", "serve" } }). Then :Midline restart.'):format(program)
  end
end

--- Start the server for the buffers that are open and those to come, or say why not.
function M.start()
  local problem = M.problem()
  statusline.fail(problem and 'failed' .. require('midline.status').few(problem))
  if problem then
    vim.schedule(function() -- at startup there is nothing yet to show it on
      M.notify(problem, vim.log.levels.ERROR)
    end)
    return
  end
  vim.lsp.enable(NAME)
end

local function attach(client, buf)
  suggestion.attach(buf)
  require('midline.cursor').attach(client, buf)
  statusline.fail(nil)
  if not M.config.ghost_text then
    return
  elseif M.built_in then
    vim.lsp.inline_completion.enable(true, { bufnr = buf })
  else
    require('midline.ghost').attach(client, buf, M.config.debounce_ms)
  end
end

local function detach(client_id, buf)
  suggestion.forget(client_id)
  require('midline.cursor').detach(buf)
  if not M.built_in then
    require('midline.ghost').detach(buf)
  end
end

--- What vim.lsp.config() is given; a user's own vim.lsp.config('midline', …) comes on top.
local function lsp_config()
  -- What is shown as ghost text needn't stand in the popup menu, too.
  local settings = { midline = vim.tbl_deep_extend('keep', M.config.settings, { completion = { menu = 'never' } }) }
  return {
    cmd = M.config.cmd,
    filetypes = M.config.filetypes,
    root_dir = function(buf, on_dir)
      local filetype = vim.bo[buf].filetype
      local excluded = filetype == '' or vim.tbl_contains(M.config.exclude_filetypes, filetype)
      if vim.bo[buf].buftype == '' and not excluded then
        on_dir(vim.fs.root(buf, M.config.root_markers))
      end
    end,
    init_options = settings,
    settings = settings,
    handlers = {
      ['midline/statusChanged'] = function(_, status, ctx)
        local before = statusline.engine_state(ctx.client_id)
        statusline.tell(ctx.client_id, status)
        if status.engine.state == 'ready' and before ~= 'busy' and before ~= 'ready' then
          suggestion.ask_again() -- somebody may have been typing while the model loaded
        end
      end,
      ['midline/partial'] = function(_, params, ctx)
        suggestion.grow(ctx.client_id, params)
      end,
      ['$/progress'] = function(err, params, ctx)
        local stream = package.loaded['midline.stream']
        if not (stream and stream.take(params)) then
          return vim.lsp.handlers['$/progress'](err, params, ctx)
        end
      end,
    },
    capabilities = {
      experimental = { midline = { askEdit = true } },
      workspace = { workspaceEdit = { documentChanges = true } }, -- as Neovim does, and doesn't say
    },
    commands = require('midline.actions').commands,
    on_init = function(client)
      suggestion.watch(client)
      require('midline.actions').watch(client)
    end,
    on_attach = attach,
    on_exit = function(code, signal, client_id)
      vim.schedule(function()
        statusline.forget(client_id)
        statusline.fail((code ~= 0 or signal ~= 0) and 'failed: the server has ended' or nil)
        local stream = package.loaded['midline.stream']
        if stream then
          stream.client_gone(client_id)
        end
      end)
    end,
  }
end

--- Map `key` in Insert mode to `plug` while `applies`, and to what it did before otherwise.
local function map(key, plug, desc, applies)
  local raw = vim.api.nvim_replace_termcodes(key, true, true, true)
  local otherwise = ('<Plug>(midline-else-%s)'):format(key:gsub('[<>]', ''))
  for _, previous in ipairs(vim.api.nvim_get_keymap('i')) do
    if previous.lhsraw == raw then
      if previous.desc == desc then
        return -- ours, of an earlier setup()
      end
      previous.lhs, previous.lhsraw = otherwise, vim.api.nvim_replace_termcodes(otherwise, true, true, true)
      previous.lhsrawalt, previous.mode, previous.mode_bits = nil, 'i', nil
      vim.fn.mapset(previous)
    end
  end
  if vim.fn.maparg(otherwise, 'i') == '' then
    vim.keymap.set('i', otherwise, key)
  end
  vim.keymap.set('i', key, function()
    return applies() and vim.fn.pumvisible() == 0 and plug or otherwise
  end, { expr = true, remap = true, desc = desc })
end

local function attached()
  return #vim.lsp.get_clients({ name = NAME, bufnr = 0 }) > 0
end

-- What works without a suggestion on screen: these ask for some.
local applies = { next = attached, previous = attached }

--- Configure midline and start it for the buffers it is meant for. See |midline-setup|.
---@param opts? midline.Config what is left out is as in `vim.g.midline`, or else by default
function M.setup(opts)
  if vim.fn.has('nvim-0.11') == 0 then
    return M.notify('needs Neovim 0.11 or later.', vim.log.levels.ERROR)
  end
  vim.validate('opts', opts, 'table', true)
  vim.validate('vim.g.midline', vim.g.midline, 'table', true)
  opts = vim.tbl_deep_extend('force', vim.g.midline or {}, opts or {})
  for key in pairs(opts) do
    if M.config[key] == nil and key ~= 'filetypes' then
      M.notify(('setup() has no option `%s`; see :help midline-setup.'):format(key), vim.log.levels.WARN)
    end
  end
  M.config = vim.tbl_deep_extend('force', M.config, opts)
  M.is_setup = true
  suggestion.enabled = M.config.enabled
  vim.api.nvim_create_autocmd('LspDetach', {
    group = vim.api.nvim_create_augroup('midline', {}),
    callback = function(args)
      local client = vim.lsp.get_client_by_id(args.data.client_id)
      if client and client.name == NAME then
        detach(client.id, args.buf)
      end
    end,
  })
  for name, key in pairs(M.config.keymaps or {}) do
    if key then
      local plug = name:gsub('_', '-')
      map(key, ('<Plug>(midline-%s)'):format(plug), 'midline: ' .. plug, applies[name] or suggestion.visible)
    end
  end
  vim.lsp.config(NAME, lsp_config())
  M.start()
end

M.accept = suggestion.accept
M.dismiss = suggestion.dismiss
M.visible = suggestion.visible

--- Show the next alternative to the suggestion on screen; asks for suggestions where there is none.
function M.next()
  suggestion.cycle(1)
end

--- As `next`, the other way round.
function M.previous()
  suggestion.cycle(-1)
end

---@return vim.lsp.Client? # the client of the current buffer, or else any
function M.client()
  return vim.lsp.get_clients({ name = NAME, bufnr = 0 })[1] or vim.lsp.get_clients({ name = NAME })[1]
end

--- The engine's state: starting, ready, busy, restarting, failed, disabled, or '' without a server.
---@return string
function M.engine_state()
  local client = M.client()
  return client and statusline.engine_state(client.id) or ''
end

--- How midline is doing in a buffer, for a status line. See |midline-statusline|.
---@param buf? integer default: the current one
---@return string # '' where there is nothing to say
function M.status(buf)
  return statusline.text(buf or vim.api.nvim_get_current_buf())
end

--- What `:Midline NAME …` does; without a name, `status`.
---@param words string the name, and what stands behind it
---@param range? { range: integer, line1: integer, line2: integer } as a user command is given
function M.command(words, range)
  if not M.is_setup then
    return M.notify('not set up. Put require("midline").setup() in your configuration.', vim.log.levels.ERROR)
  end
  local name, rest = words:match('^%s*(%S*)%s*(.-)%s*$')
  local commands = require('midline.commands')
  local run = commands.all[name == '' and 'status' or name]
  if not run then
    local known = table.concat(commands.names(), ', ')
    return M.notify(('no command `%s`. There are: %s.'):format(name, known), vim.log.levels.ERROR)
  end
  run(rest, range or { range = 0 })
end

return M
