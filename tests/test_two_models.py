"""One model that completes and one that chats, through the real server with the real model under two names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lsp_support import DEADLINE, Editor, editing, until
from test_chat_server import AREA, Chatter

from lsp.models.store import InstalledModel

pytestmark = pytest.mark.model


@pytest.fixture
def other(tmp_path: Path, installed_model: InstalledModel) -> Path:
    """The installed model under another name: another one, as far as anybody can tell."""
    path = tmp_path / "other-model.gguf"
    path.symlink_to(installed_model.path)
    return path


async def completes(editor: Editor, uri: str) -> bool:
    """Whether the real model's answer comes."""
    return "width * height" in await editor.suggestion(uri, editor.open_at_cursor(uri, AREA))


async def test_one_model_chats_while_the_other_completes(own_home: Path, other: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "area.py").as_uri()
    async with editing(own_home, root=tmp_path, options={"model": {"chat": str(other)}}) as editor:
        engine = await editor.until_state("ready")
        chatter = Chatter(editor)
        answer = asyncio.create_task(chatter.ask(7, message="Write a long poem about rectangles."))
        await until(lambda: len(chatter.streamed.get(7, [])) > 5, lambda: f"an answer, not {chatter.streamed}")
        assert await completes(editor, uri)  # while the answer is written
        assert not answer.done()
        status = await editor.status()
        assert status["engine"]["model"] == engine["model"] != "other-model"
        assert status["engine"]["pid"] == engine["pid"]
        assert status["chat"]["engine"]["model"] == "other-model"
        assert "other-model" in (await asyncio.wait_for(answer, DEADLINE))["model"]
        assert editor.said == []


async def test_a_changed_setting_switches_the_model_without_a_restart(
    own_home: Path, other: Path, tmp_path: Path
) -> None:
    uri = (tmp_path / "area.py").as_uri()
    async with editing(own_home) as editor:
        pid = (await editor.until_state("ready"))["pid"]
        assert await completes(editor, uri)
        editor.configure({"midline": {"model": {"completion": str(other)}}})
        await until(lambda: editor.engine["model"] == "other-model", lambda: f"the other model, not {editor.engine}")
        engine = await editor.until_state("ready")
        assert engine["pid"] == pid
        assert await completes(editor, uri)
        assert editor.said == []
