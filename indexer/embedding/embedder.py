"""What turns text into vectors, and what puts candidates in order: two interfaces, any model behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.chunk import Chunk


class TextEmbedder(Protocol):
    """Chunks and questions as vectors whose dot product says how well they belong together."""

    @property
    def name(self) -> str:
        """Its identity, different for every version: vectors of another name are not comparable."""

    @property
    def dims(self) -> int:
        """The length of a vector."""

    def embed_chunks(self, path: str, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """The chunks of one file as rows of unit length, ``[len(chunks), dims]``; zeros where nothing is known.

        Args:
            path: The file's path in the workspace, with ``/``: its words belong to the meaning.
            chunks: In any order; a row depends on its own chunk and the path alone.
        """

    def embed_query(self, query: str) -> NDArray[np.float32]:
        """A question or a piece of code as one vector of unit length, ``[dims]``; zeros if nothing is known."""


class TextReranker(Protocol):
    """A slower and better judge for the few candidates that a fast search found."""

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How well each text answers the query, ``[len(texts)]``; higher is better, no fixed scale."""
