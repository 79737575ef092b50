"""Tree-sitter's grammars: which wheel holds a language, and what our query finds in its trees.

The captures of a query ``queries/<name>.scm``:

- ``@function @class @type @module @constant @section``: a whole definition (a function within a class is a method),
  ``@scope`` one that only encloses others, as Rust's ``impl``; with ``@name``, ``@body`` (its signature ends there)
  and ``@owner`` (a scope written in the head, as Go's receiver).
- ``@wrapper`` around ``@wrapped``: decorators, ``export``, ``template <…>``.
- ``@import`` with ``@from`` (the module) and ``@bound`` (a name that it binds); or with ``@tree``, a dotted path with
  braces, aliases and stars, taken apart in `indexer.imports`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import NamedTuple

from tree_sitter import Language, Node, Parser, Query, QueryCursor

_DEEPEST = 200  # definitions further down the tree are generated code, or an attack


class _Source(NamedTuple):
    wheel: str
    queries: str  # one or more names of query files, joined
    entry: str = "language"
    binds: str = ""  # which part of a bare import's path is the name in the file: "first", "last", or none


_SOURCES = {
    "c": _Source("tree_sitter_c", "c"),
    "cpp": _Source("tree_sitter_cpp", "c cpp"),
    "csharp": _Source("tree_sitter_c_sharp", "csharp"),
    "css": _Source("tree_sitter_css", "css"),
    "go": _Source("tree_sitter_go", "go", binds="last"),
    "html": _Source("tree_sitter_html", "html"),
    "java": _Source("tree_sitter_java", "java"),
    "javascript": _Source("tree_sitter_javascript", "javascript"),
    "javascriptreact": _Source("tree_sitter_javascript", "javascript"),
    "json": _Source("tree_sitter_json", "json"),
    "jsonc": _Source("tree_sitter_json", "json"),
    "kotlin": _Source("tree_sitter_kotlin", "kotlin"),
    "lua": _Source("tree_sitter_lua", "lua"),
    "markdown": _Source("tree_sitter_markdown", "markdown"),
    "php": _Source("tree_sitter_php", "php", "language_php"),
    "python": _Source("tree_sitter_python", "python", binds="first"),
    "ruby": _Source("tree_sitter_ruby", "ruby"),
    "rust": _Source("tree_sitter_rust", "rust"),
    "scala": _Source("tree_sitter_scala", "scala"),
    "shellscript": _Source("tree_sitter_bash", "shellscript"),
    "swift": _Source("tree_sitter_swift", "swift"),
    "toml": _Source("tree_sitter_toml", "toml"),
    "typescript": _Source("tree_sitter_typescript", "javascript typescript", "language_typescript"),
    "typescriptreact": _Source("tree_sitter_typescript", "javascript typescript", "language_tsx"),
    "yaml": _Source("tree_sitter_yaml", "yaml"),
}

Match = dict[str, list[Node]]
"""The nodes that one pattern of the query captured, by capture name."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language that can be parsed."""

    binds: str
    keywords: frozenset[str]
    """The words that the grammar itself consists of: never names."""
    _parser: Parser
    _cursor: QueryCursor

    @property
    def language(self) -> Language:
        """What a parser of one's own needs: this one's isn't for two threads at once."""
        assert self._parser.language
        return self._parser.language

    def parse(self, source: bytes) -> Node | None:
        """The root of the text's tree; None if the parser gave up."""
        tree = self._parser.parse(source)
        return tree.root_node if tree else None

    def matches(self, root: Node) -> list[Match]:
        """What the language's query finds below a root, in no order to rely on."""
        return [captured for _, captured in self._cursor.matches(root)]


@cache
def grammar(language: str) -> Grammar | None:
    """The grammar of a language identifier, imported at its first use; None where there is none that works here."""
    source = _SOURCES.get(language)
    if source is None:
        return None
    try:
        tongue = Language(getattr(import_module(source.wheel), source.entry)())
        folder = files(__package__) / "queries"
        text = "\n".join((folder / f"{name}.scm").read_text(encoding="utf-8") for name in source.queries.split())
        cursor = QueryCursor(Query(tongue, text))
    except (ImportError, AttributeError, OSError, ValueError):  # no wheel for this machine, or one too old or too new
        return None
    cursor.set_max_start_depth(_DEEPEST)
    return Grammar(source.binds, _keywords(tongue), Parser(tongue), cursor)


def _keywords(tongue: Language) -> frozenset[str]:
    kinds = range(tongue.node_kind_count)
    spelled = {tongue.node_kind_for_id(kind) for kind in kinds if not tongue.node_kind_is_named(kind)}
    common = {"self", "this", "super", "cls", "None", "null", "nil", "true", "false", "True", "False", "undefined"}
    return frozenset(word for word in spelled if word and word.isidentifier()) | common
