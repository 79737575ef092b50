"""The index in memory equals one made afresh, whatever came before; its words and vectors find what they should."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexer_support import change, held, record

from indexer import lexical, segment, vectors
from indexer.embedding import default_embedder
from indexer.rows import query_terms, term_id
from indexer.store import Change, Store
from indexer.tokens import words
from indexer.view import Views

MAKER = "test"
DIMS = default_embedder().dims
PATHS = ("a.py", "b/c.py", "b/d.py", "e.py")
TEXTS = ("open the file", "close the socket", "parse_header(line)", "send request", "retry later", "文件 读取")

steps = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(PATHS), st.lists(st.sampled_from(TEXTS), max_size=3)),
    st.tuples(st.just("remove"), st.sampled_from(PATHS), st.just([])),
    st.tuples(st.just("overlay"), st.sampled_from(PATHS), st.lists(st.sampled_from(TEXTS), max_size=3)),
    st.tuples(st.just("let go"), st.sampled_from(PATHS), st.just([])),
    st.tuples(st.sampled_from(["merge", "look"]), st.just(""), st.just([])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=14))
def test_a_view_is_what_was_written_with_the_editors_text_over_it(history: list[tuple[str, str, list[str]]]) -> None:
    disk: dict[str, list[str]] = {}
    editor: dict[str, list[str]] = {}
    with TemporaryDirectory() as folder:
        store = Store.open(Path(folder))
        views = Views(store, MAKER, DIMS)
        for step, path, texts in history:
            if step == "write":
                store.apply([change(path, texts, MAKER)], MAKER)
                disk[path] = texts
            elif step == "remove":
                store.apply([Change(path, gone=True)], MAKER)
                disk.pop(path, None)
            elif step == "overlay":
                views.overlay(path, record(path, texts))
                editor[path] = texts
            elif step == "let go":
                views.overlay(path, None)
                editor.pop(path, None)
            elif step == "merge":
                views.merge()
            else:
                views.current()
        expected = {path: texts for path, texts in (disk | editor).items() if texts}
        assert held(views.current()) == expected
        # Another process, which has seen nothing of all that, finds what is on the disk.
        reader = Views(Store.open(Path(folder), writable=False), MAKER, DIMS)
        assert held(reader.current()) == {path: texts for path, texts in disk.items() if texts}
        store.close()


@given(st.lists(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4), min_size=1, max_size=4))
def test_bm25_is_that_of_its_definition(files: list[list[str]]) -> None:
    made = [record("", texts) for texts in files]
    part = segment.build(((number, one.rows) for number, one in enumerate(made, 1)), DIMS)
    documents = [Counter(words(chunk.text) + words(chunk.symbol)) for one in made for chunk in one.outline.chunks]
    mean = sum(document.total() for document in documents) / len(documents)
    query = "parse the file header"
    expected = np.zeros(len(documents))
    for term in words(query):
        df = sum(term in document for document in documents)
        for row, document in enumerate(documents):
            tf = document[term]
            norm = 1.2 * (1 - 0.75 + 0.75 * document.total() / mean)
            expected[row] += math.log(1 + (len(documents) - df + 0.5) / (df + 0.5)) * tf * 2.2 / (tf + norm)
    found = lexical.bm25(part, lexical.weights([part], query_terms(query)))
    assert np.allclose(found, expected, rtol=1e-4)


def test_postings_of_terms_that_are_there_and_not() -> None:
    part = segment.build([(3, record("x.py", ["alpha beta beta", "beta"]).rows)], DIMS)
    beta = part.postings_of(term_id("beta"))
    assert [(int(posting) >> 8, int(posting) & 255) for posting in beta] == [(0, 2), (1, 1)]
    assert len(part.postings_of(term_id("gamma"))) == 0
    assert part.spans == {3: (0, 2)}


def test_an_empty_segment_answers() -> None:
    part = segment.build((), DIMS)
    query = default_embedder().embed_query("open a file")
    assert len(part) == 0
    assert len(lexical.bm25(part, {1: 1.0})) == 0
    assert len(vectors.nearest(part, query, 5)) == 0
    assert vectors.spread(part, query) == (0.0, 0.0)


def test_the_nearest_by_bits_are_nearly_all_of_the_nearest() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(300, 256))
    dense = centres[rng.integers(0, 300, 20_000)] + rng.normal(size=(20_000, 256))
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    scales = (np.abs(dense).max(axis=1) / 127).astype(np.float32)
    quantized = np.rint(dense / scales[:, None]).astype(np.int8)
    none = np.zeros(20_000, np.int32)
    centre = dense.mean(axis=0).astype(np.float32)
    part = segment.Segment(
        files=none,
        numbers=none,
        lengths=none.astype(np.float32),
        vectors=quantized,
        scales=scales,
        bits=segment.sign_bits(quantized, scales, centre),
        centre=centre,
        kinds=none.astype(np.uint8),
        symbols=none[:0].astype(np.uint8),
        symbol_ends=none.astype(np.int64),
        terms=none[:0].astype(np.uint32),
        starts=np.zeros(1, np.int64),
        postings=none[:0].astype(np.uint32),
    )
    recalled = []
    for centre_of_query in centres[:20]:
        query = (centre_of_query / np.linalg.norm(centre_of_query)).astype(np.float32)
        best = set(np.argsort(-(dense @ query))[:10].tolist())
        recalled.append(len(best & set(vectors.nearest(part, query, 100).tolist())) / 10)
    assert np.mean(recalled) >= 0.95


def test_a_large_segment_is_saved_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.view._SAVED_FROM", 1)
    store = Store.open(tmp_path)
    store.apply([change("a.py", ["open the file", "close it"], MAKER), change("b.py", ["send"], MAKER)], MAKER)
    Views(store, MAKER, DIMS).merge()
    assert len(list(tmp_path.glob("segment-*"))) == 1
    store.apply([change("b.py", ["receive"], MAKER)], MAKER)
    assert held(Views(store, MAKER, DIMS).current()) == {"a.py": ["open the file", "close it"], "b.py": ["receive"]}
    # A torn or foreign one is left alone.
    (saved,) = tmp_path.glob("segment-*")
    (saved / "vectors.npy").write_bytes(b"torn")
    assert held(Views(store, MAKER, DIMS).current()) == {"a.py": ["open the file", "close it"], "b.py": ["receive"]}


def test_vectors_of_another_embedder_do_not_count_but_words_do(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.apply([change("a.py", ["open the file"], "another")], "another")
    assert store.stale(MAKER) == {"a.py"}
    view = Views(store, MAKER, DIMS).current()
    part = view.segments[1]
    assert not part.scales.any()
    assert lexical.bm25(part, {term_id("open"): 1.0}).any()
