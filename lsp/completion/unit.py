"""Where a suggestion is complete: instruction-tuned models don't stop by themselves, so midline does.

A suggestion is one unit: the rest of the line when something stands right of the cursor; else the statement the cursor
is in, with the block it opens; on an empty line, the rest of the function's body when nothing of it follows, or else
the statements up to a block's end or a blank line. Judged by indentation, brackets and a few keywords, in any language,
on text that is still growing.
"""

from __future__ import annotations

import re

from indexer.languages import LINE_COMMENT
from lsp.completion.nesting import QUOTE_ENDS, Open, changes, next_line
from lsp.completion.place import BLOCK, Place, indent_of

__all__ = ["Place", "unit_end"]

_WORD = re.compile(r"\w")

# A line that begins so belongs to the block above it, at the same indentation; so does one with a closing bracket.
_CONTINUES = {
    *("else", "elif", "elsif", "elseif", "except", "finally", "catch", "rescue", "ensure", "when"),
    *("end", "endif", "fi", "done", "esac", "until"),
}
_CLOSES = {"end", "endif", "fi", "done", "esac", "until"}

# Code that ends so goes on in the next line, whatever the language.
_OPENS = re.compile(r"^(?!\s*\|).*(?:(?<!:):|[=\\|({\[]|&&|[-=]>|(?:^|\s)(?:do|else|in|of|then|try|where))$")
# Code that may go on in the next line, which the next line's indentation tells: the beginning of a block without a
# mark at its end (``BLOCK``), an element with others in it, a statement whose language would end it with a semicolon.
_ELEMENT = re.compile(r"<(?!area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)[A-Za-z](?!.*(?:</|/>)).*>$")
_SEMICOLONS = {
    *("c", "cpp", "csharp", "dart", "java", "objective-c", "objective-cpp", "php", "rust"),
    *("javascript", "javascriptreact", "typescript", "typescriptreact"),
}
_UNENDED = re.compile(r"[^#@].*[^;{},:>]$")


def unit_end(text: str, place: Place) -> int | None:
    """The length at which ``text``, generated at ``place``, is a complete unit; None while that isn't known yet.

    The last line may be incomplete, and is judged only by what can't change any more: an end once found stays.
    """
    if place.rest.strip():
        newline = text.find("\n")
        return newline if newline >= 0 else None
    lines = text.split("\n")
    unit = _Unit(place, goes_below=text.startswith(("\n", "\r")))
    end = 0
    for number, line in enumerate(lines):
        complete = number < len(lines) - 1
        full = line if number else place.before + line
        if number and unit.ends_before(full, complete):
            return len(text[:end].rstrip())
        if not complete:
            return None
        end += len(line) + 1
        if unit.ends_after(full):
            return len(text[:end].rstrip())
    return None


class _Unit:
    """Reads a suggestion line by line."""

    def __init__(self, place: Place, goes_below: bool) -> None:
        self._language = place.language
        self._below = place.line_below
        # A comment that the model takes for finished is answered by the code that it announces.
        self._statement = bool(place.before.strip()) and not (place.comment and goes_below)
        self._body = place.body and not self._statement and not place.string
        self._open = self._around = Open(quote=place.string)
        self._closed_below = place.closed_below
        self._base: int | None = None  # the first line's indentation, once that is known
        self._item = False  # the first line is an item of a YAML list
        self._deeper = False  # inside, or behind, a block that the suggestion opened
        self._opened = False  # the last line goes on in the next …
        self._may_go_on = False  # … or may, as the next one's indentation will tell

    def ends_before(self, line: str, complete: bool) -> bool:
        stripped = line.strip()
        if self._base is None or (self._open.quote and self._open != self._around):
            return False
        if not stripped:
            return complete and not (self._open.brackets or self._deeper or self._opened or self._body)
        if self._open.quote:
            if self._closed_below and stripped.startswith(QUOTE_ENDS[self._open.quote]):
                return True
        elif stripped.startswith("```") and self._language != "markdown":
            return True
        indent = indent_of(line)
        if complete and self._meets_suffix(line, indent):
            return True
        if indent != self._base or self._open:
            return indent < self._base
        if self._deeper and not self._body:
            closes = stripped.startswith((")", "]", "}", "</")) or stripped == "<"  # of which more may come
            return not (closes or _continues(stripped, complete))
        return self._statement and not self._belongs(stripped, complete)

    def ends_after(self, line: str) -> bool:
        was_open = bool(self._open)
        code = self._read(line)
        if not line.strip():
            return False
        indent = indent_of(line)
        if self._base is None:
            self._base = indent
            self._item = code.lstrip().startswith("-")
            self._body = self._body and indent_of(self._below) < indent  # nothing of it follows
        if self._around.quote:
            return self._statement or self._open != self._around  # a line of a text, or its last one
        self._deeper = self._deeper or (indent > self._base and not was_open)
        self._opened = bool(_OPENS.search(code))
        self._may_go_on = self._opened or self._looks_unended(code.lstrip())
        if self._open or self._opened:
            return False
        if (self._deeper or was_open) and indent == self._base and _closes(code.lstrip()):
            return not self._body
        return self._statement and not self._deeper and not self._may_go_on

    def _meets_suffix(self, line: str, indent: int) -> bool:
        """Whether ``line`` is the one below; a closing bracket alone must not be that of something opened here."""
        return line.rstrip() == self._below and (bool(_WORD.search(line)) or (indent == self._base and not self._open))

    def _read(self, line: str) -> str:
        """Follow what ``line`` opens and closes; returns its code, without a comment at its end."""
        code = line
        for at, state in changes(line, self._language, self._open):
            if state.quote == LINE_COMMENT.get(self._language):
                code = line[:at]
            self._open = state
        self._open = next_line(self._open, self._language)
        return code.rstrip()

    def _looks_unended(self, code: str) -> bool:
        unended = self._language in _SEMICOLONS and _UNENDED.match(code)
        return bool(unended or BLOCK.match(code) or _ELEMENT.match(code))

    def _belongs(self, stripped: str, complete: bool) -> bool:
        """Whether a line belongs to the one above although it is not indented: a brace, or the items of a YAML key."""
        if stripped.startswith("{") or _continues(stripped, complete):
            return self._may_go_on
        return self._opened and not self._item and bool(re.match(r"-(?:\s|$)", stripped))


def _continues(stripped: str, complete: bool) -> bool:
    """Whether a line, of which more may come, begins with a word that goes on with the block above it."""
    word = _first_word(stripped)
    if word == stripped and not complete:
        return any(known.startswith(word) for known in _CONTINUES)
    return word in _CONTINUES


def _closes(stripped: str) -> bool:
    """Whether a line ends a block."""
    return stripped.startswith(("}", "</")) or _first_word(stripped) in _CLOSES


def _first_word(text: str) -> str:
    return re.split(r"\W", text, maxsplit=1)[0]
