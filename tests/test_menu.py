"""Suggestions in an editor's own completion menu, and as inline completions where something is selected in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from lsp.completion.completion import Completion
from lsp.completion.feedback import Feedback
from lsp.completion.inline import inline_items
from lsp.completion.menu import Look, Menu, item_of, worth_asking
from lsp.documents import Cursor, Document
from lsp.settings import CompletionSettings

URI = "file:///try.py"
KINDS = types.CompletionTriggerKind


def place(marked: str, encoding: str = "utf-16") -> tuple[Document, Cursor]:
    before, _, after = marked.partition("‸")
    document = Document(URI, before + after, 1, "python", encoding)
    return document, document.cursor(document.position_at(len(before)))


def item(marked: str, text: str, *, replaced: int = 0, look: Look | None = None, **more: Any) -> types.CompletionItem:
    document, cursor = place(marked)
    completion = Completion(text, cursor.offset, cursor.offset + replaced)
    return item_of(completion, cursor, document, look or Look(), **more)


def client(
    inline: bool = False, name: str = "", completion: types.ClientCompletionItemOptions | None = None
) -> types.InitializeParams:
    document = types.TextDocumentClientCapabilities(
        inline_completion=types.InlineCompletionClientCapabilities() if inline else None,
        completion=types.CompletionClientCapabilities(completion_item=completion) if completion else None,
    )
    return types.InitializeParams(
        types.ClientCapabilities(text_document=document), client_info=types.ClientInfo(name) if name else None
    )


class Suggesting:
    """Suggests what it is given, once it is let."""

    def __init__(self, suggest: Callable[[Cursor], Completion | None]) -> None:
        self.feedback = Feedback()
        self.suggest = suggest
        self.go = asyncio.Event()
        self.go.set()
        self.asked: list[tuple[Cursor, bool]] = []

    async def complete(
        self, document: Document | None, cursor: Cursor | None, *, explicit: bool = False
    ) -> Completion | None:
        if document is None or cursor is None:
            return None
        self.asked.append((cursor, explicit))
        await self.go.wait()
        return self.suggest(cursor)


def suggesting(text: str, *alternatives: str) -> Suggesting:
    return Suggesting(lambda cursor: Completion(text, cursor.offset, cursor.offset, alternatives))


def context(kind: KINDS, character: str | None = None) -> types.CompletionContext:
    return types.CompletionContext(kind, character)


# -- the item -----------------------------------------------------------------------------------------------------


def test_an_item_stands_in_for_the_word_before_the_cursor() -> None:
    made = item("x = 1\ny = comp‸)\n", "ute(x)", replaced=1)
    assert made.text_edit == types.TextEdit(types.Range(types.Position(1, 4), types.Position(1, 9)), "compute(x)")
    assert (made.label, made.filter_text, made.detail) == ("compute(x)", "compute(x)", "midline")
    assert made.insert_text_format == types.InsertTextFormat.PlainText
    assert not made.preselect
    assert made.command is not None and made.command.command == "midline.accepted"


def test_an_item_of_several_lines_shows_its_first_and_previews_all() -> None:
    text = "\n    if x:\n        return 1"
    look = Look(markdown=True, label_details=True, as_is=True)
    made = item("def f(x):‸\n", text, look=look)
    assert made.label == "if x:…"
    assert made.documentation == types.MarkupContent(
        types.MarkupKind.Markdown, "```python\n    if x:\n        return 1\n```"
    )
    assert made.text_edit == types.TextEdit(types.Range(types.Position(0, 9), types.Position(0, 9)), text)
    assert made.insert_text_mode == types.InsertTextMode.AsIs
    assert made.label_details == types.CompletionItemLabelDetails(description="midline")


def test_an_item_says_no_more_than_the_editor_understands() -> None:
    made = item("def f(x):‸\n", "\n    return 1")
    assert made.documentation == "\n    return 1"
    assert made.insert_text_mode is None and made.label_details is None


def test_fences_in_the_text_do_not_end_the_preview() -> None:
    made = item("x = ‸\n", '"""\n````\n"""', look=Look(markdown=True))
    assert isinstance(made.documentation, types.MarkupContent)
    assert (
        made.documentation.value.splitlines()[0]
        == made.documentation.value.splitlines()[-1] + "python"
        == "`````python"
    )


def test_long_labels_are_cut() -> None:
    made = item("x = ‸\n", "a" * 200)
    assert len(made.label) == 60 and made.label.endswith("…")


@pytest.mark.parametrize(("first", "before"), [(True, True), (False, False)])
def test_an_item_is_first_or_last_among_others(first: bool, before: bool) -> None:
    mine = item("x = ‸\n", "y", first=first).sort_text
    assert mine is not None
    assert all((mine < other) is before for other in ("00001", "09.9999.abs", "7fffffff", "aaa", "Zed", "zzz", "_x"))


@pytest.mark.parametrize(("encoding", "start"), [("utf-8", 12), ("utf-16", 10), ("utf-32", 9)])
def test_ranges_count_as_the_editor_does(encoding: str, start: int) -> None:
    document, cursor = place("s = '😀' + wo‸", encoding)
    made = item_of(Completion("rd", cursor.offset, cursor.offset), cursor, document, Look())
    assert isinstance(made.text_edit, types.TextEdit)
    assert made.text_edit.range.start == types.Position(0, start + 1)
    assert made.text_edit.range.end == types.Position(0, start + 3)


@given(st.text("ab .(\n\t😀$}\\", max_size=30), st.integers(0, 30), st.text("ab .(\n\t$}\\`", min_size=1, max_size=20))
def test_accepting_an_item_gives_the_suggested_text(source: str, at: int, text: str) -> None:
    at = min(at, len(source))
    document, cursor = place(source[:at] + "‸" + source[at:])
    end = min(cursor.offset + 2, cursor.line_end)
    made = item_of(Completion(text, cursor.offset, end), cursor, document, Look())
    edit = made.text_edit
    assert isinstance(edit, types.TextEdit)
    assert edit.range.start.line == edit.range.end.line == document.position_at(at).line
    assert made.label == made.label.strip() and "\n" not in made.label
    edited = Document(URI, source)
    edited.apply_change(types.TextDocumentContentChangePartial(edit.range, edit.new_text))
    assert edited.source == source[:at] + text + source[end:]


def expand(snippet: str, indent: str) -> str:
    """What an editor makes of a snippet without places to fill."""
    plain, escaped = "", False
    for char in snippet:
        assert escaped or char not in "$}", snippet
        if char == "\\" and not escaped:
            escaped = True
            continue
        plain, escaped = plain + char, False
    return plain.replace("\n", "\n" + indent)


def test_who_cuts_plain_text_gets_a_snippet() -> None:
    look = Look.of(client(name="Neovim", completion=types.ClientCompletionItemOptions(snippet_support=True)))
    text = "x = f'${y}\\n'\n    return {x}"
    made = item("def f():\n    ‸\n", text, look=look)
    assert made.insert_text_format == types.InsertTextFormat.Snippet
    assert isinstance(made.text_edit, types.TextEdit)
    assert expand(made.text_edit.new_text, "    ") == text
    dedented = item("def f():\n    ‸\n", "pass\n\nf()", look=look)
    assert dedented.insert_text_format == types.InsertTextFormat.PlainText


# -- when ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "announced", "asked", "wanted"),
    [
        ("auto", False, False, True),
        ("auto", True, False, False),
        ("auto", False, True, False),
        ("always", True, True, True),
        ("never", False, False, False),
    ],
)
def test_the_menu_is_for_who_has_no_inline_completion(setting: str, announced: bool, asked: bool, wanted: bool) -> None:
    menu = Menu(client(inline=announced))
    if asked:
        menu.inline_asked()
    assert menu.wanted(setting) is wanted


@pytest.mark.parametrize(
    ("marked", "kind", "worth"),
    [
        ("def f():\n    ‸\n", KINDS.Invoked, True),
        ("def f():\n    ‸\n", KINDS.TriggerCharacter, False),
        ("def f():\n    ‸\n", KINDS.TriggerForIncompleteCompletions, False),
        ("return ‸\n", KINDS.TriggerCharacter, True),
        ("x = 1  ‸\n", KINDS.TriggerCharacter, False),
        ("retu‸\n", KINDS.TriggerForIncompleteCompletions, True),
    ],
)
def test_nothing_is_computed_where_nothing_was_typed(marked: str, kind: KINDS, worth: bool) -> None:
    _, cursor = place(marked)
    assert worth_asking(cursor, context(kind)) is worth
    assert worth_asking(cursor, None)


async def test_a_menu_of_one_item_that_is_asked_for_again() -> None:
    document, cursor = place("y = comp‸\n")
    answer = await Menu(client()).items(suggesting("ute(x)"), document, cursor, None, CompletionSettings())
    assert answer is not None and answer.is_incomplete
    assert [made.label for made in answer.items] == ["compute(x)"]


async def test_a_menu_does_not_wait_for_long_and_the_suggestion_goes_on() -> None:
    document, cursor = place("y = comp‸\n")
    session = suggesting("ute(x)")
    session.go.clear()
    options = CompletionSettings(menu_wait_ms=0)
    answer = await Menu(client()).items(session, document, cursor, None, options)
    assert answer == types.CompletionList(is_incomplete=True, items=[])
    session.go.set()
    answer = await Menu(client()).items(session, document, cursor, None, CompletionSettings())
    assert answer is not None and len(answer.items) == 1


async def test_a_menu_that_is_cancelled_ends_what_was_asked() -> None:
    document, cursor = place("y = comp‸\n")
    ended = asyncio.Event()

    class Endless(Suggesting):
        async def complete(self, *_: Any, **__: Any) -> Completion | None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return None

    menu = Menu(client())
    options = CompletionSettings(menu_wait_ms=60_000)
    asked = asyncio.ensure_future(menu.items(Endless(lambda _: None), document, cursor, None, options))
    await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.wait_for(ended.wait(), 5)


async def test_no_menu_where_nothing_is_suggested() -> None:
    document, cursor = place("y = comp‸\n")
    menu, options = Menu(client()), CompletionSettings()
    assert await menu.items(Suggesting(lambda _: None), document, cursor, None, options) is None
    assert await menu.items(suggesting("x"), None, cursor, None, options) is None
    empty = await menu.items(suggesting(""), document, cursor, None, options)
    assert empty == types.CompletionList(is_incomplete=True, items=[])


# -- inline completions -------------------------------------------------------------------------------------------

INVOKED, AUTOMATIC = types.InlineCompletionTriggerKind.Invoked, types.InlineCompletionTriggerKind.Automatic


async def test_who_asks_gets_alternatives() -> None:
    document, cursor = place("y = ‸\n")
    session = suggesting("one", "two", "three")
    answer = await inline_items(session, document, cursor, types.InlineCompletionContext(INVOKED))
    assert answer is not None
    assert [made.insert_text for made in answer.items] == ["one", "two", "three"]
    assert len({str(made.command) for made in answer.items}) == 1
    await inline_items(session, document, cursor, types.InlineCompletionContext(AUTOMATIC))
    assert [explicit for _, explicit in session.asked] == [True, False]


async def test_a_suggestion_goes_on_from_what_is_selected_in_the_menu() -> None:
    document, cursor = place("text.sp‸)\n")
    where = types.Range(types.Position(0, 5), types.Position(0, 7))
    selected = types.SelectedCompletionInfo(where, "splitlines")
    session = Suggesting(lambda at: Completion("()[0])", at.offset, at.offset + 1))
    answer = await inline_items(session, document, cursor, types.InlineCompletionContext(AUTOMATIC, selected))
    ((asked, _),) = session.asked
    assert asked.prefix == "text.splitlines" and asked.text == "text.splitlines)\n"
    assert asked.version == cursor.version
    assert answer is not None
    (made,) = answer.items
    assert made.insert_text == "splitlines()[0])"
    assert made.range == types.Range(types.Position(0, 5), types.Position(0, 8))
