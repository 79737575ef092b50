(element (start_tag (tag_name) @name)
  (#match? @name "^(head|header|main|section|article|nav|aside|footer|form|table|template|dialog)$")) @section
(script_element (start_tag (tag_name) @name)) @section
(style_element (start_tag (tag_name) @name)) @section
