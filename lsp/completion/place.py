"""Where a suggestion is to go: the lines around the cursor, and what they say about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from indexer.languages import LINE_COMMENT
from lsp.completion.mode import Mode, mode_of
from lsp.completion.nesting import QUOTE_ENDS, spanning_quotes
from lsp.completion.syntax import Syntax
from lsp.documents import Cursor

_HEADER_CHARS = 10_000
_LONGEST_HEADER = 400
# Of the cursor's line, left and right of it: all this is read again with each token.
_LINE_CHARS = 1_500
_FIRST_LINE = re.compile(r"^[ \t]*[^\s][^\r\n]*", re.MULTILINE)
_MODIFIERS = r"(?:(?:async|export|final|inline|internal|local|private|protected|pub|public|static)\s+)*"
# Code that goes on in the next line with a block, the mark of which may be missing.
BLOCK = re.compile(
    _MODIFIERS + r"(?:begin|case|catch|class|def|elif|else|elsif|elseif|ensure|enum|except|for|foreach|fn|fun|func"
    r"|function|if|impl|interface|loop|match|module|repeat|rescue|struct|switch|trait|try|unless|unsafe|until|when|while"
    r"|with)\b(?!.*(?:[;}]|\bend)$)"
    r"|.*\bfunction\b[^()]*\([^()]*\)$"
)
# Lines above blocks of statements: those, and others that end so; but not those above members.
_ABOVE_STATEMENTS = re.compile(r".*(?:\)[^=;]*\{|=>\s*\{|\bdo(?:\s*\|.*\|)?|\bthen)$")
_ABOVE_MEMBERS = re.compile(_MODIFIERS + r"(?:abstract\s+)?(?:class|enum|impl|interface|module|struct|trait)\b")


@dataclass(frozen=True)
class Place:
    """What a suggestion depends on, besides what the model writes.

    Args:
        before: the cursor's line up to the cursor.
        rest: the cursor's line from the cursor on.
        after: the text after the cursor's line.
        language: LSP's identifier.
        string: what began the string or comment over several lines in which the cursor's line begins; empty outside of
            any.
        header: the line above that the cursor's block is indented under; empty at the left margin.
        cursor: where all this is from.
    """

    before: str
    rest: str
    after: str
    language: str = ""
    string: str = ""
    header: str = ""
    cursor: Cursor | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, cursor: Cursor) -> Place:
        """The place of a cursor; an absurdly long line is read near it only."""
        cursor = cursor.near(_LINE_CHARS, _LINE_CHARS)
        above = cursor.text[: cursor.line_start]
        before = cursor.text[cursor.line_start : cursor.offset]
        string = spanning_quotes(above, cursor.language)
        header = _header(above, indent_of(before), LINE_COMMENT.get(cursor.language, "#"))
        return cls(before, cursor.rest_of_line, cursor.suffix, cursor.language, string, header, cursor)

    @cached_property
    def above(self) -> str:
        """The text above the cursor's line."""
        return self.cursor.text[: self.cursor.line_start] if self.cursor else ""

    @cached_property
    def below(self) -> str:
        """The text from the first line below the cursor's that isn't blank."""
        found = _FIRST_LINE.search(self.after)
        return self.after[found.start() :] if found else ""

    @cached_property
    def line_below(self) -> str:
        """The first of those lines, without spaces at its end."""
        return self.below.split("\n", 1)[0].rstrip()

    def lines_below(self, count: int) -> list[str]:
        """The first lines below that aren't blank, without spaces at their ends."""
        lines = self.below.split("\n", 4 * count)[: 4 * count]
        return [line.rstrip() for line in lines if line.strip()][:count]

    @cached_property
    def syntax(self) -> Syntax | None:
        """The syntax around the cursor; None where there is no grammar for it."""
        return Syntax.of(self.cursor) if self.cursor else None

    @cached_property
    def mode(self) -> Mode:
        """What kind of completion is wanted here."""
        return mode_of(self)

    @property
    def body(self) -> bool:
        """Whether the cursor's block is one of statements, as that of a function or a loop."""
        return _is_above_statements(self.header)

    def body_at(self, indent: int) -> bool:
        """The same of the block that a line so far from the left belongs to."""
        if indent == indent_of(self.before):
            return self.body
        return _is_above_statements(_header(self.above, indent, LINE_COMMENT.get(self.language, "#")))

    @property
    def closed_below(self) -> bool:
        """Whether the string that the cursor's line begins in is closed below."""
        if self.string in ("", QUOTE_ENDS.get(self.string)):
            return self.string != "" and self.after.count(self.string) % 2 == 1
        end = self.after.find(QUOTE_ENDS[self.string])
        return end >= 0 and self.string not in self.after[:end]

    @property
    def comment(self) -> bool:
        """Whether nothing but a comment stands before the cursor."""
        marker = LINE_COMMENT.get(self.language)
        return marker is not None and self.before.lstrip().startswith(marker)


def indent_of(line: str) -> int:
    """How many spaces and tabs a line begins with."""
    return len(line) - len(line.lstrip(" \t"))


def _is_above_statements(header: str) -> bool:
    statements = BLOCK.match(header) or _ABOVE_STATEMENTS.match(header)
    return bool(statements) and not _ABOVE_MEMBERS.match(header)


def _header(above: str, indent: int, comment: str) -> str:
    """The last line of ``above`` that is indented less and no comment, with a brace that stands below it alone.

    Empty where that is longer than what anybody writes: the expressions that read it take the square of its length.
    """
    brace = ""
    for line in reversed(above[-_HEADER_CHARS:].splitlines()) if indent else ():
        code = line.strip()
        if not code or indent_of(line) >= indent or code.startswith(comment):
            continue
        if code != "{":
            return code + brace if len(code) <= _LONGEST_HEADER else ""
        brace = " {"
    return ""
