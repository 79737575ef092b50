(rule_set (selectors) @name) @section
(media_statement) @section
(keyframes_statement (keyframes_name) @name) @section
