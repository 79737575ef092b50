"""Adapters from the user's side: a setting puts one on and takes it off, while the model stays loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lsp_support import Editor, editing, until
from test_cli import midline
from test_two_models import completes
from tiny_gguf import write_tiny_gguf
from tiny_lora import write_lora

from lsp.models.store import InstalledModel

pytestmark = pytest.mark.model


async def switched(editor: Editor, adapters: list[str]) -> None:
    before = len(editor.states)
    editor.configure({"midline": {"model": {"adapters": adapters}}})
    await until(
        lambda: [state["engine"]["state"] for state in editor.states[before:]][-1:] == ["ready"],
        lambda: f"an engine that is ready, not {editor.states[before:]}",
    )


async def test_a_setting_puts_an_adapter_on_and_off(
    own_home: Path, installed_model: InstalledModel, tmp_path: Path
) -> None:
    folder = own_home / "data" / "adapters"
    folder.mkdir()
    write_lora(folder / "babble.gguf", installed_model.path, gain=5, only=["attn_q", "attn_output"])
    uri = (tmp_path / "area.py").as_uri()
    async with editing(own_home, root=tmp_path) as editor:
        pid = (await editor.until_state("ready"))["pid"]
        begun = len(editor.states)
        assert await completes(editor, uri)
        await switched(editor, ["babble"])
        assert not await completes(editor, uri)
        await switched(editor, [])
        assert await completes(editor, uri)
        assert editor.engine["pid"] == pid
        assert not [state for state in editor.states[begun:] if "loading" in state["engine"]["detail"]]
        assert editor.said == []


async def test_one_that_doesnt_fit_is_told_with_its_cure(
    own_home: Path, installed_model: InstalledModel, tmp_path: Path
) -> None:
    other = write_lora(tmp_path / "other.gguf", write_tiny_gguf(tmp_path / "tiny.gguf", "full"))
    (tmp_path / "midline.toml").write_text('model.adapters = ["absent"]\n')
    options = {"model": {"adapters": [str(other)]}}
    async with editing(own_home, root=tmp_path, options=options) as editor:
        engine = await editor.until_state("disabled")
        assert "architecture 'llama', this one is 'qwen2'" in engine["detail"]
        assert engine["cure"] == "Change `model.adapters`."
    file = tmp_path / "area.py"
    file.write_text("x = 1\n")
    done = midline("complete", f"{file}:1", "--workspace", str(tmp_path), "--json")
    assert done.returncode == 1
    assert "There is no adapter 'absent'" in json.loads(done.stdout)["error"]
