"""Measures `indexer`: from questions to code (``python -m bench.retrieval``), and speed (with ``speed`` behind it)."""
