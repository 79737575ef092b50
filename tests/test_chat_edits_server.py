"""Edits through the real server with the real model: proposed, applied by the client, stopped, refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from edit_support import applied
from indexer_support import write_tree
from lsp_support import DEADLINE, Editor, editing
from lsprotocol import types

from lsp.chat.requests import plain

PRICES = "RATE = 1.2\r\n\r\n\r\ndef price_of(item):\r\n    return item * RATE\r\n\r\n\r\ndef other():\r\n    return 1"
FILES = {"shop/prices.py": PRICES, "secret.py": "x = 1\n", "pyproject.toml": "[project]\n"}
FULL = types.WorkspaceEditClientCapabilities(
    document_changes=True,
    resource_operations=[types.ResourceOperationKind.Create],
    change_annotation_support=types.ChangeAnnotationsSupportOptions(),
)

pytestmark = pytest.mark.model


class Changer:
    """An editor that asks for edits, applies what it is sent, and keeps what is streamed to it."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.sent: list[types.ApplyWorkspaceEditParams] = []
        self.streamed: list[dict[str, Any]] = []
        self.work: list[tuple[int | str, Any]] = []
        self.applies = True
        editor.protocol.fm._features[types.PROGRESS] = self._on_progress
        editor.feature(types.WORKSPACE_APPLY_EDIT)(lambda params: self._on_apply(params))

    def _on_progress(self, params: types.ProgressParams) -> None:
        if params.token == "edit":
            assert isinstance(params.value, dict)
            self.streamed.append(params.value)
        else:
            self.work.append((params.token, params.value))

    def _on_apply(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        self.sent.append(params)
        return types.ApplyWorkspaceEditResult(self.applies, None if self.applies else "the user said no")

    def send(self, msg_id: str | None = None, **params: Any) -> asyncio.Future[Any]:
        wanted = {"partialResultToken": "edit"} | params
        return asyncio.ensure_future(self.editor.protocol.send_request_async("midline/edit", wanted, msg_id))

    async def ask(self, **params: Any) -> Any:
        return plain(await asyncio.wait_for(self.send(**params), DEADLINE))

    async def command(self, name: str, *arguments: Any) -> Any:
        params = types.ExecuteCommandParams(name, arguments=list(arguments))
        return plain(await asyncio.wait_for(self.editor.workspace_execute_command_async(params), DEADLINE))


@asynccontextmanager
async def changing(
    home: Path, root: Path, edits: types.WorkspaceEditClientCapabilities = FULL
) -> AsyncIterator[Changer]:
    options = {"privacy": {"exclude": ["secret.py"]}}
    async with editing(home, root=root, options=options, edits=edits) as editor:
        changer = Changer(editor)
        await editor.until_state("ready")
        yield changer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "workspace", FILES)


def at(line: int, character: int = 0) -> dict[str, Any]:
    return {"start": {"line": line, "character": character}, "end": {"line": line, "character": character}}


async def test_an_edit_end_to_end(midline_home: Path, root: Path) -> None:
    async with changing(midline_home, root) as changer:
        uri = (root / "shop/prices.py").as_uri()
        changer.editor.open(uri, PRICES)
        answer = await changer.ask(
            textDocument={"uri": uri, "version": 1}, selection=at(4, 3), message="Rename the parameter item to amount."
        )
        (change,) = answer["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": uri, "version": 1}
        renamed = PRICES.replace("item", "amount")
        assert applied(PRICES, change["edits"]) == applied(PRICES, answer["hunks"]) == renamed
        assert answer["edit"]["changeAnnotations"]["midline"]["needsConfirmation"] is True
        assert [hunk["range"]["start"]["line"] for hunk in answer["hunks"]] == [3]
        assert (answer["uri"], answer["version"], answer["command"], answer["attempts"]) == (uri, 1, "edit", 1)
        assert answer["tokens_generated"] > 0
        assert set(answer["ms"]) == {"context", "prefill", "first_token", "generate", "total"}
        assert changer.streamed[0] == {"kind": "attempt", "number": 1}
        written = "".join(piece["text"] for piece in changer.streamed[1:])
        assert "def price_of(amount):" in written
