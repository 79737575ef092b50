"""The language server as an editor meets it: the real server, the real engine, the real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsp_support import CURSOR, DEADLINE, Editor, code_of, editing, until
from lsprotocol import types
from pytest_lsp import client_capabilities

from lsp.completion.tally import FILE_NAME, read
from lsp.documents import Document
from lsp.server import make_server

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

AREA = 'def area(width, height):\n    """The area of a rectangle."""\n    return ‸\n\n\nresult = area(2, 3)\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(shared_home: Path) -> AsyncIterator[Editor]:
    """One editor for all tests that change no settings."""
    async with editing(shared_home) as editor:
        await editor.until_state("ready")
        yield editor


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A document of this test's own."""
    return (tmp_path / "try.py").as_uri()


def long_text(name: str) -> str:
    """Some 200 tokens that no other text begins with, and a place to complete at: seconds of work for the model."""
    functions = [f"def {name}_{i}(first, second):\n    return first * {i} + second\n\n\n" for i in range(9)]
    return "".join(functions) + AREA


def run(marked: str, suggestion: str) -> dict[str, Any]:
    """Accept a suggestion and run the program that it gives."""
    namespace: dict[str, Any] = {}
    exec(compile(marked.replace(CURSOR, suggestion), "try.py", "exec"), namespace)
    return namespace


# -- what is offered ----------------------------------------------------------------------------------------------


async def test_inline_completion_is_offered_to_who_does_not_announce_it(editor: Editor) -> None:
    assert editor.capabilities is not None
    assert editor.capabilities.text_document is None
    assert editor.offered.inline_completion_provider is not None
    assert editor.offered.text_document_sync == types.TextDocumentSyncOptions(
        open_close=True, change=types.TextDocumentSyncKind.Incremental, save=True
    )


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, "utf-16"), (["utf-8"], "utf-8"), (["utf-16"], "utf-16"), (["utf-8", "utf-16"], "utf-8")],
)
async def test_a_suggestion_stands_right_behind_astral_characters(
    shared_home: Path, uri: str, offered: list[str] | None, chosen: str
) -> None:
    line = 'smile = "😀"; smile_size = len("é😀") + len('
    at = types.Position(0, len(line.encode("utf-16-le")) // 2 if chosen == "utf-16" else len(line.encode()))
    async with editing(shared_home, encodings=offered) as editor:
        assert editor.offered.position_encoding == chosen
        await editor.until_state("ready")
        editor.open(uri, f"{line}\nprint(smile_size)\n")
        at = editor.type(uri, at, "smi")
        (item,) = await editor.complete(uri, at)
    assert item.range == types.Range(at, at)
    # Had the edit or the request been placed one unit off, the word would not go on as it does.
    assert run(f"{line}smi{CURSOR}\nprint(smile_size)\n", str(item.insert_text))["smile_size"] == 3


# -- completing ---------------------------------------------------------------------------------------------------


async def test_a_python_function_is_completed(editor: Editor, uri: str) -> None:
    at = editor.open_at_cursor(uri, AREA)
    (item,) = await editor.complete(uri, at)
    assert item.range == types.Range(at, at)
    assert run(AREA, str(item.insert_text))["result"] == 6


async def test_a_javascript_function_is_completed(editor: Editor, tmp_path: Path) -> None:
    uri = (tmp_path / "even.js").as_uri()
    marked = "function isEven(number) {\n  return ‸\n}\n\nconsole.log(isEven(4));\n"
    suggestion = await editor.suggestion(uri, editor.open_at_cursor(uri, marked, "javascript"))
    assert "number % 2" in suggestion
    assert "\n" not in suggestion.strip()  # the statement, and not the rest of the file again


async def test_a_body_of_several_lines_is_completed(editor: Editor, uri: str) -> None:
    marked = "class Point:\n    def __init__(self, x, y):\n        ‸\n\n\npoint = Point(1, 2)\nprint(point.x)\n"
    suggestion = await editor.suggestion(uri, editor.open_at_cursor(uri, marked))
    point = run(marked, suggestion)["point"]
    assert (point.x, point.y) == (1, 2)
    assert len(suggestion.splitlines()) == 2


async def test_a_body_that_goes_on_behind_a_loop_is_completed(editor: Editor, uri: str) -> None:
    marked = (
        'def smallest(numbers):\n    """The smallest of a non-empty list, found with a loop."""\n    ‸\n\n\n'
        "result = smallest([3, 1, 2])\n"
    )
    suggestion = await editor.suggestion(uri, editor.open_at_cursor(uri, marked))
    assert run(marked, suggestion)["result"] == 1


async def test_a_bracket_that_the_editor_closed_is_not_closed_twice(editor: Editor, uri: str) -> None:
    marked = "words = ['b', 'a']\nfor word in sorted(wo‸):\n    print(word)\n"
    suggestion = await editor.suggestion(uri, editor.open_at_cursor(uri, marked))
    assert run(marked, suggestion)["word"] == "b"


@pytest.mark.parametrize(
    "marked",
    [
        AREA.replace("\n", "\r\n"),
        "\ufeff" + AREA,
        "import os\n\f\n\x0b\x1c\n" + AREA.replace("rectangle", "rect\f\x85\u2028angle"),
    ],
    ids=["crlf", "bom", "form-feeds"],
)
async def test_texts_of_unusual_lines(editor: Editor, uri: str, marked: str) -> None:
    before, _, after = marked.partition(CURSOR)
    editor.open(uri, before + after)
    at = types.Position(before.count("\n"), len("    return "))
    at = editor.type(uri, at, "w")  # an edit on the wrong line would show in what is suggested
    suggestion = await editor.suggestion(uri, at)
    source = marked.removeprefix("\ufeff").replace("\x0b", "").replace("\x1c", "")
    assert run(source, "w" + suggestion)["result"] == 6
    assert "\r" not in suggestion


async def test_accepting_is_counted(editor: Editor, uri: str) -> None:
    before = (await editor.status())["completion"]
    (item,) = await editor.complete(uri, editor.open_at_cursor(uri, AREA))
    assert item.command is not None
    params = types.ExecuteCommandParams(item.command.command, item.command.arguments)
    await editor.workspace_execute_command_async(params)
    after = (await editor.status())["completion"]
    assert [after[name] - before[name] for name in ("requests", "shown", "accepted")] == [1, 1, 1]


async def test_who_asks_gets_several_suggestions_at_one_place(editor: Editor, uri: str) -> None:
    marked = "import random\n\n\ndef choose(names):\n    return random.‸\n"
    at = editor.open_at_cursor(uri, marked)
    items = await editor.complete(uri, at, types.InlineCompletionTriggerKind.Invoked)
    assert 1 < len(items) <= 3
    assert len({str(item.insert_text) for item in items}) == len(items)
    assert {str(item.range) for item in items} == {str(types.Range(at, at))}
    last = (await editor.status())["last_completion"]
    assert [last["text"], *last["alternatives"]] == [item.insert_text for item in items]


async def test_a_suggestion_begins_with_what_is_selected_in_the_menu(editor: Editor, uri: str) -> None:
    at = editor.open_at_cursor(uri, AREA.replace("‸", "w‸"))
    where = types.Range(types.Position(at.line, at.character - 1), at)
    selected = types.SelectedCompletionInfo(where, "width")
    kind = types.InlineCompletionTriggerKind.Automatic
    params = types.InlineCompletionParams(
        types.InlineCompletionContext(kind, selected), types.TextDocumentIdentifier(uri), at
    )
    answer = await editor.text_document_inline_completion_async(params)
    assert isinstance(answer, types.InlineCompletionList)
    (item,) = answer.items
    assert item.range == where
    assert str(item.insert_text).startswith("width")
    assert run(AREA, str(item.insert_text))["result"] == 6


async def execute(editor: Editor, command: str, *arguments: Any) -> Any:
    return await editor.workspace_execute_command_async(types.ExecuteCommandParams(command, list(arguments)))


async def test_why_tells_of_the_last_suggestion_and_of_none(editor: Editor, tmp_path: Path, uri: str) -> None:
    suggestion = await editor.suggestion(uri, editor.open_at_cursor(uri, AREA))
    why = await execute(editor, "midline.why")
    assert why["text"] == suggestion
    assert why["reason"] == ""
    assert 0 < why["confidence"] <= 1
    binary = (tmp_path / "binary.py").as_uri()
    assert await editor.complete(binary, editor.open_at_cursor(binary, "\0x = ‸\n")) == []
    why = await execute(editor, "midline.why")
    assert (why["text"], why["reason"]) == ("", "the document is binary")


@pytest.mark.parametrize("arguments", [[], [7], ["unknown"], [None, "x"], [{}]])
async def test_reports_that_make_no_sense_do_no_harm(editor: Editor, uri: str, arguments: list[Any]) -> None:
    for command in ("midline.accepted", "midline.partlyAccepted"):
        await execute(editor, command, *arguments)
    assert await editor.suggestion(uri, editor.open_at_cursor(uri, AREA))


async def test_what_is_accepted_is_counted_on_the_disk(own_home: Path, uri: str) -> None:
    async with editing(own_home) as editor:
        await editor.until_state("ready")
        (item,) = await editor.complete(uri, editor.open_at_cursor(uri, AREA))
        at = types.Position(2, 11)
        editor.type(uri, at, str(item.insert_text))
        assert item.command is not None and item.command.arguments
        await execute(editor, item.command.command, *item.command.arguments)
        document = types.TextDocumentIdentifier(uri)
        editor.text_document_did_save(types.DidSaveTextDocumentParams(document))
    counts = {name.name: value for name, value in read(own_home / "data" / FILE_NAME).items()}
    assert (counts["shown"], counts["accepted"], counts["characters"]) == (1, 1, len(str(item.insert_text)))
    assert (counts["checked_saved"], counts["alive_saved"]) == (1, 1)


async def test_nothing_is_counted_where_feedback_is_off(own_home: Path, uri: str) -> None:
    async with editing(own_home, options={"feedback": {"enabled": False}}) as editor:
        await editor.until_state("ready")
        assert await editor.complete(uri, editor.open_at_cursor(uri, AREA))
        editor.type(uri, types.Position(2, 11), "#")
    assert not (own_home / "data" / FILE_NAME).exists()


async def test_a_suggestion_is_told_while_it_grows(shared_home: Path, uri: str) -> None:
    async with editing(shared_home, options={"completion": {"streaming": True}}) as editor:
        told: list[dict[str, Any]] = []
        editor.feature("midline/partial")(lambda partial: told.append(partial))
        await editor.until_state("ready")
        marked = "class Point:\n    def __init__(self, x, y):\n        ‸\n\n\npoint = Point(1, 2)\nprint(point.x)\n"
        at = editor.open_at_cursor(uri, marked)
        suggestion = await editor.suggestion(uri, at)
    texts = [one["text"] for one in told]
    assert texts and suggestion.startswith(texts[0])
    assert all(text.startswith(before) for before, text in pairwise(texts))
    assert all(one["uri"] == uri and one["version"] == 1 for one in told)
    assert all(one["position"] == {"line": at.line, "character": at.character} for one in told)


async def test_growth_is_told_only_of_the_text_that_the_editor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    server, document, told = make_server(), Document("file:///a.py", "x = wi\n", 1), []
    monkeypatch.setattr(server, "document", lambda uri: document)
    monkeypatch.setattr(server.protocol, "notify", lambda method, params: told.append(params["text"]))
    cursor = document.cursor(types.Position(0, 6))
    server.on_partial(replace(cursor, text="x = width\n", offset=9), "wrong")  # `width` is selected in its menu
    server.on_partial(cursor, "dth")
    assert told == ["dth"]


# -- the editor's own menu ----------------------------------------------------------------------------------------


async def in_menu(editor: Editor, uri: str, at: types.Position) -> types.CompletionList:
    params = types.CompletionParams(
        types.TextDocumentIdentifier(uri), at, types.CompletionContext(types.CompletionTriggerKind.Invoked)
    )
    answer = await asyncio.wait_for(editor.text_document_completion_async(params), DEADLINE)
    assert isinstance(answer, types.CompletionList)
    return answer


@pytest.mark.filterwarnings("error::pytest_lsp.LspSpecificationWarning")
@pytest.mark.parametrize("client", ["emacs", "neovim@v0.11.0", "visual-studio-code@v1.65.2"])
async def test_who_has_no_inline_completion_gets_an_item_in_the_menu(shared_home: Path, uri: str, client: str) -> None:
    able = client_capabilities(client).text_document
    async with editing(shared_home, options={"completion": {"menu_wait_ms": 60_000}}, document=able) as editor:
        assert editor.offered.completion_provider is not None
        await editor.until_state("ready")
        at = editor.open_at_cursor(uri, AREA)
        at = editor.type(uri, at, "wi")
        answer = await in_menu(editor, uri, at)
        assert answer.is_incomplete
        (item,) = answer.items
        assert isinstance(item.text_edit, types.TextEdit)
        assert item.text_edit.range == types.Range(types.Position(2, 11), at)
        assert item.text_edit.new_text.startswith("wi")
        assert run(AREA, item.text_edit.new_text)["result"] == 6
        # Typing on costs nothing and keeps the item.
        at = editor.type(uri, at, "d")
        (further,) = (await in_menu(editor, uri, at)).items
        assert isinstance(further.text_edit, types.TextEdit)
        assert further.text_edit.new_text == item.text_edit.new_text
        assert (await editor.status())["last_completion"]["tokens_evaluated"] == 0
        await editor.complete(uri, at)  # it has inline completion after all
        params = types.CompletionParams(types.TextDocumentIdentifier(uri), at)
        assert await editor.text_document_completion_async(params) is None


async def test_menu_and_inline_completion_at_one_place_are_both_answered(shared_home: Path, uri: str) -> None:
    options = {"completion": {"menu": "always", "menu_wait_ms": 60_000}}
    async with editing(shared_home, options=options) as editor:
        await editor.until_state("ready")
        at = editor.open_at_cursor(uri, AREA)
        inline, menu = await asyncio.gather(editor.complete(uri, at), in_menu(editor, uri, at))
        assert [item.insert_text for item in inline] == [item.text_edit.new_text for item in menu.items]  # type: ignore[union-attr]
        assert len(inline) == 1


async def test_no_menu_for_who_wants_none(shared_home: Path) -> None:
    async with editing(shared_home, options={"completion": {"menu": "never"}}) as editor:
        assert editor.offered.completion_provider is None


# -- what a keystroke costs ---------------------------------------------------------------------------------------


async def test_a_keystroke_computes_next_to_nothing(editor: Editor, uri: str) -> None:
    async def last() -> dict[str, Any]:
        return dict((await editor.status())["last_completion"])

    at = editor.open_at_cursor(uri, long_text("typed"))
    suggestion = await editor.suggestion(uri, at)
    first = await last()
    assert first["text"] == suggestion
    assert first["tokens_evaluated"] > 20
    size = first["tokens_evaluated"] + first["tokens_reused"]
    # A word letter by letter, the rest of the suggestion at once as if accepted, a new line, another word.
    for typed in (*suggestion[:3], suggestion[3:], "\n", "    ", "p"):
        at = editor.type(uri, at, typed)
        await editor.complete(uri, at)
        cost = await last()
        assert cost["tokens_evaluated"] <= 3, typed
        assert cost["cached"] or cost["tokens_reused"] >= size - 3, typed


async def test_going_back_to_another_file_computes_next_to_nothing(editor: Editor, tmp_path: Path) -> None:
    uris = [(tmp_path / name).as_uri() for name in ("one.py", "two.py")]
    places = [editor.open_at_cursor(uri, AREA.replace("area", uri[-6:-3])) for uri in uris]
    for uri, at in zip(uris, places, strict=True):
        await editor.complete(uri, at)
    await editor.complete(uris[0], places[0])
    assert (await editor.status())["last_completion"]["tokens_evaluated"] <= 3


# -- several requests at once -------------------------------------------------------------------------------------


async def test_the_newest_request_of_a_document_wins(editor: Editor, uri: str) -> None:
    before = (await editor.status())["completion"]["cancelled"]
    at = editor.open_at_cursor(uri, long_text("newest"))
    older = editor.ask(uri, at)
    await editor.until_state("busy")
    newest = editor.ask(uri, editor.type(uri, at, "w"))
    assert await asyncio.wait_for(older, DEADLINE) is None
    assert not newest.done()  # the older one was answered without waiting for the model
    (item,) = (await asyncio.wait_for(newest, DEADLINE)).items
    assert run(AREA, "w" + item.insert_text)["result"] == 6
    assert (await editor.status())["completion"]["cancelled"] == before + 1


async def test_requests_in_two_documents_are_both_answered(editor: Editor, tmp_path: Path) -> None:
    uris = [(tmp_path / name).as_uri() for name in ("left.py", "right.py")]
    places = [editor.open_at_cursor(uri, AREA) for uri in uris]
    for suggestion in await asyncio.gather(*map(editor.suggestion, uris, places)):
        assert run(AREA, suggestion)["result"] == 6


async def test_a_cancelled_request_gives_an_error_and_frees_the_engine(editor: Editor, uri: str) -> None:
    before = (await editor.status())["completion"]
    at = editor.open_at_cursor(uri, long_text("cancelled"))
    request = editor.ask(uri, at, "to-be-cancelled")
    await editor.until_state("busy")
    editor.cancel_request(types.CancelParams("to-be-cancelled"))
    await asyncio.wait([request], timeout=DEADLINE)
    assert code_of(request.exception()) == types.LSPErrorCodes.RequestCancelled == -32800
    await editor.until_state("ready")
    after = (await editor.status())["completion"]
    assert after["cancelled"] == before["cancelled"] + 1
    assert after["shown"] == before["shown"]
    # It stopped within a batch, far from the prompt's end.
    assert after["tokens_evaluated"] - before["tokens_evaluated"] < 150
    assert run(AREA, await editor.suggestion(uri, at))["result"] == 6


async def test_a_request_outdated_by_an_edit_suggests_nothing(editor: Editor, uri: str) -> None:
    at = editor.open_at_cursor(uri, AREA)
    request = editor.ask(uri, at)
    await asyncio.sleep(0)  # it is sent before the edit
    editor.type(uri, types.Position(0, 0), "import os\n")
    assert await asyncio.wait_for(request, DEADLINE) is None


async def test_closing_a_document_ends_its_request(editor: Editor, uri: str) -> None:
    request = editor.ask(uri, editor.open_at_cursor(uri, long_text("closed")))
    await editor.until_state("busy")
    editor.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
    assert await asyncio.wait_for(request, DEADLINE) is None


# -- places where nothing is suggested ----------------------------------------------------------------------------


async def test_a_document_never_opened(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "closed.py").write_text("x = 1\n")
    assert await editor.complete((tmp_path / "closed.py").as_uri(), types.Position(0, 3)) == []


@pytest.mark.parametrize(("line", "character"), [(10_000, 0), (0, 10_000), (2**31 - 1, 2**31 - 1), (-1, -5), (2, -1)])
async def test_positions_outside_the_text(editor: Editor, uri: str, line: int, character: int) -> None:
    editor.open(uri, AREA.replace(CURSOR, "width * height"))
    at = types.Position(0, 0)
    for name, value in (("line", line), ("character", character)):
        object.__setattr__(at, name, value)  # past lsprotocol's own check
    for item in await editor.complete(uri, at):
        assert item.range is not None
        assert 0 <= item.range.start.line <= 6  # within the text
    assert run(AREA, await editor.suggestion(uri, editor.open_at_cursor(uri, AREA)))["result"] == 6


async def test_a_binary_document(editor: Editor, uri: str) -> None:
    assert await editor.complete(uri, editor.open_at_cursor(uri, "x = 1\n\0\0\ny = ‸\n")) == []


async def test_a_document_of_50_megabytes(editor: Editor, uri: str) -> None:
    line = "x = 1  # and so on\n"
    editor.open(uri, line * (50_000_000 // len(line)))
    at = types.Position(100_000, 4)
    assert await editor.complete(uri, at) == []
    editor.type(uri, at, "1")
    assert await editor.complete(uri, types.Position(100_000, 5)) == []
    status = await editor.status()
    assert status["memory"]["server_bytes"] < 1_000_000_000
    assert run(AREA, await editor.suggestion(uri, editor.open_at_cursor(uri, AREA)))["result"] == 6


# -- status -------------------------------------------------------------------------------------------------------


async def test_status_has_the_contracts_shape(editor: Editor, uri: str) -> None:
    suggestion = await editor.suggestion(uri, editor.open_at_cursor(uri, AREA))
    await editor.until_state("ready")
    status = await editor.status()
    assert status.keys() == {"engine", "index", "completion", "chat", "memory", "last_completion"}
    assert status["engine"].keys() >= {"state", "model", "pid", "n_ctx", "gpu_layers", "sequences"}
    assert status["engine"]["state"] == "ready"
    assert status["engine"]["model"] == "qwen2.5-coder-0.5b-instruct"
    assert status["engine"]["n_ctx"] >= 4096
    assert status["engine"]["sequences"] >= 1
    assert status["index"] == {
        "state": "disabled",
        "detail": "the editor has no folder open",
        "files": 0,
        "chunks": 0,
        "skipped": 0,
        "pending": 0,
    }
    counts = status["completion"]
    assert counts.keys() >= {"requests", "shown", "accepted", "cancelled", "cache_hits", "tokens_evaluated"}
    assert counts.keys() >= {"tokens_reused", "tokens_generated", "tokens_prewarmed", "p50_ms", "p95_ms", "p99_ms"}
    assert 0 < counts["p50_ms"] <= counts["p95_ms"] <= counts["p99_ms"]
    assert counts["requests"] >= counts["shown"] >= 1
    assert status["memory"]["engine_bytes"] > 400_000_000
    last = status["last_completion"]
    assert last.keys() >= {"text", "alternatives", "range", "model", "tokens_evaluated", "tokens_reused"}
    assert last.keys() >= {"tokens_generated", "confidence", "ms", "context", "filters", "reason"}
    assert last["ms"].keys() == {"context", "prefill", "first_token", "generate", "total"}
    assert last["text"] == suggestion
    assert last["range"]["start"] == last["range"]["end"] == {"line": 2, "character": 11}


async def test_status_changes_are_told(shared_home: Path, uri: str) -> None:
    async with editing(shared_home) as editor:
        await editor.until_state("ready")
        await editor.complete(uri, editor.open_at_cursor(uri, AREA))
        await until(lambda: editor.seen()[-2:] == ["busy", "ready"], lambda: f"idleness; seen {editor.seen()}")
        assert editor.seen()[:2] == ["starting", "ready"]
        asked = await editor.status()
        for told in editor.states:
            assert told.keys() == asked.keys()
            assert told["engine"].keys() == asked["engine"].keys()
        (progress,) = editor.progress_reports.values()
        assert isinstance(progress[0], types.WorkDoneProgressBegin)
        assert isinstance(progress[-1], types.WorkDoneProgressEnd)
        assert all(isinstance(report, types.WorkDoneProgressReport) for report in progress[1:-1])


async def test_no_progress_for_who_cannot_show_it(shared_home: Path) -> None:
    async with editing(shared_home, progress=False) as editor:
        await editor.until_state("ready")
        assert editor.progress_reports == {}


async def test_status_may_be_asked_without_params(editor: Editor) -> None:
    requests = editor.protocol._request_futures
    answer = requests["bare"] = asyncio.get_running_loop().create_future()  # type: ignore[assignment]
    editor.protocol._send_data({"jsonrpc": "2.0", "id": "bare", "method": "midline/status"})
    assert (await asyncio.wait_for(answer, DEADLINE))["engine"]["state"] in ("ready", "busy")  # type: ignore[arg-type]
