"""midline in a real Kate, set up as docs/editors.md says, with keys from xdotool on a screen of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.kate, pytest.mark.model]

DOCS = Path(__file__).parents[2] / "docs" / "editors.md"
MIDLINE = Path(sys.executable).with_name("midline")
PROGRAMS = ("kate", "Xvfb", "xdotool", "dbus-run-session")
CODE = 'def absolute(x):\n    """Return x without its sign, by an if and two returns."""\n    if \n'
# How long anything may take on a busy machine before the test gives up.
PATIENCE = 120.0


def recipe() -> dict[str, Any]:
    """What docs/editors.md has users put into Kate's settings, with the program of this environment."""
    section = DOCS.read_text(encoding="utf-8").partition("\n## Kate\n")[2]
    text = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert text, "docs/editors.md has no recipe for Kate"
    settings = json.loads(text[1])
    python = settings["servers"]["python"]
    assert python["command"] == ["midline", "serve"]
    python["command"] = [str(MIDLINE), "serve"]
    return settings


def wait(condition: Callable[[], Any], what: str) -> Any:
    """Wait until ``condition`` gives something true, and give that."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)
    return found


@contextmanager
def screen() -> Iterator[str]:
    """An X server that nobody sees; gives its name for DISPLAY."""
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1200x800x24"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        yield f":{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def kate(midline_home: Path, tmp_path: Path) -> Iterator[tuple[Path, Path, Callable[..., None]]]:
    """Kate on a file: the file, the log of LSP messages, and what presses keys."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} (Debian: kate, xvfb, xdotool, dbus-daemon)")
    file, log, home = tmp_path / "absolute.py", tmp_path / "lsp.log", tmp_path / "home"
    file.write_text(CODE)
    settings, config, run = home / ".config/kate/lspclient/settings.json", home / ".config/katerc", home / "run"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(recipe()))
    # Kate asks before it starts a server; this is what it keeps of the answer.
    config.write_text(f"[lspclient]\nAllowedServerCommandLines={MIDLINE} serve\n")
    run.mkdir(mode=0o700)
    with screen() as display:
        env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        env |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(run), "DISPLAY": display, "MIDLINE_LSP_LOG": str(log)}

        def keys(*names: str) -> None:
            subprocess.run(["xdotool", *names], env=env, check=True, stdout=subprocess.DEVNULL)

        with (tmp_path / "kate.log").open("w") as output:
            editor = subprocess.Popen(
                ["dbus-run-session", "--", "kate", "-b", str(file)], env=env, stdout=output, stderr=output
            )
            try:
                yield file, log, keys
            finally:
                keys("key", "ctrl+q")
                try:
                    editor.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    editor.terminate()
                    editor.wait()


def test_the_menu_has_the_suggestion_and_inserts_it(kate: tuple[Path, Path, Callable[..., None]]) -> None:
    file, log, keys = kate

    def messages() -> list[dict[str, Any]]:
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        return [json.loads(line)["message"] for line in lines]

    def state() -> str:
        told = [one["params"]["engine"]["state"] for one in messages() if one.get("method") == "midline/statusChanged"]
        return told[-1] if told else ""

    def offered() -> list[dict[str, Any]]:
        # Without a window manager, a window has the keys once it is clicked into.
        keys("mousemove", "300", "300", "click", "1", "key", "ctrl+End", "key", "Up", "key", "End", "key", "ctrl+space")
        time.sleep(3)
        said = messages()
        asked = [one["id"] for one in said if one.get("method") == "textDocument/completion"]
        answers = [one["result"] for one in said if asked and one.get("id") == asked[-1] and one.get("result")]
        return [item for answer in answers for item in answer["items"]]

    wait(lambda: state() == "ready", "the model to be loaded")
    first, *_ = wait(offered, "a suggestion in the menu")
    assert first["detail"] == "midline"
    text = CODE.rstrip("\n") + first["textEdit"]["newText"] + "\n"
    time.sleep(1)  # until the menu shows what has come
    keys("key", "Return")
    keys("key", "ctrl+s")
    wait(lambda: file.read_text() != CODE, "the file to be saved")
    assert file.read_text() == text
    names: dict[str, Any] = {}
    exec(text, names)
    assert [names["absolute"](x) for x in (-2, 0, 3)] == [2, 0, 3], text
