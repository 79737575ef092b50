"""The syntax around a cursor: tree-sitter's tree of the document, and of what it would be with a suggestion in it.

A keystroke must not wait for a parser. So only a window around the cursor is parsed in a large file, and a parser that
reads its input again and again, or takes too long, is stopped: each opening quote that nothing closes makes tree-sitter
read up to the file's end, which takes 24 KB of ``/*`` fifty seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tree_sitter import Node, Parser, Point

from indexer.grammars import grammar
from lsp.documents import Cursor

# Characters of the document that are parsed, above and below the cursor's line: some 15 ms. Few files are
# longer; where a block's head is cut off, an error that a suggestion adds may hide behind that.
_WINDOW_ABOVE = 64_000
_WINDOW_BELOW = 32_000
# How a parser is given its input, and how often more than once over.
_BYTES_PER_READ = 512
_READS = 3
_SPARE_READS = 100
_SECONDS = 0.1  # of the processor: a busy machine must not make for other suggestions
# Nodes with errors in them that are looked at.
_MOST_NODES = 5_000


@dataclass(frozen=True)
class Syntax:
    """The syntax of a document around a cursor.

    Args:
        language: LSP's identifier, one that there is a grammar for.
        before: the document's text before the cursor, from a line's start on.
        after: the text behind the cursor, up to a line's end.
    """

    language: str
    before: str
    after: str

    @classmethod
    def of(cls, cursor: Cursor) -> Syntax | None:
        """The syntax around ``cursor``; None for a language that no grammar is installed for."""
        if grammar(cursor.language) is None:
            return None
        text = cursor.text
        start = _window_start(text, cursor.line_start)
        end = len(text)
        if end - cursor.line_end > _WINDOW_BELOW:
            end = text.rfind("\n", cursor.line_end, cursor.line_end + _WINDOW_BELOW) + 1 or cursor.line_end
        return cls(cursor.language, text[start : cursor.offset], text[cursor.offset : end])

    @property
    def root(self) -> Node | None:
        """The root of the tree as the document stands; None where parsing takes too long."""
        return parse(self.before + self.after, self.language)

    @cached_property
    def offset(self) -> int:
        """Where the cursor is in the tree, in bytes."""
        return len(self.before.encode())

    def with_text(self, text: str, rest: str | None = None) -> Node | None:
        """The root of the tree with ``text`` inserted at the cursor.

        Args:
            text: what is inserted.
            rest: what follows it instead of the text behind the cursor.
        """
        return parse(self.before + text + (self.after if rest is None else rest), self.language)

    def errors_with(self, text: str) -> int | None:
        """How many errors there are with ``text`` inserted at the cursor; None where parsing takes too long."""
        root = self.with_text(text)
        return None if root is None else len(list(errors(root)))


@lru_cache(maxsize=16)
def parse(text: str, language: str) -> Node | None:
    """The root of the tree of ``text``; None where there is no grammar, or the parser can't cope with it."""
    tongue = grammar(language)
    if tongue is None:
        return None
    source = text.encode()
    stop = time.thread_time() + _SECONDS
    reads = 0
    most = _READS * (len(source) // _BYTES_PER_READ + 1) + _SPARE_READS

    def read(offset: int, _: Point) -> bytes:
        nonlocal reads
        reads += 1
        if time.thread_time() > stop:
            reads = most + 1
        return source[offset : offset + _BYTES_PER_READ] if reads <= most else b""

    # One of our own: this function calls back, so another thread may come to parse meanwhile.
    tree = Parser(tongue.language).parse(read)
    coped = reads <= most
    # A node's text is read by the same function later on, for ever if it gives nothing.
    reads, most, stop = 0, 1 << 60, math.inf
    return tree.root_node if tree and coped else None


def errors(root: Node) -> Iterator[Node]:
    """The tree's ERROR and MISSING nodes."""
    nodes = [root] if root.has_error else []
    for _ in range(_MOST_NODES):
        if not nodes:
            return
        node = nodes.pop()
        if node.is_error or node.is_missing:
            yield node
        nodes.extend(child for child in node.children if child.has_error or child.is_missing)


def ancestors(node: Node | None) -> Iterator[Node]:
    """A node and all that it is in, inside out."""
    while node is not None:
        yield node
        node = node.parent


def leaves_before(root: Node, offset: int, most: int) -> Iterator[Node]:
    """The tree's tokens that begin before ``offset``, the nearest first, at the most so many."""
    node: Node | None = root.descendant_for_byte_range(max(0, offset - 1), offset)
    node = node and _last_leaf(node, offset)
    for _ in range(most):
        if node is None:
            return
        if node.start_byte < offset and node.child_count == 0:
            yield node
        while node is not None and node.prev_sibling is None:
            node = node.parent
        node = node and node.prev_sibling and _last_leaf(node.prev_sibling, offset)


def _last_leaf(node: Node, offset: int) -> Node:
    while children := [child for child in node.children if child.start_byte < offset]:
        node = children[-1]
    return node


def _window_start(text: str, line_start: int) -> int:
    """Where to begin to parse: at the file's start, or at a line with something at the left margin."""
    start = line_start - _WINDOW_ABOVE
    if start <= 0:
        return 0
    at = start
    while (at := text.find("\n", at, line_start)) >= 0:
        at += 1
        if text[at : at + 1].isalpha() and text[at - 2 : at - 1] in ("\n", "\r"):  # with a blank line above
            return at
    first = start - _WINDOW_ABOVE
    newline = text.rfind("\n", max(0, first), start)
    return newline + 1 if newline >= 0 or first <= 0 else line_start  # the lines above are absurdly long
