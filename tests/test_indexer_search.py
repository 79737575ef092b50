"""Search finds what is asked for, by words, by names, by places, and puts tests behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from indexer_support import write_tree
from numpy.typing import NDArray

from indexer.index import Index
from indexer.query import is_test, read_query
from indexer.search import Ranking

FILES = {
    "shop/sessions.py": '''
class Session:
    def send_request(self, url):
        """Send a request and follow redirects."""
        answer = self.transport(url)
        while answer.is_redirect:
            answer = self.transport(answer.location)
        return answer

    def close_all(self):
        for socket in self.sockets:
            socket.close()
        self.sockets.clear()
''',
    "shop/invoices.py": '''
def total_price(items, discount):
    """Add up the prices of an invoice, less the discount."""
    total = sum(item.price for item in items)
    return total - total * discount


def _total_price(items, discount):
    """Add up the prices of an invoice, less the discount."""
    total = sum(item.price for item in items)
    return total - total * discount
''',
    "tests/test_invoices.py": '''
def test_total_price_of_an_invoice():
    """Add up the prices of an invoice, less the discount."""
    total = total_price(items, discount)
    assert total == sum(prices) - discount
''',
    "shop/storage.py": '''
def upload(file, folder):
    """Save an uploaded file to the disk."""
    with open(folder / file.name, "wb") as target:
        for block in file.blocks():
            target.write(block)
''',
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("search")
    made = Index(write_tree(folder / "workspace", FILES), folder / "index")
    made.scan()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("question", "symbol"),
    [
        ("Where are redirects followed?", "Session.send_request"),
        ("Session.close_all", "Session.close_all"),
        ("what does total_price do", "total_price"),
        ("prices of invoices added up", "total_price"),
        ("上传的文件保存到哪里", "upload"),
    ],
)
def test_the_answer_comes_first(index: Index, question: str, symbol: str) -> None:
    assert index.search(question, 3)[0].symbol == symbol


def test_a_hit_shows_the_lines_that_it_names_and_says_why(index: Index) -> None:
    hit = index.search("total_price", 1)[0]
    lines = FILES[hit.path].splitlines()[hit.start_line - 1 : hit.end_line]
    assert hit.text.splitlines() == lines
    assert hit.kind == "function"
    assert "defines total_price" in hit.reason


def test_tests_come_last_unless_they_are_asked_for(index: Index) -> None:
    plain = [hit.path for hit in index.search("add up the prices of an invoice less discount")]
    asked = [hit.path for hit in index.search("test that adds up the prices of an invoice less discount")]
    assert plain.index("shop/invoices.py") < plain.index("tests/test_invoices.py")
    assert asked.index("tests/test_invoices.py") < plain.index("tests/test_invoices.py")


def test_scores_fall_and_no_hit_comes_twice(index: Index) -> None:
    hits = index.search("file", 50)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({(hit.path, hit.start_line) for hit in hits}) == len(hits)
    assert len(index.search("file", 2)) == 2


@pytest.mark.parametrize("question", ["", "   ", "?!", "zzzyqx", "a" * 10_000, "\ud800", "`", "."])
def test_any_question_is_answered(index: Index, question: str) -> None:
    assert len(index.search(question, 5)) <= 5


def test_a_source_can_be_switched_off(index: Index) -> None:
    without = replace(Ranking(), named=0.0, symbol=0.0, lexical=0.0, dense=0.0)
    assert {hit.score for hit in index.search("total_price", 10, ranking=without)} != {
        hit.score for hit in index.search("total_price", 10)
    }


def test_a_reranker_decides_between_the_best(index: Index) -> None:
    class Likes:
        def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.array([1000.0 * ("upload" in text) for text in texts], np.float32)

    plain = [hit.symbol for hit in index.search("add up the prices of a file", 5)]
    liked = [hit.symbol for hit in index.search("add up the prices of a file", 5, reranker=Likes())]
    assert plain[0] != "upload"
    assert liked.index("upload") < plain.index("upload")
    scores = [hit.score for hit in index.search("add up the prices of a file", 20, reranker=Likes())]
    assert scores == sorted(scores, reverse=True)


def test_nothing_is_found_in_an_empty_workspace(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    empty = Index(tmp_path / "workspace", tmp_path / "index")
    empty.scan()
    assert empty.search("anything at all") == []
    empty.close()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("where is HTTPAdapter.send called?", {"httpadapter.send"}),
        ("snake_case and camelCase", {"snake_case", "camelcase"}),
        ("how does `render` work", {"render"}),
        ("Session", {"session"}),
        ("plain words only, e.g. these, i.e. words", set()),
    ],
)
def test_identifiers_are_seen_in_a_question(text: str, names: set[str]) -> None:
    assert read_query(text).names == names


@pytest.mark.parametrize("name", ["send_requests", "SendRequest", "sendingRequests", "sent_requests_sender"])
def test_endings_do_not_count(name: str) -> None:
    assert read_query("sending a request").share_of(name) >= 0.5


@given(st.text(max_size=40), st.text(max_size=40))
def test_shares_are_shares(question: str, name: str) -> None:
    assert 0.0 <= read_query(question).share_of(name) <= 1.0


def test_tests_are_known_by_their_paths() -> None:
    assert all(map(is_test, ["tests/a.py", "a/test_b.py", "a_test.go", "src/a.spec.ts", "examples/x.c", "conftest.py"]))
    assert not any(map(is_test, ["src/testimony.py", "latest/a.py", "contest.py", "lib/attest.go"]))
