(class_definition name: (_) @name body: (_)? @body) @class
(object_definition name: (_) @name body: (_)? @body) @class
(trait_definition name: (_) @name body: (_)? @body) @type
(enum_definition name: (_) @name body: (_) @body) @type
(type_definition name: (_) @name) @type
(function_definition name: (_) @name body: (_) @body) @function
(function_declaration name: (_) @name) @function
(compilation_unit (val_definition pattern: (identifier) @name) @constant)

(import_declaration) @import @tree
