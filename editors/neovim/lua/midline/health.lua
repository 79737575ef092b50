--- :checkhealth midline
local M = {}

local health = vim.health

--- Run the server's program with other arguments.
---@return vim.SystemCompleted? # nil when it can't be started
local function run(cmd, args, timeout)
  local command = {}
  for _, word in ipairs(cmd) do
    if word == 'serve' then
      break
    end
    command[#command + 1] = word
  end
  local ok, process = pcall(vim.system, vim.list_extend(command, args), { text = true })
  return ok and process:wait(timeout) or nil
end

local function check_program(cmd)
  local version = run(cmd, { '--version' }, 10000)
  if not version or version.code ~= 0 then
    health.error(('%s --version failed: %s'):format(cmd[1], version and version.stderr or 'it does not start'))
    return
  end
  health.ok(('%s at %s'):format(vim.trim(version.stdout), vim.fn.exepath(cmd[1])))
end

local function check_clients()
  local clients = vim.lsp.get_clients({ name = 'midline' })
  if #clients == 0 then
    health.warn('no server is running', { 'Open a file, or see |midline-setup| for which filetypes are left out.' })
  end
  for _, client in ipairs(clients) do
    local buffers = vim.tbl_count(client.attached_buffers)
    health.ok(('server attached to %d buffer(s), root %s'):format(buffers, client.root_dir or 'none'))
    local answer = client:request_sync('midline/status', vim.empty_dict(), 5000)
    if not answer or answer.err then
      health.error('it does not answer', { ':Midline restart' })
    else
      local state = answer.result.engine.state
      local report = (state == 'failed' or state == 'disabled') and health.warn or health.ok
      report(table.concat(require('midline.status').describe(answer.result), '\n'))
    end
  end
end

local function check_doctor(cmd)
  health.start('midline doctor')
  local doctor = run(cmd, { 'doctor', '--json' }, 120000)
  local ok, report = pcall(vim.json.decode, doctor and doctor.stdout or '')
  if not ok or type(report) ~= 'table' or not report.checks then
    local reason = doctor and vim.trim(doctor.stderr) or 'it does not start'
    health.error('`midline doctor` could not run: ' .. reason)
    return
  end
  for _, check in ipairs(report.checks) do
    local line = ('%s: %s'):format(check.name, check.detail)
    if check.ok then
      health.ok(line)
    else
      health.error(line, { check.cure })
    end
  end
end

function M.check()
  local midline = require('midline')
  health.start('midline')
  if vim.fn.has('nvim-0.11') == 0 then
    health.error('Neovim 0.11 or later is needed')
    return
  end
  local by = midline.built_in and 'vim.lsp.inline_completion' or 'ghost text of the plugin'
  health.ok(('Neovim %s: suggestions by %s'):format(vim.version(), by))
  if not midline.is_setup then
    health.error('not set up', { 'Put require("midline").setup() in your configuration.' })
    return
  end
  local problem = midline.problem()
  if problem then
    health.error(problem)
    return
  end
  local cmd = midline.config.cmd
  if type(cmd) == 'table' then
    check_program(cmd)
  end
  check_clients()
  if type(cmd) == 'table' then
    check_doctor(cmd)
  end
end

return M
