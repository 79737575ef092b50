"""Who calls a function: what is asked for, and the lines that are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from indexer_support import write_tree

from indexer.index import Index
from lsp.chat.callers import asked_names, asks_for_callers, calls
from lsp.chat.context import gather
from lsp.chat.library import Library, Place

STORE = '''class Store:
    """Keeps rows."""

    def flush(self):
        """Write what is pending; flush() twice does no harm."""
        self.pending = []

    def close(self):
        self.flush()
        self.file.close()
'''
MAIN = """from app.store import Store
from app.text import shorten


def stop(store):
    # before the program ends
    store.flush()
    return shorten("bye")


shorten("at the top")
"""
TEXT = """def shorten(text):
    return text[:10]


def title(text):
    cut = shorten
    return cut(text)
"""
CART = """function add(item: string) {
  return total(item);
}
function total(item: string) {
  return 1;
}
"""
FILES = {
    "app/store.py": STORE,
    "app/main.py": MAIN,
    "app/text.py": TEXT,
    "app/log.py": "class Log:\n    def flush(self):\n        pass\n\n\ndef end(log):\n    log.flush()\n",
    "tests/test_store.py": "from app.store import Store\n\n\ndef test_flush():\n    Store().flush()\n",
    "web/cart.ts": CART,
    "notes.md": "# Notes\n\nCall shorten() where it is long.\n",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    workspace = write_tree(tmp_path_factory.mktemp("callers") / "workspace", FILES)
    index = Index(workspace, workspace.parent / "index")
    index.scan()
    yield Library(index, workspace)
    index.close()


def found(library: Library, symbol: str) -> list[tuple[str, int, str]]:
    return [(one.path, one.line, one.caller) for one in calls(library, symbol, 10)]


def test_calls_are_found_with_who_makes_them_tests_last(library: Library) -> None:
    assert found(library, "Store.flush") == [
        ("app/main.py", 7, "stop"),
        ("app/store.py", 9, "Store.close"),
        ("app/log.py", 7, "end"),  # names no Store: less likely the same method
        ("tests/test_store.py", 5, "test_flush"),
    ]
    assert found(library, "total") == [("web/cart.ts", 2, "add")]


def test_a_mention_comes_behind_the_calls_and_an_import_is_none(library: Library) -> None:
    assert found(library, "shorten") == [
        ("app/main.py", 8, "stop"),
        ("app/main.py", 11, ""),
        ("app/text.py", 6, "title"),
    ]


def test_the_line_is_shown_with_its_neighbours(library: Library) -> None:
    first = calls(library, "Store.flush", 1)[0]
    assert (first.start, first.text) == (
        6,
        '    # before the program ends\n    store.flush()\n    return shorten("bye")',
    )


def test_what_nobody_calls_and_what_there_is_no_index_of(library: Library, tmp_path: Path) -> None:
    assert calls(library, "nobody", 5) == []
    assert calls(library, "", 5) == []
    assert calls(Library(None, tmp_path), "flush", 5) == []


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("who calls flush?", ["flush"]),
        ("Where is flush called", ["flush"]),
        ("callers of Store.flush", ["Store.flush"]),
        ("which tests use `Store`?", ["Store"]),
        ("谁调用了 flush", ["flush"]),
        ("flush 在哪里被调用？", ["flush"]),
        ("哪里用到了 `shorten`", ["shorten"]),
        ("where is the stop used when all else fails", []),  # a plain word; it may mean anything
    ],
)
def test_a_question_on_callers(question: str, names: list[str], library: Library) -> None:
    assert asks_for_callers(question)
    assert asked_names(question, library) == names


@pytest.mark.parametrize(
    "question", ["what does flush call?", "how does Store.flush work", "flush 做什么", "call me later"]
)
def test_other_questions(question: str) -> None:
    assert not asks_for_callers(question)


@pytest.mark.parametrize("question", ["who calls Store.flush?", "谁调用了 Store.flush？", "who calls @Store.flush"])
def test_whoever_asks_gets_the_definition_and_its_callers(question: str, library: Library) -> None:
    sources = gather(question, library, None, 3000).sources
    assert (sources[0].path, sources[0].symbol) == ("app/store.py", "Store.flush")
    assert [(one.path, one.symbol, one.reason) for one in sources[1:3]] == [
        ("app/main.py", "stop", "calls flush"),
        ("app/store.py", "Store.close", "calls flush"),
    ]


def test_a_selection_brings_the_callers_of_what_it_is_in(library: Library) -> None:
    sources = gather("is this right?", library, Place("app/store.py", STORE, 6, 6), 3000).sources
    assert [one.reason for one in sources] == ["selection", "around the selection", *["calls flush"] * 3]
    assert "store.flush()" in sources[2].text
