"""The plugin's options: all documented, and set by ``setup`` or ``vim.g.midline``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from neovim_editor import PLUGIN, ROOT, Editor

pytestmark = pytest.mark.neovim

CONFIG = "return require('midline').config"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "absolute.py"
    path.write_text("x = 1\n")
    return path


def test_the_help_has_every_option_with_its_default(start) -> None:
    editor: Editor = start(setup=None)
    text = (PLUGIN / "doc" / "midline.txt").read_text()
    (documented,) = re.findall(
        r"All options, with their defaults: >lua\n\n +require\('midline'\)\.setup\((.*?)\n    }\)", text, re.DOTALL
    )
    assert editor.lua(f"return {documented}}}") == editor.lua(CONFIG)
    for name in [*editor.lua(CONFIG), "filetypes"]:
        assert re.search(rf"^ {{6}}{name} = ", documented, re.MULTILINE), name


def test_an_option_that_is_none_is_told(start) -> None:
    editor: Editor = start(setup="{ cmd = { 'sh', '-c', 'exit 3' }, ghost_txt = false }")
    assert any("`ghost_txt`" in message for message in editor.messages)


def test_vim_g_midline_stands_in_for_setup(start, file: Path) -> None:
    options = "{ cmd = { 'no-such-midline', 'serve' }, keymaps = { accept = false, dismiss = '<C-e>' } }"
    editor: Editor = start(file, setup=None, before=f"vim.g.midline = {options}")
    config = editor.lua(CONFIG)
    assert config["cmd"] == ["no-such-midline", "serve"]
    assert config["keymaps"]["accept"] is False
    assert config["keymaps"]["next"] == "<M-]>"
    described = "return vim.fn.maparg(..., 'i', false, true).desc or ''"
    assert [editor.lua(described, key)[:7] == "midline" for key in ("<Tab>", "<C-e>")] == [False, True]
    assert editor.lua("return require('midline').status()").startswith("failed: can't find")
    editor.lua("require('midline').setup({ enabled = false })")
    assert editor.lua(CONFIG)["cmd"] == ["no-such-midline", "serve"]
    assert editor.lua(CONFIG)["enabled"] is False


def test_nothing_is_loaded_before_it_is_wanted(start, file: Path) -> None:
    editor: Editor = start(file, setup=None)
    loaded = "return vim.tbl_filter(function(n) return vim.startswith(n, 'midline') end, vim.tbl_keys(package.loaded))"
    assert editor.lua(loaded) == []


def test_the_readme_s_spec_for_lazy_is_lua_with_known_options(start) -> None:
    editor: Editor = start(setup=None)
    (spec,) = re.findall(r"^\{ dir = .*\}$", (ROOT / "README.md").read_text(), re.MULTILINE)
    found = editor.lua(f"return {spec}")
    assert set(found["opts"]) <= set(editor.lua(CONFIG))
    assert found["dir"].endswith("editors/neovim")
    # lazy.nvim calls the setup() of the only module that there is.
    assert [path.name for path in (PLUGIN / "lua").iterdir()] == ["midline"]
