(class_declaration name: (_) @name body: (_) @body) @class
(protocol_declaration name: (_) @name body: (_) @body) @type
(typealias_declaration name: (_) @name) @type
(function_declaration name: (simple_identifier) @name body: (_)? @body) @function
(protocol_function_declaration name: (simple_identifier) @name) @function
(init_declaration name: (_) @name body: (_)? @body) @function
(source_file (property_declaration name: (pattern (simple_identifier) @name)) @constant)

(import_declaration (identifier) @tree) @import
