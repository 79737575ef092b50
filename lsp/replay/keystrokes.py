"""Keystrokes from a plan: what a person and their editor do to write the planned text, seeded and pure.

The editor indents new lines, closes brackets and quotes, and types over what it closed, as VS Code does; the person
mistypes and corrects, and accepts suggestions that are what they were about to type.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from lsp.replay.pairs import pairs
from lsp.replay.plan import NEWLINE, Plan, Stint, newline_at

Kind = Literal[
    "open",  # another file comes to the front, for the first time
    "switch",  # a file that was open already does
    "jump",  # the cursor goes to another place of the file
    "step",  # the cursor passes what the editor has put there
    "trim",  # the editor removes the indentation of a line left blank
    "reload",  # the text changes from outside
    "char",
    "enter",
    "tab",
    "backspace",
    "delete",
    "over",  # typing what the editor has put there already
    "accept",
]
# Those after which an editor asks for a completion.
KEYS: frozenset[Kind] = frozenset({"char", "enter", "tab", "backspace", "delete", "over", "accept"})

TYPO = 0.025
ACCEPT = 0.6
# Nobody reaches for another key to save fewer characters.
ACCEPT_CHARS = 4
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "0123456789")
_NEIGHBOURS = {a: b for row in _ROWS for a, b in [*pairwise(row), (row[-1], row[-2])]}


@dataclass(frozen=True)
class Edit:
    """Replace the text from ``start`` to ``end`` (offsets in code points) with ``text``."""

    start: int
    end: int
    text: str

    def apply(self, text: str) -> str:
        """``text`` after the edit."""
        return text[: self.start] + self.text + text[self.end :]


@dataclass(frozen=True)
class Event:
    """One thing that the person or the editor does.

    Args:
        kind: what it is.
        path: the file.
        edits: changes of the text, each in the text that the one before has left.
        cursor: the cursor's offset afterwards.
        ahead: what the person is about to write from there on, in this stint; empty after a mistake.
        pause: seconds until the next event.
    """

    kind: Kind
    path: Path
    edits: tuple[Edit, ...]
    cursor: int
    ahead: str
    pause: float


# Takes what is on the screen behind the cursor as a suggestion: a text to insert there.
Keystrokes = Generator[Event, str, None]


def keystrokes(plan: Plan, seed: int) -> Keystrokes:
    """All events that turn ``plan.initial`` into ``plan.final()``, whatever is suggested meanwhile.

    Equal seeds and equal suggestions give equal events. Send it the suggestion on the screen to get the next event.
    """
    texts = dict(plan.initial)
    current: Path | None = None
    opened: set[Path] = set()
    for number, stint in enumerate(plan.stints):
        kind: Kind = "jump"
        if stint.path != current:
            kind = "switch" if stint.path in opened else "open"
        current = stint.path
        opened.add(stint.path)
        yield from _Typist(stint, texts, f"{seed}/{number}").work(kind)


@dataclass
class _Closer:
    """What the editor has put right of the cursor, and where in the stint's text it belongs."""

    text: str
    index: int


@dataclass
class _Typist:
    """Writes one stint's text. Before the cursor stands ``text[:done] + surplus``, after it ``closers``."""

    stint: Stint
    texts: dict[Path, str]
    seed: str
    done: int = 0
    surplus: str = ""
    closers: list[_Closer] = field(default_factory=list)
    rng: random.Random = field(default_factory=random.Random)
    _pairs: Mapping[int, int] = field(default_factory=dict)
    _unit: str = "    "

    @property
    def text(self) -> str:
        return self.stint.text

    @property
    def cursor(self) -> int:
        return self.stint.start + self.done + len(self.surplus)

    def work(self, arrival: Kind) -> Keystrokes:
        stint = self.stint
        self.rng.seed(self.seed)
        if stint.at_once:
            yield self._event("reload", 1.0, Edit(stint.start, stint.end, stint.text), done=len(stint.text))
            return
        self._pairs = pairs(self.text)
        self._unit = _indent_unit(self.texts[stint.path])
        yield self._event(arrival, 0.8 + self._about(0.8))
        if stint.end > stint.start:
            yield self._event("delete", 0.3 + self._about(0.3), Edit(stint.start, stint.end, ""))
        shown = ""
        while self.done < len(self.text):
            shown = yield from self._key(shown)
        if self.surplus:
            yield self._remove("trim", len(self.surplus))

    # Each of these ends with the suggestion that is on the screen after its last event.

    def _key(self, shown: str) -> Generator[Event, str, str]:
        # By place: what was accepted before changes nothing of how a place is typed.
        self.rng.seed(f"{self.seed}/{self.done}")
        if accepted := self._acceptable(shown):
            insert = Edit(self.cursor, self.cursor, accepted)
            return (yield self._event("accept", self._about(0.5), insert, done=self.done + len(accepted)))
        if self.closers and self.closers[-1].index == self.done:
            if self.surplus:
                yield self._remove("trim", len(self.surplus))
            return (yield self._pass_closer())
        char = self.text[self.done]
        if newline := newline_at(self.text, self.done):
            return (yield from self._enter(newline))
        if char in _NEIGHBOURS and self.rng.random() < TYPO:
            shown = yield from self._mistype(char)
        closing = self._pairs.get(self.done)
        if closing is not None and self._closes_itself():
            self.closers.append(_Closer(self.text[closing], closing))
            return (yield self._insert("char", char, self.text[closing]))
        return (yield self._insert("char", char))

    def _acceptable(self, shown: str) -> str:
        """The part of a suggestion to accept: all of it, or its first line where the rest is wrong."""
        limit = self.closers[-1].index if self.closers else len(self.text)
        ahead = self.text[self.done : limit]
        line = shown.split("\n")[0].rstrip("\r")
        if self.surplus or len(shown) < ACCEPT_CHARS or not shown.strip():
            return ""
        if not ahead.startswith(shown):
            whole_line = ahead.startswith(line) and (line == ahead or newline_at(ahead, len(line)))
            shown = line if whole_line and len(line) >= ACCEPT_CHARS else ""
        return shown if shown and self.rng.random() < ACCEPT else ""

    def _pass_closer(self) -> Event:
        closer = self.closers.pop()
        end = self.done + len(closer.text)
        if len(closer.text) > 1:  # it stands on a line of its own: the cursor goes there
            return self._event("step", self._about(0.4), done=end)
        return self._event("over", self._about(0.15), Edit(self.cursor, self.cursor + 1, closer.text), done=end)

    def _enter(self, newline: str) -> Generator[Event, str, str]:
        """A new line, indented as the editor does it, and then as it should be."""
        start = self.done + len(newline)
        wanted = _indentation(self.text, start)
        before = self.texts[self.stint.path][: self.cursor]
        line = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
        indent = _indentation(line, 0)
        edits: list[Edit] = []
        position = self.cursor
        if self.surplus:  # the indentation of a line that stays blank
            position -= len(self.surplus)
            edits.append(Edit(position, self.cursor, ""))
            indent = self.surplus
        elif line.rstrip().endswith((":", "(", "[", "{")):
            indent += self._unit
        blank = start == len(self.text) or bool(newline_at(self.text, start))
        if not blank and not (wanted.startswith(indent) or indent.startswith(wanted)):
            indent = wanted  # spaces here, tabs there: no rule helps
        edits.append(Edit(position, position, newline + indent))
        if chunk := self._own_line():
            end = position + len(newline + indent)
            edits.append(Edit(end, end, chunk))
            self.closers[-1] = _Closer(chunk + self.closers[-1].text, self.closers[-1].index - len(chunk))
        kept = indent if indent.startswith(wanted) else ""
        common = wanted if kept else indent
        self.surplus = indent[len(common) :] if not blank else indent
        done = start + (len(common) if not blank else 0)
        shown = yield self._event("enter", self._thinking(), *edits, done=done)
        if blank:
            return shown
        while self.surplus:
            shown = yield self._remove("backspace", min(len(self.surplus), len(self._unit)))
        while self.done < start + len(wanted):
            step = self.text[self.done : min(self.done + len(self._unit), start + len(wanted))]
            shown = yield self._insert("tab", step)
        return shown

    def _own_line(self) -> str:
        """The line break and indentation that Enter puts before a closing bracket right behind its opening one."""
        if not self.closers or self.surplus:
            return ""
        closer = self.closers[-1]
        before = self.text[: closer.index]
        chunk = before[len(before.rstrip(" \t\r\n")) :]
        breaks = list(NEWLINE.finditer(chunk))
        chunk = chunk[breaks[-1].start() :] if breaks else ""
        opened = self.done > 0 and self._pairs.get(self.done - 1) == closer.index
        apart = len(chunk) < closer.index - self.done
        return chunk if opened and apart else ""

    def _mistype(self, char: str) -> Generator[Event, str, str]:
        """A wrong key and perhaps some right ones after it, and all of them taken back."""
        wrong = _NEIGHBOURS[char]
        following = self.text[self.done + 1 : self.done + 1 + self.rng.randrange(3)]
        typed = wrong + (following if following.isalnum() else "")
        for key in typed:
            self.surplus += key
            position = self.cursor - 1
            yield self._event("char", self._about(0.16), Edit(position, position, key))
        shown = ""
        while self.surplus:
            shown = yield self._remove("backspace", 1)
        return shown

    def _closes_itself(self) -> bool:
        """Whether the editor adds the closing bracket: not where a word follows the cursor."""
        after = self.texts[self.stint.path][self.cursor : self.cursor + 1]
        return not after or after.isspace() or after in ")]}\"',;:"

    def _insert(self, kind: Kind, text: str, closer: str = "") -> Event:
        edit = Edit(self.cursor, self.cursor, text + closer)
        done = self.done + len(text)
        return self._event(kind, self._typing(text[-1]), edit, done=done)

    def _remove(self, kind: Kind, count: int) -> Event:
        end = self.cursor
        self.surplus = self.surplus[:-count]
        return self._event(kind, self._about(0.14), Edit(end - count, end, ""))

    def _event(self, kind: Kind, pause: float, *edits: Edit, done: int | None = None) -> Event:
        path = self.stint.path
        for edit in edits:
            self.texts[path] = edit.apply(self.texts[path])
        self.done = self.done if done is None else done
        ahead = "" if self.surplus or self.stint.at_once else self.text[self.done :]
        return Event(kind, path, edits, self.cursor, ahead, round(pause, 3))

    # Seconds, as people type: bursts within a line, pauses between lines, now and then a longer thought.

    def _about(self, median: float) -> float:
        return median * self.rng.lognormvariate(0.0, 0.35)

    def _typing(self, typed: str) -> float:
        ends_line = bool(newline_at(self.text, self.done + 1))
        return self._about(0.3 if ends_line else 0.14 if typed.isalnum() else 0.2)

    def _thinking(self) -> float:
        longer = self.rng.uniform(3.0, 8.0) if self.rng.random() < 0.06 else 0.0
        return self.rng.lognormvariate(0.0, 0.6) + longer


def _indentation(text: str, start: int) -> str:
    """The spaces and tabs from ``start`` on."""
    end = start
    while end < len(text) and text[end] in " \t":
        end += 1
    return text[start:end]


def _indent_unit(text: str) -> str:
    """What one more level of indentation is in a text."""
    indents = [_indentation(line, 0) for line in text.splitlines() if line.strip()]
    if any(indent.startswith("\t") for indent in indents):
        return "\t"
    widths = [len(indent) for indent in indents if len(indent) > 1]
    return " " * min(widths, default=4)
