"""A tolerant reading of code: which brackets, strings and comments are open, in any language.

Not a lexer: where it errs, it errs up to the line's end, for only a few kinds of strings and comments span lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from indexer.languages import LINE_COMMENT

_BRACKETS = {")": "(", "]": "[", "}": "{"}
QUOTE_ENDS = {'"""': '"""', "'''": "'''", '"': '"', "'": "'", "`": "`", "/*": "*/", "<!--": "-->"}
"""What a string or comment ends with, by what it begins with."""
_LONG_QUOTES = ('"""', "'''")
_SPAN_LINES = {'"""', "'''", "/*", "<!--"}
_BACKTICKS_SPAN_LINES = {"go", "javascript", "javascriptreact", "typescript", "typescriptreact", "svelte", "vue"}
# Languages in which an apostrophe mostly is one, or the beginning of a name.
_APOSTROPHES = {"haskell", "html", "latex", "markdown", "ocaml", "plaintext", "restructuredtext", "rust", "xml"}
# Languages in which a bracket is mostly punctuation, and no reason to wait for another.
_PROSE = {"html", "markdown", "plaintext", "restructuredtext", "xml"}
_MARKUP = {"html", "markdown", "svelte", "vue", "xml"}
_SLASH_STAR = {"css", "php", "sql"}  # besides those with // comments


@dataclass(frozen=True)
class Open:
    """What is open at a place.

    Args:
        brackets: opening brackets, the innermost last.
        quote: what began the string or comment that the place is in; empty outside of any.
    """

    brackets: str = ""
    quote: str = ""

    def __bool__(self) -> bool:
        return bool(self.brackets or self.quote)


def changes(line: str, language: str, state: Open) -> Iterator[tuple[int, Open]]:
    """Where ``line`` opens or closes something: the offset of the delimiter, and what is open behind it.

    A closing bracket that nothing opened changes nothing.
    """
    for at, mark, quote in _delimiters(line, language, state.quote):
        brackets = state.brackets
        if mark in _BRACKETS.values():
            brackets += mark
        elif mark in _BRACKETS and _BRACKETS[mark] in brackets:
            brackets = brackets[: brackets.rindex(_BRACKETS[mark])]
        after = Open(brackets, quote)
        if after != state:
            state = after
            yield at, state


def read(text: str, language: str, state: Open) -> Open:
    """What is open behind ``text``, which may have several lines."""
    for number, line in enumerate(text.split("\n")):
        if number:
            state = next_line(state, language)
        for _, after in changes(line, language, state):
            state = after
    return state


def next_line(state: Open, language: str) -> Open:
    """What is still open on the line after one that ended in ``state``."""
    spans = state.quote in _SPAN_LINES or (state.quote == "`" and language in _BACKTICKS_SPAN_LINES)
    return Open("" if language in _PROSE else state.brackets, state.quote if spans else "")


def spanning_quotes(above: str, language: str) -> str:
    """What began the string or comment that the line below ``above`` is in; empty outside of any.

    Only of the kinds that span lines in many languages, and found by counting.
    """
    long = next((quotes for quotes in _LONG_QUOTES if above.count(quotes) % 2), "")
    if long or not _has_block_comments(language):
        return long
    return "/*" if above.rfind("/*") > above.rfind("*/") and _begins_comment(above, language) else ""


def needed_before(line: str, language: str, quote: str) -> Open:
    """What must be open before ``line``, which begins inside of ``quote``, for its closing brackets to have a pair."""
    needed = inner = ""
    for _, mark, _ in _delimiters(line, language, quote):
        if mark in _BRACKETS.values():
            inner += mark
        elif mark in _BRACKETS and _BRACKETS[mark] in inner:
            inner = inner[: inner.rindex(_BRACKETS[mark])]
        elif mark in _BRACKETS:
            needed = _BRACKETS[mark] + needed
    return Open(needed, quote)


def _has_block_comments(language: str) -> bool:
    return LINE_COMMENT.get(language) == "//" or language in _SLASH_STAR


def _begins_comment(above: str, language: str) -> bool:
    """Whether the last ``/*`` is one, and not in a string or behind ``//``."""
    start = above.rfind("/*")
    line = above[above.rfind("\n", 0, start) + 1 : start]
    return not read(line, language, Open()).quote


def _delimiters(line: str, language: str, quote: str) -> Iterator[tuple[int, str, str]]:
    """Brackets outside of strings, and what begins or ends a string or comment: offset, text, and the quote behind."""
    comment = LINE_COMMENT.get(language)
    at = 0
    while found := (_inside(quote) if quote else _outside(language)).search(line, at):
        at = found.end()
        mark = found.group()
        if quote:
            if mark != QUOTE_ENDS[quote]:  # an escape
                continue
            quote = ""
        elif mark in QUOTE_ENDS or mark == comment:
            quote = mark
        elif mark not in _BRACKETS and mark not in _BRACKETS.values():  # an escape, or a bracket as a character
            continue
        yield found.start(), mark, quote


@cache
def _outside(language: str) -> re.Pattern[str]:
    comment = LINE_COMMENT.get(language, "")
    ignored = [r"\\.", r"'(?:\\[^']{1,8}|[^'\\])'"]  # an escape, a character
    parts = [*ignored, '"""', "'''"]
    if comment:
        # In a word, or in an address, it is something else.
        parts.append((r"(?<!:)" if comment in ("//", "--") else r"(?<!\S)") + re.escape(comment))
    if _has_block_comments(language):
        parts.append(r"/\*")
    if language in _MARKUP:
        parts.append("<!--")
    parts.append(r"[\"`()\[\]{}]" if language in _APOSTROPHES else r"[\"'`()\[\]{}]")
    return re.compile("|".join(parts))


@cache
def _inside(quote: str) -> re.Pattern[str]:
    if quote not in QUOTE_ENDS:  # a comment up to the line's end
        return re.compile(r"(?!)")
    return re.compile(r"\\.|" + re.escape(QUOTE_ENDS[quote]))
