"""Whole lines of a document, taken out of it for a model to read, and what comes back put in their place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lsp.documents import split_lines, with_plain_breaks

_INDENT = re.compile(r"[ \t]*")


@dataclass(frozen=True)
class Passage:
    r"""Some whole lines of a document.

    Args:
        before, after: the document's text around them.
        text: the lines themselves, line breaks as the document has them.
    """

    before: str
    text: str
    after: str

    @classmethod
    def of(cls, text: str, start_line: int, end_line: int) -> Passage:
        """Lines of a text, from 1, the last one included; clamped to the text."""
        lines = split_lines(text)
        first = min(max(start_line, 1), len(lines)) - 1
        last = min(max(end_line, first + 1), len(lines))
        return cls("".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:]))

    @cached_property
    def indent(self) -> str:
        """The spaces and tabs that all of its lines begin with, empty ones apart."""
        return common_indent(with_plain_breaks(self.text).split("\n"))

    @cached_property
    def code(self) -> str:
        r"""The lines without their common indentation, ``\n`` between them and none behind the last."""
        lines = with_plain_breaks(self.text).strip("\n").split("\n")
        return "\n".join(line.removeprefix(self.indent) if line.strip() else "" for line in lines)

    @property
    def lines(self) -> int:
        """How many lines it is."""
        return len(split_lines(self.text)) - self.text.endswith(("\n", "\r"))

    @cached_property
    def newline(self) -> str:
        """The document's line break."""
        return "\r\n" if "\r\n" in self.text or "\r\n" in self.before[-2000:] + self.after[:2000] else "\n"

    def as_here(self, code: str) -> str:
        """Other code in the place of these lines: indented and with line ends as they have them."""
        lines = self._indented_alike(code.strip("\n").split("\n"))
        strange = common_indent(lines)
        fitted = [self.indent + line.removeprefix(strange).rstrip() if line.strip() else "" for line in lines]
        return self._blank(r"\A\s*\n") + self.newline.join(fitted) + self._blank(r"(?:\r\n|\r|\n)\s*\Z")

    def _blank(self, where: str) -> str:
        """The empty lines at one end of the passage."""
        found = re.search(where, self.text) if self.text.strip() else None
        return found.group() if found else ""

    def document(self, text: str) -> str:
        """The document with ``text`` in the place of these lines."""
        return self.before + text + self.after

    def _indented_alike(self, lines: Sequence[str]) -> Sequence[str]:
        """Lines with tabs for the steps of spaces that they are indented by, where the document has tabs."""
        around = self.text if re.search(r"^[ \t]", self.text, re.MULTILINE) else self.before + self.after
        if not re.search(r"^\t", around, re.MULTILINE) or re.search(r"^ {2}", around, re.MULTILINE):
            return lines
        steps = [len(indent_of(line)) for line in lines if line.startswith("  ")]
        if not steps or any(line.startswith("\t") for line in lines):
            return lines
        step = min(steps)
        return ["\t" * (len(indent_of(line)) // step) + line.lstrip(" ") for line in lines]


def indent_of(line: str) -> str:
    """The spaces and tabs that a line begins with."""
    found = _INDENT.match(line)
    return found.group() if found else ""


def common_indent(lines: Sequence[str]) -> str:
    """The spaces and tabs that all lines begin with, empty ones apart."""
    indents = [indent_of(line) for line in lines if line.strip()]
    shortest = min(indents, key=len, default="")
    while not all(indent.startswith(shortest) for indent in indents):
        shortest = shortest[:-1]
    return shortest
