(function_definition name: (identifier) @name body: (block) @body) @function
(class_definition name: (identifier) @name body: (block) @body) @class
(decorated_definition definition: (_) @wrapped) @wrapper
(module (expression_statement (assignment left: (identifier) @name)) @constant)
(module (type_alias_statement left: (type) @name) @type)

(import_statement name: (dotted_name) @from) @import
(import_statement name: (aliased_import name: (dotted_name) @from alias: (identifier) @bound)) @import
(import_from_statement
  module_name: (_) @from
  name: [(dotted_name) @bound (aliased_import alias: (identifier) @bound)]) @import
(import_from_statement module_name: (_) @from (wildcard_import) @bound) @import
