(function_item name: (_) @name body: (_) @body) @function
(function_signature_item name: (_) @name) @function
(struct_item name: (_) @name body: (_)? @body) @type
(union_item name: (_) @name body: (_) @body) @type
(enum_item name: (_) @name body: (_) @body) @type
(trait_item name: (_) @name body: (_) @body) @type
(type_item name: (_) @name) @type
(macro_definition name: (_) @name) @function
(mod_item name: (_) @name body: (_) @body) @module
(impl_item type: [
  (type_identifier) @name
  (generic_type type: (_) @name)
  (scoped_type_identifier name: (_) @name)] body: (_) @body) @scope
(const_item name: (_) @name) @constant
(static_item name: (_) @name) @constant

(use_declaration argument: (_) @tree) @import
(extern_crate_declaration name: (_) @from) @import
(mod_item name: (_) @from @bound !body) @import
