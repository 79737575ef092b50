(class_specifier name: (_) @name body: (_) @body) @class
(namespace_definition name: (_) @name body: (_) @body) @module
(alias_declaration name: (_) @name) @type
(concept_definition name: (_) @name) @type
(template_declaration [
  (function_definition) @wrapped
  (class_specifier) @wrapped
  (struct_specifier) @wrapped
  (declaration) @wrapped
  (alias_declaration) @wrapped]) @wrapper
(field_declaration declarator: (function_declarator) @name) @function
