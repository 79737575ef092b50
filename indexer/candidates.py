"""What a file offers to a completion: its definitions as short signatures, and what is known of each in arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.chunk import Definition, Import
from indexer.receivers import typed
from indexer.rows import term_id

LONGEST = 110
"""Characters of a short signature."""
STATIC = ("function", "method", "class", "constant", "private", "dunder", "length")
"""What is known of a definition wherever the cursor is: the columns of `Offer.static`."""

_MEMBERS = 10  # method names shown of a class
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_HEAD = re.compile(r"\b(?:class|interface|struct|trait|enum|type|object|module|impl|record|protocol)\b")
_SELVES = frozenset({"self", "cls", "this", "mut self", "&self", "&mut self", "*", "/"})
_TYPE_FIRST = frozenset({"c", "cpp", "csharp", "java", "objective-c", "objective-cpp", "php", "shellscript"})
_OPEN, _CLOSE = "([{<", ")]}>"


@dataclass(frozen=True)
class Offer:
    """What one file defines, as a completion elsewhere may use it; ``n`` definitions."""

    language: str
    imports: tuple[Import, ...]
    definitions: tuple[Definition, ...]
    names: tuple[str, ...]
    """Each definition's name."""
    owners: tuple[str, ...]
    """The name of each one's innermost scope; empty at the top of the file."""
    terms: NDArray[np.uint32]
    """``[n]``: each name as the term that a search for it has."""
    chunks: NDArray[np.int32]
    """``[n]``: in which of the file's chunks each begins; -1 in none."""
    spans: NDArray[np.int32]
    """``[chunks, 2]``: first and last line of each of the file's chunks."""
    static: NDArray[np.float32]
    """``[n, len(STATIC)]``."""
    types: dict[str, str]
    """By the name of a parameter or a constant, the class that it is of."""


def offer(
    language: str, definitions: Iterable[Definition], imports: tuple[Import, ...], spans: list[tuple[int, int]]
) -> Offer:
    """What a file offers.

    Args:
        language: of the file.
        definitions: of its outline.
        imports: of its outline.
        spans: first and last line of each of its chunks.
    """
    shown = tuple(one for one in definitions if _IDENTIFIER.fullmatch(one.name))
    lines = np.array(spans, np.int32).reshape(-1, 2)
    return Offer(
        language,
        imports,
        shown,
        names=tuple(one.name for one in shown),
        owners=tuple(one.scope.rpartition(".")[2] for one in shown),
        terms=np.array([term_id(one.name.strip("_").lower()) for one in shown], np.uint32),
        chunks=_chunks_of(np.array([one.line for one in shown], np.int32), lines),
        spans=lines,
        types=dict(typed(one.signature for one in shown)),
        static=np.array([_static(one) for one in shown], np.float32).reshape(-1, len(STATIC)),
    )


def _chunks_of(lines: NDArray[np.int32], spans: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each line the last chunk that begins above it and reaches it; -1 for none."""
    order = np.argsort(spans[:, 0], kind="stable")
    at = np.searchsorted(spans[order, 0], lines, side="right") - 1
    found = np.where(at >= 0, order[np.maximum(at, 0)] if len(order) else -1, -1)
    return found.astype(np.int32)


def _static(one: Definition) -> tuple[float, ...]:
    dunder = one.name.startswith("__") and one.name.endswith("__")
    return (
        float(one.kind == "function"),
        float(one.kind == "method"),
        float(one.kind in ("class", "type")),
        float(one.kind == "constant"),
        float(one.name.startswith("_") and not dunder),
        float(dunder),
        math.log1p(len(one.signature)) / 5,
    )


def short_signature(one: Definition, offered: Offer) -> str:
    """``Class.name(args)`` without types, or a class with its bases and some of its methods' names."""
    if one.kind in ("class", "type", "module"):
        return _class_head(one, offered)
    if one.kind == "constant":
        return one.signature[:LONGEST]
    scope = one.scope.rpartition(".")[2]
    called = f"{scope}.{one.name}" if scope else one.name
    if one.name in ("__init__", "constructor"):
        called = scope or one.name
    return _cut(f"{called}({', '.join(arguments(one, offered.language))})")


def _class_head(one: Definition, offered: Offer) -> str:
    head = _HEAD.split(one.signature, maxsplit=1)[-1].strip() or one.name
    scope = f"{one.scope}.{one.name}".lstrip(".")
    members = [
        member.name
        for member in offered.definitions
        if member.scope == scope and member.kind != "class" and not member.name.startswith("_")
    ]
    return _cut(f"class {head[:60]}" + (f": {', '.join(members[:_MEMBERS])}" if members else ""))


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(",")[0] or text[:LONGEST]


def arguments(one: Definition, language: str) -> list[str]:
    """The names of a function's parameters as its signature has them, without ``self`` and its like."""
    start = one.signature.find(one.name)
    _, bracket, rest = one.signature[start + len(one.name) :].partition("(")
    if not bracket:
        return []
    names = [_argument(part, language) for part in _parts(rest)]
    return [name for name in names if name and name not in _SELVES]


def _parts(rest: str) -> list[str]:
    """A parameter list, from behind its opening bracket, taken apart at the commas that aren't within brackets."""
    depth, start = 0, 0
    found: list[str] = []
    for at, character in enumerate(rest):
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE and rest[at - 1 : at] not in ("-", "="):  # not arrows
            if depth == 0:
                return [*found, rest[start:at]]
            depth -= 1
        elif character == "," and depth == 0:
            found.append(rest[start:at])
            start = at + 1
    return [*found, rest[start:]]


def _argument(part: str, language: str) -> str:
    part = part.partition("=")[0].strip()
    if part in _SELVES:
        return ""
    stars = part[: len(part) - len(part.lstrip("*."))] if language == "python" else ""
    names: list[str] = _IDENTIFIER.findall(part.partition(":")[0] if language not in _TYPE_FIRST else part)
    if not names:
        return ""
    last = language in _TYPE_FIRST or ":" in part
    return stars + (names[-1] if last else names[0])
