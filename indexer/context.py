"""What does a completion at a cursor need from the repository? Short signatures of what it likely uses, similar code.

The larger part of the budget goes to signatures, ranked by a linear model (`indexer.relevance`), the rest to windows
of a few lines that BM25 finds most like the code around the cursor: many short pieces beat a few whole functions.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexer import similar
from indexer.candidates import Offer, offer, short_signature
from indexer.chunk import Outline, split_lines
from indexer.context_weights import WEIGHTS
from indexer.cursor import VISIBLE, Cursor, cursor_at
from indexer.digest import Record
from indexer.imports import Resolver
from indexer.packing import Sketch
from indexer.receivers import SELVES, bases
from indexer.relevance import FEATURES, Candidates, features, reason
from indexer.similar import ChunkLines, Scores, Similar, Window
from indexer.store import Store
from indexer.tokens import identifiers
from indexer.view import View


@dataclass(frozen=True)
class Piece:
    """A piece of the repository that a completion is shown."""

    path: str
    start_line: int
    """From 1."""
    end_line: int
    """Inclusive."""
    symbol: str
    """The qualified name of what it shows, empty where it has none."""
    text: str
    """The lines themselves, or a definition's head in short; ends with a line end."""
    score: float
    """Higher is better; comparable among pieces of one kind and one call only."""
    reason: str
    """Why it is here, in a few words."""


@dataclass(frozen=True)
class Mix:
    """How a context is made; the defaults were measured to be best (``bench/retrieval/context.py``)."""

    signatures: float = 0.6
    """The share of the budget that signatures have; windows have the rest."""
    receivers: bool = True
    """Whether what stands before dots is looked at."""
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    """The linear model: by the names of `relevance.FEATURES`; what isn't there weighs nothing."""


MIX = Mix()
"""What was measured to be best."""

Integers = NDArray[np.int64]
_SIMILAR = 32  # chunks whose files' definitions are candidates
_WINDOWED = 24  # chunks in which windows are looked for: what similar code uses is worth much (10 for 24: .06 less)
_FILES = 64  # whose definitions are candidates
_NAMES = 40  # that similar code uses, whose definitions are candidates
_SAME_NAME = 8  # definitions of one name that are candidates,
_SAME_NAME_SHOWN = 2  # and that are shown
_BASES = 3  # steps up from a class
_GUESSES = 2  # classes of a variable that only other code tells
_PACKAGES = frozenset({"__init__", "index", "mod"})  # files that stand for their folders
_FADES = 0.9  # what a receiver counts less than a nearer one
_CACHED = 1024  # offers, and chunks
_SHORTEST = 12  # characters of a signature


class ContextFinder:
    """Finds contexts, and keeps what it has unpacked of files. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._offers: OrderedDict[int, Offer] = OrderedDict()  # by the ids of the store's contents
        self._unsaved: dict[int, tuple[Record, Offer]] = {}
        self._chunks: OrderedDict[tuple[int, int], ChunkLines] = OrderedDict()  # by content and number
        self._resolver = Resolver()
        self._paths: set[str] = set()
        self._seen: object = None

    def find(self, view: View, path: str, prefix: str, suffix: str, budget: int, mix: Mix = MIX) -> list[Piece]:
        """See `indexer.index.Index.context_for`."""
        if path not in view.by_path or budget <= 0:
            return []
        with self._lock:
            for file in self._unsaved.keys() - view.overlays.keys():
                del self._unsaved[file]
            asked = Request(self, view, cursor_at(path, view.by_path[path], prefix, suffix, receivers=mix.receivers))
            windows = asked.windows()
            shown = list(_fitting(windows, budget - int(budget * mix.signatures)))
            room = budget - sum(len(window.text) for window in shown)
            signatures = asked.signatures(windows, room, mix.weights) if mix.signatures else ()
        pieces = [*signatures, *(_piece(view, window) for window in shown)]
        return sorted(pieces, key=lambda piece: (piece.path, piece.start_line, piece.end_line, piece.text))

    def offer(self, view: View, file: int) -> Offer | None:
        """What a file offers; None if it is gone by now."""
        record = view.overlays.get(file)
        if record is not None:
            return self._unsaved_offer(file, record)
        content = view.files[file].content if file in view.files else None
        if view.store is not self._store:  # another store has other ids
            self._store = view.store
            self._offers.clear()
            self._chunks.clear()
        if content is not None and content in self._offers:
            self._offers.move_to_end(content)
            return self._offers[content]
        try:
            taken = view.store.sketch(content or 0)
        except KeyError:
            return None
        made = self._offers[content or 0] = _offer(taken)
        if len(self._offers) > _CACHED:
            self._offers.popitem(last=False)
        return made

    def _unsaved_offer(self, file: int, record: Record) -> Offer:
        """The newest only: a file that is typed in has another record at every key."""
        known, made = self._unsaved.get(file, (None, None))
        if known is not record or made is None:
            made = _offer(record.outline)
            self._unsaved[file] = record, made
        return made

    def chunk_lines(self, view: View, chunk: Similar, texts: dict[int, list[str]]) -> ChunkLines:
        """A chunk's lines and their words; kept, since the next key asks for nearly the same chunks.

        Args:
            view: the index.
            chunk: which one.
            texts: the lines of files that this request has looked into.
        """
        content = None if chunk.file in view.overlays else view.files[chunk.file].content
        key = (content or 0, chunk.number)
        if content is not None and key in self._chunks:
            self._chunks.move_to_end(key)
            return self._chunks[key]
        offered = self.offer(view, chunk.file)
        first, last = 1, 0
        if offered is not None and chunk.number < len(offered.spans):
            first, last = offered.spans[chunk.number].tolist()
        if chunk.file not in texts:
            try:
                texts[chunk.file] = split_lines(view.text(chunk.file))
            except KeyError:
                texts[chunk.file] = []
        lines = texts[chunk.file][first - 1 : last]
        made = ChunkLines(first, lines, [identifiers(line) for line in lines])
        if content is not None:
            self._chunks[key] = made
            if len(self._chunks) > _CACHED:
                self._chunks.popitem(last=False)
        return made

    def resolver(self, view: View) -> Resolver:
        """What imports mean among the files of a view."""
        if view.by_path is not self._seen and view.by_path.keys() != self._paths:
            for path in view.by_path.keys() - self._paths:
                self._resolver.add(path)
            for path in self._paths - view.by_path.keys():
                self._resolver.remove(path)
            self._paths = set(view.by_path)
        self._seen = view.by_path
        return self._resolver


def _offer(taken: Outline | Sketch) -> Offer:
    spans = [(chunk.start_line, chunk.end_line) for chunk in taken.chunks]
    return offer(taken.language, taken.definitions, taken.imports, spans)


class Request:
    """One place's context in the making; the steps share what they find out."""

    def __init__(self, finder: ContextFinder, view: View, cursor: Cursor) -> None:
        self._finder = finder
        self._view = view
        self._cursor = cursor
        self._terms = similar.weighted_terms(view, cursor.query)
        self._scored: Sequence[Scores] = similar.scores(view, self._terms)
        self._chunks = similar.best_chunks(view, self._scored, _SIMILAR)

    def windows(self) -> list[Window]:
        """The most similar lines of the most similar chunks that aren't in sight, best first."""
        texts: dict[int, list[str]] = {}
        terms = similar.TermsOf(self._terms)
        found = []
        for chunk in self._chunks[:_WINDOWED]:
            held = self._finder.chunk_lines(self._view, chunk, texts)
            if held.lines:
                window = similar.best_window(chunk, held, terms)
                if not self._in_sight(window):
                    found.append(window)
        return sorted(found, key=lambda window: -window.score)

    def _in_sight(self, window: Window) -> bool:
        """Whether most of a window is around the cursor anyway, or a copy of that."""
        lines = [line.strip() for line in window.lines if line.strip()]
        return 2 * sum(line in self._cursor.lines_visible for line in lines) >= len(lines)

    def signatures(self, windows: Sequence[Window], room: int, weights: Mapping[str, float]) -> Iterator[Piece]:
        """The signatures of the likeliest definitions, best first, as many as there is room for."""
        found = self.candidates(windows)
        files, places, matrix = self.features(found, windows)
        scores = matrix @ np.array([weights.get(name, 0.0) for name in FEATURES], np.float32)
        shown: dict[str, int] = {}
        texts: set[str] = set()
        for row in np.argsort(-scores, kind="stable").tolist():
            if room < _SHORTEST:
                break
            offered = found.offers[int(files[row])]
            one = offered.definitions[int(places[row])]
            in_sight = files[row] == self._cursor.file and abs(one.line - self._cursor.line) <= VISIBLE
            if in_sight or shown.get(one.name, 0) >= _SAME_NAME_SHOWN:
                continue
            text = short_signature(one, offered) + "\n"
            if len(text) > room or text in texts:
                continue
            texts.add(text)
            shown[one.name] = shown.get(one.name, 0) + 1
            room -= len(text)
            path = self._view.files[int(files[row])].path
            symbol = f"{one.scope}.{one.name}".lstrip(".")
            why = reason(matrix[row].tolist())
            yield Piece(path, one.line, one.line, symbol, text, round(float(scores[row]), 3), why)

    def features(self, found: Candidates, windows: Sequence[Window]) -> tuple[Integers, Integers, Scores]:
        """The candidates' features; see `relevance.features`."""
        return features(self._view, self._cursor, found, self._scored, windows)

    def candidates(self, windows: Sequence[Window]) -> Candidates:
        """The definitions of imported files, of similar code's files, and of names that are imported or used there."""
        view, found = self._view, Candidates()
        self._add_files([self._cursor.file], found)
        self._add_imports(found)
        self._add_files((file for files in found.imported.values() for file in sorted(files)), found)
        self._add_files((chunk.file for chunk in self._chunks), found)
        self._add_receivers(found)
        known = {name for offered in found.offers.values() for name in offered.names}
        names = [name for name in (*found.imported, *_used_in(windows)) if name not in known]
        self._add_files((file for file, _, _ in view.store.defining(names, _SAME_NAME)), found)
        return found

    def _add_files(self, files: Iterable[int], found: Candidates) -> None:
        for file in files:
            if file not in found.offers and len(found.offers) < _FILES:
                offered = self._finder.offer(self._view, file)
                if offered is not None:
                    found.offers[file] = offered

    def _add_imports(self, found: Candidates) -> None:
        own = found.offers.get(self._cursor.file)
        resolver = self._finder.resolver(self._view)
        for one in own.imports if own else ():
            if own and one.line <= self._cursor.line:
                paths = resolver.resolve(one, self._cursor.path, own.language)
                files = frozenset(self._view.by_path[path] for path in paths)
                for name in one.names:
                    found.imported[name] = files | found.imported.get(name, frozenset())

    def _add_receivers(self, found: Candidates) -> None:
        """What stands before dots at the cursor and above, as modules, and as classes with those they build on."""
        known = self._cursor.receivers
        near = {name: _FADES ** (place + 1) for place, name in enumerate(known.near)}
        if known.at_cursor:
            near[known.at_cursor] = 1.0
        for name, how_near in near.items():
            if name not in SELVES:
                for file in found.imported.get(name, ()):
                    self._add_module(file, how_near, found)
            elsewhere = Counter(offered.types[name] for offered in found.offers.values() if name in offered.types)
            for one in known.classes(name, [one for one, _ in elsewhere.most_common(_GUESSES)]):
                self._add_class(one, how_near, found, _BASES)

    def _add_module(self, file: int, near: float, found: Candidates) -> None:
        found.modules[file] = max(near, found.modules.get(file, 0.0))
        folder, _, name = self._view.files[file].path.rpartition("/")
        if name.partition(".")[0] in _PACKAGES:
            found.packages[folder + "/"] = max(near * _FADES, found.packages.get(folder + "/", 0.0))

    def _add_class(self, name: str, near: float, found: Candidates, steps: int) -> None:
        if not steps or found.owners.get(name, 0.0) >= near:
            return
        found.owners[name] = near
        for file, _, _ in self._view.store.defining([name], _SAME_NAME):
            self._add_files([file], found)
            offered = found.offers.get(file)
            for one in offered.definitions if offered else ():
                if one.name == name and one.kind in ("class", "type"):
                    for base in bases(one.signature, name):
                        self._add_class(base, near, found, steps - 1)


def _used_in(windows: Sequence[Window]) -> list[str]:
    """The names that similar code uses, those of the most similar first."""
    names = (name for window in windows for name in sorted(similar.names_called(window.text)))
    return list(dict.fromkeys(names))[:_NAMES]


def _fitting(windows: Iterable[Window], room: int) -> Iterator[Window]:
    """The best windows that there is room for, no two of which are alike."""
    seen: set[str] = set()
    for window in windows:
        lines = [line.strip() for line in window.lines if line.strip()]
        if len(window.text) <= room and 2 * sum(line in seen for line in lines) < len(lines):
            seen.update(lines)
            room -= len(window.text)
            yield window


def _piece(view: View, window: Window) -> Piece:
    path = view.files[window.chunk.file].path
    last = window.first + len(window.lines) - 1
    return Piece(path, window.first, last, window.chunk.symbol, window.text, round(window.score, 3), "similar code")
