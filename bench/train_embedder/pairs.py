"""What there is to learn from: what an author says of a piece of code, and that code without the saying."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.chunk import Chunk
from indexer.embedding.static import fields
from indexer.languages import language_of
from indexer.outline import outline

_LARGEST_FILE = 300_000  # bytes; larger ones are generated or data
_LEFT_OUT = {
    "_vendor", "vendor", "vendored", "_vendored_packages", "extern", "externals", "externs", "third_party",
    "thirdparty", "3rdparty", "contrib", "deps", "node_modules", "test", "tests", "_tests", "testing", "testdata",
    "__tests__", "examples", "example", "benchmarks", "doc", "docs", "locale", "locales", "debian",
}  # fmt: skip
_NO_CODE = {
    "plaintext",
    "json",
    "jsonc",
    "yaml",
    "toml",
    "xml",
    "html",
    "css",
    "scss",
    "less",
    "ini",
    "markdown",
    "restructuredtext",
}
DOCUMENTED = frozenset({"function", "method", "class"})
_LONGEST_LINE = 1000  # characters; a file with a longer one is data, or minified
_MARKS = " \t/*#!\"'`;-"
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)`'\"]{2})[.!?](?=\s|$)|\n\s*\n|\n\s*(?=[@:-])")
_MARKUP = re.compile(r":\w+:`~?([^`]*)`|\{@\w+ ([^}]*)\}|</?\w+>|[`*]")
_WORDS = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that its author answered in advance."""

    package: str
    query: str
    path: str
    chunk: Chunk
    """The answer, without what is asked."""

    def fields(self) -> tuple[str, ...]:
        """The answer's texts, as the embedder sees them."""
        return fields(self.path, [self.chunk])[0]


def chunks_of(root: Path) -> Iterator[tuple[str, Chunk]]:
    """Every chunk of a source tree with its file's path, tests and other people's code in it left out."""
    for file in _files(root):
        for chunk in _chunks(file):
            yield file.relative_to(root).as_posix(), chunk


def _files(root: Path) -> list[Path]:
    def wanted(file: Path) -> bool:
        folders = {part.lower() for part in file.relative_to(root).parts[:-1]}
        code = language_of(file.name) not in _NO_CODE and ".min." not in file.name and not folders & _LEFT_OUT
        return code and file.is_file() and file.stat().st_size <= _LARGEST_FILE

    return [file for file in sorted(root.rglob("*")) if wanted(file)]


def _chunks(file: Path) -> tuple[Chunk, ...]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ()
    if max(map(len, text.splitlines()), default=0) > _LONGEST_LINE:
        return ()
    return outline(text, language_of(file.name)).chunks


def first_sentence(docstring: str) -> str:
    """The first sentence of a docstring or comment, without its markup, on one line."""
    text = _MARKUP.sub(lambda match: match[1] or match[2] or "", docstring.strip())
    return " ".join(_SENTENCE_END.split(text, maxsplit=1)[0].split())


def undocumented(chunk: Chunk) -> Chunk:
    """The chunk without its docstring, in the text as well."""
    said = {line.strip(_MARKS) for line in chunk.docstring.splitlines()} - {""}
    kept = [line for line in chunk.text.splitlines() if _said_part(line) not in said]
    return replace(chunk, docstring="", text="\n".join(kept))


def pairs_of(root: Path, package: str, most: int | None = None, kinds: frozenset[str] = DOCUMENTED) -> list[Pair]:
    """The pairs of a source tree, each question once (what many functions are said to do tells none apart).

    With ``most``, files are taken at random until there are as many; pairs of one file stay together.
    """
    files = _files(root)
    if most:
        random.Random(0).shuffle(files)
    seen: dict[str, Pair | None] = {}
    for file in files:
        if most and len(seen) >= most:
            break
        for chunk in _chunks(file):
            query = first_sentence(chunk.docstring) if chunk.kind in kinds else ""
            if 3 <= len(_WORDS.findall(query)) <= 40 and "generated" not in query.lower():
                path = file.relative_to(root).as_posix()
                seen[query] = None if query in seen else Pair(package, query, path, undocumented(chunk))
    return [pair for pair in seen.values() if pair]


def _said_part(line: str) -> str:
    bare = line.strip(_MARKS)
    return bare.removeprefix('r"""').removeprefix("r'''").strip(_MARKS)
