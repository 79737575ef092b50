"""A question, read once: its words, the identifiers in it, and how far names and paths say the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from indexer.chunk import SECTIONS
from indexer.glossary import translated
from indexer.rows import query_terms
from indexer.tokens import identifiers, words

_CACHED = 1 << 15
_LONGEST_QUERY = 2_000  # characters; nobody asks more than that, and finding names in it takes the square
_TESTS = re.compile(r"(^|/)(tests?|testing|specs?|__tests__|examples?|samples?|benchmarks?|docs?_src)(/|$)|(^|/)test_|"
                    r"[._-](test|spec)\.[^/]*$|_test\.[^/]*$|(^|/)conftest\.py$", re.IGNORECASE)  # fmt: skip
_NAME = re.compile(r"(?!(?:e\.g|i\.e)\b)[A-Za-z_][\w.]*(?:_|[a-z0-9][A-Z]|\.|::)\w+|`[^`]+`")
_ASKS_FOR_TESTS = frozenset({"test", "exampl", "benchmark"})  # folded
_ENDINGS = re.compile(r"(?<=[a-z]{3})(?:ies|ied|ings?|ed|ers?|ions?|es|(?<![su])s|e|y)$")


@dataclass(frozen=True)
class Query:
    """A question, read once."""

    text: str
    """With the English terms for what is Chinese in it."""
    terms: list[int]
    words: frozenset[str]
    """Without their endings."""
    names: frozenset[str]
    """Identifiers that are no plain words, lower case."""
    wants_tests: bool

    def names_symbol(self, symbol: str) -> bool:
        """Whether it names this very symbol, in full or by its end."""
        qualified = "." + symbol.lower().replace(SECTIONS, ".")
        return any(qualified.endswith("." + name) for name in self.names)

    def share_of(self, name: str) -> float:
        """The share of a name's words that it has, from 0 to 1; endings don't count."""
        own = _plain_words(name)
        return len(own & self.words) / len(own) if own else 0.0

    def match_of(self, path: str) -> float:
        """That share of the file's name and that of its folder's, added."""
        stem, folder = _stem_and_folder(path)
        return self.share_of(stem) + self.share_of(folder)


def read_query(query: str) -> Query:
    """Take a question apart; Chinese is helped out with the English terms that code uses."""
    text = translated(query[:_LONGEST_QUERY])
    found = frozenset(map(_folded, words(text)))
    names = {name.strip("`").lower() for name in _NAME.findall(text)}
    if len(identifiers(text)) == 1:
        names.add(text.strip().lower())
    return Query(text, query_terms(text), found, frozenset(names), bool(found & _ASKS_FOR_TESTS))


@lru_cache(_CACHED)
def _stem_and_folder(path: str) -> tuple[str, str]:
    pure = PurePosixPath(path)
    return pure.stem, pure.parent.name


@lru_cache(_CACHED)
def is_test(path: str) -> bool:
    """Whether a file is a test, an example or a benchmark, by its path."""
    return _TESTS.search(path) is not None


@lru_cache(_CACHED)
def _plain_words(name: str) -> frozenset[str]:
    """The parts of a name, folded, without the whole."""
    found = words(name)
    parts = found[:-1] if len(found) > 1 and len(identifiers(name)) == 1 else found
    return frozenset(map(_folded, parts))


@lru_cache(_CACHED)
def _folded(word: str) -> str:
    """A word without its ending, so that ``requests``, ``requested`` and ``request`` are one: cruder than Porter's."""
    return _ENDINGS.sub("", word)
