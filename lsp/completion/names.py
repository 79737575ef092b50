"""Names that a suggestion uses and nobody defined."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from tree_sitter import Node

from indexer.grammars import grammar
from lsp.completion.builtin_names import builtin_names
from lsp.completion.place import Place
from lsp.completion.syntax import ancestors

# Kinds of nodes, whatever the language.
_IDENTIFIER = re.compile(r"identifier$|^(?:name|constant|variable_name)$")
_IMPORT = re.compile(r"import|^use_|using_directive|namespace_use|preproc_include|package_clause|package_declaration")
_PATTERN = re.compile(
    r"pattern|variable_list|expression_list|identifier_list|declarator$|parameters?$|variable_declaration"
)
_BINDS = re.compile(
    r"pattern_target|match_pattern|parameters?$|parameter_declaration|variable_declaration$|variable_list"
)
_ASSIGNS = re.compile(
    r"assign|declaration|range_clause|foreach|for_|let_|short_var|for$|variable|named_expression|catch"
)
_DEFINES = re.compile(
    r"definition|declaration|declarator|parameter|item$|spec$|class|method|function|module|alias|clause"
)
_USES = re.compile(
    r"subscript|attribute|member|field_expression|selector|index|call|invocation|argument|navigation|type_arg"
)
_KEYS = re.compile(
    r"keyword_argument|named_argument|^pair$|keyed_element|field_initializer|field_pattern|value_argument$"
)
_LEVELS = 5


@dataclass(frozen=True)
class Invented:
    """Names that nobody is known to define.

    Args:
        names: those that stand alone, and are most likely wrong.
        attributes: those behind a dot, and names of arguments and fields: the object may be of any package.
    """

    names: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


def invented(text: str, place: Place, known: Callable[[Iterable[str]], set[str]]) -> Invented:
    """The names in ``text`` that neither the document, nor the index, nor the language, nor ``text`` itself defines.

    Args:
        text: a suggestion.
        place: where it goes.
        known: which of some names are defined anywhere in the workspace.
    """
    syntax = place.syntax
    tongue = grammar(place.language)
    builtin = builtin_names(place.language)  # where nothing is known of them, any name may be one
    root = syntax.with_text(text) if syntax and text and builtin else None
    if syntax is None or root is None or place.cursor is None or tongue is None:
        return Invented()
    language = builtin | tongue.keywords
    source = (syntax.before + text + syntax.after).encode()
    names: dict[str, bool] = {}  # whether each stands alone anywhere
    defined: set[str] = set()
    for node in _identifiers(root, syntax.offset, syntax.offset + len(text.encode())):
        name = source[node.start_byte : node.end_byte].decode()
        if _is_defined(node):
            defined.add(name)
        else:
            names[name] = names.get(name, False) or not _is_attribute(node)
    unknown = [name for name in names if name not in defined and name not in language and len(name) > 1]
    unknown = [name for name in unknown if not _occurs(name, place)]
    if unknown:
        found = known(unknown)
        unknown = [name for name in unknown if name not in found]
    return Invented(tuple(name for name in unknown if names[name]), tuple(name for name in unknown if not names[name]))


def _identifiers(root: Node, start: int, end: int) -> Iterator[Node]:
    """The tree's identifiers that reach into a range of bytes, in their order."""
    nodes = [root]  # a sum of many terms is a tree too deep for a recursion
    while nodes:
        node = nodes.pop()
        if node.child_count == 0 and _IDENTIFIER.search(node.type):
            yield node
        nodes.extend(child for child in reversed(node.children) if child.end_byte > start and child.start_byte < end)


def _occurs(name: str, place: Place) -> bool:
    """Whether the document has the word already, besides the one that the cursor is in."""
    expression = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    cursor = place.cursor
    assert cursor is not None
    return bool(expression.search(cursor.text, 0, cursor.offset) or expression.search(cursor.text, cursor.offset))


def _is_attribute(node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return False
    if _KEYS.search(parent.type) and parent.children[0].id == node.id:
        return True
    before = node.prev_sibling or parent.prev_sibling
    return (
        before is not None
        and before.type in (".", "->", "::", "?.", "&.", ":", "optional_chain")
        and (before.end_byte == node.start_byte or before.type != ":")
    )


def _is_defined(node: Node) -> bool:
    """Whether an identifier stands where a name is bound: as the target of an assignment or loop, as a parameter."""
    chain = list(islice(ancestors(node), _LEVELS + 1))
    if any(_IMPORT.search(parent.type) for parent in chain):
        return True
    for child, parent in pairwise(chain):
        if _field(parent, child) in ("type", "value", "default_value", "right", "body", "superclasses", "result"):
            return False
        if _BINDS.search(parent.type) or (child.prev_sibling and child.prev_sibling.type == "as"):
            return True
        field = _field(parent, child)
        if field in ("left", "pattern", "variable") and _ASSIGNS.search(parent.type):
            return True
        if field in ("name", "declarator", "alias", "parameter", "pattern") and _DEFINES.search(parent.type):
            return not _USES.search(parent.type)
        if _USES.search(parent.type) or not (_PATTERN.search(parent.type) or field or child is node):
            return False
    return False


def _field(parent: Node, child: Node) -> str:
    for number, other in enumerate(parent.children):
        if other.id == child.id:
            return parent.field_name_for_child(number) or ""
    return ""
