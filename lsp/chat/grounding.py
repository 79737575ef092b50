"""Which sources an answer is from, where it doesn't say: small models forget to cite, but they name what they read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from indexer.tokens import words
from lsp.chat.sources import Source

_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|#)[A-Za-z_]\w*)*")
# Hardly a plain word: ``EngineClient``, ``read_line``, ``Ledger``, ``engine.run``.
_TELLING = re.compile(r"[a-z0-9][A-Z]|\w_\w|^[A-Z]\w{3}|\w\.\w")
_SHORTEST_WORD = 3
# A source that shares so much less with the answer than another one does is named in passing.
_WORTH = 0.3


def named_sources(text: str, sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The places of the sources whose names an answer names, at most one for each name, best first.

    A name counts in backticks, or where it is hardly a plain word. Of several sources that define it, the one counts
    that shares most words with the answer.

    Args:
        text: the answer, Markdown.
        sources: what it was answered from, best first.
    """
    said = {word for word in words(text) if len(word) >= _SHORTEST_WORD}
    shared = {source.number: _share(said, source) for source in sources}
    named: dict[int, Source] = {}
    for name in _names(text):
        defining = [one for one in sources if _defines(one, name)] or [one for one in sources if _may_define(one, name)]
        if defining:
            best = max(defining, key=lambda source: shared[source.number])
            named[best.number] = best
    most = max((shared[number] for number in named), default=0.0)
    found = sorted(named.values(), key=lambda source: -shared[source.number])
    places = [source.place for source in found if shared[source.number] >= _WORTH * most]
    return [place for i, place in enumerate(places) if place not in places[:i]]


def _names(text: str) -> list[str]:
    """The identifiers that an answer names, dots and all, each once."""
    quoted = _DOTTED.findall(" ".join(_CODE_SPAN.findall(text)))
    telling = [name for name in _DOTTED.findall(text) if _TELLING.search(name)]
    return list(dict.fromkeys(name.replace("::", ".").replace("#", ".") for name in [*quoted, *telling]))


def _defines(source: Source, name: str) -> bool:
    """Whether a source defines a name, which may leave out what encloses it."""
    return bool(source.symbol) and not source.section and f".{source.symbol}".endswith(f".{name}")


def _may_define(source: Source, name: str) -> bool:
    """Whether the name's owner may be an instance: ``session.merge`` of ``Session.merge``."""
    owner, _, last = name.rpartition(".")
    return bool(owner) and not source.section and source.symbol.rpartition(".")[2] == last


def _share(said: set[str], source: Source) -> float:
    """The share of the answer's words that a source has."""
    own = set(words(f"{source.symbol}\n{source.text}"))
    return len(said & own) / max(1, len(said))
