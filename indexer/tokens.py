"""Text as the words that are searched for: identifiers taken apart, Chinese, Japanese and Korean in pairs."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain

# Letters and digits of any script; CJK characters are words of their own kind, taken apart below.
_WORD = re.compile(r"\w+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)  # the same in ASCII, in half the time
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_PIECE = re.compile(rf"[{_CJK}]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_LONGEST = 80  # longer words are data, not names
_CACHED = 1 << 17


def words(text: str) -> list[str]:
    """The search terms of a text, lower case, in order, repeated as in the text.

    An identifier gives its parts (camelCase, snake_case, digits) and, if it has several, itself whole;
    a run of CJK characters gives its overlapping pairs.
    """
    return list(chain.from_iterable(map(parts, identifiers(text))))


def identifiers(text: str) -> list[str]:
    """The identifiers and words of a text as they stand, in order."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


@lru_cache(_CACHED)
def parts(word: str) -> tuple[str, ...]:
    """The search terms of one identifier or word, as `words` gives them."""
    if len(word) > _LONGEST and word.isascii():
        return ()
    if word.isascii() and word.islower() and word.isalpha():
        return (word,) if len(word) > 1 else ()
    found: list[str] = []
    for piece in _PIECE.findall(word):
        if _IS_CJK.match(piece):
            found += [piece[at : at + 2] for at in range(max(1, len(piece) - 1))]
        else:
            found.append(piece.lower())
    whole = word.strip("_").lower()
    if len(found) > 1 and not _IS_CJK.search(word):
        found.append(whole)
    return tuple(term for term in found if len(term) > 1 or not term.isascii())
