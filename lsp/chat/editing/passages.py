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


@dataclass(frozen=True)
class Surroundings:
    """The lines of a definition above and below some lines of it."""

    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, first: int, start: int, end: int, last: int) -> Surroundings:
        """Those around lines ``start`` to ``end``, within ``first`` to ``last``; from 1, the last ones included."""
        lines = [line.rstrip("\r\n") for line in split_lines(text)]
        return cls(tuple(lines[first - 1 : start - 1]), tuple(lines[end:last]))

    def with_lines(self, passage: Passage) -> str:
        """The whole definition, without its indentation; empty where there is nothing around the lines."""
        if not any(line.strip() for line in self.above + self.below):
            return ""
        lines = [*self.above, *with_plain_breaks(passage.text).rstrip("\n").split("\n"), *self.below]
        indent = common_indent(lines)
        return "\n".join(line.removeprefix(indent) for line in lines)

    def cut_from(self, code: str) -> str:
        """Code without the lines around, where a model has repeated them all the same."""
        lines = code.split("\n")
        above, below = self._bare(self.above), self._bare(self.below)
        while above and len(lines) > 1 and lines[0].startswith("@") and lines[0].strip() != above[0]:
            lines.pop(0)  # a decorator, which stands further up than what was shown
        if above and self._bare(lines[: len(self.above)]) == above:
            lines = lines[len(self.above) :]
        if below and self._bare(lines[-len(self.below) :]) == below:
            lines = lines[: -len(self.below)]
        return "\n".join(lines)

    def repeated_in(self, code: str) -> bool:
        """Whether code begins with the first line of the definition around it."""
        return bool(self._bare(self.above)) and self._bare(code.split("\n"))[:1] == self._bare(self.above)[:1]

    @staticmethod
    def _bare(lines: Sequence[str]) -> list[str]:
        return [line.strip() for line in lines if line.strip()]


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
