"""Documents that people read: what counts as one, the text of those that aren't text, and their sections and pages."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from indexer import cutting
from indexer.chunk import Chunk, Outline
from indexer.content import decode
from indexer.languages import language_of
from indexer.outline import outline
from indexer.pdf import DEADLINE_SECONDS
from indexer.webpage import markdown_of

_EXTRACTED = frozenset({"html", "pdf"})
_TEXT = frozenset({"markdown", "restructuredtext"})
_PLAIN = (".txt", ".text", ".asc", ".adoc", ".asciidoc", ".org", ".man", ".log.md")
_BARE = frozenset({"readme", "changelog", "changes", "news", "license", "copying", "notice", "todo", "faq", "authors"})
# What the text is taken apart as: underlined titles are found in plain text, too.
_WRITTEN_IN = {"html": "markdown", "plaintext": "restructuredtext"}
_PAGE = "\f"
"""What a line of a PDF's text begins with that says which page and section follows: no line of its own does."""


def is_document(path: str) -> bool:
    """Whether a file is prose, by its name."""
    return not by_name(path)


def by_name(path: str) -> str:
    """Why a file is no document, judged by its name; empty if it is one."""
    language = language_of(path)
    name = path.rpartition("/")[2].lower()
    if language in _EXTRACTED | _TEXT or name.endswith(_PLAIN) or name in _BARE:
        return ""
    return "it is no document: neither Markdown, reStructuredText, text, HTML nor PDF"


def is_extracted(path: str) -> bool:
    """Whether a document's text is not what stands in its file, so that its lines are those of the text."""
    return language_of(path) in _EXTRACTED


def extracted(path: str, data: bytes) -> str:
    """The text of an HTML page as Markdown, or of a PDF with its pages marked, to be taken apart below.

    Raises:
        ValueError: there is none; the message says why.
    """
    if language_of(path) == "pdf":
        return _pdf(data)
    decoded = decode(data)
    if decoded is None:
        raise ValueError("its content is binary")
    text = markdown_of(decoded[0])
    if not text:
        raise ValueError("it has no text but scripts and the like")
    return text


def _pdf(data: bytes) -> str:
    """The text of a PDF, read by a process of its own: such files are anybody's, and may be made to harm."""
    if b"%PDF-" not in data[:1024]:
        raise ValueError("it is no PDF, whatever its name says")
    # -P: a file named like a module of ours in the current folder must not be imported.
    command = [sys.executable, "-P", "-m", "indexer.pdf"]
    try:
        child = subprocess.run(command, input=data, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"reading it takes more than {DEADLINE_SECONDS:g} s") from error
    except OSError as error:
        raise ValueError(f"no process can be started to read it: {error.strerror or error}") from error
    if child.returncode < 0:
        raise ValueError("reading it takes more time or memory than is allowed")
    if child.returncode:
        said = child.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(said[-1].rstrip(".") if said else "it can't be read")
    lines: list[str] = []
    for page, section, text in json.loads(child.stdout):
        lines += [f"{_PAGE}{page} {section}".rstrip(), *text.replace(_PAGE, "").split("\n")]
    return "\n".join(lines)


def document_outline(text: str, language: str) -> Outline:
    """A document taken apart at its headings, or page by page; ``text`` is as `extracted` gives it."""
    if language != "pdf":
        return outline(text, _WRITTEN_IN.get(language, language))
    rows = text.split("\n")
    lines = cutting.Lines(rows, language)
    marks = [row for row, line in enumerate(rows) if line.startswith(_PAGE)]
    found: list[Chunk] = []
    for mark, end in zip(marks, [*marks[1:], len(rows)], strict=True):
        page, _, section = rows[mark].removeprefix(_PAGE).partition(" ")
        found += [replace(chunk, page=int(page)) for chunk in _of_page(lines, mark + 1, end - 1, section)]
    return Outline(language, tuple(found))


def _of_page(lines: cutting.Lines, first: int, last: int, section: str) -> list[Chunk]:
    if first > last:
        return []
    kind = "section" if section else "text"
    return [
        Chunk(start + 1, end + 1, kind, section, "", "", text)
        for start, end, text in cutting.pieces(lines, first, last, None, cutting.LOOSE_LINES)
        if text.strip()
    ]
