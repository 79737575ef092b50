"""The text of an HTML page, as Markdown: its headings make its sections; scripts, styles and menus are dropped."""

from __future__ import annotations

import re
import textwrap
from html.parser import HTMLParser

_DROPPED = frozenset({"script", "style", "noscript", "template", "svg", "math", "nav", "footer", "iframe", "select"})
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset"}
    | {"figcaption", "figure", "form", "header", "hr", "html", "legend", "main", "ol", "p", "section", "summary"}
    | {"table", "tbody", "thead", "tr", "ul"}
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_CELLS = frozenset({"td", "th"})
_WIDTH = 110  # lines that can be cited one by one
_MARKUP = re.compile(r"^(#{1,6}\s|```|~~~|[-*+]\s|\d+\.\s|>|=+$|-+$)")
_PERMALINK = re.compile(r"\s*[¶#§]\s*$")


def markdown_of(page: str) -> str:
    """The text of a page; empty if there is none. Never raises: a page that is cut or wrong gives what it has."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    """Collects blocks of text: each a heading, a paragraph, an item of a list, a row of a table, or code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[str] = []
        self._words: list[str] = []
        self._mark = ""  # what the block begins with
        self._dropping: list[str] = []
        self._title = ""
        self._in_title = False
        self._code = 0  # how deep in <pre>

    def text(self) -> str:
        """All blocks; under the page's title where it has no heading of its own."""
        self._end()
        headed = any(block.startswith("# ") for block in self._blocks)
        title = [] if headed or not self._title.strip() else [f"# {' '.join(self._title.split())}"]
        return "\n\n".join([*title, *self._blocks]) + "\n" if self._blocks else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A block may begin."""
        if tag in _DROPPED:
            self._dropping.append(tag)
        elif tag == "title":
            self._in_title = not self._title and not self._dropping
        elif tag == "pre":
            self._end()
            self._code += 1
        elif tag == "br":
            self._words.append("\n")
        elif self._code:
            return
        elif tag in _HEADINGS or tag in _BLOCKS or tag == "li":
            self._end()
            self._mark = _HEADINGS.get(tag, "-" if tag == "li" else self._mark)
        elif tag in _CELLS:
            self._words.append(" | " if "".join(self._words).strip() else "")
        elif tag in ("code", "kbd", "samp"):
            self._words.append("`")

    def handle_endtag(self, tag: str) -> None:
        """A block may end; what was never begun is nothing."""
        if tag in self._dropping:
            while self._dropping.pop() != tag:
                pass
        elif tag == "title":
            self._in_title = False
        elif tag == "pre" and self._code:
            self._code -= 1
            if not self._code:
                self._end_code()
        elif self._code:
            return
        elif tag in _HEADINGS or tag in _BLOCKS or tag == "li":
            self._end()
        elif tag in ("code", "kbd", "samp"):
            self._words.append("`")

    def handle_data(self, data: str) -> None:
        """Text, its character references resolved."""
        if self._in_title:
            self._title += data
        elif not self._dropping:
            self._words.append(data if self._code else re.sub(r"\s+", " ", data))

    def _end(self) -> None:
        """End a block of prose."""
        if self._code:  # <pre> was never ended
            self._code = 0
            self._end_code()
            return
        words, mark = "".join(self._words).replace("``", ""), self._mark
        self._words, self._mark = [], ""
        if mark.startswith("#"):
            words = _PERMALINK.sub("", " ".join(words.split()))
        lines = [" ".join(line.split()) for line in words.split("\n")]
        lines = [line for line in lines if line]
        if not lines:
            self._mark = mark if mark == "-" else ""  # <li><p>: the item begins with its paragraph
            return
        if mark.startswith("#"):
            self._blocks.append(f"{mark} {lines[0]}")
            return
        wrapped = [part for line in lines for part in textwrap.wrap(line, _WIDTH, break_long_words=False)]
        # What looks like Markdown's own marks would make sections that the page doesn't have.
        wrapped = [f"\\{line}" if _MARKUP.match(line) else line for line in wrapped]
        self._blocks.append("- " + "\n  ".join(wrapped) if mark else "\n".join(wrapped))

    def _end_code(self) -> None:
        code = "".join(self._words).replace("\r\n", "\n").strip("\n")
        self._words, self._mark = [], ""
        if code.strip():
            fence = "```"
            while fence in code:
                fence += "`"
            self._blocks.append(f"{fence}\n{code}\n{fence}")
