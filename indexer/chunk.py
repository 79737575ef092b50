"""What a file is made of: chunks to search, definitions and imports to relate files by."""

from __future__ import annotations

from dataclasses import dataclass

SECTIONS = " > "
"""What stands between the headings of a document in a section's name: ``Guide > Install``."""


def split_lines(text: str, most: int = -1) -> list[str]:
    """The lines of a text without their ends, split where editors split: not at form feeds and their like.

    With ``most``, only the first so many are split off; one more item holds the rest.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n", most)


def last_name(symbol: str) -> str:
    """A symbol without what encloses it: ``send`` of ``Session.send``, ``Install`` of ``Guide > Install``."""
    return symbol.rpartition(SECTIONS if SECTIONS in symbol else ".")[2]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file that is found as one: a function, a method, the head of a class, a section of text."""

    start_line: int
    """The first line, from 1."""
    end_line: int
    """The last line, inclusive."""
    kind: str
    """``function``, ``method``, ``class``, ``module`` (what stands between definitions), ``section``, ``text``."""
    symbol: str
    """The qualified name within the file, as ``Session.send``, of a document's section its headings, as
    ``Guide > Install``; empty where there is none."""
    signature: str
    """The definition's head on one line, without its body; empty where there is none."""
    docstring: str
    """What the author says of it (a docstring, or the comment above), without its marks; empty where nothing."""
    text: str
    """The lines themselves; for the head of a class, its members' signatures stand for their bodies."""
    defines: tuple[str, ...] = ()
    """Bare names that it defines."""
    uses: tuple[str, ...] = ()
    """Bare names that it calls or otherwise refers to, each once, in order."""
    page: int = 0
    """Of a document that has pages, from 1."""

    @property
    def scope(self) -> str:
        """What encloses it, as ``Session``; empty at the top of a file."""
        return self.symbol.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Definition:
    """A named thing that other code can refer to."""

    name: str
    kind: str
    """``function``, ``method``, ``class``, ``constant`` (a name at the top of a file), ``type``, ``module``."""
    scope: str
    """What encloses it, as ``Session``; empty at the top of a file."""
    signature: str
    """Its head on one line; of a class, without its members."""
    line: int
    """From 1."""
    end_line: int
    """Inclusive."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import as it is written: of a module, or of names out of it."""

    module: str
    """As written: ``..models``, ``./api``, ``net/http``, ``crate::store``, ``<stdio.h>`` without its marks."""
    names: tuple[str, ...]
    """The names that it brings into the file, under which the code below uses them; a star is ``*``."""
    line: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A file, taken apart."""

    language: str
    chunks: tuple[Chunk, ...] = ()
    definitions: tuple[Definition, ...] = ()
    imports: tuple[Import, ...] = ()
