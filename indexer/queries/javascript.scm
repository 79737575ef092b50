(function_declaration name: (_) @name body: (_) @body) @function
(generator_function_declaration name: (_) @name body: (_) @body) @function
(class_declaration name: (_) @name body: (_) @body) @class
(method_definition name: (_) @name body: (_) @body) @function
(lexical_declaration (variable_declarator
  name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function
(variable_declaration (variable_declarator
  name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function
(lexical_declaration (variable_declarator name: (identifier) @name value: (class body: (_) @body))) @class
(expression_statement (assignment_expression
  left: (member_expression) @name
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function
(pair
  key: (property_identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @function
(program (lexical_declaration (variable_declarator name: (identifier) @name)) @constant)
(program (variable_declaration (variable_declarator name: (identifier) @name)) @constant)
(program (export_statement declaration: (lexical_declaration
  (variable_declarator name: (identifier) @name)) @constant))
(export_statement declaration: (_) @wrapped) @wrapper
(export_statement value: (_) @wrapped) @wrapper

(import_statement source: (string) @from) @import
(import_statement (import_clause (identifier) @bound) source: (string) @from) @import
(import_statement (import_clause (named_imports (import_specifier !alias name: (_) @bound)))
  source: (string) @from) @import
(import_statement (import_clause (named_imports (import_specifier alias: (_) @bound))) source: (string) @from) @import
(import_statement (import_clause (namespace_import (identifier) @bound)) source: (string) @from) @import
(export_statement source: (string) @from) @import
(variable_declarator
  name: [(identifier) @bound (object_pattern [
    (shorthand_property_identifier_pattern) @bound
    (pair_pattern value: (identifier) @bound)])]
  value: (call_expression function: (identifier) @_call arguments: (arguments . (string) @from))
  (#eq? @_call "require")) @import
