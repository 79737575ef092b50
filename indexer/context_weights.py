"""The linear model that ranks definitions for a completion: one weight for each of `relevance.FEATURES`.

Learnt by ``python -m bench.retrieval.context --train``: logistic regression, whether a definition's name is about to be
typed, at 70 calls of each of distributed, luigi, mitmproxy, optuna, poetry, tortoise-orm, scrapy and sphinx, with the
cursor at the start of the line and at the called name. None of them is measured on. Windows were
looked for in 16 chunks then, and terms and files were more: learning again gives somewhat different weights.
"""

from __future__ import annotations

WEIGHTS: dict[str, float] = {
    "function": -0.54,
    "method": -1.02,
    "class": -1.06,
    "constant": -1.01,
    "private": -0.55,
    "dunder": -1.15,
    "length": -1.85,
    "imported": 1.29,
    "imported, unused": 2.51,
    "imported file": 0.3,
    "own file": -0.46,
    "same folder": -0.08,
    "test": -0.32,
    "common": -0.38,
    "in suffix": 0.3,
    "in prefix": 0.56,
    "visible": -0.24,
    "similar": 1.12,
    "in similar code": 1.45,
    "receiver": 1.5,
    "receiver nearby": 0.26,
    "behind a dot: method": -0.1,
    "behind a dot: other": -0.75,
    "owner visible": 0.47,
    "receiver, in similar code": 0.19,
    "receiver, common": 0.59,
    "receiver, in prefix": -0.07,
}
