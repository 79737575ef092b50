"""Edits through the real server with the real model: proposed, applied by the client, stopped, refused."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from edit_support import applied
from indexer_support import write_tree
from lsp_support import DEADLINE, Editor, code_of, editing, until
from lsprotocol import types
from pygls.exceptions import JsonRpcException

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


async def test_a_command_edits_what_the_client_applies(midline_home: Path, root: Path) -> None:
    async with changing(midline_home, root) as changer:
        uri = (root / "shop/prices.py").as_uri()
        changer.editor.open(uri, PRICES)
        wanted = {
            "textDocument": {"uri": uri, "version": 1},
            "selection": at(4),
            "message": "Rename the parameter item to amount.",
        }
        answer = await changer.command("midline.edit", wanted)
        assert (answer["applied"], answer.get("failureReason")) == (True, None)
        (sent,) = changer.sent
        assert sent.label == "Edit: Rename the parameter item to amount."
        assert sent.edit.document_changes is not None
        (change,) = sent.edit.document_changes
        assert isinstance(change, types.TextDocumentEdit)
        assert change.text_document.version == 1
        assert isinstance(change.edits[0], types.AnnotatedTextEdit)
        kinds = [value["kind"] for _, value in changer.work if _ == changer.work[-1][0]]
        assert (kinds[0], kinds[-1]) == ("begin", "end")
        assert changer.work[-1][1]["kind"] == "end"
        changer.applies = False
        answer = await changer.command("midline.edit", wanted)
        assert (answer["applied"], answer["failureReason"]) == (False, "the user said no")
        edits = (await changer.editor.status())["chat"]["edits"]
        assert edits == {"requests": 2, "proposed": 2, "applied": 1, "refused": 0, "cancelled": 0}


async def test_the_user_stops_a_command(midline_home: Path, root: Path) -> None:
    async with changing(midline_home, root) as changer:
        uri = (root / "shop/prices.py").as_uri()
        changer.editor.open(uri, PRICES)
        wanted = {"textDocument": {"uri": uri}, "message": "Add a long comment above each line."}
        task = asyncio.create_task(changer.command("midline.edit", wanted))
        token = await until(
            lambda: next((token for token, value in changer.work if value.get("cancellable")), None),
            lambda: "progress that can be stopped",
        )
        changer.editor.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
        with pytest.raises(JsonRpcException) as error:
            await task
        assert code_of(error.value) == -32800
        assert changer.work[-1][1]["kind"] == "end"

        # The same by the request's own cancel.
        request = types.ExecuteCommandParams("midline.edit", arguments=[wanted])
        answer = changer.editor.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, request, "command-1")
        task = asyncio.ensure_future(answer)
        begun = len(changer.work)
        await until(lambda: len(changer.work) > begun, lambda: "the second one's progress")
        changer.editor.protocol.notify("$/cancelRequest", types.CancelParams("command-1"))
        with pytest.raises((JsonRpcException, asyncio.CancelledError)):
            await asyncio.wait_for(task, DEADLINE)
        await until(lambda: changer.work[-1][1]["kind"] == "end", lambda: "the end of its work")
        assert changer.sent == []
        assert (await changer.editor.status())["chat"]["edits"]["cancelled"] == 2


async def test_what_is_refused(midline_home: Path, root: Path) -> None:
    async with changing(midline_home, root, types.WorkspaceEditClientCapabilities()) as changer:
        uri, secret = (root / "shop/prices.py").as_uri(), (root / "secret.py").as_uri()
        changer.editor.open(uri, PRICES)
        changer.editor.open(secret, "x = 1\n")
        large = "file:///large.py"
        changer.editor.open(large, "x = 1\n" * 180_000)
        whole = {"start": {"line": 0, "character": 0}, "end": {"line": 180_000, "character": 0}}
        refused = [
            ({"textDocument": {"uri": uri}, "message": " "}, "empty"),
            ({"textDocument": {"uri": uri}, "command": "dance"}, "There are edit"),
            ({"textDocument": {"uri": uri, "version": 7}, "message": "x"}, "changed"),
            ({"textDocument": {"uri": secret}, "message": "x"}, "privacy.exclude"),
            ({"textDocument": {"uri": "file:///never.py"}, "message": "x"}, "not opened"),
            ({"textDocument": {"uri": large}, "selection": whole, "message": "x"}, "too long"),
            ({"textDocument": {"uri": uri}, "command": "tests"}, "Create it"),
        ]
        for params, says in refused:
            for ask in (changer.ask(**params), changer.command("midline.edit", params)):
                with pytest.raises(JsonRpcException) as error:
                    await ask
                assert code_of(error.value) == -32803
                assert says in str(error.value)
        for params in ({}, {"textDocument": uri}, {"textDocument": {"uri": uri}, "selection": {"start": 1}}):
            for ask in (changer.ask(**params), changer.command("midline.edit", params)):
                with pytest.raises(JsonRpcException) as error:
                    await ask
                assert code_of(error.value) == -32602
        assert changer.sent == []


async def test_code_actions(midline_home: Path, root: Path) -> None:
    async with changing(midline_home, root) as changer:
        assert isinstance(changer.editor.offered.code_action_provider, types.CodeActionOptions)
        uri, secret = (root / "shop/prices.py").as_uri(), (root / "secret.py").as_uri()
        changer.editor.open(uri, PRICES)
        changer.editor.open(secret, "x = 1\n")

        async def titles(where: str) -> list[str]:
            here = types.Range(types.Position(3, 0), types.Position(3, 0))
            params = types.CodeActionParams(
                types.TextDocumentIdentifier(where), here, types.CodeActionContext([types.Diagnostic(here, "odd")])
            )
            found = await changer.editor.text_document_code_action_async(params)
            return [one.title for one in found or []]

        assert (await titles(uri))[0] == "Fix: odd (midline)"
        assert "Edit with midline…" not in await titles(uri)
        assert await titles(secret) == await titles("file:///never.py") == []
        assert changer.editor.offered.execute_command_provider is not None
        offered = changer.editor.offered.execute_command_provider.commands
        assert {"midline.edit", "midline.explain", "midline.commitMessage"} <= set(offered)
        assert "midline.askEdit" not in offered
    announced = {"midline": {"askEdit": True}}
    async with editing(midline_home, root=root, edits=FULL, experimental=announced) as editor:
        editor.open(uri, PRICES)
        params = types.CodeActionParams(
            types.TextDocumentIdentifier(uri),
            types.Range(types.Position(3, 0), types.Position(3, 0)),
            types.CodeActionContext([], only=[types.CodeActionKind.RefactorRewrite]),
        )
        actions = await editor.text_document_code_action_async(params)
        assert actions is not None
        # lsprotocol takes a code action that has a command for a command.
        assert "'midline.askEdit'" in str(actions[-1].command)


async def test_commands_that_answer(midline_home: Path, root: Path) -> None:
    async with changing(midline_home, root) as changer:
        uri = (root / "shop/prices.py").as_uri()
        changer.editor.open(uri, PRICES)
        answer = await changer.command("midline.explain", {"textDocument": {"uri": uri}, "selection": at(4)})
        assert "price" in answer["answer"]
        await until(lambda: answer["answer"] in "\n".join(changer.editor.said), lambda: "the message")
        with pytest.raises(JsonRpcException, match="git repository"):
            await changer.command("midline.commitMessage", {})
        _stage(root)
        message = await changer.command("midline.commitMessage", {})
        assert message["subject"]
        assert [one["path"] for one in message["files"]] == ["shop/prices.py"]


def _stage(root: Path) -> None:
    for arguments in (["init", "-q"], ["add", "shop"]):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)
