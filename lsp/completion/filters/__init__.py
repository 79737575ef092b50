"""Post-processing: small named filters, each taking a suggestion to a better one or to nothing.

A filter is a function ``(text, place) -> text`` in ``FILTERS``; add one there, with golden cases in its test. An empty
text is no suggestion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lsp.completion.filters.chat import cut_chat
from lsp.completion.filters.ending import (
    cut_half_line,
    cut_unit,
    drop_comments,
    drop_leading_blank,
    same_breaks,
    trim_end,
)
from lsp.completion.filters.indentation import fix_indentation
from lsp.completion.filters.overlap import cut_closed_below, cut_suffix, drop_typed_again, fit_rest
from lsp.completion.filters.parsing import cut_errors
from lsp.completion.filters.repetition import cut_loop, cut_repetition, drop_echo
from lsp.completion.place import Place

Filter = Callable[[str, Place], str]

FILTERS: dict[str, Filter] = {
    "line-breaks": same_breaks,
    "half-line": cut_half_line,
    "chat": cut_chat,
    "leading-blank": drop_leading_blank,
    "typed-again": drop_typed_again,
    "echo": drop_echo,
    "indentation": fix_indentation,
    "unit": cut_unit,
    "repetition": cut_repetition,
    "loop": cut_loop,
    "suffix": cut_suffix,
    "rest-of-line": fit_rest,
    "closed-below": cut_closed_below,
    "comment": drop_comments,
    "syntax": cut_errors,
    "blank": trim_end,
}
"""The chain, in order."""

_MOST_ROUNDS = 4


@dataclass(frozen=True)
class Filtered:
    """What came out, and which filters changed it, in order."""

    text: str
    fired: tuple[str, ...]


def apply_filters(text: str, place: Place, *, whole: bool = True) -> Filtered:
    """Run the chain; until nothing changes, unless the text was fitted to what stands right of the cursor.

    Args:
        text: what the model wrote.
        place: where.
        whole: whether the text ends where the model or the unit did; otherwise its last line may be broken off.
    """
    fired: dict[str, None] = {}
    for number in range(1 if place.rest.strip() else _MOST_ROUNDS):
        began = text
        for name, function in FILTERS.items():
            if name == "half-line" and (whole or number):
                continue
            changed = function(text, place)
            if changed != text:
                fired[name] = None
                text = changed
            if not text:
                break
        if text == began or not text:
            break
    return Filtered(text, tuple(fired))
