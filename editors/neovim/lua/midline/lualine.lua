--- A component of lualine, which puts it into 'statusline' as it is. See |midline-statusline|.
return function()
  return (require('midline').status():gsub('%%', '%%%%'))
end
