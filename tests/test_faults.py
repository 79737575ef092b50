"""What may go wrong around the server: each fault gets one clear message or a quiet empty answer, and it lives on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from lsp_support import DEADLINE, MIDLINE, Editor, alive, editing, until
from lsprotocol import types
from tiny_gguf import write_tiny_gguf

from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.store import InstalledModel

AREA = 'def area(width, height):\n    """The area of a rectangle."""\n    return ‸\n\n\nresult = area(2, 3)\n'


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A document of this test's own."""
    return (tmp_path / "try.py").as_uri()


@pytest.fixture
def tiny(empty_home: Path, tmp_path: Path) -> Path:
    """A tiny model that ``empty_home`` is set to complete with."""
    return choose(empty_home, write_tiny_gguf(tmp_path / "tiny.gguf", "full"))


def choose(home: Path, model: Path) -> Path:
    """Set a home's ``model.completion`` to a file."""
    with (home / "config" / "midline.toml").open("a") as settings:
        settings.write(f"[model]\ncompletion = {json.dumps(str(model))}\n")
    return model


async def completes(editor: Editor, uri: str) -> bool:
    """Whether the real model's answer comes."""
    return "width * height" in await editor.suggestion(uri, editor.open_at_cursor(uri, AREA))


# -- models -------------------------------------------------------------------------------------------------------


@pytest.mark.model
async def test_no_model_is_said_once_and_one_that_comes_is_used(
    empty_home: Path, uri: str, installed_model: InstalledModel
) -> None:
    async with editing(empty_home) as editor:
        engine = await editor.until_state("disabled")
        at = editor.open_at_cursor(uri, AREA)
        for _ in range(3):
            assert await editor.complete(uri, at) == []
        cure = f"midline model pull {DEFAULT_MODEL.name}"
        assert len(editor.said) == 1
        assert cure in editor.said[0]
        assert cure in engine["cure"]
        status = await editor.status()
        assert status["engine"]["state"] == "disabled"
        assert status["engine"]["pid"] is None
        assert editor.progress_reports == {}

        for file in (installed_model.path, installed_model.path.with_suffix(".json")):
            (empty_home / "data" / "models" / file.name).symlink_to(file)
        async with asyncio.timeout(DEADLINE):
            while editor.engine["state"] == "disabled":
                await editor.complete(uri, at)
                await asyncio.sleep(0.2)
        await editor.until_state("ready")
        assert await completes(editor, uri)
        assert len(editor.said) == 1


async def test_a_model_without_infilling_tokens_is_refused(empty_home: Path, uri: str, tmp_path: Path) -> None:
    choose(empty_home, write_tiny_gguf(tmp_path / "chatty.gguf", "full", fim=()))
    async with editing(empty_home) as editor:
        await editor.until_state("disabled")
        assert await editor.complete(uri, editor.open_at_cursor(uri, AREA)) == []
        (said,) = editor.said
        assert "chatty" in said
        assert "fill-in-the-middle" in said
        assert "midline model recommend" in said  # names those that work


async def test_a_model_that_is_none(empty_home: Path, uri: str, tmp_path: Path) -> None:
    choose(empty_home, tmp_path / "page.gguf").write_text("<html>404</html>")
    async with editing(empty_home) as editor:
        await editor.until_state("disabled")
        assert await editor.complete(uri, editor.open_at_cursor(uri, AREA)) == []
        (said,) = editor.said
        assert "page.gguf isn't a usable GGUF model: it is a web page" in said


async def test_a_model_that_is_damaged_while_in_use(empty_home: Path, tiny: Path, uri: str, tmp_path: Path) -> None:
    good = tiny.read_bytes()
    async with editing(empty_home) as editor:
        pid = (await editor.until_state("ready"))["pid"]
        replace(tiny, good[:5000])
        os.kill(pid, signal.SIGKILL)
        await editor.until_state("failed")
        assert await editor.complete(uri, editor.open_at_cursor(uri, AREA)) == []
        (said,) = editor.said
        assert "can't load" in said
        assert str(tiny) in said
        assert "midline model" in said
        # A change of settings is an occasion to try again.
        replace(tiny, good)
        editor.configure({"midline": {}})
        await editor.until_state("ready")
        assert len(editor.said) == 1


def replace(path: Path, data: bytes) -> None:
    """Change a file that a process may have mapped."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.model
async def test_each_wrong_setting_is_said_and_the_rest_applies(shared_home: Path, uri: str, tmp_path: Path) -> None:
    (tmp_path / "midline.toml").write_text('[completion]\nmax_token = 3\n[model]\ncompletion = "/evil.gguf"\n')
    options = {"midline": {"completion": {"max_tokens": "many", "languages": ["!markdown"]}, "index": 3}}
    async with editing(shared_home, root=tmp_path, options=options) as editor:
        await editor.until_state("ready")
        assert len(editor.said) == 4
        for said, name in zip(
            editor.said, ["completion.max_token", "model.completion", "completion.max_tokens", "index"], strict=True
        ):
            assert re.match(rf"midline: .*\b{name}\b", said)
        assert '"many"; allowed: a whole number from 1 to 2,048. It stays 96.' in editor.said[2]
        assert await completes(editor, uri)
        readme = (tmp_path / "README.md").as_uri()
        assert await editor.complete(readme, editor.open_at_cursor(readme, AREA, "markdown")) == []
        editor.configure(options)  # nothing new: nothing is said again
        await editor.status()
        assert len(editor.said) == 4


async def test_settings_that_are_no_table(empty_home: Path) -> None:
    async with editing(empty_home) as editor:
        for nothing in (None, {}, [], {"midline": None}, {"midline": {}}, {"midline": []}):
            editor.configure(nothing)
        for wrong in ("yes", 3, [1], {"midline": "no"}):
            editor.configure(wrong)
        await until(lambda: len(editor.said) >= 5, lambda: f"five messages, not {editor.said}")
        assert "isn't installed" in editor.said[0]
        for said, given in zip(editor.said[1:], ('"yes"', "3", "[1]", '"no"'), strict=True):
            assert f"midline is {given}; allowed: a table of settings" in said


@pytest.mark.model
async def test_completion_is_switched_off_and_on(shared_home: Path, uri: str) -> None:
    async with editing(shared_home) as editor:
        await editor.until_state("ready")
        at = editor.open_at_cursor(uri, "".join(f"number_{i} = {i}\n" for i in range(60)) + AREA)
        request = editor.ask(uri, at)
        await editor.until_state("busy")
        editor.configure({"midline": {"completion": {"enabled": False}}})
        assert await asyncio.wait_for(request, DEADLINE) is None
        engine = await editor.until_state("disabled")
        assert "completion.enabled" in engine["detail"]
        assert await editor.complete(uri, at) == []
        editor.configure({"completion.enabled": True})
        await editor.until_state("ready")
        assert await completes(editor, uri)
        assert editor.said == []


@pytest.mark.model
async def test_languages_and_private_files(shared_home: Path, uri: str, tmp_path: Path) -> None:
    options = {
        "completion": {"languages": ["python", "javascript", "!javascript"]},
        "privacy": {"exclude": ["secrets/", "[z-a]", "*.pem.py"]},
    }
    (tmp_path / "midline.toml").write_text('[privacy]\nexclude = ["more_*.py"]\n')
    async with editing(shared_home, root=tmp_path, options={"midline": options}) as editor:
        await editor.until_state("ready")
        script = (tmp_path / "try.js").as_uri()
        assert await editor.complete(script, editor.open_at_cursor(script, AREA, "javascript")) == []
        for name in ("secrets/keys.py", "deep/secrets/a/keys.py", "a.pem.py", "more_of_it.py"):
            private = (tmp_path / name).as_uri()
            assert await editor.complete(private, editor.open_at_cursor(private, AREA)) == []
        assert (await editor.status())["completion"]["tokens_evaluated"] == 0
        (said,) = editor.said
        assert "privacy.exclude: '[z-a]' is no pattern" in said
        assert await completes(editor, uri)


async def test_an_editor_is_asked_for_its_settings(empty_home: Path, tiny: Path) -> None:
    settings = {"midline": {"completion": {"enabled": False}}}
    async with editing(empty_home, configuration=settings, options={"midline": {"index": 1}}) as editor:
        await editor.until_state("disabled")
        editor.set_configuration({"midline": {"completion": {"enabled": True, "max_tokens": 0}}})
        editor.configure(None)
        await editor.until_state("ready")
        (said,) = editor.said
        assert "completion.max_tokens" in said


# -- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["a file/home", "/proc/midline"])
async def test_a_home_that_cannot_be_made(place: str, tmp_path: Path, uri: str) -> None:
    (tmp_path / "a file").touch()
    async with editing(tmp_path / place) as editor:
        await editor.until_state("disabled")
        assert await editor.complete(uri, editor.open_at_cursor(uri, AREA)) == []
        (said,) = editor.said
        assert "isn't installed" in said


async def test_a_home_that_cannot_be_written(empty_home: Path, tiny: Path, uri: str) -> None:
    (empty_home / "run").touch()
    (empty_home / "cache").touch()
    async with editing(empty_home) as editor:
        await editor.until_state("failed")
        assert await editor.complete(uri, editor.open_at_cursor(uri, AREA)) == []
        (said,) = editor.said
        assert f"Can't use the folder {empty_home / 'run'}" in said
        assert "MIDLINE_HOME" in said
        assert (await editor.status())["engine"]["state"] == "failed"


# -- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.model
async def test_a_line_longer_than_the_context_is_no_nuisance(shared_home: Path, uri: str) -> None:
    async with editing(shared_home, options={"completion.max_tokens": 4}) as editor:
        await editor.until_state("ready")
        at = editor.open_at_cursor(uri, f"numbers = [{', '.join(map(str, range(30_000)))}‸")
        for _ in range(3):
            await editor.complete(uri, at)
            at = editor.type(uri, at, ", 5")
        assert len(editor.said) <= 1
        assert await completes(editor, uri)


# -- leaving ------------------------------------------------------------------------------------------------------


async def test_the_engine_leaves_some_time_after_the_last_editor(empty_home: Path, tiny: Path) -> None:
    settings = empty_home / "config" / "midline.toml"
    settings.write_text(settings.read_text().replace("[engine]\nidle_minutes = 0.25", "[engine]\nidle_minutes = 0.01"))
    async with editing(empty_home) as editor:
        pid = (await editor.until_state("ready"))["pid"]
        await asyncio.sleep(1.5)
        assert alive(pid)
    await until(lambda: not alive(pid), lambda: f"the end of {pid}")


async def test_the_server_ends_with_its_editors_process(empty_home: Path) -> None:
    parent = await asyncio.create_subprocess_exec("sleep", "1000")
    async with editing(empty_home, process_id=parent.pid) as editor:
        await editor.until_state("disabled")
        parent.kill()
        await parent.wait()
        await asyncio.wait_for(editor.process.wait(), DEADLINE)


class Wire:
    """LSP by hand, for what no proper client sends."""

    def __init__(self, sink: IO[bytes], source: IO[bytes]) -> None:
        self._sink = sink
        self._source = source

    def write(self, body: bytes) -> None:
        self._sink.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._sink.flush()

    def send(self, **message: Any) -> None:
        self.write(json.dumps({"jsonrpc": "2.0"} | message).encode())

    def answer(self, request: int) -> dict[str, Any]:
        """The answer to a request; what comes before it is skipped."""
        while True:
            length = 0
            while (line := self._source.readline()) != b"\r\n":
                assert line, "the server hung up"
                if line.startswith(b"Content-Length: "):
                    length = int(line.split()[1])
            message: dict[str, Any] = json.loads(self._source.read(length))
            if message.get("id") == request and "method" not in message:
                return message

    def initialize(self) -> dict[str, Any]:
        self.send(id=0, method="initialize", params={"processId": None, "rootUri": None, "capabilities": {}})
        answer = self.answer(0)
        self.send(method="initialized", params={})
        return answer

    def leave(self) -> None:
        self.send(id=99, method="shutdown")
        assert self.answer(99)["result"] is None
        self.send(method="exit")


@contextmanager
def server(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``midline serve``, which shall end by itself."""
    pipe = subprocess.PIPE
    with subprocess.Popen([MIDLINE, "serve", *arguments], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
            process.wait(DEADLINE)
        finally:
            process.kill()


@contextmanager
def wire(*arguments: str) -> Iterator[tuple[Wire, subprocess.Popen[bytes]]]:
    """A server with a wire to it."""
    with server(*arguments) as process:
        assert process.stdin and process.stdout
        yield Wire(process.stdin, process.stdout), process


@pytest.mark.parametrize("initialized", [False, True])
def test_the_server_ends_when_its_input_does(empty_home: Path, initialized: bool) -> None:
    with wire() as (client, process):
        if initialized:
            client.initialize()
        assert process.stdin and process.stderr
        process.stdin.close()
        process.wait(DEADLINE)
        assert b"Traceback" not in process.stderr.read()


def test_messages_that_cannot_be_read_leave_no_traceback_and_no_request_unanswered(empty_home: Path) -> None:
    with wire("--stdio") as (client, process):
        client.initialize()
        client.write(b"{this is not JSON")
        client.write(b"\xff\xfe\x00")
        client.send(method="midline/unheard-of")
        client.send(method="textDocument/didChange", params={"textDocument": {"uri": 3}})
        client.send(method="textDocument/didOpen", params={"textDocument": 5})
        client.send(id=1, method="midline/unheard-of", params={"secret": "code"})
        assert client.answer(1)["error"]["code"] == types.ErrorCodes.MethodNotFound
        client.send(id=2, method="textDocument/inlineCompletion", params={"position": "here"})
        assert client.answer(2)["error"]["code"] == types.ErrorCodes.InvalidParams
        client.send(id=3, method="workspace/executeCommand", params={"command": "no.such.command"})
        assert client.answer(3)["error"]["code"] == types.ErrorCodes.InvalidParams
        client.send(id=4, method="midline/status")  # without params, as JSON-RPC allows
        assert client.answer(4)["result"]["engine"]["state"] == "disabled"
        client.leave()
        assert process.stderr
        log = process.stderr.read().decode()
        assert "Traceback" not in log
        assert "secret" not in log


# -- TCP ----------------------------------------------------------------------------------------------------------


def test_one_client_is_served_on_a_tcp_address(empty_home: Path) -> None:
    with server("--tcp", "127.0.0.1:0") as process:
        assert process.stderr
        said = process.stderr.readline().decode()
        address = re.fullmatch(r"midline: listening on 127\.0\.0\.1:(\d+)\n", said)
        assert address, said
        port = int(address[1])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(DEADLINE)
            client = Wire(connection.makefile("wb"), connection.makefile("rb"))
            assert client.initialize()["result"]["serverInfo"]["name"] == "midline"
            with pytest.raises(ConnectionRefusedError):  # nobody can take the connection over
                socket.create_connection(("127.0.0.1", port)).close()
            client.send(id=1, method="midline/status")
            assert client.answer(1)["result"]["engine"]["state"] in ("starting", "disabled")
            client.leave()
        assert process.wait(DEADLINE) == 0


def test_a_tcp_client_that_vanishes_ends_the_server(empty_home: Path) -> None:
    with server("--tcp", "localhost:0") as process:
        assert process.stderr
        port = int(process.stderr.readline().rpartition(b":")[2])
        with socket.create_connection(("localhost", port)):
            pass
        process.wait(DEADLINE)
        assert b"Traceback" not in process.stderr.read()


def test_an_address_in_use(empty_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run([MIDLINE, "serve", "--tcp", address], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1
    assert re.fullmatch(rf"midline: Can't listen on {address}: Address already in use.* Choose .*\n", done.stderr)


# -- the log of messages ------------------------------------------------------------------------------------------


async def test_every_message_is_logged_on_demand(empty_home: Path, tmp_path: Path, uri: str) -> None:
    log = tmp_path / "lsp.log"
    async with editing(empty_home, environment={"MIDLINE_LSP_LOG": str(log)}) as editor:
        await editor.until_state("disabled")
        at = editor.open_at_cursor(uri, "smile = '😀'\nhalf = '\ud83d'\n‸")
        assert await editor.complete(uri, at) == []
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert all(line.keys() == {"time", "direction", "message"} for line in lines)
    methods = {(line["direction"], line["message"].get("method")) for line in lines}
    for expected in ("initialize", "textDocument/didOpen", "textDocument/inlineCompletion", "shutdown", "exit"):
        assert ("in", expected) in methods
    for expected in ("midline/statusChanged", "window/showMessage"):
        assert ("out", expected) in methods
    received = [line["message"] for line in lines if line["direction"] == "in"]
    sent = [line["message"] for line in lines if line["direction"] == "out"]
    requests = [message["id"] for message in received if "method" in message and "id" in message]
    assert len(requests) == 3
    assert [message["id"] for message in sent if "result" in message] == requests


def test_a_log_that_cannot_be_written(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_LSP_LOG", "/proc/midline.log")
    done = subprocess.run([MIDLINE, "serve"], input=b"", capture_output=True, timeout=DEADLINE)
    assert done.returncode == 1
    assert b"/proc/midline.log" in done.stderr
    assert done.stderr.count(b"\n") == 1
