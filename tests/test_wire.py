"""Our protocol under pygls' message loop: which documents a client's messages make, and what it is answered."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from lsprotocol import types
from pygls.io_ import StdoutWriter, run
from pygls.lsp.server import LanguageServer

from lsp.documents import (
    DocumentStore,
)
from lsp.protocol import Protocol

URI = "file:///w/a.py"


class Wire:
    """Our protocol under pygls' message loop, fed with bytes as a client sends them."""

    def __init__(self) -> None:
        self.server = LanguageServer("test", "1", protocol_cls=Protocol)
        self.out = io.BytesIO()
        self.server.protocol.set_writer(StdoutWriter(self.out))

    def send(self, *messages: dict[str, Any]) -> None:
        frames = io.BytesIO()
        for message in messages:
            body = json.dumps({"jsonrpc": "2.0", **message}).encode()
            frames.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        frames.seek(0)
        run(threading.Event(), frames, self.server.protocol)

    def initialize(self, *encodings: str) -> None:
        general = {"positionEncodings": encodings} if encodings else {}
        params = {"processId": None, "rootUri": "file:///w", "capabilities": {"general": general}}
        params["workspaceFolders"] = [{"uri": "file:///w", "name": "w"}]
        self.send({"id": 1, "method": "initialize", "params": params})

    def open(self, text: str) -> None:
        item = {"uri": URI, "languageId": "python", "version": 1, "text": text}
        self.send({"method": "textDocument/didOpen", "params": {"textDocument": item}})

    def change(self, uri: str, *changes: dict[str, Any], version: int = 2) -> None:
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}
        self.send({"method": "textDocument/didChange", "params": params})


def replace(start: list[float], end: list[float], text: str) -> dict[str, Any]:
    ends = {"start": start, "end": end}
    return {"range": {k: {"line": v[0], "character": v[1]} for k, v in ends.items()}, "text": text}


def test_a_client_gets_our_documents_in_its_encoding() -> None:
    wire = Wire()
    seen = []
    wire.server.feature(types.INITIALIZE)(lambda params: seen.append(wire.server.workspace))
    wire.initialize("utf-8", "utf-16")
    store = wire.server.workspace
    assert seen == [store]
    assert isinstance(store, DocumentStore)
    assert store.root_path == "/w"
    assert list(store.folders) == ["file:///w"]

    wire.open("a\fb\n😀 = 1\n")
    wire.change(URI, replace([1, 4], [1, 4], "x"), replace([1, 0], [1, 4], "y"))
    doc = store.opened(URI)
    assert doc is not None
    assert (doc.source, doc.version) == ("a\fb\nyx = 1\n", 2)
    assert doc.position_at(5) == types.Position(1, 1)

    wire.send({"method": "textDocument/didClose", "params": {"textDocument": {"uri": URI}}})
    assert store.opened(URI) is None


def test_without_an_initialize_handler_and_without_an_encoding_positions_are_utf_16() -> None:
    wire = Wire()
    wire.initialize()
    wire.open("😀")
    wire.change(URI, replace([0, 2], [0, 2], "!"))
    assert wire.server.workspace.opened(URI).source == "😀!"


def test_a_change_to_a_document_never_opened_is_logged_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire()
    wire.initialize()
    wire.open("a")
    wire.change("file:///w/other.py", replace([0, 0], [0, 0], "x"))
    assert [r.getMessage() for r in caplog.records if "never opened" in r.getMessage()] == [
        "Ignoring a change to file:///w/other.py, which was never opened."
    ]
    assert not any(r.exc_info for r in caplog.records)
    wire.change(URI, replace([0, 1], [0, 1], "b"))
    assert wire.server.workspace.opened(URI).source == "ab"
    assert wire.server.workspace.opened("file:///w/other.py") is None
    assert wire.server.workspace.get_text_document("file:///w/other.py").source == ""


@pytest.mark.parametrize("far", [2**31, 2**63, 1.7976931348623157e308])
def test_numbers_outside_lsps_range_lose_no_edit(far: float) -> None:
    wire = Wire()
    wire.initialize()
    wire.open("a\nb")
    wire.change(URI, replace([-1, -5], [far, far], "new"))
    assert wire.server.workspace.opened(URI).source == "new"


def test_a_request_that_cant_be_read_is_answered() -> None:
    wire = Wire()
    wire.initialize()
    wire.send({"id": 7, "method": "textDocument/hover", "params": {"position": "here"}})
    answer = json.loads(wire.out.getvalue().split(b"\r\n\r\n")[-1])
    assert answer["id"] == 7
    assert answer["error"]["code"] == types.ErrorCodes.InvalidParams
