"""The linear model that ranks definitions for a completion: one weight for each of `relevance.FEATURES`."""

from __future__ import annotations

WEIGHTS: dict[str, float] = {
    "imported": 2.0,
    "imported, unused": 1.0,
    "imported file": 0.5,
    "in suffix": 1.0,
    "similar": 1.0,
    "in similar code": 2.0,
    "receiver": 2.0,
    "receiver nearby": 1.0,
    "private": -1.0,
    "dunder": -2.0,
    "visible": -2.0,
}
