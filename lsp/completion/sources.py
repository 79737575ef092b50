"""Where context comes from besides the index: what the editor holds, and what belongs together by its name.

Each source is a function that yields pieces, the best first; who calls it takes as many as there is room for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise, takewhile
from pathlib import PurePosixPath

from indexer.candidates import offer, short_signature
from indexer.chunk import Definition, Outline, split_lines
from indexer.outline import outline
from indexer.query import is_test
from lsp.completion.pieces import ContextPiece
from lsp.completion.recent import Followed, Hunk, hunks
from lsp.documents import Cursor

# Lines: around the cursor that tell what is being written; of a window; around a copied piece, above and below; of a
# cell's end.
_NEAR = (20, 5)
_WINDOW = 10
_COPIED = (4, 8)
_CELL_END = 15
# Of a change: most lines that it shows of each side, and how near the cursor it is what is being typed.
_HUNK_LINES = 8
_TYPING_LINES = 3
_MOST_HUNKS = 4
# Of identifiers: what must be common for lines to be alike (Jaccard).
_ALIKE = 0.15
_TELLING = 8  # characters of a line that hardly stands in two files by chance
_LONGEST_LINE = 200
_LONGEST_OUTLINED = 400_000  # characters
_IMPORT_LINES, _MOST_IMPORTS = 6, 8
_NAME = re.compile(r"[A-Za-z_]\w{2,}")
# A constant whose value begins in this way and goes on in the next line tells nothing.
_CUT_OFF = ("(", "[", "{", "= `", '"""', "'''", "=")
_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx"})
_BODIES = frozenset({".c", ".cc", ".cpp", ".cxx", ".m", ".mm"})
_TEST_FOLDERS = frozenset({"tests", "test", "__tests__", "spec", "src", "lib", "include"})
TEST_NAMES = ("test_{}", "{}_test", "{}.test", "{}.spec", "{}Test", "{}_spec")
TEST_NAME = re.compile(r"^test_|_test$|\.(?:test|spec)$|(?<=\w)Tests?$|_spec$")


@dataclass(frozen=True)
class Other:
    """Another document of the editor that may be shown: its text is redacted."""

    path: str
    followed: Followed

    @cached_property
    def lines(self) -> list[str]:
        """Its lines as they are now."""
        return split_lines(self.followed.text)

    def piece(self, first: int, last: int, score: float, reason: str) -> ContextPiece:
        """Lines ``first`` to ``last``, from 1."""
        text = "".join(f"{line[:_LONGEST_LINE]}\n" for line in self.lines[first - 1 : last])
        return ContextPiece(self.path, first, last, "", text, round(score, 3), reason)


@dataclass(frozen=True)
class Asked:
    """What context is wanted for.

    Args:
        cursor: the place.
        path: of its file, as pieces name it.
        shown: the offsets in the cursor's text between which the prompt shows it.
        own: the cursor's document as it was, if that is known.
        others: further documents, used most recently first.
        cells: where it is a notebook's cell, those before it, from the top.
        paths: of the workspace's files.
        stored: text and outline of one of them, if it may be shown.
    """

    cursor: Cursor
    path: str
    shown: tuple[int, int]
    own: Followed | None
    others: tuple[Other, ...]
    cells: tuple[Other, ...]
    paths: Iterable[str]
    stored: Callable[[str], tuple[Outline, str] | None]

    @cached_property
    def line(self) -> int:
        """The cursor's line, from 1."""
        return self.cursor.prefix.count("\n") + 1

    @cached_property
    def shown_lines(self) -> tuple[int, int]:
        """The first and the last line that the prompt shows, from 1."""
        start, end = self.shown
        first = self.cursor.text.count("\n", 0, start) + 1
        return first, first + self.cursor.text.count("\n", start, end)

    @cached_property
    def names(self) -> frozenset[str]:
        """Identifiers around the cursor."""
        above, below = split_lines(self.cursor.prefix[-8000:]), split_lines(self.cursor.suffix[:4000])
        return names_of("\n".join(above[-_NEAR[0] :] + below[: _NEAR[1]]))


def names_of(text: str) -> frozenset[str]:
    """The distinct identifiers of a text."""
    return frozenset(_NAME.findall(text))


def earlier_cells(asked: Asked) -> Iterator[ContextPiece]:
    """The cells before this one, the nearest first; of one that there is no room for, its end.

    Their lines count on from cell to cell, or pieces could not be ordered by them.
    """
    above = [0, *accumulate(len(cell.lines) for cell in asked.cells)]
    for number, cell in reversed([*enumerate(asked.cells)]):
        last = len(cell.lines)
        for first in (1, max(1, last - _CELL_END + 1)):
            piece = cell.piece(first, last, 1.0, "an earlier cell")
            lines = above[number] + first, above[number] + last
            yield replace(piece, start_line=lines[0], end_line=lines[1], symbol=f"cell {number + 1}")


def own_outline(asked: Asked) -> Iterator[ContextPiece]:
    """What the prompt doesn't show of the file: what encloses the cursor, imports, and the nearest definitions."""
    text = asked.cursor.text
    start, end = asked.shown
    if end - start >= len(text) or len(text) > _LONGEST_OUTLINED:
        return
    first, last = asked.shown_lines
    taken = outline(text, asked.cursor.language)
    lines = split_lines(text)
    hidden = [one for one in taken.definitions if not first <= one.line <= last]
    around = [one for one in hidden if one.line <= asked.line <= one.end_line]
    for one, signature in _signatures(taken, around, lambda one: one.line):
        yield _definition_piece(asked.path, one, signature, "encloses the cursor")
    imports = [one for one in taken.imports if not first <= one.line <= last]
    # Those first whose names are used around the cursor.
    for line in sorted(imports, key=lambda one: asked.names.isdisjoint(one.names))[:_MOST_IMPORTS]:
        yield _import_piece(asked.path, lines, line.line)
    far = [one for one in hidden if one not in around]
    for one, signature in _signatures(taken, far, lambda one: abs(one.line - asked.line)):
        yield _definition_piece(asked.path, one, signature, "outline of this file")


def copied(asked: Asked) -> Iterator[ContextPiece]:
    """What stands around the lines of another document that were just inserted in this one."""
    for hunk in hunks(asked.own.before, asked.own.text) if asked.own else ():
        lines = _telling(hunk.after)
        for other in asked.others if len(lines) > 1 else ():
            span = _longest_run([line for _, line in lines], _telling(other.lines))
            if span:
                above, below = _COPIED
                if span[1] < len(other.lines):
                    yield other.piece(span[1] + 1, min(len(other.lines), span[1] + below), 2.0, "below what was copied")
                if span[0] > 1:
                    yield other.piece(max(1, span[0] - above), span[0] - 1, 1.0, "above what was copied")
                break


def edits(asked: Asked) -> Iterator[ContextPiece]:
    """What was changed recently, as it was and as it is: the document edited last first, there what is nearest."""
    if asked.own:
        here = [
            hunk for hunk in hunks(asked.own.before, asked.own.text) if hunk.before and not _being_typed(hunk, asked)
        ]
        yield from _hunk_pieces(asked.path, here, asked.line)
    for other in asked.others:
        found = list(hunks(other.followed.before, other.followed.text))
        yield from _hunk_pieces(other.path, found, other.followed.line)


def counterpart(asked: Asked) -> Iterator[ContextPiece]:
    """What this file tests, or the other way round; the header to a source, or the other way round."""
    opened = {other.path: other for other in asked.others}
    path, reason = counterpart_of(asked.path, {**dict.fromkeys(opened), **dict.fromkeys(asked.paths)})
    other = opened.get(path)
    found = (outline(other.followed.text, other.followed.language), other.followed.text) if other else None
    found = found or (asked.stored(path) if path else None)
    if found is None:
        return
    taken, text = found
    if not is_test(path):
        public = [one for one in taken.definitions if not one.name.startswith("_")]
        for one, signature in _signatures(taken, public, lambda one: one.line):
            yield _definition_piece(path, one, signature, reason)
    yield from _similar(asked, path, split_lines(text), reason)


def visited(asked: Asked) -> Iterator[ContextPiece]:
    """Where the user last was in other documents."""
    for rank, other in enumerate(asked.others):
        line = other.followed.line
        if 0 < line <= len(other.lines):
            for size in (_WINDOW, _WINDOW // 2):  # the smaller where there is no room for the larger
                first = max(1, line - size // 2)
                yield other.piece(first, min(len(other.lines), first + size - 1), 1 / (1 + rank), "visited recently")


def documents(asked: Asked) -> Iterator[ContextPiece]:
    """In each other document, the lines most like those around the cursor."""
    found = [
        piece
        for other in asked.others
        for piece in _similar(asked, other.path, other.lines, "similar code in an open document")
    ]
    yield from sorted(found, key=lambda piece: -piece.score)


def counterpart_of(path: str, paths: Iterable[str]) -> tuple[str, str]:
    """The one of ``paths`` that belongs to ``path`` by its name, and what it is to it; empty where there is none.

    It need not lie beside it: of several, that in folders of the most similar names; none where that doesn't tell.
    """
    names = _counterpart_names(path)
    folders = _folders(path)
    found = sorted(
        (order, -len(folders & _folders(other)), len(folders ^ _folders(other)), other)
        for other in paths
        if other != path and (order := names.get(other.rpartition("/")[2], (-1, ""))[0]) >= 0
    )
    if not found or (len(found) > 1 and found[0][:3] == found[1][:3]):
        return "", ""
    best = found[0][3]
    return best, names[best.rpartition("/")[2]][1]


def _counterpart_names(path: str) -> dict[str, tuple[int, str]]:
    """Names of files that may belong to ``path``, each with its rank and what it would be to it."""
    pure = PurePosixPath(path)
    stem, suffix = pure.stem, pure.suffix
    tested = TEST_NAME.sub("", stem)
    if tested and tested != stem:
        return {f"{tested}{suffix}": (0, "what this tests")}
    names: dict[str, tuple[int, str]] = {}
    if suffix in _HEADERS:
        names |= {f"{stem}{other}": (0, "its source") for other in _BODIES}
    elif suffix in _BODIES:
        names |= {f"{stem}{other}": (0, "its header") for other in _HEADERS}
    return names | {f"{name.format(stem)}{suffix}": (1, "its test") for name in TEST_NAMES}


def _folders(path: str) -> frozenset[str]:
    return frozenset(path.split("/")[:-1]) - _TEST_FOLDERS


def _signatures(
    taken: Outline, wanted: list[Definition], key: Callable[[Definition], object]
) -> Iterator[tuple[Definition, str]]:
    """Definitions, each with its short signature, in an order."""
    offered = offer(taken.language, taken.definitions, taken.imports, [(1, 1)])
    for one in sorted(wanted, key=key):  # type: ignore[arg-type]
        signature = short_signature(one, offered)
        if not signature.endswith(_CUT_OFF):
            yield one, signature


def _definition_piece(path: str, one: Definition, signature: str, reason: str) -> ContextPiece:
    symbol = f"{one.scope}.{one.name}".lstrip(".")
    return ContextPiece(path, one.line, one.end_line, symbol, f"{signature}\n", 1.0, reason)


def _import_piece(path: str, lines: list[str], line: int) -> ContextPiece:
    """An import as it is written, to the line that closes its brackets."""
    last = line
    while last < line + _IMPORT_LINES and _open("\n".join(lines[line - 1 : last])):
        last += 1
    text = " ".join(part.strip() for part in lines[line - 1 : last])
    return ContextPiece(path, line, last, "", f"{text[:_LONGEST_LINE]}\n", 1.0, "imported in this file")


def _open(text: str) -> bool:
    return sum(map(text.count, "([{")) > sum(map(text.count, ")]}"))


def _being_typed(hunk: Hunk, asked: Asked) -> bool:
    return hunk.line - _TYPING_LINES <= asked.line <= hunk.line + len(hunk.after) + _TYPING_LINES


def _hunk_pieces(path: str, found: list[Hunk], line: int) -> Iterator[ContextPiece]:
    nearest = sorted(found, key=lambda hunk: abs(hunk.line - line))[:_MOST_HUNKS]
    for rank, hunk in enumerate(nearest):
        before = [text[:_LONGEST_LINE] for text in hunk.before[:_HUNK_LINES] if text.strip()]
        after = [text[:_LONGEST_LINE] for text in hunk.after[:_HUNK_LINES] if text.strip()]
        if not before and not after:
            continue
        # What only came new is shown as it is.
        text = "".join([f"- {one}\n" for one in before] + [f"+ {one}\n" if before else f"{one}\n" for one in after])
        last = max(hunk.line, hunk.line + len(hunk.after) - 1)
        yield ContextPiece(path, hunk.line, last, "", text, 1 / (1 + rank), "edited recently")


def _telling(lines: Iterable[str]) -> list[tuple[int, str]]:
    """The lines that hardly stand in two files by chance, with their numbers."""
    return [(number, text) for number, line in enumerate(lines, 1) if len(text := line.strip()) >= _TELLING]


def _longest_run(wanted: list[str], lines: list[tuple[int, str]]) -> tuple[int, int] | None:
    """First and last number of the longest run of two or more of ``lines`` that ``wanted`` has too; None: of none."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for at, ((_, one), (_, next_)) in enumerate(pairwise(lines)):
        pairs.setdefault((one, next_), []).append(at)
    best: tuple[int, int] | None = None
    longest = 1
    for start, pair in enumerate(pairwise(wanted)):
        for at in pairs.get(pair, ()):
            here = zip(wanted[start:], (line for _, line in lines[at:]), strict=False)
            length = sum(1 for _ in takewhile(lambda both: both[0] == both[1], here))
            if length > longest:
                longest, best = length, (lines[at][0], lines[at + length - 1][0])
    return best


def _similar(asked: Asked, path: str, lines: list[str], reason: str) -> Iterator[ContextPiece]:
    """The window most like what stands around the cursor, if one is alike at all."""
    best, at = _ALIKE, -1
    names = [names_of(line) for line in lines]
    for first in range(0, max(1, len(lines) - _WINDOW + 1), _WINDOW // 2):
        own = frozenset().union(*names[first : first + _WINDOW])
        score = len(own & asked.names) / max(1, len(own | asked.names))
        if score > best:
            best, at = score, first
    if at >= 0:
        shown = lines[at : at + _WINDOW]
        text = "".join(f"{line[:_LONGEST_LINE]}\n" for line in shown)
        yield ContextPiece(path, at + 1, at + len(shown), "", text, round(best, 3), reason)
