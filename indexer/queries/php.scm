(function_definition name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name body: (_)? @body) @function
(class_declaration name: (_) @name body: (_) @body) @class
(interface_declaration name: (_) @name body: (_) @body) @type
(trait_declaration name: (_) @name body: (_) @body) @type
(enum_declaration name: (_) @name body: (_) @body) @type
(program (const_declaration (const_element (name) @name)) @constant)

(namespace_use_declaration) @import @tree
(require_once_expression [(string (string_content) @from) (encapsed_string (string_content) @from)]) @import
(require_expression [(string (string_content) @from) (encapsed_string (string_content) @from)]) @import
(include_expression [(string (string_content) @from) (encapsed_string (string_content) @from)]) @import
(include_once_expression [(string (string_content) @from) (encapsed_string (string_content) @from)]) @import
