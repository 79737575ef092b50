"""The pieces of the workspace that a question is answered from, numbered, and the citations of them in an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexer.languages import language_of

LineCount = Callable[[str], int]
"""How many lines a file of the workspace has, by its path; 0 for one that isn't there."""


@dataclass(frozen=True)
class Source:
    """A piece of a file. Lines count from 1, the last one included; ``reason`` says why it is here.

    Of a document, ``section`` holds its headings down to the piece (``Guide > Install``), ``page`` its page, from 1.
    """

    number: int
    path: str
    start_line: int
    end_line: int
    symbol: str
    text: str
    reason: str
    score: float = 0.0
    section: str = ""
    page: int = 0

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, as a citation of it says; section and page of documents only."""
        headings = {"section": self.section, "page": self.page}
        place = {"path": self.path, "start_line": self.start_line, "end_line": self.end_line}
        return place | {name: value for name, value in headings.items() if value}

    def as_dict(self) -> dict[str, Any]:
        """As the wire has it, without its text."""
        about = {"symbol": self.symbol, "score": round(self.score, 3), "reason": self.reason}
        return {"number": self.number} | self.place | about

    @classmethod
    def of(cls, told: dict[str, Any]) -> Source:
        """A source as an earlier answer was kept with it, without its text."""
        return cls(
            told["number"], told["path"], told["start_line"], told["end_line"], told["symbol"], "", told["reason"],
            section=told.get("section", ""), page=told.get("page", 0),
        )  # fmt: skip


_INTRODUCTION = "Sources from the workspace:"


def numbered(
    sources: Sequence[Source], earlier: Sequence[Source], told: Sequence[str]
) -> tuple[list[Source], list[Source]]:
    """Sources in a conversation: those that it has already keep their numbers, new ones get the next.

    Args:
        sources: what a question is answered from.
        earlier: what the questions before it were.
        told: what the model will read of those questions.

    Returns:
        Those that the model has not read yet, and those that it has.
    """
    fresh: list[Source] = []
    again: list[Source] = []
    places = {(one.path, one.start_line, one.end_line): one.number for one in earlier}
    following = max((one.number for one in earlier), default=0) + 1
    for source in sources:
        number = places.get((source.path, source.start_line, source.end_line))
        if number and any(_body(source) in text for text in told):
            again.append(replace(source, number=number))
        else:
            fresh.append(replace(source, number=following + len(fresh)))
    return fresh, again


def question_with(sources: Sequence[Source], question: str, again: Sequence[Source] = ()) -> str:
    """What the model reads of a question: the sources with their numbers, then the question.

    Args:
        sources: those that it has not read yet.
        question: the message.
        again: those that stand further up in the conversation.
    """
    if not sources and not again:
        return question
    if not sources:
        numbers = ", ".join(f"[{source.number}]" for source in again)
        return f"The sources {numbers} above are about this.\n\n{question}"
    shown = "\n\n".join(map(_shown, sources))
    return (
        f"{_INTRODUCTION}\n\n{shown}\n\n"
        f"Answer from these sources. Name the ones you use by their number, like [{sources[0].number}].\n\n{question}"
    )


def has_sources(prompt: str) -> bool:
    """Whether a question, as the model reads it, begins with sources."""
    return prompt.startswith(_INTRODUCTION)


def _shown(source: Source) -> str:
    lines = f", page {source.page}" if source.page else f":{source.start_line}-{source.end_line}"
    name = source.symbol or source.section
    # Why a search found it says nothing about what it is.
    why = f" ({source.reason})" if source.reason and not source.score else ""
    where = f"[{source.number}] {source.path}{lines}{' ' if name else ''}{name}{why}"
    return f"{where}\n{_body(source)}"


def _body(source: Source) -> str:
    fence = "```"
    while fence in source.text:
        fence += "`"
    language = "" if source.page else language_of(source.path)
    text = source.text.strip("\n")
    return f"{fence}{language}\n{text}\n{fence}"


@dataclass(frozen=True)
class Checked:
    """An answer whose citations all exist.

    Args:
        text: the answer, without the citations that don't.
        citations: the places cited, each once, in the order of the text: ``path``, ``start_line``, ``end_line``.
        removed: how many were taken out.
    """

    text: str
    citations: list[dict[str, Any]]
    removed: int


_CODE = re.compile(r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
# ``[3]``, ``[1, 2][3]`` in prose: not an index (``a[0]``), a link (``[1](url)``, ``[1]: url``), or a box (``[ ]``).
_NUMBERS = r"(?<![A-Za-z0-9_\])`])(?P<numbers>(?:\[\d{1,3}(?:\s*,\s*\d{1,3})*\])+)(?![(:`])"
_PLACE = r"(?<![\w/.@:-])(?P<path>/?(?:[\w.@+-]+/)*[\w.@+-]*\w):(?P<start>\d{1,7})(?:-(?P<end>\d{1,7}))?(?![\w:/])"
_ASCII_END = re.compile(r"[\x00-\x7f]*$")
_PLACES = re.compile(_PLACE)
_CITED = re.compile(f"(?P<space> ?){_NUMBERS}|{_PLACE}")
_SPAN = re.compile(r"`[^`\n]+`")


def check_citations(text: str, sources: Sequence[Source], line_count: LineCount) -> Checked:
    """Check what an answer cites: ``[n]`` against the sources, ``path:line`` and ``path:line-line`` against the files.

    Code in fences is left alone.
    """
    checker = _Checker({source.number: source for source in sources}, line_count)
    removed = -1
    while checker.removed != removed:  # what is taken out may leave another behind: [[9]7]
        removed, checker.citations = checker.removed, []
        text = _checked(text, checker)
    return Checked(text, checker.citations, removed)


def _checked(text: str, checker: _Checker) -> str:
    """The text without what the checker takes out, code in fences left alone."""
    parts: list[str] = []
    end = 0
    for block in _CODE.finditer(text):
        parts += [checker.prose(text[end : block.start()]), block.group()]
        end = block.end()
    parts.append(checker.prose(text[end:]))
    return "".join(parts)


def _split_ascii_end(text: str) -> tuple[str, str]:
    end = _ASCII_END.search(text)
    assert end is not None
    return text[: end.start()], end.group()


class _Checker:
    def __init__(self, sources: dict[int, Source], line_count: LineCount) -> None:
        self.citations: list[dict[str, Any]] = []
        self.removed = 0
        self._sources = sources
        self._line_count = line_count

    def prose(self, text: str) -> str:
        """A stretch of text between blocks of code; what is in backticks may be a place, but never a number."""
        parts: list[str] = []
        end = 0
        for span in _SPAN.finditer(text):
            parts.append(self._plain(text[end : span.start()]))
            inside = _PLACES.sub(self._place, span.group())
            parts.append(inside if inside == span.group() or inside.strip("` ") else "")
            end = span.end()
        return "".join([*parts, self._plain(text[end:])])

    def _plain(self, text: str) -> str:
        return _CITED.sub(lambda found: self._numbered(found) if found["numbers"] else self._place(found), text)

    def _numbered(self, found: re.Match[str]) -> str:
        brackets = "".join(map(self._bracket, found["numbers"][1:-1].split("][")))
        return found["space"] + brackets if brackets else ""

    def _bracket(self, inside: str) -> str:
        """``[1, 2]`` from what is inside it, less what doesn't exist."""
        numbers = [int(number) for number in inside.split(",")]
        known = [number for number in numbers if number in self._sources]
        for number in known:
            self._cite(self._sources[number].place)
        self.removed += len(numbers) - len(known)
        if len(known) == len(numbers):
            return f"[{inside}]"
        return f"[{', '.join(map(str, known))}]" if known else ""

    def _place(self, found: re.Match[str]) -> str:
        before, path, start = "", found["path"], int(found["start"])
        end = int(found["end"] or start)
        lines = self._line_count(path)
        if not lines and not path.isascii():  # Chinese is written without spaces
            before, path = _split_ascii_end(path)
            lines = self._line_count(path)
        if not lines and "/" not in path and language_of(path) == "plaintext":
            return found[0]  # a time, a port, a ratio: it never was a file
        if not 1 <= start <= end <= lines:
            self.removed += 1
            return before + (path if lines else "")
        self._cite({"path": path, "start_line": start, "end_line": end})
        return found[0]

    def _cite(self, place: dict[str, Any]) -> None:
        if place not in self.citations:
            self.citations.append(place)
