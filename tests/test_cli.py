"""``midline …`` as it is typed: what it prints where, what it exits with, and what it says of bad input."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest
from lsp_support import CURSOR, DEADLINE, MIDLINE, until
from tiny_gguf import write_tiny_gguf

from lsp import __version__
from lsp.choice import engine_config
from lsp.cli import main
from lsp.configuration import load
from lsp.engine.client import EngineClient
from lsp.models.catalogue import DEFAULT_MODEL

AREA = 'def area(width, height):\n    """The area of a rectangle."""\n    return ‸\n\n\nresult = area(2, 3)\n'
CONTRACT = {
    "text",
    "alternatives",
    "range",
    "model",
    "tokens_evaluated",
    "tokens_reused",
    "tokens_generated",
    "confidence",
    "ms",
    "context",
    "filters",
}


def midline(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [MIDLINE, *map(str, arguments)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=DEADLINE, **options
    )


def complete(*arguments: object, **options: Any) -> dict[str, Any]:
    """Run ``midline complete --json`` and return what it gives."""
    done = midline("complete", *arguments, "--json", **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    return result


class Failure(Protocol):
    def __call__(self, *arguments: object) -> str: ...


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Failure:
    """Runs a command that fails, in this process, and returns the one line that it says."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("midline: ")
        return err

    return run


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A place in a file where ``width * height`` is to come."""
    file = tmp_path / "area.py"
    file.write_text(AREA.replace(CURSOR, ""))
    return f"{file}:3"


# -- complete -----------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_complete_gives_the_contracts_json(midline_home: Path, place: str) -> None:
    result = complete(place)
    assert result.keys() == CONTRACT | {"reason", "why", "cached", "queue_ms", "mode"}
    namespace: dict[str, Any] = {}
    exec(AREA.replace(CURSOR, result["text"]), namespace)
    assert namespace["result"] == 6
    assert result["alternatives"] == []
    assert result["range"] == {"start": {"line": 2, "character": 11}, "end": {"line": 2, "character": 11}}
    assert result["model"] == DEFAULT_MODEL.name
    assert result["tokens_evaluated"] + result["tokens_reused"] > 20
    assert result["tokens_generated"] >= 3
    assert 0 < result["confidence"] <= 1
    assert result["ms"].keys() == {"context", "prefill", "first_token", "generate", "total"}
    assert result["ms"]["total"] >= result["ms"]["first_token"] > 0
    assert result["reason"] == ""
    # The engine is still there, with all that it computed.
    again = complete(place)
    assert again["text"] == result["text"]
    assert again["tokens_evaluated"] <= 3
    assert again["tokens_reused"] > 20


@pytest.mark.model
def test_complete_shows_a_human_what_it_did(midline_home: Path, place: str) -> None:
    done = midline("complete", place)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "    return width * height" in done.stdout
    assert "result = area(2, 3)" in done.stdout
    assert str(midline_home / "data" / "models" / f"{DEFAULT_MODEL.name}.gguf") in done.stdout
    for words in ("evaluated,", "reused,", "generated", "s to the first token", "confidence"):
        assert words in done.stdout


@pytest.mark.model
def test_alternatives_are_different(midline_home: Path, tmp_path: Path) -> None:
    (tmp_path / "colours.py").write_text('colours = ["red", "green", ""]\n')
    result = complete(f"{tmp_path / 'colours.py'}:1:27", "--n", 3)
    every = [result["text"], *result["alternatives"]]
    assert 2 <= len(every) <= 3
    assert len(set(every)) == len(every)


@pytest.mark.model
def test_alternatives_differ_from_the_best(midline_home: Path) -> None:
    result = complete(f"{Path(__file__).parents[1] / 'docs' / 'try_me.py'}:28", "--n", 3)
    assert result["text"] not in result["alternatives"]


@pytest.mark.model
def test_columns_count_characters(midline_home: Path, tmp_path: Path) -> None:
    line = 'smile = "😀"; smile_size = len("é😀") + len(smi'
    (tmp_path / "smile.py").write_text(f"{line}\nprint(smile_size)\n", "utf-8")
    # Not every terminal has every character.
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    place = f"{tmp_path / 'smile.py'}:1:{len(line) + 1}"
    result = complete(place, env=ascii_only)
    namespace: dict[str, Any] = {}
    exec(line + result["text"], namespace)
    assert namespace["smile_size"] == 3
    done = midline("complete", place, env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert result["text"] in done.stdout


@pytest.mark.model
def test_complete_takes_the_workspaces_settings(midline_home: Path, place: str, tmp_path: Path) -> None:
    (tmp_path / "midline.toml").write_text("[completion]\nmin_confidence = 1\nmax_token = 1\n")
    done = midline("complete", place, "--workspace", tmp_path, "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["text"] == ""
    assert "below 1.00" in result["reason"]
    assert done.stderr.count("\n") == 1
    assert "did you mean completion.max_tokens?" in done.stderr
    assert f"No suggestion: {result['reason']}" in midline("complete", place, "--workspace", tmp_path).stdout


# -- bad input ----------------------------------------------------------------------------------------------------


def test_places_outside_a_file(empty_home: Path, tmp_path: Path, place: str, failure: Failure) -> None:
    file = place.rpartition(":")[0]
    assert "There is no line 0: " in failure("complete", f"{file}:0")
    assert "There is no line 8: " in failure("complete", f"{file}:8")
    assert "There is no line 99999999999999999999: " in failure("complete", f"{file}:99999999999999999999")
    assert "There is no column 13: " in failure("complete", f"{file}:3:13")
    assert "There is no column 0: " in failure("complete", f"{file}:3:0")
    assert "There is no file " in failure("complete", f"{tmp_path / 'none.py'}:1")


def test_a_private_file(empty_home: Path, tmp_path: Path, place: str, failure: Failure) -> None:
    name = Path(place.rpartition(":")[0]).name
    (tmp_path / "midline.toml").write_text(f"[privacy]\nexclude = ['/{name}']\n")
    assert f"privacy.exclude names {tmp_path / name}" in failure("complete", place, "--workspace", tmp_path)


def test_files_that_are_no_text(empty_home: Path, tmp_path: Path, failure: Failure) -> None:
    (tmp_path / "binary.py").write_bytes(b"x = 1\n\0\0")
    (tmp_path / "latin.py").write_bytes("x = 'é'\n".encode("latin-1"))
    (tmp_path / "big.py").write_bytes(b"x = 1  # and so on\n" * 2_700_000)
    os.mkfifo(tmp_path / "pipe.py")
    assert "is binary" in failure("complete", f"{tmp_path / 'binary.py'}:1")
    assert "is not UTF-8: byte 6 " in failure("complete", f"{tmp_path / 'latin.py'}:1")
    assert "is too big" in failure("complete", f"{tmp_path / 'big.py'}:1")
    assert "is a folder" in failure("complete", f"{tmp_path}:1")
    assert "is not a regular file" in failure("complete", f"{tmp_path / 'pipe.py'}:1")


def test_without_a_model(empty_home: Path, place: str, failure: Failure) -> None:
    cure = f"midline model pull {DEFAULT_MODEL.name}"
    assert cure in failure("complete", place)
    done = midline("complete", place, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout).keys() == {"error", "cure"}
    assert cure in json.loads(done.stdout)["cure"]
    assert done.stderr.count("\n") == 1


def test_a_model_that_cannot_fill_in(empty_home: Path, place: str, tmp_path: Path, failure: Failure) -> None:
    use(empty_home, write_tiny_gguf(tmp_path / "chatty.gguf", "full", fim=()))
    said = failure("complete", place)
    assert "chatty" in said
    assert "midline model recommend" in said


def test_a_home_that_cannot_be_written(empty_home: Path, place: str, tmp_path: Path, failure: Failure) -> None:
    use(empty_home, write_tiny_gguf(tmp_path / "tiny.gguf", "full"))
    (empty_home / "run").touch()
    said = failure("complete", place)
    assert f"Can't use the folder {empty_home / 'run'}" in said
    assert "MIDLINE_HOME" in said


def test_a_read_only_disk(empty_home: Path, place: str, tmp_path: Path) -> None:
    use(empty_home, write_tiny_gguf(tmp_path / "tiny.gguf", "full"))
    mount = f"mount --bind '{empty_home}' '{empty_home}' && mount -o remount,bind,ro '{empty_home}'"
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount anything")
    done = subprocess.run(
        [*unshare, f"{mount} && exec '{MIDLINE}' complete '{place}'"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Can't use the folder {empty_home / 'run'}: Read-only file system" in done.stderr


def test_a_current_folder_that_is_gone(empty_home: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f"rmdir '{tmp_path / 'gone'}'; exec '{MIDLINE}' complete here.py:1"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path / "gone", capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("midline: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unheard-of"],
        ["complete"],
        ["complete", "file.py"],
        ["complete", "file.py:one"],
        ["complete", ":3"],
        ["complete", "file.py:1", "--n", "0"],
        ["complete", "file.py:1", "--n", "9"],
        ["complete", "file.py:1", "--unheard-of"],
        ["serve", "--tcp", "nowhere"],
        ["serve", "--tcp", "localhost:70000"],
        ["model"],
        ["doctor", "now"],
    ],
    ids=" ".join,
)
def test_bad_usage(arguments: list[str], empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: midline")


def test_help_and_version() -> None:
    assert midline("--version").stdout == f"midline {__version__}\n"
    shown = midline("--help").stdout
    for command in ("serve", "complete", "model", "doctor"):
        assert command in shown


# -- leaving early ------------------------------------------------------------------------------------------------


async def test_an_interrupt_leaves_no_traceback(empty_home: Path, place: str, tmp_path: Path) -> None:
    use(empty_home, write_tiny_gguf(tmp_path / "tiny.gguf", "full"))
    engine = EngineClient(engine_config(load()[0]))
    engine.start()
    pid = (await asyncio.wait_for(engine.ready(), DEADLINE)).pid
    os.kill(pid, signal.SIGSTOP)  # so that the command has to wait for it
    try:
        command = await asyncio.create_subprocess_exec(MIDLINE, "complete", place, stderr=asyncio.subprocess.PIPE)
        process = psutil.Process(command.pid)
        # An event loop has a pair of sockets; the third is its connection to the engine.
        await until(lambda: len(process.net_connections("unix")) >= 3, lambda: "its connection")
        command.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(command.communicate(), DEADLINE)
        assert said == b"midline: interrupted\n"
        assert command.returncode == 1
    finally:
        os.kill(pid, signal.SIGKILL)
        await engine.close()


def test_a_reader_that_has_enough(empty_home: Path) -> None:
    script = f"'{MIDLINE}' model list --json | true; '{MIDLINE}' model list >/dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert done.stderr == "midline: [Errno 28] No space left on device\n"


def use(home: Path, model: Path) -> None:
    """Set a home's ``model.completion`` to a file."""
    with (home / "config" / "midline.toml").open("a") as settings:
        settings.write(f"[model]\ncompletion = {json.dumps(str(model))}\n")
