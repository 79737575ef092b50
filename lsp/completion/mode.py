"""What kind of completion is wanted at a place, as the syntax there tells."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Literal

from tree_sitter import Node

from indexer.languages import LINE_COMMENT
from lsp.completion.nesting import Open, read
from lsp.completion.syntax import Syntax, ancestors, leaves_before

if TYPE_CHECKING:
    from lsp.completion.place import Place

Mode = Literal["line", "block", "body", "docstring", "arguments", "comment", "text"]
"""The rest of the line; the statement with the block it opens, or the statements up to a blank line; all of a body; a
docstring; the rest of a call's arguments; a comment; a text that no grammar is known for, or that is a string."""

_PROSE = {"json", "jsonc", "markdown", "plaintext", "restructuredtext", "toml", "yaml"}
# Kinds of nodes, whatever the language.
_COMMENT = re.compile(r"comment")
_STRING = re.compile(r"string|template_literal|heredoc|char_literal|character|text_block|nowdoc")
_CODE_IN_STRING = re.compile(r"interpolation|substitution|expansion|format_expression")
_ARGUMENTS = re.compile(r"arguments?(?:_list)?$|token_tree|call|invocation|value_arguments")
_PARAMETERS = re.compile(r"param|definition|declarator|declaration|statement|clause|condition|tuple|parenthesized")
_NAME = re.compile(r"identifier|name$|word")
# What a parenthesis behind a name isn't that of a call after.
_DEFINES = {"def", "func", "fn", "fun", "function", "class", "struct", "record", "impl", "trait", "macro"}
_DOCUMENTATION = re.compile(r"/\*\*|///|//!")
_DOCSTRING = re.compile(r"[ \t]*[rRuU]?(?:\"\"\"|''')")
_MOST_TOKENS = 300
# Behind such a line a block's statements are wanted.
_OPENS_BLOCK = re.compile(r"(?:[^:]:|\{|=>|\b(?:do|then|begin)(?:\s*\|[^|]*\|)?)\s*$")
_BEGINS_BLOCK = re.compile(
    r"(?:(?:async|await|export|pub|public|private|protected|static)\s+)*"
    r"(?:class|def|do|else|enum|except|finally|fn|for|foreach|func?|function|if|impl|interface|match|module|struct|switch"
    r"|trait|try|unless|until|while|with)\b"
)


def mode_of(place: Place) -> Mode:
    """The mode of a place."""
    language, before, rest = place.language, place.before, place.rest.strip()
    comment = LINE_COMMENT.get(language)
    if place.syntax is None or language in _PROSE:
        return "comment" if comment and before.lstrip().startswith(comment) else "text"
    inside = read(before, language, Open(quote=place.string)).quote or _inside(place.syntax)
    if inside in ("/*", "<!--", comment):
        return "docstring" if _DOCUMENTATION.match(_comment_start(place)) else "comment"
    if inside:
        return "docstring" if language == "python" and _is_docstring(place) else "text"
    if not rest and _OPENS_BLOCK.search(before):
        return "body"
    if _in_call(place.syntax):
        return "arguments"
    if rest or (before.strip() and not _BEGINS_BLOCK.match(before.lstrip())):
        return "line"
    wanted = not before.strip() and place.body and _indent(place.line_below) < _indent(before)
    return "body" if wanted else "block"


def _inside(syntax: Syntax) -> str:
    """What a string or comment over several lines that the cursor is in begins with, as the tree says; or nothing."""
    root, at = syntax.root, syntax.offset
    if root is None or at == 0:
        return ""
    for node in ancestors(root.descendant_for_byte_range(at - 1, at)):
        if _CODE_IN_STRING.search(node.type):
            return ""
        if node.start_byte < at < node.end_byte and node.start_point.row < node.end_point.row:
            if _COMMENT.search(node.type):
                return "/*"
            if _STRING.search(node.type):
                return '"'
    return ""


def _comment_start(place: Place) -> str:
    """The text from where the comment that the cursor is in begins."""
    start = max(place.before.rfind("/*"), place.before.find("//"))
    return place.before[start:] if start >= 0 else place.above[max(0, place.above.rfind("/*")) :]


def _is_docstring(place: Place) -> bool:
    """Whether the string that the cursor is in stands where Python has its docstrings."""
    text = place.above + place.before
    start = max(text.rfind('"""'), text.rfind("'''"))
    line = text.rfind("\n", 0, start) + 1
    code = text[:line].rstrip()
    return bool(_DOCSTRING.match(text, line)) and (code.endswith(":") or _only_comments(code))


def _only_comments(text: str) -> bool:
    return all(not line.strip() or line.startswith("#") for line in text.splitlines())


def _in_call(syntax: Syntax) -> bool:
    """Whether the innermost bracket that is open before the cursor is the parenthesis of a call."""
    if syntax.root is None:
        return False
    closed = 0
    leaves = leaves_before(syntax.root, syntax.offset, _MOST_TOKENS)
    for leaf in leaves:
        if leaf.type in (")", "]", "}"):
            closed += 1
        elif leaf.type in ("(", "[", "{", "#{", "${"):
            closed -= 1
            if closed < 0:
                return leaf.type == "(" and _calls(leaf, list(islice(leaves, 3)))
    return False


def _calls(parenthesis: Node, before: list[Node]) -> bool:
    """Whether a parenthesis begins the arguments of a call; ``before`` are the tokens before it, the nearest first."""
    kind = parenthesis.parent.type if parenthesis.parent else ""
    if _ARGUMENTS.search(kind):
        return True
    if _PARAMETERS.search(kind) or not before:
        return False
    # In code that isn't whole, the parenthesis is in no call yet.
    return bool(_NAME.search(before[0].type)) and not any(node.type in _DEFINES for node in before[1:])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
