"""Overlap with what stands around the cursor: left and right of it on its line, and on the lines below."""

from __future__ import annotations

import re
from itertools import pairwise

from indexer.languages import LINE_COMMENT
from lsp.completion.nesting import QUOTE_ENDS, Open, changes, needed_before, next_line, read
from lsp.completion.place import Place, indent_of

# What editors put right of the cursor by themselves.
_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w")
_CLOSERS = re.compile(r"[\s)\]}>\"'`,;:]*")


def drop_typed_again(text: str, place: Place) -> str:
    """What stands left of the cursor, where the model writes the whole line again."""
    typed = place.before.strip()
    # A single word may follow itself: max(max(…).
    if len(typed) < 3 or not re.search(r"\s", place.before.lstrip()) or not text.lstrip(" \t").startswith(typed):
        return text
    text = text.lstrip(" \t").removeprefix(typed)
    return text.lstrip(" \t") if place.before[-1].isspace() else text


def cut_suffix(text: str, place: Place) -> str:
    """Last lines that repeat the lines below the cursor, unless they close what the suggestion opened."""
    lines = (place.before + text.rstrip()).split("\n")
    below = [line.rstrip() for line in place.below.split("\n", len(lines))[: len(lines)]]
    if place.rest.strip() or not text.strip():
        return text
    for count in range(len(below), 0, -1):
        if [line.rstrip() for line in lines[-count:]] != below[:count]:
            continue
        kept = "\n".join(lines[:-count])
        if len(_open(kept, place).brackets) <= len(_open(place.before, place).brackets):
            return kept[len(place.before) :]
    return text


def fit_rest(text: str, place: Place) -> str:
    """Reconcile with what stands right of the cursor on its line.

    Where the model didn't see that rest it writes it again: that part is taken off. A rest that begins with closing
    brackets, quotes or punctuation was put there by the editor: the suggestion ends where it closes them itself, or
    at its line's end if it leaves that to the editor. Any other rest that the model doesn't come to would be broken by
    the suggestion, and so would any by one that opens more than it closes.
    """
    rest = place.rest.strip()
    quote = _open(place.before, place).quote
    if not rest or (not quote and rest.startswith(LINE_COMMENT.get(place.language, rest + " "))):
        return text
    around = needed_before(rest, place.language, quote)
    # What the rest closes was opened before the cursor; or else by the suggestion, from the innermost on.
    least = len(around.brackets) if _CLOSERS.fullmatch(rest) else 0
    for count in range(len(around.brackets), least - 1, -1):
        history = _history(text, place, Open(around.brackets[:count], quote))
        if (meets := _find_rest(text, place, history, around)) is not None:
            kept = text[:meets].rstrip(" \t") if place.rest[0].isspace() else text[:meets]
            return _without_header(kept, place)
    if not _CLOSERS.fullmatch(rest):
        return ""
    history = _history(text, place, around)
    closing = next((at for at, state in history if _closed(around, state)), None)
    if closing is not None:
        return text[:closing]
    return text.rstrip() if history[-1][1] == around else ""


def cut_closed_below(text: str, place: Place) -> str:
    """What the suggestion's end closes although the line below does."""
    below = place.line_below.lstrip()
    if place.rest.strip() or not below.startswith((")", "]", "}", QUOTE_ENDS.get(place.string, ")"))):
        return text
    around = Open(needed_before(below[0], place.language, "").brackets, place.string)
    state = read(place.before, place.language, around)
    if _closed(around, state):
        return text
    end = 0
    for line in text.split("\n"):
        for at, after in changes(line, place.language, state):
            state = after
            if _closed(around, state):
                return text[: end + at].rstrip()
        state = next_line(state, place.language)
        end += len(line) + 1
    return text


def _open(text: str, place: Place) -> Open:
    """What is open behind ``text``, which begins with the cursor's line."""
    return read(text, place.language, Open(quote=place.string))


def _closed(around: Open, state: Open) -> bool:
    """Whether something of what was open ``around`` isn't any more."""
    return not state.brackets.startswith(around.brackets) or (around.quote != "" and state.quote == "")


def _history(text: str, place: Place, state: Open) -> list[tuple[int, Open]]:
    """What is open from which offset of ``text`` on, with ``state`` before it."""
    history = [(-1, state)]
    start = 0
    for line in text.split("\n"):
        if start:
            state = next_line(state, place.language)
            history.append((start - 1, state))
        for at, after in changes(line, place.language, state):
            state = after
            history.append((start + at, state))
        start += len(line) + 1
    return history


def _find_rest(text: str, place: Place, history: list[tuple[int, Open]], around: Open) -> int | None:
    """Where ``text`` comes to the rest of the cursor's line: with ``around`` open, in whole words, spaces aside."""
    rest = place.rest.strip()
    in_word = re.search(r"\w$", place.before) and re.match(r"\w", place.rest)
    left = r"(?<!\w)" if re.match(r"\w", rest) and not in_word else ""
    right = r"(?!\w)" if re.search(r"\w$", rest) else ""
    for found in re.finditer(left + _spaced(rest) + right, text):
        at = found.start()
        line = text[text.rfind("\n", 0, at) + 1 : at]
        angle = rest.startswith(">") and (_angles(line) != 0 or line.endswith(("-", "=")))
        if not angle and next(state for start, state in reversed(history) if start < at) == around:
            return at
    return None


def _without_header(text: str, place: Place) -> str:
    """``text`` without a last line that opens a block, where the rest that follows is not indented as one."""
    above, _, header = text.rstrip().rpartition("\n")
    indent = indent_of(place.rest if text.endswith("\n") else text.rpartition("\n")[2])
    hangs = above and place.before.strip() == "" and header.endswith(":") and indent_of(header) >= indent
    return text[: len(above)] + text[len(text.rstrip()) :] if hangs else text


def _spaced(code: str) -> str:
    """An expression for ``code``, however its words and marks are spaced."""
    expression = ""
    for before, token in pairwise(["", *_TOKEN.findall(code)]):
        words = _WORD.match(before) and _WORD.match(token)
        expression += (r"[ \t]+" if words else r"[ \t]*" if before else "") + re.escape(token)
    return expression


def _angles(text: str) -> int:
    """Angle brackets that ``text`` opens, less those it closes; arrows are none."""
    return text.count("<") - len(re.findall(r"(?<![-=])>", text))
