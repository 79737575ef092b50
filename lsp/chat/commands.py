"""Commands of ``workspace/executeCommand``: what code actions run, and what clients without an own UI may call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from lsp.chat.commit import commit_message as write_message
from lsp.chat.editing.edits import EditParams, Edits, label_of
from lsp.chat.model import ChatModel
from lsp.chat.requests import Chat, ChatParams, Host, Opened, read_params, refusing
from lsp.chat.staged import staged
from lsp.errors import MidlineError
from lsp.progress import stoppable
from lsp.protocol import Protocol

COMMIT_MESSAGE = "midline.commitMessage"


@contextmanager
def answering(server: LanguageServer) -> Iterator[None]:
    """Ends a command with its request, and tells the client of errors as it is to have them."""
    assert isinstance(server.protocol, Protocol)
    server.protocol.stop_with_request()
    try:
        with refusing():
            yield
    except asyncio.CancelledError as error:
        # pygls leaves a command's request unanswered where its task ends in this way.
        raise JsonRpcException("midline: stopped", types.LSPErrorCodes.RequestCancelled.value) from error


async def edit(server: LanguageServer, edits: Edits, opened: Opened, arguments: Sequence[Any]) -> dict[str, Any]:
    """``midline.edit``: have an edit written, and the client apply it, with its user's consent where it can ask for it.

    Raises:
        JsonRpcException: it can't be done, or was stopped.
    """
    params = read_params(EditParams, arguments[0] if arguments else {})
    label = label_of(params)
    with answering(server):
        async with stoppable(server, label) as report:
            proposal = await edits.propose(params, opened, _shown(report))
        answer = proposal.as_dict(edits.able)
        if not edits.able.applies:
            return answer | {"applied": False, "failureReason": "The client applies no edits."}
        # Nothing is waited for between the check of the version and this.
        result = await server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(answer["edit"], label))
    edits.counts["applied"] += result.applied
    return answer | {"applied": result.applied, "failureReason": result.failure_reason}


async def explain(server: LanguageServer, chat: Chat, opened: Opened, arguments: Sequence[Any]) -> dict[str, Any]:
    """``midline.explain``: for clients without a chat window, which get it as a message.

    Raises:
        JsonRpcException: it can't be answered, or was stopped.
    """
    params = msgspec.structs.replace(read_params(ChatParams, arguments[0] if arguments else {}), command="explain")
    with answering(server):
        async with stoppable(server, "Explain"):
            answer = await chat.ask(params, opened)
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, answer["answer"]))
    return answer


async def commit_message(server: LanguageServer, host: Host, model: ChatModel) -> dict[str, Any]:
    """``midline.commitMessage``: a message for what is staged in the open folder's repository.

    Raises:
        JsonRpcException: there is nothing to write about, or it was stopped.
    """
    with answering(server):
        if host.workspace is None:
            raise MidlineError("No folder is open.", "Open that of the repository.")
        async with stoppable(server, "Commit message"):
            what = await asyncio.to_thread(staged, host.workspace, host.is_private)
            chosen = await model.chosen()
            template = await model.template(chosen)
            message = await write_message(chosen.engine, template, chosen.name, what, host.settings.chat)
    return message.as_dict()


def _shown(report: Callable[[str], None]) -> Callable[[dict[str, Any]], None]:
    """Reports how many lines have been written, and when it is tried again."""
    lines = 0

    def told(value: dict[str, Any]) -> None:
        nonlocal lines
        if value["kind"] == "attempt":
            lines = 0
            report("reading …" if value["number"] == 1 else "trying again …")
        elif "\n" in value["text"]:
            lines += value["text"].count("\n")
            report(f"{lines} lines")

    return told
