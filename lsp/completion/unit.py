"""Where a suggestion is complete: instruction-tuned models don't stop by themselves, so midline does.

A suggestion is one unit: the rest of the line when something stands right of the cursor; else the statement the cursor
is in, with the block it opens; on an empty line, the rest of the function's body when nothing of it follows, or else
the statements up to a block's end or a blank line, and on to what follows below if the model soon comes to that. Judged
by indentation, brackets and a few keywords, in any language, on text that is still growing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from indexer.languages import LINE_COMMENT
from lsp.completion.nesting import QUOTE_ENDS, Open, changes, needed_before, next_line, read
from lsp.completion.place import BLOCK, Place, indent_of

__all__ = ["Place", "same_code", "unit_end"]

_WORD = re.compile(r"\w")
_TELLING = re.compile(r"\w\W+\w")
_SPACE = re.compile(r"\s+")
# The first lines below are looked for.
_LINES_BELOW = 3
# From where it may end, a suggestion is followed for so many lines: it may come to the code below.
_LINES_AHEAD = 12
# What stands right of the cursor may be met so many lines further on.
_LINES_TO_REST = 8

# A line that begins so belongs to the block above it, at the same indentation; so does one with a closing bracket.
_CONTINUES = {
    *("else", "elif", "elsif", "elseif", "except", "finally", "catch", "rescue", "ensure", "when"),
    *("end", "endif", "fi", "done", "esac", "until"),
}
_CLOSES = {"end", "endif", "fi", "done", "esac", "until"}
# What follows in the same block is never reached.
_LEAVES = {"return", "raise", "throw", "break", "continue"}

# Code that ends so goes on in the next line, whatever the language.
_OPENS = re.compile(r"^(?!\s*\|).*(?:(?<!:):|[=\\|({\[]|&&|[-=]>|(?:^|\s)(?:do|else|in|of|then|try|where))$")
# Code that may go on in the next line, which the next line's indentation tells: the beginning of a block without a
# mark at its end (``BLOCK``), an element with others in it, a statement whose language would end it with a semicolon.
_HEADER = re.compile(r"(?<![:(,=]):$|[^=(,\s]\s*\{$|\b(?:do|then)$")
_ELEMENT = re.compile(r"<(?!area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)[A-Za-z](?!.*(?:</|/>)).*>$")
_SEMICOLONS = {
    *("c", "cpp", "csharp", "dart", "java", "objective-c", "objective-cpp", "php", "rust"),
    *("javascript", "javascriptreact", "typescript", "typescriptreact"),
}
_UNENDED = re.compile(r"[^#@].*[^;{},:>]$")


def unit_end(text: str, place: Place, *, ended: bool = False) -> int | None:
    """The length at which ``text``, generated at ``place``, is a complete unit; None while that isn't known yet.

    The last line may be incomplete, and is judged only by what can't change any more: an end once found stays.

    Args:
        text: what the model wrote.
        place: where.
        ended: whether nothing more comes; then where it may end is as good as where it must.
    """
    if place.rest.strip():
        return _rest_end(text, place, ended)
    lines = text.split("\n")
    unit = _Unit(place, goes_below=text.startswith(("\n", "\r")))
    start = ahead = 0
    starts: list[int] = []  # of the lines read that aren't blank
    possible: int | None = None
    for number, line in enumerate(lines):
        complete = number < len(lines) - 1
        verdict = unit.read(line if number else place.before + line, complete=complete, first=number == 0)
        stop = start + len(line) + 1
        if verdict:
            end = len(text[: stop if verdict.behind else start].rstrip())
            if verdict.meets:
                return end if verdict.back == 0 else len(text[: starts[-verdict.back]].rstrip())
            possible = end if possible is None else possible
            if verdict.sure:
                return possible
        if possible is not None and complete and line.strip():
            ahead += 1
            if ahead > _LINES_AHEAD:
                return possible
        if line.strip():
            starts.append(start)
        start = stop
    return possible if ended else None


def same_code(line: str, other: str) -> bool:
    """Whether two lines differ at most in spaces between words, as formatters put them, and at their ends."""
    return line.rstrip() == other.rstrip() or _SPACE.sub("", line) == _SPACE.sub("", other) != ""


def _rest_end(text: str, place: Place, ended: bool) -> int | None:
    """The end of a suggestion before something on its line: that line's, unless the text goes on and comes to it.

    It may do so from the line's start, and where a bracket is open or has just been opened.
    """
    lines = text.split("\n")
    rest = _SPACE.sub("", place.rest)
    around = state = needed_before(place.rest.strip(), place.language, read(place.before, place.language, Open()).quote)
    end = 0
    for number, line in enumerate(lines[:-1]):
        for _, after in changes(line, place.language, state):
            state = after
        end += len(line) + (1 if number else 0)
        if number and rest in _SPACE.sub("", line):
            return end
        opens = (line if number else place.before + line).rstrip().endswith(("(", "[", "{", ","))
        inside = opens if number == 0 else len(state.brackets) >= len(around.brackets)
        if (place.before.strip() and not inside) or number == _LINES_TO_REST:
            return len(lines[0]) if number == _LINES_TO_REST or not number else end
        state = next_line(state, place.language)
    return len(lines[0]) if ended and len(lines) > 1 else None


class _Verdict(NamedTuple):
    """That a suggestion may end at a line, or that it does."""

    behind: bool = False  # the line, or else before it
    sure: bool = True
    meets: bool = False  # the code below …
    back: int = 0  # … with so many of its lines written otherwise before


class _Unit:
    """Reads a suggestion line by line."""

    def __init__(self, place: Place, goes_below: bool) -> None:
        self._language = place.language
        self._below, *self._next = place.lines_below(_LINES_BELOW) or [""]
        self._words: list[str] = []  # those that the lines read begin with
        # A comment that the model takes for finished is answered by the code that it announces.
        self._statement = bool(place.before.strip()) and not (place.comment and goes_below)
        self._goes_below = goes_below and self._statement
        self._body = False  # the first line is one of a body of which nothing follows
        self._body_at = place.body_at
        self._open = self._around = Open(quote=place.string)
        self._closed_below = place.closed_below
        self._base: int | None = None  # the first line's indentation, once that is known
        self._item = False  # the first line is an item of a YAML list
        self._deeper = False  # inside, or behind, a block that the suggestion opened
        self._opened = False  # the last line goes on in the next …
        self._may_go_on = False  # … or may, as the next one's indentation will tell

    def read(self, line: str, *, complete: bool, first: bool) -> _Verdict | None:
        """What the next line, or its beginning, says."""
        verdict = None if first else self._before(line, complete)
        if (verdict and (verdict.sure or verdict.meets)) or not complete:
            return verdict
        return self._behind(line) or verdict

    @property
    def _looks_ahead(self) -> bool:
        """Whether code follows in the cursor's block, to which the suggestion may come."""
        below = bool(self._below) and self._base is not None and indent_of(self._below) >= self._base
        return below and not self._around.quote

    def _may_end(self, *, behind: bool) -> _Verdict:
        return _Verdict(behind=behind, sure=not self._looks_ahead)

    def _before(self, line: str, complete: bool) -> _Verdict | None:
        stripped = line.strip()
        if self._base is None or (self._open.quote and self._open != self._around):
            return None
        if not stripped:
            inside = self._open.brackets or self._deeper or self._opened or self._body
            return self._may_end(behind=False) if complete and not inside else None
        if self._open.quote:
            if self._closed_below and stripped.startswith(QUOTE_ENDS[self._open.quote]):
                return _Verdict()
        elif stripped.startswith("```") and self._language != "markdown":
            return _Verdict()
        indent = indent_of(line)
        if complete and (back := self._meets_suffix(line, indent)) is not None:
            return _Verdict(meets=True, back=back)
        if indent < self._base:
            return self._next_branch(stripped, indent, complete)
        if indent > self._base or self._open:
            return None
        if self._looks_ahead and indent == indent_of(self._below) and complete and _first_word(stripped) in _LEAVES:
            return _Verdict()
        if self._deeper and not self._body:
            closes = stripped.startswith((")", "]", "}", "</")) or stripped == "<"  # of which more may come
            if closes or _continues(stripped, complete):
                return None
            return _Verdict() if self._statement else self._may_end(behind=False)
        if not self._statement or self._belongs(stripped, complete):
            return None
        return self._finished(behind=False)

    def _next_branch(self, stripped: str, indent: int, complete: bool) -> _Verdict | None:
        """The verdict on a line that leaves the block: it may be another branch before one that is below."""
        branch, below = stripped.lstrip("} "), self._below.lstrip("} \t")
        if self._open or indent != indent_of(self._below) or not _continues(below, True):
            return _Verdict()
        if not complete:
            return None if not branch or _continues(branch, complete) else _Verdict()
        if not _continues(branch, complete):
            return _Verdict()
        self._base = indent
        return _Verdict(sure=False)

    def _behind(self, line: str) -> _Verdict | None:
        was_open = bool(self._open)
        code = self._read(line)
        if not line.strip():
            return None
        indent = indent_of(line)
        if self._base is None:
            self._base = indent
            self._item = code.lstrip().startswith("-")
            inside = not self._statement and not self._around.quote and self._body_at(indent)
            self._body = inside and indent_of(self._below) < indent
        if self._goes_below and not self._open:
            self._around = self._open  # the line before the cursor closes what it began in
        elif self._around.quote:
            # A line of a text, or its last one.
            return _Verdict(behind=True) if self._statement or self._open != self._around else None
        self._goes_below = self._goes_below and not self._words
        self._words.append(_first_word(code.lstrip()))
        self._deeper = self._deeper or (indent > self._base and not was_open)
        self._opened = bool(_OPENS.search(code))
        self._may_go_on = self._opened or self._looks_unended(code.lstrip())
        if self._open or self._opened:
            # The block that a header opens may be there already.
            header = self._statement and not was_open and not self._open.quote and len(self._words) == 1
            below = header and not self._goes_below and indent_of(self._below) > indent
            return _Verdict(behind=True) if below and _HEADER.search(code) else None
        if (self._deeper or was_open) and indent == self._base and _closes(code.lstrip()):
            if self._body:
                return None
            return _Verdict(behind=True) if self._statement else self._may_end(behind=True)
        return self._finished(behind=True) if self._statement and not self._deeper and not self._may_go_on else None

    def _finished(self, *, behind: bool) -> _Verdict:
        """The verdict where the cursor's statement is finished.

        If it was already before the cursor, what the model writes below it is wanted where it comes to what is there.
        """
        if not self._goes_below or not self._below or self._base is None:
            return _Verdict(behind=behind)
        self._goes_below = self._statement = False
        self._base = min(self._base, indent_of(self._below))
        return _Verdict(behind=behind, sure=False)

    def _meets_suffix(self, line: str, indent: int) -> int | None:
        """Whether ``line`` is the one below, or one of the next; how many lines before it are like those before that.

        A closing bracket alone must not be that of something opened here.
        """
        if indent == indent_of(self._below) and same_code(line, self._below):
            return 0 if _WORD.search(line) or (indent == self._base and not self._open) else None
        if indent != self._base or self._open or not _TELLING.search(line):
            return None
        number = next(
            (n for n, other in enumerate(self._next, 1) if indent_of(other) == indent and same_code(line, other)), 0
        )
        words = [_first_word(other.strip()) for other in [self._below, *self._next]][:number]
        if not number:
            return None
        return number if number < len(self._words) and self._words[-number:] == words else 0

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
