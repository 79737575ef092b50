"""A file taken apart: its chunks, definitions and imports, by syntax where there is a grammar, else by lines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tree_sitter import Node

from indexer import cutting
from indexer.chunk import SECTIONS, Definition, Import, Outline
from indexer.cutting import Item, Lines
from indexer.grammars import Grammar, Match, grammar
from indexer.imports import bound_by, expanded

_KINDS = {
    "function": "function",
    "class": "class",
    "type": "type",
    "module": "module",
    "constant": "constant",
    "section": "section",
    "scope": "scope",
}
_CONTAINERS = frozenset({"class", "type", "scope", "module", "section"})
_DEEPEST = 30  # definitions within definitions
_LONG_LINE = 4_000  # a file that consists of longer lines has been minified
_MARKUP = frozenset({"css", "html", "json", "jsonc", "markdown", "toml", "yaml"})
_NO_SCOPES = ("", "prototype", "module", "exports")
_TOO_DEEP = " " * 120
_QUOTES = "\"'`<> \t"
_LONGEST_SIGNATURE = 200

_QUALIFIED = re.compile(r"::|[.:\\]")
_DECLARED_NAME = re.compile(r"((?:[\w~]+(?:<[^<>()]*>)?::)*(?:operator\s*[^\s(]+|~?\w+))\s*\(")
_COMMENT = re.compile(r"(?:^|\s)(?:#|//|--).*")
_HEAD_END = re.compile(r"\s*(?:\{|:|=>|=|\bthen|\bdo|\()\s*$")
_RST_HEADING = re.compile(
    r"^(?P<over>(?:([=\-~^\"'`#*+.:_])\2{2,})[ \t]*\n)? ?(?P<title>\S.*)\n(?P<under>([=\-~^\"'`#*+.:_])\5{2,})[ \t]*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Parsed:
    """A file as its grammar sees it; without one, there are lines alone."""

    lines: Lines
    text: str
    root: Node | None = None
    tops: tuple[Item, ...] = ()
    """The outermost definitions, each with those within it."""
    definitions: tuple[Definition, ...] = ()
    imports: tuple[Import, ...] = ()


def outline(text: str, language: str) -> Outline:
    """Take a file apart; `language` is an LSP identifier. Never raises: what can't be parsed is cut by lines."""
    parsed = parse(text, language)
    tops = list(parsed.tops)
    if parsed.root is None and language == "restructuredtext":
        tops = _nested(_headings(parsed.text, len(parsed.lines.rows)))
    return Outline(language, tuple(cutting.chunks(parsed.lines, tops, parsed.root)), parsed.definitions, parsed.imports)


def parse(text: str, language: str) -> Parsed:
    """Find a file's definitions and imports; nothing where there is no grammar, or the file is unfit for it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    source = text.encode("utf-8", "replace")
    if not text.isascii():
        text = source.decode("utf-8")  # without lone surrogates, which nothing can store
    lines = Lines(text.split("\n"), language)
    tongue = None if _is_unfit(lines.rows, len(text), language) else grammar(language)
    # A NUL ends the text for some grammars.
    root = tongue.parse(source.replace(b"\0", b" ")) if tongue else None
    if tongue is None or root is None:
        return Parsed(lines, text)
    lines.keywords = tongue.keywords
    lines.between = "text" if language in _MARKUP else "module"
    matches = tongue.matches(root)
    items = _items(matches, source, lines)
    tree = _nested(items)
    _describe(tree, source, lines, 0, len(lines.rows) - 1)
    definitions = tuple(_definition(item) for item in items if item.kind not in ("section", "scope"))
    return Parsed(lines, text, root, tuple(tree), definitions, _imports(matches, source, tongue))


def _is_unfit(rows: list[str], size: int, language: str) -> bool:
    """Whether a file has no syntax worth finding: minified; or it is so deep that YAML's scanner would crash."""
    if 2 * sum(len(row) for row in rows if len(row) > _LONG_LINE) > size:
        return True
    return language == "yaml" and any(row.startswith(_TOO_DEEP) for row in rows)


def _text(source: bytes, node: Node) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _items(matches: list[Match], source: bytes, lines: Lines) -> list[Item]:
    """What the query found to be definitions, in the file's order, an enclosing one before what it encloses."""
    wrappers: dict[int, Node] = {}
    found: dict[tuple[int, str], Item] = {}
    for match in matches:
        if "wrapper" in match:
            wrappers[match["wrapped"][0].start_byte] = match["wrapper"][0]
            continue
        for kind in _KINDS.keys() & match.keys():
            node = match[kind][0]
            name, owner = _name(match, source)
            key = node.start_byte, name
            if key not in found or (kind != "constant" and found[key].body is None):
                body = match["body"][0] if "body" in match else None
                found[key] = Item(_KINDS[kind], name, owner, node, body)
                if lines.language == "markdown":
                    found[key].joint = SECTIONS
    for item in found.values():
        _place(item, wrappers)
    return sorted(found.values(), key=lambda item: (item.start, -item.end))


def _place(item: Item, wrappers: dict[int, Node]) -> None:
    """Set an item's bytes and rows, with all that is wrapped around it."""
    outer = item.node
    if outer is None:
        return
    item.row = outer.start_point[0]
    while (wrapper := wrappers.pop(outer.start_byte, None)) is not None:
        outer = wrapper
    item.start, item.end = outer.start_byte, outer.end_byte
    row, column = outer.end_point
    item.first, item.last = outer.start_point[0], row if column else max(row - 1, item.row)


def _name(match: Match, source: bytes) -> tuple[str, str]:
    """A definition's bare name, and the scope that its head writes before it (``Foo::bar``, Go's receiver)."""
    owner = _text(source, match["owner"][0]) if "owner" in match else ""
    if "name" not in match:
        return "", owner
    node = match["name"][0]
    name = _text(source, node)
    if name.isidentifier():
        return name, owner
    if node.type.endswith("declarator"):  # C's declarators wrap the name: `*Foo::bar(int x)`
        declared = _DECLARED_NAME.search(name)
        name = declared[1] if declared else name.lstrip("*&( \t").partition("[")[0].partition(")")[0]
    if node.type.startswith(("string", "attribute", "selectors", "inline", "double_quote", "flow_node")):
        return " ".join(name.split()).strip(_QUOTES)[:80], owner
    *scopes, last = _QUALIFIED.split(name) if not name.startswith(("operator", "[")) else [name]
    scopes = [scope.partition("<")[0] for scope in scopes if scope not in _NO_SCOPES]
    return " ".join(last.split())[:80], ".".join(scopes) or owner


def _nested(items: list[Item]) -> list[Item]:
    """The outermost of the items, each with those within it; scopes and methods become known by it."""
    tops: list[Item] = []
    open_items: list[Item] = []
    for item in items:
        while open_items and (open_items[-1].end < item.end or open_items[-1].start == item.start):
            open_items.pop()
        parent = open_items[-1] if open_items else None
        scope = parent.symbol if parent else ""
        item.scope = ".".join(filter(None, (scope, item.scope)))
        enclosed = parent is not None and parent.kind in ("class", "type", "scope")
        if item.kind == "function" and (enclosed or item.scope != scope):
            item.kind = "method"
        (parent.children if parent else tops).append(item)
        if len(open_items) < _DEEPEST:
            open_items.append(item)
    return tops


def _describe(siblings: list[Item], source: bytes, lines: Lines, first: int, last: int) -> None:
    """Give each item its signature, its docstring, and the comment lines above it."""
    free = first
    for item in siblings:
        item.signature = _signature(item, source)
        top = lines.comment_above(item.first, free) if item.kind != "section" else item.first
        item.docstring = _docstring(item, source, lines, top)
        item.first = top
        free = max(free, item.last + 1)
        if item.children:
            _describe(item.children, source, lines, item.row + 1, item.last)


def _signature(item: Item, source: bytes) -> str:
    if item.node is None:
        return ""
    start = item.node.start_byte
    if item.body is not None and item.body.start_byte > start:
        end = item.body.start_byte
    else:
        newline = source.find(b"\n", start)
        end = item.node.end_byte if newline < 0 else min(newline, item.node.end_byte)
    head = source[start : min(end, start + 2_000)].decode("utf-8", "replace")
    if "\n" in head:
        head = _COMMENT.sub("", head)
    head = " ".join(head.split()).replace("( ", "(").replace(", )", ")")
    # The colon first, since that is all that Python needs.
    head = head[:-1] if head.endswith(":") else _HEAD_END.sub("", head)
    return head[:_LONGEST_SIGNATURE]


def _docstring(item: Item, source: bytes, lines: Lines, top: int) -> str:
    if lines.language == "python" and item.body is not None:
        inside = _python_docstring(source, item.body.start_byte, item.body.end_byte)
        if inside:
            return inside
    return lines.comment(top, item.first) if top < item.first else ""


def _python_docstring(source: bytes, start: int, end: int) -> str:
    if source[start : start + 1] in b"rRuU":
        start += 1
    mark = source[start : start + 1]
    if mark not in (b'"', b"'"):
        return ""
    if source.startswith(mark * 3, start):
        mark *= 3
    start += len(mark)
    said = source[start : max(start, source.find(mark, start, end))].decode("utf-8", "replace")
    return "\n".join([line.strip() for line in said.split("\n")]).strip()


def _definition(item: Item) -> Definition:
    return Definition(item.name, item.kind, item.scope, item.signature, item.row + 1, item.last + 1)


def _imports(matches: list[Match], source: bytes, tongue: Grammar) -> tuple[Import, ...]:
    found: dict[tuple[int, str], tuple[int, list[str]]] = {}
    for match in matches:
        if "import" not in match:
            continue
        node = match["import"][0]
        row = node.start_point[0] + 1
        if "tree" in match:
            for module, bound in expanded(_text(source, match["tree"][0])):
                found.setdefault((node.start_byte, module), (row, []))[1].append(bound)
        elif "from" in match:
            module = _text(source, match["from"][0]).strip(_QUOTES)
            names = [_text(source, bound).replace(".", "*") for bound in match.get("bound", ())]
            if "bound" not in match:
                names = bound_by(module, tongue.binds)
            found.setdefault((node.start_byte, module), (row, []))[1].extend(names)
    ordered = sorted(found.items(), key=lambda entry: entry[0][0])
    return tuple(Import(module, tuple(dict.fromkeys(names)), row) for (_, module), (row, names) in ordered)


def _headings(text: str, count: int) -> list[Item]:
    """reStructuredText's sections, in order: each from its title to the next one of its level or above.

    A level is known by the characters that its titles are underlined (and overlined) with, in order of appearance.
    """
    levels: dict[tuple[str, bool], int] = {}
    found: list[Item] = []
    open_items: list[tuple[int, Item]] = []
    for match in _RST_HEADING.finditer(text):
        mark = match["under"][0], bool(match["over"])
        if mark[1] and match["over"][0] != mark[0]:
            continue
        level = levels.setdefault(mark, len(levels))
        row = text.count("\n", 0, match.start())
        title = " ".join(match["title"].split())[:80]
        item = Item("section", title, first=row, last=count - 1, start=row, end=count, joint=SECTIONS)
        while open_items and open_items[-1][0] >= level:
            closed = open_items.pop()[1]
            closed.last, closed.end = row - 1, row
        open_items.append((level, item))
        found.append(item)
    return found
