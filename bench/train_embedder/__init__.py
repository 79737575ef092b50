"""Trains the table of `indexer.embedding` from documented source code: ``python -m bench.train_embedder``."""
