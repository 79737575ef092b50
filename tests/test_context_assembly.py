"""What a completion is shown of other code: where it comes from, what it may cost, and what never gets in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from indexer_support import indexed, write_tree
from lsprotocol import types

from indexer.index import Index
from lsp.completion.context import ContextPiece, Sources, WorkspaceContext
from lsp.completion.pieces import as_comments, cost, merged, read_comments
from lsp.completion.recent import Hunk, RecentEdits, hunks
from lsp.completion.sources import counterpart_of
from lsp.documents import Cursor, Document

SERVICE = '''import json

from shop.store import Store


class Service:
    """Sells."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def sell(self, item, count):
        row = self.store.fetch_row(item)
        row.count -= count
        self.
'''
STORE = '''class Store:
    """Keeps rows."""

    def fetch_row(self, item):
        return self.rows[item]

    def save_row(self, row, *, overwrite=False):
        self.rows[row.item] = row
        return row
'''
TREE = {
    ".gitignore": "local/\n.env\n",
    ".env": "SECRET_TOKEN=abc\nfetch_row=1\nsave_row=2\n",
    "shop/__init__.py": "",
    "shop/service.py": SERVICE,
    "shop/store.py": STORE,
    "shop/report.py": "def report(store, item):\n    row = store.fetch_row(item)\n    row.count -= 1\n    return row\n",
    "tests/test_store.py": "from shop.store import Store\n\n\ndef test_rows():\n    assert Store().fetch_row(1)\n",
    "local/notes.py": "def sell_item(row, count):\n    row = self.store.fetch_row(item)\n",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "shop", TREE)


@pytest.fixture
def index(workspace: Path, tmp_path: Path) -> Iterator[Index]:
    with indexed(workspace, tmp_path / "index") as opened:
        yield opened


def opened(file: Path, text: str | None = None) -> Document:
    return Document(file.as_uri(), file.read_text() if text is None else text, 1)


def replaced(document: Document, text: str) -> None:
    document.apply_change(types.TextDocumentContentChangeWholeDocument(text))


def cursor_in(document: Document, behind: str = "") -> Cursor:
    offset = document.source.index(behind) + len(behind) if behind else len(document.source.rstrip("\n"))
    return document.cursor(document.position_at(offset))


def gather(context: WorkspaceContext, cursor: Cursor, chars: int = 1500) -> tuple[ContextPiece, ...]:
    return asyncio.run(context.gather(cursor, chars))


def texts(pieces: tuple[ContextPiece, ...]) -> str:
    return "".join(piece.text for piece in pieces)


def only(workspace: Path, recent: RecentEdits, *names: str) -> WorkspaceContext:
    return WorkspaceContext(recent, workspace=workspace, wanted=Sources.only(*names))


# -- sources -----------------------------------------------------------------------------------------------------------


def test_the_index_tells_what_is_likely_used(workspace: Path, index: Index) -> None:
    context = WorkspaceContext(RecentEdits(), lambda: index, workspace)
    pieces = gather(context, cursor_in(opened(workspace / "shop/service.py")))
    assert "Store.save_row(row, overwrite)" in texts(pieces)
    assert {"path", "start_line", "end_line", "symbol", "score", "reason"} == set(pieces[0].as_dict())
    assert all(piece.reason for piece in pieces)


def test_names_are_known_that_the_workspace_defines_or_mentions(workspace: Path, index: Index) -> None:
    asked = ["save_row", "count", "row", "never_heard_of"]
    context = WorkspaceContext(RecentEdits(), lambda: index, workspace)
    assert context.known_names(asked) == {"save_row", "count", "row"}
    index.close()
    assert context.known_names(asked) == set(asked)
    assert WorkspaceContext(RecentEdits()).known_names(asked) == set(asked)


def test_signatures_and_windows_can_be_had_alone(workspace: Path, index: Index) -> None:
    cursor = cursor_in(opened(workspace / "shop/service.py"))
    signatures, windows = (
        gather(WorkspaceContext(RecentEdits(), lambda: index, workspace, wanted=Sources.only(source)), cursor)
        for source in ("signatures", "windows")
    )
    assert signatures
    assert all(len(piece.lines) == 1 for piece in signatures)
    assert windows
    assert all(len(piece.lines) > 1 for piece in windows)


def test_of_a_long_file_the_prompt_shows_only_a_part_of_the_outline_tells_the_rest(workspace: Path) -> None:
    filler = "".join(f"\n\ndef helper_{i}(value):\n    return value + {i}\n" for i in range(60))
    document = opened(workspace / "shop/service.py", f"import json\nfrom os import path\n{filler}\n\nx = json.\n")
    context = only(workspace, RecentEdits(), "outline")
    pieces = gather(context, cursor_in(document), 3000)
    assert "import json\n" in texts(pieces)
    assert "helper_30(value)\n" in texts(pieces)
    assert "helper_59(value)\n" not in texts(pieces), "it is shown anyway"
    inside = gather(context, cursor_in(document, "value + 40"), 3000)
    assert "helper_40(value)\n" not in texts(inside)


def test_what_encloses_the_cursor_comes_first(workspace: Path) -> None:
    body = "".join(f"        step_{i} = {i}\n" for i in range(100))
    document = opened(workspace / "a.py", f"class Shop(Base):\n    def open_door(self, key):\n{body}        x = ")
    pieces = gather(only(workspace, RecentEdits(), "outline"), cursor_in(document), 600)
    assert {piece.symbol for piece in pieces} >= {"Shop", "Shop.open_door"}


def test_recent_edits_are_shown_as_before_and_after(workspace: Path) -> None:
    recent = RecentEdits()
    store, service = opened(workspace / "shop/store.py"), opened(workspace / "shop/service.py")
    recent.opened(store)
    recent.opened(service)
    replaced(store, STORE.replace("fetch_row(self, item)", "fetch_line(self, item, lock)"))
    recent.edited(store)
    pieces = gather(only(workspace, recent, "edits"), cursor_in(service))
    assert [(piece.path, piece.start_line, piece.reason) for piece in pieces] == [
        ("shop/store.py", 4, "edited recently")
    ]
    assert pieces[0].text == "-     def fetch_row(self, item):\n+     def fetch_line(self, item, lock):\n"


def test_what_is_just_being_typed_is_no_recent_edit(workspace: Path) -> None:
    recent = RecentEdits()
    service = opened(workspace / "shop/service.py")
    recent.opened(service)
    replaced(service, SERVICE.replace("row.count -= count", "row.count = "))
    recent.edited(service)
    context = only(workspace, recent, "edits")
    assert gather(context, cursor_in(service, "row.count = ")) == ()
    assert "- " in texts(gather(context, cursor_in(service, "import json")))


def test_edits_of_a_document_that_was_closed_are_remembered(workspace: Path) -> None:
    recent = RecentEdits()
    store, service = opened(workspace / "shop/store.py"), opened(workspace / "shop/service.py")
    recent.opened(store)
    replaced(store, STORE + "    def drop_row(self, row):\n        del self.rows[row.item]\n")
    recent.edited(store)
    recent.closed(store.uri)
    recent.opened(service)
    assert "def drop_row" in texts(gather(only(workspace, recent, "edits"), cursor_in(service)))


def test_visited_places_and_open_documents(workspace: Path) -> None:
    recent = RecentEdits()
    store, service = opened(workspace / "shop/store.py"), opened(workspace / "shop/service.py")
    for document in (store, service):
        recent.opened(document)
    assert gather(only(workspace, recent, "visited"), cursor_in(service)) == ()
    recent.visited(store.uri, 7)
    assert "def save_row" in texts(gather(only(workspace, recent, "visited"), cursor_in(service)))
    recent.opened(opened(workspace / "shop/report.py"))
    assert "def report" in texts(gather(only(workspace, recent, "documents"), cursor_in(service)))


def test_the_matching_file_is_shown(workspace: Path, index: Index) -> None:
    context = WorkspaceContext(RecentEdits(), lambda: index, workspace, wanted=Sources.only("counterpart"))
    document = opened(workspace / "tests/test_store.py", "def test_x():\n    Sto")
    pieces = gather(context, cursor_in(document))
    assert "Store.save_row(row, overwrite)\n" in texts(pieces)
    assert {piece.reason for piece in pieces} == {"what this tests"}
    pieces = gather(context, cursor_in(opened(workspace / "shop/store.py")))
    assert pieces == () or {piece.reason for piece in pieces} == {"its test"}


@pytest.mark.parametrize(
    ("path", "other", "reason"),
    [
        ("pkg/test_x.py", "pkg/x.py", "what this tests"),
        ("tests/test_x.py", "src/pkg/x.py", "what this tests"),
        ("tests/pkg/test_x.py", "src/pkg/x.py", "what this tests"),
        ("src/x.test.ts", "src/x.ts", "what this tests"),
        ("src/__tests__/x.spec.tsx", "src/x.tsx", "what this tests"),
        ("a/x_test.go", "a/x.go", "what this tests"),
        ("a/XTest.java", "a/X.java", "what this tests"),
        ("a/x.c", "a/x.h", "its header"),
        ("src/x.cpp", "include/x.hpp", "its header"),
        ("a/x.h", "a/x.c", "its source"),
        ("pkg/x.py", "tests/pkg/test_x.py", "its test"),
        ("a/x.go", "a/x_test.go", "its test"),
        ("a/x.ts", "a/__tests__/x.test.ts", "its test"),
    ],
)
def test_counterparts(path: str, other: str, reason: str) -> None:
    elsewhere = f"quite/other/{other.rpartition('/')[2]}"
    assert counterpart_of(path, [path, "setup.py", elsewhere, other]) == (other, reason)
    assert counterpart_of(path, [path, "setup.py"]) == ("", "")


def test_of_several_counterparts_that_nothing_tells_apart_none_is_taken() -> None:
    assert counterpart_of("tests/test_utils.py", ["a/utils.py", "b/utils.py"]) == ("", "")


def test_around_copied_lines_their_source_is_shown(workspace: Path) -> None:
    recent = RecentEdits()
    store, service = opened(workspace / "shop/store.py"), opened(workspace / "shop/service.py")
    recent.opened(store)
    recent.opened(service)
    pasted = "    def fetch_row(self, item):\n        return self.rows[item]\n"
    replaced(service, SERVICE + "    # from the store\n" + pasted + "        print(row)\n")
    recent.edited(service)
    pieces = gather(only(workspace, recent, "copied"), cursor_in(service))
    assert [piece.reason for piece in pieces] == ["above what was copied", "below what was copied"]
    assert "def save_row" in texts(pieces)
    assert "self.rows[item]\n" not in texts(pieces)


# -- what never gets in ------------------------------------------------------------------------------------------------


def test_what_rules_exclude_is_never_shown_even_if_it_is_open(workspace: Path, index: Index) -> None:
    recent = RecentEdits()
    for name in (".env", "local/notes.py", "shop/report.py", "shop/store.py"):
        document = opened(workspace / name)
        recent.opened(document)
        replaced(document, document.source + "row.count = fetch_row(item)\nanother = save_row(row)\n")
        recent.edited(document)
        recent.visited(document.uri, 1)
    context = WorkspaceContext(
        recent, lambda: index, workspace, is_private=lambda path: path == workspace / "shop/report.py"
    )
    pieces = gather(context, cursor_in(opened(workspace / "shop/service.py")), 5000)
    assert {piece.path for piece in pieces} <= {"shop/store.py", "tests/test_store.py", "shop/__init__.py"}
    assert "abc" not in texts(pieces)
    assert [
        name for name in ("shop/store.py", ".env", "local/notes.py", "shop/report.py") if context.permits(name)
    ] == ["shop/store.py"]


def test_secrets_of_open_documents_are_painted_over(workspace: Path) -> None:
    recent = RecentEdits()
    document = opened(workspace / "shop/config.py", 'api_key = "sk-9f8A7b6C5d4E3f2A1b0C9d8E7f6A5b4C"\nrow = store\n')
    recent.opened(document)
    recent.visited(document.uri, 1)
    shown = texts(gather(only(workspace, recent, "visited"), cursor_in(opened(workspace / "shop/service.py"))))
    assert "api_key" in shown
    assert "9f8A7b6C" not in shown


def test_what_the_prompt_shows_already_is_left_out_and_nothing_comes_twice(workspace: Path, index: Index) -> None:
    recent = RecentEdits()
    for name in ("shop/report.py", "shop/store.py"):
        recent.opened(opened(workspace / name))
        recent.visited((workspace / name).as_uri(), 3)
    document = opened(
        workspace / "shop/service.py", SERVICE + "\n# " + "\n# ".join(TREE["shop/report.py"].splitlines())
    )
    replaced(document, SERVICE.replace("self.\n", TREE["shop/report.py"]))
    pieces = gather(WorkspaceContext(recent, lambda: index, workspace), cursor_in(document, "row.count -= count"), 5000)
    assert not [piece for piece in pieces if piece.path == "shop/report.py" and "fetch_row" in piece.text]
    lines = [line.strip() for piece in pieces for line in piece.lines if len(line.strip()) >= 4]
    assert len(lines) <= 1.5 * len(set(lines))


@pytest.mark.parametrize("chars", [0, 50, 200, 700, 3000])
def test_the_budget_is_kept(workspace: Path, index: Index, chars: int) -> None:
    recent = RecentEdits()
    for name in ("shop/report.py", "shop/store.py"):
        recent.opened(opened(workspace / name))
        recent.visited((workspace / name).as_uri(), 3)
    pieces = gather(
        WorkspaceContext(recent, lambda: index, workspace), cursor_in(opened(workspace / "shop/service.py")), chars
    )
    assert cost(pieces, "#") <= chars
    assert bool(pieces) == (chars >= 200)


def test_a_source_that_fails_costs_the_context_and_nothing_else(workspace: Path) -> None:
    def broken() -> Index | None:
        raise OSError("the disk has gone")

    context = WorkspaceContext(RecentEdits(), broken, workspace)
    assert gather(context, cursor_in(opened(workspace / "shop/service.py"))) == ()


def test_every_source_can_be_switched_off(workspace: Path, index: Index) -> None:
    recent = RecentEdits()
    store = opened(workspace / "shop/store.py")
    recent.opened(store)
    replaced(store, STORE + "x = 1\n")
    recent.edited(store)
    recent.visited(store.uri, 3)
    context = WorkspaceContext(recent, lambda: index, workspace, wanted=Sources.only())
    assert gather(context, cursor_in(opened(workspace / "shop/service.py"))) == ()
    assert Sources.only(*(field.name for field in fields(Sources))) == Sources()


# -- stability ---------------------------------------------------------------------------------------------------------


def test_a_small_edit_leaves_the_context_as_it_is(workspace: Path, index: Index) -> None:
    document = opened(workspace / "shop/service.py")
    context = WorkspaceContext(RecentEdits(), lambda: index, workspace)
    before = gather(context, cursor_in(document))
    for typed in ("s", "st", "store", "store.s"):
        replaced(document, SERVICE.rstrip("\n") + typed)
        after = gather(context, cursor_in(document))
        assert merged(before, after, 1500, "#") == before


lines = st.text(st.sampled_from("ab =(#"), min_size=1, max_size=12)
pieces_of = st.lists(
    st.builds(
        lambda path, line, text: ContextPiece(
            path, line, line + len(text), "", "".join(f"{one}\n" for one in text), 1.0, "x"
        ),
        st.sampled_from(["a.py", "b/c.py"]),
        st.integers(1, 50),
        st.lists(lines, min_size=1, max_size=4),
    ),
    max_size=12,
    unique=True,
).map(tuple)


@given(pieces_of, st.sampled_from(["#", "//", "--"]), st.text(st.sampled_from("a# \n-"), max_size=40))
def test_context_is_read_back_as_it_stands(pieces: tuple[ContextPiece, ...], mark: str, prefix: str) -> None:
    head = as_comments(pieces, mark)
    if not pieces:
        assert head == ""
        return
    found, said, rest = read_comments(head + prefix)
    assert (said, rest) == (mark, prefix)
    assert as_comments(found, mark) == head
    assert [piece.path for piece in found] == [
        piece.path for i, piece in enumerate(pieces) if not i or pieces[i - 1].path != piece.path
    ]


@given(pieces_of, pieces_of)
def test_pieces_added_behind_leave_what_stands_before(
    old: tuple[ContextPiece, ...], new: tuple[ContextPiece, ...]
) -> None:
    assert as_comments(old + new, "#").startswith(as_comments(old, "#").removesuffix("\n"))


@given(pieces_of, pieces_of, st.integers(20, 2000))
def test_a_context_goes_on_from_the_one_before(
    old: tuple[ContextPiece, ...], new: tuple[ContextPiece, ...], chars: int
) -> None:
    result = merged(old, new, chars, "#")
    assert set(result) <= set(old) | set(new)
    assert merged(old, old, chars, "#") == old
    assert merged((), new, chars, "#") == () or set(merged((), new, chars, "#")) <= set(new)
    kept = [piece for piece in result if piece in old]
    assert kept == sorted(kept, key=old.index), "what stays keeps its order"
    if result not in (old, new):
        assert cost(result, "#") <= 1.5 * chars


def test_too_long_or_useless_a_context_begins_anew() -> None:
    old = tuple(ContextPiece("a.py", i, i, "", f"old_{i}()\n", 1.0, "x") for i in range(10))
    new = tuple(ContextPiece("b.py", i, i, "", f"new_{i}()\n", 1.0, "x") for i in range(10))
    assert merged(old, new, 200, "#") == new
    assert merged(old, old[:5] + new[:1], 200, "#") == old, "one more is not worth computing all again"
    assert merged(old, old + new[:5], 200, "#") == old + new[:5]


# -- recent edits ------------------------------------------------------------------------------------------------------

small_texts = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=12).map("\n".join)


@given(small_texts, small_texts)
def test_hunks_lead_from_one_text_to_the_other(before: str, after: str) -> None:
    old = before.splitlines()
    result: list[str] = []
    at = 0
    for hunk in hunks(before, after):
        same = hunk.line - 1 - len(result)
        result += old[at : at + same]
        at += same
        assert tuple(old[at : at + len(hunk.before)]) == hunk.before
        at += len(hunk.before)
        result += hunk.after
    if before:
        assert result + old[at:] == after.splitlines()


def test_a_change_in_a_huge_text_is_found_and_a_rewritten_one_passed_over() -> None:
    before = "".join(f"line {i}\n" for i in range(100_000))
    assert list(hunks(before, before.replace("line 50000\n", "changed\n"))) == [
        Hunk(50_001, ("line 50000",), ("changed",))
    ]
    assert list(hunks(before, before.replace("line", "row"))) == []


def test_only_so_much_is_remembered() -> None:
    now = 0.0
    recent = RecentEdits(lambda: now)
    for number in range(20):
        document = Document(f"file:///a{number}.py", "x = 1\n", 1)
        recent.opened(document)
        now += 1
        recent.closed(document.uri)
    assert len(recent.documents()) <= 5
    assert recent.documents()[0].uri == "file:///a19.py"


def test_edits_before_a_long_rest_are_no_news() -> None:
    now = 0.0
    recent = RecentEdits(lambda: now)
    document = Document("file:///a.py", "x = 1\n", 1)
    recent.opened(document)
    replaced(document, "x = 2\n")
    recent.edited(document)
    assert recent.documents()[0].before == "x = 1\n"
    now += 3600
    recent.edited(document)
    assert recent.documents()[0].before == "x = 2\n"


def test_news_are_another_document_and_a_ready_index() -> None:
    recent = RecentEdits()
    context = WorkspaceContext(recent)
    one, other = (Document(f"file:///{name}.py", "x = 1\n", 1) for name in "ab")
    for document in (one, other):
        recent.opened(document)
    recent.edited(one)
    before = context.epoch
    recent.edited(one)
    assert context.epoch == before
    recent.edited(other)
    assert context.epoch != before
    before = context.epoch
    context.touch()
    assert context.epoch != before
