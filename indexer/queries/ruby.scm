(class name: (_) @name) @class
(module name: (_) @name) @module
(method name: (_) @name body: (_)? @body) @function
(singleton_method name: (_) @name body: (_)? @body) @function
(program (assignment left: (constant) @name) @constant)
(body_statement (assignment left: (constant) @name) @constant)

(call
  method: (identifier) @_call
  arguments: (argument_list (string (string_content) @from))
  (#match? @_call "^(require|require_relative|load)$")) @import
