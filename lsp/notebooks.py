"""Notebooks: their cells are documents like others, and the editor tells in which order they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from urllib.parse import unquote

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from lsp.documents import Document, DocumentStore
from lsp.session import Session

SYNC = types.NotebookDocumentSyncOptions([types.NotebookDocumentFilterWithNotebook("*")])
"""What the server wants to be told of: all cells of all notebooks."""


def earlier_cells(documents: DocumentStore, uri: str) -> Iterator[Document]:
    """The cells of code before a cell, from the top; none for a document that is no cell."""
    notebook = documents.get_notebook_document(cell_uri=uri)
    for cell in takewhile(lambda one: unquote(one.document) != unquote(uri), notebook.cells if notebook else ()):
        document = documents.opened(cell.document)
        if document and cell.kind == types.NotebookCellKind.Code:
            yield document


def follow_notebooks(server: LanguageServer, session: Session, opened: Callable[[str], Document | None]) -> None:
    """Tell the session of cells as it is told of files, which editors do not do by themselves.

    Args:
        server: pygls puts each change into its documents before it is handled here.
        session: what is told.
        opened: for the open document of a URI.
    """

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            session.opened(opened(cell.uri))

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeNotebookDocumentParams) -> None:
        cells = params.change.cells or types.NotebookDocumentCellChanges()
        if cells.structure:
            for closed in cells.structure.did_close or ():
                session.closed(closed.uri)
            for cell in cells.structure.did_open or ():
                session.opened(opened(cell.uri))
        for edited in cells.text_content or ():
            session.edited(opened(edited.document.uri), len(edited.changes))

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            session.closed(cell.uri)
