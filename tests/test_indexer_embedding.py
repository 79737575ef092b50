"""The embedder: what is said of code lies near it, whatever the text; the table that is shipped is whole."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chunk import Chunk
from indexer.embedding import StaticEmbedder, TextEmbedder, TextReranker, default_embedder, reranker
from indexer.embedding.static import ROLES, TABLE


def function(symbol: str, text: str, signature: str = "", docstring: str = "") -> Chunk:
    return Chunk(1, text.count("\n") + 1, "function", symbol, signature, docstring, text)


CODE = {
    "io/reader.py": function(
        "read_lines", "def read_lines(path):\n    with open(path) as f:\n        return f.readlines()"
    ),
    "net/client.py": function("connect", "def connect(host, port):\n    return socket.create_connection((host, port))"),
    "auth/users.py": function(
        "check_password", "def check_password(user, password):\n    return compare(hash(password), user.hash)"
    ),
    "sorting.py": function("merge", "def merge(left, right):\n    return sorted(left + right)"),
    "web/routes.ts": function(
        "handleRequest", "function handleRequest(req: Request): Response {\n  return new Response(req.body);\n}"
    ),
    "cache.go": function("Evict", "func (c *Cache) Evict(key string) {\n\tdelete(c.items, key)\n}"),
}


@pytest.fixture(scope="module")
def embedder() -> TextEmbedder:
    return default_embedder()


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("get all lines of a file", "io/reader.py"),
        ("open a network connection to a server", "net/client.py"),
        ("verify the credentials that someone logs in with", "auth/users.py"),
        ("combine two ordered lists into one", "sorting.py"),
        ("answer an HTTP request", "web/routes.ts"),
        ("remove an entry from the cache", "cache.go"),
    ],
)
def test_a_question_lies_nearest_to_the_code_that_answers_it(embedder: TextEmbedder, question: str, path: str) -> None:
    asked = embedder.embed_query(question)
    scores = {file: float(embedder.embed_chunks(file, [chunk])[0] @ asked) for file, chunk in CODE.items()}
    assert max(scores, key=lambda file: scores[file]) == path


def test_rows_are_of_unit_length_and_zero_where_nothing_is_known(embedder: TextEmbedder) -> None:
    chunks = [*CODE.values(), Chunk(1, 1, "text", "", "", "", "")]
    rows = embedder.embed_chunks("", chunks)
    assert rows.shape == (len(chunks), embedder.dims)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1.0] * len(CODE) + [0.0], abs=1e-5)
    assert not embedder.embed_query("").any()
    assert not embedder.embed_query("qzxjvkwqq 的 ??").any()
    assert embedder.embed_chunks("a.py", []).shape == (0, embedder.dims)


def test_a_chunk_means_the_same_whatever_stands_beside_it(embedder: TextEmbedder) -> None:
    chunks = list(CODE.values()) * 40  # more than are computed at a time
    together = embedder.embed_chunks("pkg/mod.py", chunks)
    alone = np.concatenate([embedder.embed_chunks("pkg/mod.py", [chunk]) for chunk in chunks])
    assert together == pytest.approx(alone, abs=1e-5)


def test_identifiers_are_read_by_their_parts(embedder: TextEmbedder) -> None:
    asked = embedder.embed_query("parse the config file")
    for spelling in ("parse_config_file", "parseConfigFile", "ParseConfigFile", "PARSE_CONFIG_FILE"):
        assert float(embedder.embed_query(spelling) @ asked) > 0.6
        assert float(embedder.embed_query(spelling) @ embedder.embed_query("draw the window border")) < 0.3


def test_what_the_author_says_and_where_it_stands_count(embedder: TextEmbedder) -> None:
    asked = embedder.embed_query("decode a compressed image")
    bare = function("run", "def run(data):\n    return step(data)")
    said = replace(bare, docstring="Decompress and decode an image.")
    plain, documented = embedder.embed_chunks("misc.py", [bare, said]) @ asked
    placed = embedder.embed_chunks("image_decoder.py", [bare])[0] @ asked
    assert documented > plain
    assert placed > plain


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200), st.text(max_size=80))
def test_any_text_gives_a_finite_vector(text: str, path: str) -> None:
    embedder = default_embedder()
    rows = embedder.embed_chunks(path, [function(text, text, text, text)])
    for row in (rows[0], embedder.embed_query(text)):
        assert np.isfinite(row).all()
        assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-4) or not row.any()


def test_the_shipped_table_is_whole_and_named_after_what_is_in_it() -> None:
    words = (TABLE / "words.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(words)) == len(words)
    assert StaticEmbedder().dims == 256
    assert np.load(TABLE / "vectors.npy", mmap_mode="r").shape == (len(words), 256)
    assert np.load(TABLE / "weights.npy").shape == (len(words), len(ROLES))
    content = b"".join((TABLE / name).read_bytes() for name in ("vectors.npy", "weights.npy", "words.txt"))
    named = json.loads((TABLE / "table.json").read_text())["name"]
    assert named == StaticEmbedder().name
    assert named.endswith(blake2b(content, digest_size=6).hexdigest())
    assert sum(file.stat().st_size for file in TABLE.iterdir()) <= 10_000_000


def test_another_table_has_another_name_and_its_own_words(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.array([[3, 4], [4, -3]], np.int8))
    np.save(tmp_path / "weights.npy", np.ones((2, len(ROLES)), np.float32))
    (tmp_path / "words.txt").write_text("read\nwrite\n")
    (tmp_path / "table.json").write_text('{"name": "small"}')
    small = StaticEmbedder(tmp_path)
    assert (small.name, small.dims) == ("small", 2)
    assert small.embed_query("READ") == pytest.approx([0.6, 0.8])
    assert small.embed_query("readWrite") == pytest.approx(np.array([7, 1]) / np.sqrt(50))
    assert not small.embed_query("file").any()


def test_the_reranker_judges_if_its_extra_is_installed() -> None:
    judge: TextReranker | None = reranker()
    if judge is None:
        pytest.skip("the extra rerank is not installed")
    texts = [chunk.text for chunk in CODE.values()]
    scores = judge.scores("get all lines of a file", texts)
    assert scores.shape == (len(texts),)
    assert int(scores.argmax()) == 0
    assert judge.scores("anything", []).shape == (0,)
