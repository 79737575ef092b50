"""An editor whose model is at a real llama-server that goes and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsp_support import editing, until
from remote_support import free_port, llama_server

from lsp.models import store

pytestmark = pytest.mark.model

AREA = 'def area(width, height):\n    """The area of a rectangle."""\n    return wid‸\n\n\nresult = area(2, 3)\n'
VOLUME = "def volume(width, height, depth):\n    return wid‸\n\n\nresult = volume(2, 3, 4)\n"


async def test_an_editors_completions_survive_the_server(
    own_home: Path, installed_model: store.InstalledModel, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {"engine": {"remote": url}, "index": {"enabled": False}}
    area, volume = (tmp_path / "area.py").as_uri(), (tmp_path / "volume.py").as_uri()
    async with editing(own_home, options=options) as editor:
        # The server isn't there yet.
        at = editor.open_at_cursor(area, AREA)
        first = await editor.suggestion(area, at)
        assert first.startswith("th * height"), (await editor.status(), editor.said)
        engine = (await editor.status())["engine"]
        assert engine["remote"] is None and engine["pid"] and "can't be reached" in engine["detail"]
        assert len([said for said in editor.said if "local model answers" in said]) == 1, editor.said
        with llama_server(installed_model.path, port=port):
            await until(lambda: editor.engine["remote"] == url, lambda: f"{url}; {editor.states[-1]}")
            assert any("is back" in said for said in editor.said)
            at = editor.open_at_cursor(volume, VOLUME)
            assert (await editor.suggestion(volume, at)).startswith("th * height")
            engine = (await editor.status())["engine"]
            assert engine["model"] == "qwen2.5-coder-0.5b-instruct" and engine["pid"] is None
        at = editor.type(volume, at, "th")
        await editor.complete(volume, at)
        await until(lambda: editor.engine["pid"] and editor.engine["state"] == "ready", lambda: str(editor.states[-1]))
        at = editor.type(volume, at, " *")
        assert (await editor.suggestion(volume, at)).startswith(" height")
        assert len([said for said in editor.said if "local model answers" in said]) == 1, "it was told already"
