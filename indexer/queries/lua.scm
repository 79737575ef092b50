(function_declaration name: (_) @name body: (_)? @body) @function
(assignment_statement
  (variable_list name: (_) @name)
  (expression_list value: (function_definition body: (_)? @body))) @function
(variable_declaration (assignment_statement) @wrapped) @wrapper
(chunk (variable_declaration (assignment_statement (variable_list name: (identifier) @name))) @constant)

(assignment_statement
  (variable_list name: (identifier) @bound)
  (expression_list value: (function_call
    name: (identifier) @_call
    arguments: (arguments (string content: (_) @from))))
  (#eq? @_call "require")) @import
