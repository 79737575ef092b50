-- Commands and <Plug> maps; nothing of midline is loaded before one of them is used, or `vim.g.midline` asks for it.
if vim.g.loaded_midline then
  return
end
vim.g.loaded_midline = true

vim.api.nvim_create_user_command('Midline', function(args)
  require('midline').command(args.args, args)
end, {
  nargs = '*',
  range = true,
  desc = 'midline: chat, ask, edit, explain, status, …',
  complete = function(lead, line)
    if line:match('Midline%s+%S+%s') then
      return {} -- the words behind a name are the user's own
    end
    return vim.tbl_filter(function(name)
      return vim.startswith(name, lead)
    end, require('midline.commands').names())
  end,
})

-- <C-g>u begins a new undo step: `u` takes back what was accepted, not what was typed before.
for name, call in pairs({
  ['accept'] = [[<C-g>u<Cmd>lua require('midline').accept()<CR>]],
  ['accept-word'] = [[<C-g>u<Cmd>lua require('midline').accept('word')<CR>]],
  ['accept-line'] = [[<C-g>u<Cmd>lua require('midline').accept('line')<CR>]],
  ['dismiss'] = [[<Cmd>lua require('midline').dismiss()<CR>]],
  ['next'] = [[<Cmd>lua require('midline').next()<CR>]],
  ['previous'] = [[<Cmd>lua require('midline').previous()<CR>]],
}) do
  vim.keymap.set('i', ('<Plug>(midline-%s)'):format(name), call, { desc = 'midline: ' .. name })
end

if vim.g.midline ~= nil and not require('midline').is_setup then
  require('midline').setup()
end
