"""One file's text made into what the store keeps of it: outline, search terms, vectors. Pure; runs in any process."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.chunk import Outline
from indexer.documents import document_outline
from indexer.embedding.embedder import TextEmbedder
from indexer.files import Kind
from indexer.interfaces import interface
from indexer.outline import outline
from indexer.rows import Rows, rows_of

VERSION = 2
"""Raised whenever the same file would be redacted or taken apart differently: what was made before is made again."""


@dataclass(frozen=True)
class Record:
    """What the store keeps of one file's content."""

    text: str
    outline: Outline
    rows: Rows


def maker(embedder: TextEmbedder) -> str:
    """Who made a digest; what another maker made is to be made again."""
    return f"{embedder.name}/{VERSION}"


def digest(path: str, language: str, text: str, embedder: TextEmbedder, kind: Kind = "code") -> Record:
    """Take a file apart.

    Args:
        path: relative to the workspace, POSIX; its words are part of what a chunk is found by.
        language: as `indexer.languages.language_of` gives it.
        text: redacted already (`indexer.secrets`): all of it ends up on disk.
        embedder: makes the chunks' vectors.
        kind: what it is taken apart for.
    """
    taken = _OUTLINES[kind](text, language)
    # What packages consist of is on the disk anyhow.
    return Record("" if kind == "interfaces" else text, taken, rows_of(path, taken.chunks, embedder))


_OUTLINES = {"code": outline, "documents": document_outline, "interfaces": interface}
