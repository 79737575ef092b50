(function_definition declarator: (_) @name body: (_) @body) @function
(struct_specifier name: (_) @name body: (_) @body) @type
(union_specifier name: (_) @name body: (_) @body) @type
(enum_specifier name: (_) @name body: (_) @body) @type
(type_definition declarator: (type_identifier) @name) @type
(type_definition declarator: (function_declarator declarator: (parenthesized_declarator
  (pointer_declarator declarator: (type_identifier) @name)))) @type
(type_definition type: (_) @wrapped) @wrapper
(declaration declarator: (function_declarator declarator: (identifier)) @name) @function
(declaration declarator: (pointer_declarator declarator: (function_declarator) @name)) @function
(preproc_def name: (_) @name) @constant
(preproc_function_def name: (_) @name) @function
(translation_unit (declaration declarator: (init_declarator declarator: (_) @name)) @constant)

(preproc_include path: (_) @from) @import
