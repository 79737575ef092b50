"""Overlap with what stands around the cursor: left and right of it on its line, and on the lines below."""

from __future__ import annotations

import re

from indexer.languages import LINE_COMMENT
from lsp.completion.nesting import QUOTE_ENDS, Open, changes, needed_before, next_line, read
from lsp.completion.place import Place

# What editors put right of the cursor by themselves.
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

    The model didn't see that rest, so it writes it again where it is right: that part is taken off. A rest of closing
    brackets, quotes and punctuation was put there by the editor: the suggestion ends where it closes them itself, or
    at its line's end if it leaves that to the editor. Any other rest that the model doesn't come to would be broken by
    the suggestion, and so would any by one that opens more than it closes.
    """
    rest = place.rest.strip()
    quote = _open(place.before, place).quote
    if not rest or (not quote and rest.startswith(LINE_COMMENT.get(place.language, rest + " "))):
        return text
    line = text.split("\n")[0]
    around = needed_before(rest, place.language, quote)
    history = [(-1, around), *changes(line, place.language, around)]
    if (meets := _find_rest(line, place, history)) is not None:
        return line[:meets].rstrip() if place.rest[0].isspace() else line[:meets]
    if not _CLOSERS.fullmatch(rest):
        return ""
    closing = next((at for at, state in history if _closed(around, state)), None)
    if closing is not None:
        return line[:closing]
    return line.rstrip() if history[-1][1] == around else ""


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


def _find_rest(line: str, place: Place, history: list[tuple[int, Open]]) -> int | None:
    """Where ``line`` comes to the rest of the cursor's line: with the same things open, and in whole words."""
    rest = place.rest.strip()
    around = history[0][1]
    in_word = re.search(r"\w$", place.before) and re.match(r"\w", place.rest)
    left = r"(?<!\w)" if re.match(r"\w", rest) and not in_word else ""
    right = r"(?!\w)" if re.search(r"\w$", rest) else ""
    for found in re.finditer(left + re.escape(rest) + right, line):
        at = found.start()
        angle = rest.startswith(">") and (_angles(line[:at]) != 0 or line[:at].endswith(("-", "=")))
        if not angle and next(state for start, state in reversed(history) if start < at) == around:
            return at
    return None


def _angles(text: str) -> int:
    """Angle brackets that ``text`` opens, less those it closes; arrows are none."""
    return text.count("<") - len(re.findall(r"(?<![-=])>", text))
