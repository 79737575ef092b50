"""What a replay writes where: stretches of real files, taken out and written back in a human order."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from lsp.documents import cursor_from_file, split_lines
from lsp.errors import MidlineError

# So many characters are written at a place before one goes elsewhere.
PART_CHARS = 120
# Elsewhere, so many lines are written.
VISIT_LINES = 2
# A stretch takes at most this share of a file's lines, so that there is a rest to write it into.
MOST_OF_FILE = 0.5
# Suggestions that are accepted save keystrokes: so many characters are planned for each, and no fewer in all.
CHARS_PER_KEY = 2.0
MIN_CHARS = 600

NEWLINE = re.compile(r"\r\n|\r|\n")
"""A line break as LSP counts it."""


@dataclass(frozen=True)
class Stint:
    """A piece of work at one place.

    Args:
        path: the file.
        start: offset to go to, in the text as all stints before have left it.
        end: what stands from ``start`` up to here is selected and deleted first.
        text: what is written there.
        at_once: it comes from outside, as when an editor reloads a file, and isn't typed.
    """

    path: Path
    start: int
    end: int
    text: str
    at_once: bool = False


@dataclass(frozen=True)
class Plan:
    """The texts to begin with, by file, and what is done to them, in order."""

    initial: Mapping[Path, str]
    stints: Sequence[Stint]

    def final(self) -> dict[Path, str]:
        """The texts after all stints."""
        texts = dict(self.initial)
        for stint in self.stints:
            text = texts[stint.path]
            texts[stint.path] = text[: stint.start] + stint.text + text[stint.end :]
        return texts


@dataclass
class _Hole:
    """A piece taken out of a file's text, from ``start`` to ``end`` there; written back up to ``done``."""

    start: int
    end: int
    done: int


def plan_files(paths: Sequence[Path], keys: int, seed: int) -> Plan:
    """Take a stretch out of each file and some lines elsewhere, and write them back, going to and fro.

    Args:
        paths: the files, in UTF-8.
        keys: about how many keystrokes the plan shall last.
        seed: chooses the stretches.

    Raises:
        MidlineError: a file can't be read, or holds too little to take out.
    """
    rng = random.Random(seed)
    each = int(max(MIN_CHARS, keys * CHARS_PER_KEY) / len(paths))
    plans = [plan_text(path, cursor_from_file(path, 1, 1).text, each, rng) for path in paths]
    # One file's part, then the next's: its next part comes after the others' turn.
    rounds = zip_longest(*(_rounds(plan.stints) for plan in plans), fillvalue=())
    return Plan(
        {path: text for plan in plans for path, text in plan.initial.items()},
        [stint for turn in rounds for stints in turn for stint in stints],
    )


def plan_text(path: Path, text: str, chars: int, rng: random.Random) -> Plan:
    """A plan for one file: its main stretch in parts, each followed by a visit to another place of the file.

    Raises:
        MidlineError: the text has too few lines.
    """
    lines = split_lines(text)
    ends = _line_ends(lines)
    if len(ends) < 4:
        raise MidlineError(f"{path} has too few lines to type into.", "Name a file of at least four lines.")
    main = _stretch(ends, chars, rng)
    visits = _visits(ends, main, chars // PART_CHARS, rng)
    # In the order of the text, so that what stands before a hole is known.
    holes = sorted([main, *visits], key=lambda hole: hole.start)
    initial, position = "", 0
    for hole in holes:
        initial += text[position : hole.start]
        position = hole.end
    initial += text[position:]

    def write(hole: _Hole, end: int) -> Stint:
        missing = sum(other.end - other.done for other in holes if other.start < hole.start)
        start = hole.done - missing
        stint = Stint(path, start, start, text[hole.done : end])
        hole.done = end
        return stint

    stints: list[Stint] = []
    queue = list(visits)
    while main.done < main.end:
        part_ends = [end for end in ends if main.done + PART_CHARS <= end <= main.end]
        stints.append(write(main, min(part_ends, default=main.end)))
        if queue:
            visit = queue.pop(0)
            stints.append(write(visit, visit.end))
    stints += [write(visit, visit.end) for visit in queue]
    return Plan({path: initial}, stints)


def _rounds(stints: Sequence[Stint]) -> list[Sequence[Stint]]:
    """Three stints at a time: part, visit, and back to the next part."""
    return [stints[i : i + 3] for i in range(0, len(stints), 3)]


def _line_ends(lines: Sequence[str]) -> list[int]:
    """The offset of each line's end, just before its line break."""
    ends, position = [], 0
    for line in lines:
        ends.append(position + len(line.rstrip("\r\n")))
        position += len(line)
    return ends


def _stretch(ends: Sequence[int], chars: int, rng: random.Random) -> _Hole:
    """Whole lines of about ``chars`` characters, from the end of the line before to the end of the last."""
    most = max(1, int(len(ends) * MOST_OF_FILE))
    # Places at which the stretch is as long as it should be, or as long as it may.
    starts = range(max(1, len(ends) - most))
    fitting = [i for i in starts if ends[min(i + most, len(ends) - 1)] - ends[i] >= chars]
    first = rng.choice(fitting or list(starts))
    last = next((i for i in range(first + 1, first + most) if ends[i] - ends[first] >= chars), first + most)
    last = min(last, len(ends) - 1)
    return _Hole(ends[first], ends[last], ends[first])


def _visits(ends: Sequence[int], main: _Hole, count: int, rng: random.Random) -> list[_Hole]:
    """Some lines elsewhere, apart from each other and from ``main``."""
    taken = [(main.start, main.end)]
    visits: list[_Hole] = []
    candidates = list(range(len(ends) - VISIT_LINES))
    rng.shuffle(candidates)
    for first in candidates:
        start, end = ends[first], ends[first + VISIT_LINES]
        # A hole's neighbours stay, or two holes would meet in one line.
        near = any(start <= other_end + 1 and end >= other_start - 1 for other_start, other_end in taken)
        if len(visits) < count and not near and end - start > 8:
            taken.append((start, end))
            visits.append(_Hole(start, end, start))
    return visits


def newline_at(text: str, offset: int) -> str:
    r"""The line break at ``offset``: ``\n``, ``\r\n`` or ``\r``; empty where there is none."""
    found = NEWLINE.match(text, offset)
    return found.group() if found else ""
