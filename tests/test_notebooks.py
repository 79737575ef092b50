"""Cells of notebooks: what a cell is shown of those before it, and that cells are followed like files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsp_support import Editor, editing
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.model

CODE, MARKUP = types.NotebookCellKind.Code, types.NotebookCellKind.Markup
DEFINES = 'def fahrenheit_of(celsius):\n    """Convert a temperature."""\n    return celsius * 9 / 5 + 32\n'
USES = "temperatures = [12, 18, 25]\nprint([fahr"


class Notebook:
    """A notebook in an editor, as the editor tells of it."""

    def __init__(self, editor: Editor, file: Path, cells: list[tuple[types.NotebookCellKind, str, str]]) -> None:
        self.editor, self.uri, self.version = editor, file.as_uri(), 1
        self.cells = [self._named(number) for number in range(len(cells))]
        documents = [
            types.TextDocumentItem(uri, language, 1, text)
            for uri, (_, language, text) in zip(self.cells, cells, strict=True)
        ]
        listed = [types.NotebookCell(kind, uri) for uri, (kind, _, _) in zip(self.cells, cells, strict=True)]
        notebook = types.NotebookDocument(self.uri, "jupyter-notebook", 1, listed)
        editor.notebook_document_did_open(types.DidOpenNotebookDocumentParams(notebook, documents))

    def _named(self, number: int) -> str:
        return f"{self.uri.replace('file:', 'vscode-notebook-cell:')}#W{number}sZmlsZQ%3D%3D"

    def change(self, change: types.NotebookDocumentCellChanges) -> None:
        self.version += 1
        self.editor.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(self.version, self.uri),
                types.NotebookDocumentChangeEvent(cells=change),
            )
        )

    def type(self, cell: int, version: int, at: types.Position, text: str) -> types.Position:
        """Insert a text in a cell's line; the position behind it."""
        typed = types.NotebookDocumentCellContentChanges(
            types.VersionedTextDocumentIdentifier(version=version, uri=self.cells[cell]),
            [types.TextDocumentContentChangePartial(types.Range(at, at), text)],
        )
        self.change(types.NotebookDocumentCellChanges(text_content=[typed]))
        return types.Position(at.line, at.character + len(text))

    def insert(self, at: int, text: str) -> None:
        """A new cell of code, told of as VS Code does."""
        uri = self._named(len(self.cells))
        array = types.NotebookCellArrayChange(at, 0, [types.NotebookCell(CODE, uri)])
        item = types.TextDocumentItem(uri, "python", 1, text)
        self.change(
            types.NotebookDocumentCellChanges(types.NotebookDocumentCellChangeStructure(array, [item], did_close=[]))
        )
        self.cells.insert(at, uri)


@pytest_asyncio.fixture
async def editor(midline_home: Path, tmp_path: Path) -> AsyncIterator[Editor]:
    async with editing(midline_home, root=tmp_path) as editor:
        await editor.until_state("ready")
        yield editor


async def why(editor: Editor) -> dict[str, Any]:
    answer = await editor.workspace_execute_command_async(types.ExecuteCommandParams("midline.why", []))
    assert isinstance(answer, dict)
    return answer


async def context(editor: Editor, uri: str, at: types.Position) -> list[dict[str, Any]]:
    """What a suggestion at a place is shown, once that has been gathered: the next key finds it prepared."""
    for _ in range(20):
        await editor.complete(uri, at, types.InlineCompletionTriggerKind.Invoked)
        if pieces := (await why(editor))["context"]:
            return list(pieces)
        position = {"line": at.line, "character": at.character}
        editor.protocol.notify("midline/cursorMoved", {"textDocument": {"uri": uri}, "position": position})
    return []


async def test_a_cell_is_shown_the_cells_of_code_before_it(editor: Editor, tmp_path: Path) -> None:
    cells = [(CODE, "python", DEFINES), (MARKUP, "markdown", "Now it is used."), (CODE, "python", USES)]
    notebook = Notebook(editor, tmp_path / "units.ipynb", [*cells, (CODE, "python", "never_shown = 1\n")])
    at = types.Position(1, len("print([fahr"))
    shown = await context(editor, notebook.cells[2], at)
    assert [(piece["path"], piece["symbol"], piece["reason"]) for piece in shown] == [
        ("units.ipynb", "cell 1", "an earlier cell")
    ]
    assert (await editor.suggestion(notebook.cells[2], at)).startswith("enheit_of(")
    # A cell is edited and asked in as a file is.
    at = notebook.type(2, 2, at, "en")
    assert (await editor.suggestion(notebook.cells[2], at)).startswith("heit_of(")
    # A new cell between two others is shown those above it, in their order.
    notebook.insert(3, "print(fahr")
    shown = await context(editor, notebook.cells[3], types.Position(0, len("print(fahr")))
    assert [piece["symbol"] for piece in shown] == ["cell 1", "cell 2"]
    assert shown[0]["end_line"] < shown[1]["start_line"]


async def test_cells_of_a_private_notebook_are_private(editor: Editor, tmp_path: Path) -> None:
    editor.configure({"midline": {"privacy": {"exclude": ["private*"]}}})
    notebook = Notebook(editor, tmp_path / "private.ipynb", [(CODE, "python", DEFINES), (CODE, "python", USES)])
    assert await editor.complete(notebook.cells[1], types.Position(1, 11)) == []
    assert "privacy.exclude" in (await why(editor))["reason"]
    asked = {"textDocument": {"uri": notebook.cells[1]}, "command": "explain", "message": ""}
    for method, command in (("midline/chat", "explain"), ("midline/edit", "document")):
        with pytest.raises(JsonRpcException, match=r"privacy\.exclude"):
            await editor.protocol.send_request_async(method, asked | {"command": command})


async def test_what_is_told_of_unknown_notebooks_and_cells_does_no_harm(editor: Editor, tmp_path: Path) -> None:
    notebook = Notebook(editor, tmp_path / "known.ipynb", [(CODE, "python", DEFINES)])
    notebook.uri, known = (tmp_path / "unknown.ipynb").as_uri(), notebook.uri
    notebook.insert(7, "x = 1\n")
    notebook.uri = known
    notebook.cells[0], cell = notebook.cells[0] + "gone", notebook.cells[0]
    notebook.type(0, 2, types.Position(0, 0), "x")
    gone = [types.TextDocumentIdentifier(cell)]
    closed = types.DidCloseNotebookDocumentParams(types.NotebookDocumentIdentifier(known), gone)
    editor.notebook_document_did_close(closed)
    editor.notebook_document_did_close(closed)
    assert await editor.complete(cell, types.Position(0, 0)) == []
    assert (await why(editor))["reason"] == "the editor has not opened this document"
