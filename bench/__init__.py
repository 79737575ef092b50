"""Benches: what midline costs and gains, measured beside its peers; ``bench/README.md`` says how to run each."""
