"""How likely a definition is to be used at a cursor: a linear model over what is known of it there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from indexer.candidates import STATIC, Offer
from indexer.cursor import Cursor, names_of
from indexer.lexical import document_frequencies
from indexer.similar import Scores, Window
from indexer.view import View

FEATURES = (
    *STATIC,
    "imported",
    "imported, unused",
    "imported file",
    "own file",
    "same folder",
    "test",
    "common",
    "in suffix",
    "in prefix",
    "visible",
    "similar",
    "in similar code",
    "receiver",
    "receiver nearby",
    "behind a dot: method",
    "behind a dot: other",
    "owner visible",
    "receiver, in similar code",
    "receiver, common",
    "receiver, in prefix",
)
"""The columns of `features`."""

_REASONS = (
    ("receiver", "what stands before the dot"),
    ("imported", "imported here"),
    ("receiver nearby", "what is called nearby"),
    ("in similar code", "used in similar code"),
    ("in suffix", "used below"),
    ("own file", "in this file"),
    ("imported file", "in an imported file"),
    ("owner visible", "its class is in sight"),
    ("similar", "similar code"),
    ("same folder", "in the same folder"),
)
_TEST = re.compile(
    r"(^|/)(tests?|testing|specs?|__tests__|examples?)(/|$)|(^|/)test_|[._-](test|spec)\.[^/]*$|_test\.[^/]*$"
)
Matrix = NDArray[np.float32]


@dataclass
class Candidates:
    """The files whose definitions may be shown, and what ties them to the cursor."""

    offers: dict[int, Offer] = field(default_factory=dict)
    imported: dict[str, frozenset[int]] = field(default_factory=dict)
    """The names that the cursor's file imports, with the files that they may be from."""
    owners: dict[str, float] = field(default_factory=dict)
    """Classes that stand before dots: 1 for those at the cursor, less for those above it."""
    modules: dict[int, float] = field(default_factory=dict)
    """The same of files that are modules before dots."""
    packages: dict[str, float] = field(default_factory=dict)
    """The same of folders that are packages before dots: they may show what any file in them defines."""


def features(
    view: View, cursor: Cursor, found: Candidates, scored: Sequence[Scores], windows: Sequence[Window]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix]:
    """All candidates' features.

    Returns:
        For each definition its file's id, its place in the file's offer, ``[n]`` each, and ``[n, len(FEATURES)]``.
    """
    offers = found.offers
    sizes = [len(one.definitions) for one in offers.values()]
    files = np.repeat(np.array([*offers], np.int64), sizes)
    places = np.concatenate([np.zeros(0, np.int64), *(np.arange(size) for size in sizes)])
    if not len(files):
        return files, places, np.zeros((0, len(FEATURES)), np.float32)
    names = [name for one in offers.values() for name in one.names]
    owners = [owner for one in offers.values() for owner in one.owners]
    static = np.concatenate([one.static for one in offers.values()])
    columns = dict(zip(STATIC, static.T, strict=True))
    columns |= _by_file(view, cursor, found, sizes)
    methods = columns["method"] > 0
    known = {"in suffix": cursor.after, "in prefix": cursor.before, "visible": cursor.visible}
    columns |= _among(names, {"imported": found.imported.keys(), "imported, unused": _unused(cursor, found)} | known)
    for imported in ("imported", "imported, unused"):
        columns[imported] *= ~methods
    columns["common"] = _common(view, np.concatenate([one.terms for one in offers.values()]))
    columns["similar"] = np.concatenate(_similar(view, offers, scored))
    columns["in similar code"] = _looked_up(names, _uses(windows))
    columns |= _receivers(cursor, found, owners, methods, np.repeat(_as_modules(view, found), sizes))
    columns |= _among(owners, {"owner visible": cursor.visible | found.imported.keys()})
    for other in ("in similar code", "common", "in prefix"):
        columns[f"receiver, {other}"] = columns["receiver"] * columns[other]
    return files, places, np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float32)


NEARBY = "nearby"
"""The reason of what has none better: it is defined in a file that something else led to."""


def reason(row: Sequence[float]) -> str:
    """Why a definition is shown, in a few words, from its features."""
    known = dict(zip(FEATURES, row, strict=True))
    return next((why for name, why in _REASONS if known[name] > 0.3), NEARBY)


def _by_file(view: View, cursor: Cursor, found: Candidates, sizes: Sequence[int]) -> dict[str, Matrix]:
    """What holds for all definitions of a file alike."""
    imported = {file for files in found.imported.values() for file in files}
    folder = cursor.path.rpartition("/")[0]
    in_test = bool(_TEST.search(cursor.path))
    paths = [view.files[file].path for file in found.offers]
    by_file = {
        "imported file": [file in imported for file in found.offers],
        "own file": [file == cursor.file for file in found.offers],
        "same folder": [path.rpartition("/")[0] == folder for path in paths],
        "test": [bool(_TEST.search(path)) and not in_test for path in paths],
    }
    return {name: np.repeat(np.array(values, np.float32), sizes) for name, values in by_file.items()}


def _unused(cursor: Cursor, found: Candidates) -> set[str]:
    """The imported names that stand nowhere in the file but in their import."""
    prefix, suffix = cursor.text
    rare = found.imported.keys() - cursor.after
    return {name for name in rare if prefix.find(name, prefix.find(name) + 1) < 0 and name not in suffix}


def _common(view: View, terms: NDArray[np.uint32]) -> Matrix:
    """How many chunks have each name, as a logarithm."""
    return (np.log1p(document_frequencies(view.segments, terms)) / 5).astype(np.float32)


def _similar(view: View, offers: dict[int, Offer], scored: Sequence[Scores]) -> list[Matrix]:
    """How like the cursor's surroundings the chunk is that each definition begins in: at most 1."""
    most = max((float(values.max(initial=0)) for values in scored), default=0.0) or 1.0
    found = []
    for file, offered in offers.items():
        values = np.zeros(len(offered.definitions), np.float32)
        for part, by_row in zip(view.segments, scored, strict=True):
            if file in part.spans:  # its rows in the other segment, if any, are dead and score 0
                first, end = part.spans[file]
                rows = first + offered.chunks
                inside = (rows >= first) & (rows < end)
                values[inside] = np.maximum(values[inside], by_row[rows[inside]] / most)
        found.append(values)
    return found


def _uses(windows: Sequence[Window]) -> dict[str, float]:
    """The names in similar code, with how similar it is; at most 1."""
    uses: dict[str, float] = defaultdict(float)
    most = max((window.score for window in windows), default=0.0) or 1.0
    for window in windows:
        for name in names_of(window.text):
            uses[name] += (window.score / most) ** 2
    return {name: min(1.0, value / 3) for name, value in uses.items()}


def _receivers(
    cursor: Cursor, found: Candidates, owners: Sequence[str], methods: NDArray[np.bool_], modules: Matrix
) -> dict[str, Matrix]:
    behind_dot = bool(cursor.receivers.at_cursor)
    near = np.maximum(_looked_up(owners, found.owners), np.where(methods, 0, modules))
    return {
        "receiver": np.where(near >= 1, near, 0) * behind_dot,
        "receiver nearby": np.where(near < 1, near, 0),
        "behind a dot: method": (methods & behind_dot).astype(np.float32),
        "behind a dot: other": (~methods & behind_dot).astype(np.float32),
    }


def _as_modules(view: View, found: Candidates) -> Matrix:
    """For each file how near it, or a package that it is in, stands before a dot."""
    near = np.zeros(len(found.offers), np.float32)
    for at, file in enumerate(found.offers):
        path = view.files[file].path
        inside = (value for folder, value in found.packages.items() if path.startswith(folder))
        near[at] = max(found.modules.get(file, 0.0), *inside, 0.0)
    return near


def _among(names: Sequence[str], known: Mapping[str, AbstractSet[str]]) -> dict[str, Matrix]:
    """For each of the sets which of the names are in it: one look at each name, whatever the number of sets."""
    bits: dict[str, int] = defaultdict(int)
    for place, one in enumerate(known.values()):
        for name in one:
            bits[name] |= 1 << place
    found = np.fromiter(map(bits.get, names, repeat(0)), np.uint8, len(names))
    return {key: ((found >> place) & 1).astype(np.float32) for place, key in enumerate(known)}


def _looked_up(names: Sequence[str], values: Mapping[str, float]) -> Matrix:
    """For each name its value, 0 where there is none."""
    return np.fromiter(map(values.get, names, repeat(0.0)), np.float32, len(names))
