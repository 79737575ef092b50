(class_declaration name: (_) @name body: (_) @body) @class
(record_declaration name: (_) @name body: (_)? @body) @class
(struct_declaration name: (_) @name body: (_) @body) @type
(interface_declaration name: (_) @name body: (_) @body) @type
(enum_declaration name: (_) @name body: (_) @body) @type
(delegate_declaration name: (_) @name) @type
(namespace_declaration name: (_) @name body: (_) @body) @module
(method_declaration name: (_) @name body: (_)? @body) @function
(constructor_declaration name: (_) @name body: (_)? @body) @function
(property_declaration name: (_) @name accessors: (_)? @body) @function
(local_function_statement name: (_) @name body: (_)? @body) @function

(using_directive !name (_) @tree) @import
(using_directive name: (_) @bound (_) @from .) @import
