(function_declaration name: (identifier) @name body: (block)? @body) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @owner
    (generic_type type: (type_identifier) @owner)
    (pointer_type [(type_identifier) @owner (generic_type type: (type_identifier) @owner)])]))
  name: (field_identifier) @name
  body: (block)? @body) @function
(type_declaration . (type_spec name: (_) @name type: (struct_type (field_declaration_list) @body)) .) @type
(type_declaration . (type_spec name: (_) @name type: (interface_type) @body) .) @type
(type_declaration . (type_spec name: (_) @name) .) @type
(type_declaration . (type_alias name: (_) @name) .) @type
(type_declaration "(" (type_spec name: (_) @name) @type)
(method_elem name: (_) @name) @function
(source_file (const_declaration (const_spec name: (identifier) @name) @constant))
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @name) @constant)))
(source_file (var_declaration (var_spec name: (identifier) @name) @constant))

(import_spec !name path: (_) @from) @import
(import_spec name: [(package_identifier) (dot)] @bound path: (_) @from) @import
