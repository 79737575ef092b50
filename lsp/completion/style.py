"""How a document is indented."""

from __future__ import annotations

import re
from collections import Counter

_LINES = re.compile(r"^([ \t]*)\S.*$", re.MULTILINE)
_TABS = {"go", "makefile"}
_MOST_CHARS = 20_000
_WIDTHS = (2, 4, 8, 3)


def indent_unit(above: str, below: str, language: str) -> str:
    """What one level of indentation is: a tab, some spaces, or nothing where the document doesn't show it.

    Args:
        above: the text above the cursor.
        below: the text below it.
        language: LSP's identifier.
    """
    tabs = 0
    steps: Counter[int] = Counter()
    before = 0
    for found in _LINES.finditer(above[-_MOST_CHARS:] + "\n" + below[:_MOST_CHARS]):
        indent = found.group(1)
        if indent.startswith("\t"):
            tabs += 1
        elif len(indent) - before in _WIDTHS:
            steps[len(indent) - before] += 1
        before = len(indent)
    if tabs > steps.total() or (language in _TABS and not steps):
        return "\t"
    return " " * steps.most_common(1)[0][0] if steps else ""
