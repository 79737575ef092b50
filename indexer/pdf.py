"""``python -m indexer.pdf``: print the text of the PDF on stdin as JSON: ``[[page, section, text], …]``, pages from 1.

A PDF is anybody's, and its parts unpack to any size. So it is read by a process of its own with little memory and
little time. A failure is one line on stderr, exit code 1. Sections are those of the PDF's bookmarks.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from indexer.limits import limit_process

DEADLINE_SECONDS = 90.0
"""After which whoever started it gives up waiting."""

_SECONDS = 60.0  # pages that are not read by then are left out
_MEMORY_BYTES = 1 << 30
_MOST_PAGES = 3_000
_MOST_CHARACTERS = 16_000_000
_MOST_BOOKMARKS = 10_000
_LONGEST_TITLE = 80
_DEEPEST = 6
_LEAST_TEXT = 3  # letters a page, on average

Part = tuple[int, str, str]
"""A page or a part of one: its number from 1, its section as ``Guide > Install``, its text."""
Bookmarks = dict[int, list[tuple[str, str]]]
"""Of each page, from 0: the titles that begin there, each with its section."""


class NoTextError(Exception):
    """A PDF has no text that can be read; the message says why."""


def parts(data: bytes) -> list[Part]:
    """The text of a PDF.

    Raises:
        NoTextError: there is none.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    began = time.monotonic()
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NoTextError("it is encrypted")
        total = len(reader.pages)
        bookmarks = _bookmarks(reader)
        found, read = _read(reader, bookmarks, began)
    except (DependencyError, FileNotDecryptedError) as error:
        raise NoTextError("it is encrypted") from error
    if not total:
        raise NoTextError("it has no pages")
    letters = sum(len(text) for _, _, text in found)
    if letters < _LEAST_TEXT * read or not letters:
        raise NoTextError(
            "it has no text: where its pages are images, text recognition (OCR) would have to read them first"
        )
    if read < total:
        found.append((total, "", f"(The pages from {read + 1:,} to {total:,} of this document are not indexed.)"))
    return found


def _read(reader: Any, bookmarks: Bookmarks, began: float) -> tuple[list[Part], int]:
    """The parts of the pages that there is time and room for, and how many pages that are."""
    found: list[Part] = []
    section, size, number, fault = "", 0, -1, ""
    for number, page in enumerate(reader.pages):
        if number >= _MOST_PAGES or size > _MOST_CHARACTERS or time.monotonic() - began > _SECONDS:
            break
        try:
            text = page.extract_text()
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # one broken page of a good document; pypdf raises whatever its parts raise
            text, fault = "", fault or _told(error)
        text = text.replace("\0", "").encode("utf-8", "replace").decode()
        size += len(text)
        cut = list(_parted(text, section, bookmarks.get(number, [])))
        found += [(number + 1, headings, part.strip("\n")) for headings, part in cut if part.strip()]
        section = cut[-1][0]
    else:
        number += 1
    if not found and fault:
        raise NoTextError(f"its pages can't be read ({fault})")
    return found, number


def _parted(text: str, section: str, titles: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """A page's text, cut where the titles of its bookmarks stand; each part with its section."""
    lines = text.split("\n")
    folded = [_folded(line) for line in lines] if titles else []
    first = 0
    for title, following in titles:
        # A title that the page words otherwise counts for all of it, or from where the one before it stands.
        row = next((row for row in range(first, len(lines)) if _folded(title) in folded[row]), first)
        yield section, "\n".join(lines[first:row])
        first, section = row, following
    yield section, "\n".join(lines[first:])


def _folded(text: str) -> str:
    return "".join(text.split()).lower()


def _bookmarks(reader: Any) -> Bookmarks:
    """The titles of each page; none where the bookmarks are broken."""
    found: Bookmarks = {}
    path: tuple[str, ...] = ()
    try:
        for depth, item in islice(_flat(reader.outline, 0), _MOST_BOOKMARKS):
            path = (*path[:depth], " ".join(str(item.title).split())[:_LONGEST_TITLE])
            page = reader.get_destination_page_number(item)
            if page is not None and page >= 0:
                found.setdefault(page, []).append((path[-1], " > ".join(path)))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # as above: a document without sections is still a document
        return found
    return found


def _flat(items: Any, depth: int) -> Iterator[tuple[int, Any]]:
    for item in items:
        if isinstance(item, list):
            if depth < _DEEPEST:
                yield from _flat(item, depth + 1)
        else:
            yield depth, item


def _told(error: Exception) -> str:
    """An error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def main() -> int:
    """Read what stdin holds; returns the exit code."""
    logging.disable()  # pypdf tells of every fault that it mends
    limit_process(int(_SECONDS) + 15, _MEMORY_BYTES)
    try:
        found = parts(sys.stdin.buffer.read())
    except NoTextError as error:
        reason = str(error)
    except MemoryError:
        reason = f"reading it takes more than {_MEMORY_BYTES >> 20} MiB of memory"
    except Exception as error:  # whatever pypdf raises on what is no PDF
        reason = f"it is no PDF that can be read ({_told(error)})"
    else:
        json.dump(found, sys.stdout)
        return 0
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
