"""What a question is answered from: the selection and what it stands on, what the message mentions, what is found."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from indexer.chunk import Definition
from indexer.query import Query, is_test, read_query
from indexer.search import Hit
from indexer.secrets import redact
from lsp.chat.callers import asked_names, asks_for_callers, calls
from lsp.chat.library import Library, Place, enclosing, lines_of, qualified
from lsp.chat.mentions import Mention, resolve, uncommitted, without_mentions
from lsp.chat.need import named, needs_context
from lsp.chat.sources import Source
from lsp.errors import MidlineError

FROM_EDITOR = ("selection", "file")
"""The reasons of sources that the editor holds, whatever is on the disk."""

_HITS = 40
_SHOWN_HITS = 5
# A hit that is so much worse than the best one only takes room.
_WORTH = 0.45
_DEFINITIONS = 4
_DEFINITION_LINES = 12
# Of the definition around the selection, and of what a question names.
_CALLS, _CALLS_ASKED_FOR, _DEFINITIONS_ASKED_FOR = 3, 8, 2
_ENCLOSING_LINES = 80
# Of installed packages.
_SHOWN_OFFERS, _OFFERS_SHARE = 4, 0.8
# In the units of a hit's score, chosen on the halves ``tune`` of bench/retrieval's questions.
_NAMED, _CLASS_HEAD, _SCOPE, _LENGTH = 12.0, -3.0, 3.0, 1.5
_USUAL_CHARS = 500
_LENGTH_BETWEEN = (-2.0, 0.7)
# A piece shorter than this tells nothing.
_LEAST_CHARS = 60
# So much of the room a single piece may take where others may follow.
_PIECE_SHARE = 0.4
_NAME = re.compile(r"[A-Za-z_]\w{2,}")
# The question's own verb is no name: ``how is … done`` shall not find ``Flight.done``.
_FRAME = re.compile(r"(?<![\w`.])(?:does|did|done|happens?)(?![\w`.(])", re.IGNORECASE)


@dataclass(frozen=True)
class Gathered:
    """Sources, numbered from 1, and why there are none where there are none."""

    sources: tuple[Source, ...] = ()
    reason: str = ""


def gather(
    question: str,
    library: Library,
    place: Place | None,
    chars: int,
    *,
    follow_up: bool = False,
    search: bool = True,
) -> Gathered:
    """What of the workspace a question is to be answered from. Reads the index and files: call it in a thread.

    Args:
        question: the message, with its mentions.
        library: the workspace.
        place: where the user is, if that counts.
        chars: the most characters of all sources together.
        follow_up: whether it is asked in a conversation that has begun.
        search: whether to look for more than what is selected and mentioned.

    Raises:
        MidlineError: a mention stands for nothing.
    """
    try:
        gathered = _gather(question, library, place, chars, follow_up, search)
        return replace(gathered, sources=tuple(_with_headings(source, library) for source in gathered.sources))
    except (OSError, sqlite3.Error) as error:
        return Gathered((), f"the index can't be read: {error}")


def _gather(
    question: str, library: Library, place: Place | None, chars: int, follow_up: bool, search: bool
) -> Gathered:
    mentions = resolve(question, library)
    asked = without_mentions(question)
    pieces = _Pieces(chars)
    if place:
        _add_place(place, library, pieces)
    for mention in mentions:
        _add_mention(mention, asked, library, pieces)
    if place and place.start_line:
        _add_surroundings(place, library, pieces)
    if search:
        _add_packages(asked, place, library, pieces)
    if mentions or (place and place.start_line):
        return Gathered(pieces.sources(), "")
    if not search or not needs_context(asked, library.known, follow_up=follow_up):
        reason = "" if pieces.sources() else "the question needs nothing of the workspace"
        return Gathered(pieces.sources(), reason)
    if library.index is None:
        return Gathered(pieces.sources(), "" if place else "there is no index of the workspace")
    if not (asks_for_callers(asked) and _add_asked_calls(asked, library, pieces)):
        _add_hits(asked, library, pieces)
    sources = pieces.sources()
    return Gathered(sources, "" if sources else "nothing was found")


def _with_headings(source: Source, library: Library) -> Source:
    section, page = library.headings_at(source.path, source.start_line)
    return replace(source, section=section, page=page) if section or page else source


class _Pieces:
    """Collects pieces until there is no room left."""

    def __init__(self, chars: int) -> None:
        self.room = chars
        self._most = chars
        self._found: list[Source] = []

    def add(
        self,
        path: str,
        start: int,
        text: str,
        *,
        end: int = 0,
        symbol: str = "",
        reason: str,
        score: float = 0.0,
        share: float = 1.0,
        most: int | None = None,
    ) -> None:
        """Take the lines of a text that there is room for, unless they are here already.

        Args:
            path: of the file.
            start: where in it the text begins.
            text: whole lines.
            end: where it ends, for a text that isn't those very lines (a diff, a class without its bodies).
            symbol: what it defines.
            reason: why it is here.
            score: how good the search found it.
            share: the most of all room that it may take.
            most: the same in characters.
        """
        lines = text.rstrip().split("\n")
        kept = _fitting(lines, min(self.room, int(self._most * share) if most is None else most))
        end = end if end and len(kept) == len(lines) else start + len(kept) - 1
        inside = any(one.path == path and one.start_line <= start and end <= one.end_line for one in self._found)
        short = "\n".join(kept)
        if inside or not short.strip() or (len(kept) < len(lines) and len(short) < _LEAST_CHARS):
            return
        self.room -= len(short)
        self._found.append(Source(len(self._found) + 1, path, start, end, symbol, short, reason, score))

    def sources(self) -> tuple[Source, ...]:
        """All that was taken."""
        return tuple(self._found)


def _fitting(lines: list[str], room: int) -> list[str]:
    """The first lines that together have no more than ``room`` characters."""
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < -1:
            return lines[:count]
    return lines


def _add_place(place: Place, library: Library, pieces: _Pieces) -> None:
    if place.start_line:
        text = lines_of(place.text, place.start_line, place.end_line)
        pieces.add(place.path, place.start_line, text, reason="selection", share=0.7)
    else:
        pieces.add(place.path, 1, place.text, reason="file", share=0.7)


def _add_surroundings(place: Place, library: Library, pieces: _Pieces) -> None:
    """The definition that the selection is in, and those of the names in it."""
    taken = library.outline(place.path)
    inside = enclosing(taken[0], place.start_line, place.end_line) if taken else None
    # What the index has of the file may be older than what the editor has: only while both agree on the lines.
    selected = lines_of(place.text, place.start_line, place.end_line)
    if taken and inside and lines_of(taken[1], place.start_line, place.end_line) == selected:
        first = max(inside.line, place.start_line - _ENCLOSING_LINES // 2)
        text = lines_of(taken[1], first, min(inside.end_line, first + _ENCLOSING_LINES))
        pieces.add(place.path, first, text, symbol=qualified(inside), reason="around the selection", share=_PIECE_SHARE)
        _add_calls(qualified(inside), library, pieces, _CALLS)
    for path, one in _definitions_of(selected, place, library):
        _add_definition(path, one, library, pieces, "defines a name in the selection", _DEFINITION_LINES)


def definitions_used(place: Place, library: Library, chars: int) -> tuple[Source, ...]:
    """The definitions of names in the selected lines, ``chars`` at the most. Reads the index: call it in a thread."""
    pieces = _Pieces(chars)
    try:
        for path, one in _definitions_of(lines_of(place.text, place.start_line, place.end_line), place, library):
            _add_definition(path, one, library, pieces, "defines a name in the selection", _DEFINITION_LINES)
    except (OSError, sqlite3.Error):
        return ()
    return pieces.sources()


def _definitions_of(text: str, place: Place, library: Library) -> list[tuple[str, Definition]]:
    """The definitions of names in a text, the least ambiguous names first, none from the place itself."""
    found = []
    for name in dict.fromkeys(_NAME.findall(text)):
        defined = [
            (path, one)
            for path, one in library.definitions(name)
            if path != place.path or not place.start_line <= one.line <= place.end_line
        ]
        if defined:
            own = [pair for pair in defined if pair[0] == place.path]
            found.append((len(defined), (own or defined)[0]))
    return [pair for _, pair in sorted(found, key=lambda item: item[0])[:_DEFINITIONS]]


def _add_definition(
    path: str, one: Definition, library: Library, pieces: _Pieces, reason: str, most_lines: int = 1_000
) -> None:
    taken = library.outline(path)
    if taken:
        text = lines_of(taken[1], one.line, min(one.end_line, one.line + most_lines - 1))
        pieces.add(path, one.line, text, symbol=qualified(one), reason=reason, share=_PIECE_SHARE)


def _add_calls(symbol: str, library: Library, pieces: _Pieces, most: int) -> bool:
    """The lines that call a definition; whether there are any."""
    found = calls(library, symbol, most)
    for one in found:
        reason = f"calls {symbol.rpartition('.')[2]}"
        pieces.add(one.path, one.start, one.text, symbol=one.caller, reason=reason)
    return bool(found)


def _add_packages(asked: str, place: Place | None, library: Library, pieces: _Pieces) -> None:
    """What installed packages offer, where the question is about some."""
    _show(library.packages_for(asked, place)[:_SHOWN_OFFERS], pieces, "an installed package", share=_OFFERS_SHARE)


def _add_mention(mention: Mention, asked: str, library: Library, pieces: _Pieces) -> None:
    reason = f"@{mention.name}"
    if mention.kind == "diff":
        changes = uncommitted(library.workspace)
        if not changes:
            raise MidlineError("@diff: nothing has changed since the last commit.", "Ask without it.")
        for change in changes:
            if library.text(change.path) is not None:  # neither private nor secret
                pieces.add(change.path, change.start_line, redact(change.text)[0], end=change.end_line, reason=reason)
    elif mention.kind == "symbol":
        for path, one in mention.definitions:
            _add_definition(path, one, library, pieces, reason)
        if asks_for_callers(asked):
            _add_calls(qualified(mention.definitions[0][1]), library, pieces, _CALLS_ASKED_FOR)
    elif mention.kind == "file" and len(text := library.text(mention.paths[0]) or "") <= pieces.room:
        pieces.add(mention.paths[0], 1, text, reason=reason)
    else:
        _add_best_of(mention.paths, asked, library, pieces, reason)


def _add_best_of(paths: Iterable[str], asked: str, library: Library, pieces: _Pieces, reason: str) -> None:
    """What of some files answers the question; where they begin, if nothing does."""
    wanted = set(paths)
    before = pieces.room
    hits = [hit for hit in (library.search(asked, 500) if asked else []) if hit.path in wanted]
    _show(hits[:_SHOWN_HITS], pieces, reason)
    if pieces.room == before:
        for path in sorted(wanted):
            pieces.add(path, 1, library.text(path) or "", reason=reason, share=_PIECE_SHARE)


def _interest(hit: Hit, names: Sequence[str], asked: Query) -> float:
    """What a hit is worth to a reader: stubs and class heads tell little, a class that the question speaks of much."""
    scope, _, name = hit.symbol.rpartition(".")
    low, high = _LENGTH_BETWEEN
    length = min(max(math.log(max(1, len(hit.text)) / _USUAL_CHARS), low), high)
    return (
        hit.score
        + _NAMED * (name in names or hit.symbol in names)
        + _CLASS_HEAD * (hit.kind == "class")
        + _SCOPE * asked.share_of(scope)
        + _LENGTH * length
    )


def _add_asked_calls(asked: str, library: Library, pieces: _Pieces) -> bool:
    """What a question on callers names, and the lines that call it; whether there are any."""
    found = False
    for name in asked_names(asked, library):
        defined = sorted(library.definitions(name), key=lambda pair: is_test(pair[0]))
        for path, one in defined[:_DEFINITIONS_ASKED_FOR]:
            _add_definition(path, one, library, pieces, "defines it", _DEFINITION_LINES)
        found |= _add_calls(name, library, pieces, _CALLS_ASKED_FOR)
    return found


def _add_hits(asked: str, library: Library, pieces: _Pieces) -> None:
    names = named(asked, library.known)
    for name in names:
        for path, one in library.definitions(name, 2):
            if one.kind == "constant":  # no chunk of its own
                first = max(1, one.line - 2)
                text = lines_of(library.text(path) or "", first, one.end_line + 1)
                pieces.add(path, first, text, symbol=qualified(one), reason="defines it", share=_PIECE_SHARE)
    # Backticks tell the search that a plain word is a name.
    marked = re.sub(rf"(?<![\w`.])({'|'.join(names)})(?![\w`])", r"`\1`", asked) if names else asked
    content = _FRAME.sub("", marked)
    hits = library.search(content if _NAME.search(content) or not content.isascii() else marked, _HITS)
    best = max((hit.score for hit in hits), default=0.0)
    worth = [hit for hit in hits if hit.score >= _WORTH * best]
    query = read_query(asked)
    shown = sorted(worth, key=lambda hit: _interest(hit, names, query), reverse=True)[:_SHOWN_HITS]
    _show(shown, pieces)


def _show(hits: Sequence[Hit], pieces: _Pieces, reason: str = "", share: float = 1.0) -> None:
    """Take as much of each hit as there is room for all, in this share of what room is left."""
    most = _level([len(hit.text) for hit in hits], int(pieces.room * share))
    for hit in hits:
        pieces.add(
            hit.path,
            hit.start_line,
            hit.text,
            end=hit.end_line,
            symbol=hit.symbol,
            reason=reason or hit.reason or "found",
            score=hit.score,
            most=most,
        )


def _level(sizes: Sequence[int], room: int) -> int:
    """How much each of several texts may take, so that together they fill the room, and what is shorter fits whole."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return room // left
        room, left = room - size, left - 1
    return max(sizes, default=0)
