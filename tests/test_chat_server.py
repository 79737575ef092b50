"""Chat through the real server with the real model: streamed, kept, cancelled, refused, and behind completions."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from indexer_support import write_tree
from lsp_support import CURSOR, DEADLINE, Editor, code_of, editing, until
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from lsp.chat.requests import plain

FILES = {
    "shop/prices.py": "RATE = 1.2\n\n\ndef price_of(item):\n    return item * RATE\n",
    "secret.py": "x = 1\n",
}
AREA = f'def area(width, height):\n    """The area of a rectangle."""\n    return {CURSOR}\n\n\nresult = area(2, 3)\n'

pytestmark = pytest.mark.model
_tokens = itertools.count(1000)


class Chatter:
    """An editor that chats, and keeps what is streamed to it."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.streamed: dict[int | str, list[dict[str, Any]]] = {}
        # pytest-lsp's own takes every token for one of work done.
        editor.protocol.fm._features[types.PROGRESS] = self._on_progress

    def _on_progress(self, params: types.ProgressParams) -> None:
        assert isinstance(params.value, dict)
        self.streamed.setdefault(params.token, []).append(params.value)

    def send(self, token: int = 0, msg_id: str | None = None, **params: Any) -> asyncio.Future[Any]:
        """Ask without waiting for the answer."""
        wanted = params | ({"partialResultToken": token} if token else {})
        return asyncio.ensure_future(self.editor.protocol.send_request_async("midline/chat", wanted, msg_id))

    async def ask(self, token: int = 0, **params: Any) -> Any:
        return plain(await asyncio.wait_for(self.send(token, **params), DEADLINE))

    async def conversations(self, **params: Any) -> Any:
        request = self.editor.protocol.send_request_async("midline/conversations", params)
        return plain(await asyncio.wait_for(request, DEADLINE))

    async def refused(self, **params: Any) -> tuple[int | None, str]:
        """The code and the text of the error that answers."""
        with pytest.raises(JsonRpcException) as error:
            await self.ask(**params)
        return code_of(error.value), str(error.value)

    def text(self, token: int, kind: str = "answer") -> str:
        return "".join(value["text"] for value in self.streamed.get(token, []) if value["kind"] == kind)


@asynccontextmanager
async def chatting(home: Path, root: Path) -> AsyncIterator[Chatter]:
    async with editing(
        home, root=root, options={"privacy": {"exclude": ["secret.py"]}, "chat": {"answer_tokens": 200}}
    ) as editor:
        chatter = Chatter(editor)
        await editor.until_state("ready")
        await until(lambda: editor.states[-1]["index"]["state"] == "ready", lambda: "the index")
        yield chatter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "workspace", FILES)


async def test_a_conversation(midline_home: Path, root: Path) -> None:
    async with chatting(midline_home, root) as chatter:
        uri = (root / "shop" / "prices.py").as_uri()
        chatter.editor.open(uri, FILES["shop/prices.py"])
        token = next(_tokens)
        selection = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
        document = {"uri": uri, "version": 1}
        first = await chatter.ask(token, message="What is the value?", textDocument=document, selection=selection)
        assert "1.2" in first["answer"]
        assert chatter.streamed[token][0]["id"] == first["conversation"]
        assert chatter.text(token).strip()
        source = first["context"][0]
        assert (source["path"], source["start_line"], source["end_line"], source["reason"]) == (
            "shop/prices.py",
            1,
            1,
            "selection",
        )
        second = await chatter.ask(message="thanks", conversation=first["conversation"])
        read = first["tokens_evaluated"] + first["tokens_reused"] + first["tokens_generated"]
        assert second["tokens_reused"] == read

        listed = await chatter.conversations()
        assert [(one["id"], one["title"], one["messages"]) for one in listed] == [
            (first["conversation"], "What is the value?", 4)
        ]
        named = {"conversation": first["conversation"]}
        assert (await chatter.conversations(action="rename", title="Rates", **named))["title"] == "Rates"
        held = await chatter.conversations(action="get", **named)
        assert [one["role"] for one in held["history"]] == ["user", "assistant"] * 2
        exported = await chatter.conversations(action="export", **named)
        assert exported["markdown"].startswith("# Rates\n\n## You\n\nWhat is the value?\n")
        assert await chatter.conversations(action="delete", **named) is None
        assert await chatter.conversations(action="list") == []
        assert (await chatter.refused(message="go on", **named))[0] == -32803
        status = await chatter.editor.status()
        assert status["chat"]["answered"] == 2
        assert status["chat"]["failed"] == 1


async def test_a_question_that_comes_before_the_settings_waits_for_them(midline_home: Path, root: Path) -> None:
    async with editing(midline_home, root=root, configuration={}) as editor:
        answer = await Chatter(editor).ask(message="What is RATE in @shop/prices.py?")
        assert answer["context"][0]["path"] == "shop/prices.py"


async def test_what_is_refused(midline_home: Path, root: Path) -> None:
    async with chatting(midline_home, root) as chatter:
        secret, open_one = (root / "secret.py").as_uri(), (root / "shop" / "prices.py").as_uri()
        chatter.editor.open(secret, "x = 1\n")
        chatter.editor.open(open_one, FILES["shop/prices.py"])
        refused = [
            ({"message": " "}, "empty"),
            ({"message": "x " * 500_000}, "doesn't fit"),
            ({"message": "what is @prices.yp ?"}, "@shop/prices.py"),
            ({"message": "?", "command": "dance"}, "explain"),
            ({"message": "?", "conversation": "nonsense"}, "no conversation"),
            ({"message": "?", "textDocument": {"uri": "file:///never/opened.py"}}, "not opened"),
            ({"message": "?", "textDocument": {"uri": secret}}, "privacy.exclude"),
            ({"message": "?", "textDocument": {"uri": open_one, "version": 7}}, "changed"),
        ]
        for params, says in refused:
            code, text = await chatter.refused(**params)
            assert code == -32803
            assert says in text
        wrong = ({"selection": {"start": 1}}, {"textDocument": "x"}, {"diagnostics": [{"message": "no range"}]})
        for params in ({"message": 3}, *wrong):
            code, text = await chatter.refused(**params)
            assert code == -32602
            assert "$." in text
        assert await chatter.conversations() == []


async def test_cancelled_what_came_is_kept_and_completions_come_first(midline_home: Path, root: Path) -> None:
    async with chatting(midline_home, root) as chatter:
        token = next(_tokens)
        answer = chatter.send(token, "chat-1", message="Count from 1 to 300, one number per line.")
        await until(lambda: chatter.text(token), lambda: "the answer's first words")
        where = chatter.editor.open_at_cursor((root / "area.py").as_uri(), AREA)
        assert "width * height" in await chatter.editor.suggestion((root / "area.py").as_uri(), where)
        assert not answer.done()
        chatter.editor.protocol.notify("$/cancelRequest", types.CancelParams("chat-1"))
        with pytest.raises((JsonRpcException, asyncio.CancelledError)) as error:
            await asyncio.wait_for(answer, DEADLINE)
        if isinstance(error.value, JsonRpcException):
            assert code_of(error.value) == -32800
        (one,) = await chatter.conversations()
        held = await chatter.conversations(action="get", conversation=one["id"])
        assert held["history"][1]["reason"] == "cancelled"
        assert held["history"][1]["text"]


async def test_a_damaged_file_of_conversations_is_told(own_home: Path, root: Path) -> None:
    file = own_home / "data" / "conversations.sqlite3"
    file.write_bytes(b"not a database" * 100)
    async with editing(own_home, root=root) as editor:
        assert await Chatter(editor).conversations() == []
        await until(lambda: any("is damaged" in said for said in editor.said), lambda: "the warning")
        assert len(list(file.parent.glob("conversations.sqlite3.20*"))) == 1
