"""What a weight costs to compute with on a CPU, by the type it is stored in; a weight in Q4_K costs 1.

Measured with llama.cpp as llama-cpp-python 0.3.36 has it, on one thread of an AMD EPYC with AVX-512, with models that
differ in the type alone (``python -m bench.speeds``); Q5_0 by how fast the default model is, which is half of it.
There, a core reads 33 GB/s, and computes with 20 GB/s of Q4_K, but with 11 of Q8_0: llama.cpp's kernels for one token
differ more than the types' sizes.
"""

from __future__ import annotations

# Type: for one token at a time, and for a batch of 64.
_COSTS = {
    "Q4_K": (1.0, 1.0),
    "Q4_0": (1.05, 1.05),
    "Q5_0": (1.7, 1.6),
    "Q8_0": (3.1, 1.35),
    "Q2_K": (0.85, 1.65),
    "Q3_K": (1.35, 0.9),
    "Q5_K": (1.55, 0.7),
    "Q6_K": (1.2, 1.0),
    "IQ4_XS": (1.4, 0.7),
    "IQ3_S": (3.5, 1.0),
    "F16": (2.1, 1.5),
    "BF16": (2.1, 0.85),
    "MXFP4": (1.15, 1.1),
}
_OTHERS = (2.0, 1.5)
# In a small batch each expert sees a few tokens only.
_EXPERTS_IN_BATCHES = 2.0


def writing_cost(kind: str) -> float:
    """Of a weight of type ``kind`` in each token that is written."""
    return _COSTS.get(kind, _OTHERS)[0]


def reading_cost(kind: str, *, expert: bool) -> float:
    """Of a weight of type ``kind``, in an expert or not, in each token of a prompt."""
    return _COSTS.get(kind, _OTHERS)[1] * (_EXPERTS_IN_BATCHES if expert else 1.0)
