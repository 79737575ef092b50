"""The engine's process and its socket: who finds it, who shares it, what it survives and when it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from socket import AF_UNIX, socket

import pytest
from lsp_support import DEADLINE, Editor, alive, editing, until
from tiny_gguf import write_tiny_gguf

from lsp.engine import client as client_module
from lsp.engine.client import EngineClient, connect, log_path
from lsp.engine.config import EngineConfig, socket_path
from lsp.engine.protocol import Ask, Generate, Special, State, Text, encode
from lsp.errors import MidlineError

PROMPT = [Special("prefix"), Text("one two"), Special("suffix"), Special("middle"), Text("three")]
AREA = 'def area(width, height):\n    """The area of a rectangle."""\n    return ‸\n\n\nresult = area(2, 3)\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineConfig:
    """An engine of this test's own that loads in no time."""
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    return EngineConfig(str(write_tiny_gguf(tmp_path / "tiny.gguf", "full")), threads=1, idle_seconds=0.5)


@asynccontextmanager
async def connected(config: EngineConfig) -> AsyncIterator[tuple[EngineClient, list[State]]]:
    """A client whose engine is ready, and the states it has been told."""
    states: list[State] = []
    client = EngineClient(config, states.append)
    client.start()
    try:
        await asyncio.wait_for(client.ready(), DEADLINE)
        yield client, states
    finally:
        await client.close()


async def answer(client: EngineClient, tokens: int = 3) -> str:
    """Have something generated; why it ended."""

    async def read() -> str:
        generation = client.generate("some file", PROMPT, max_tokens=tokens)
        count = len([token async for token in generation])
        assert count == generation.usage.tokens_generated
        return generation.reason

    return await asyncio.wait_for(read(), DEADLINE)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- the socket ---------------------------------------------------------------------------------------------------


async def test_only_this_user_can_reach_the_engine(config: EngineConfig) -> None:
    async with connected(config) as (client, _):
        path = socket_path()
        assert path.is_socket()
        assert mode(path) == 0o600
        assert mode(path.parent) == 0o700
        assert mode(path.with_suffix(".lock")) == 0o600
        assert mode(log_path()) == 0o600
        assert mode(log_path().parent) == 0o700
        assert await answer(client) in ("length", "eog")


async def test_what_a_dead_engine_left_behind_is_no_obstacle(config: EngineConfig) -> None:
    path = socket_path()
    with socket(AF_UNIX) as dead:
        dead.bind(str(path))
    path.with_suffix(".lock").touch()
    async with connected(config) as (client, _):
        assert await answer(client) in ("length", "eog")


async def test_a_home_too_deep_for_a_sockets_path(
    config: EngineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "/".join(["a-folder-with-a-long-name"] * 5)))
    path = socket_path()
    assert len(os.fsencode(path)) <= 108
    async with connected(config) as (client, _):
        assert await answer(client) in ("length", "eog")
        assert mode(path) == 0o600
        assert mode(path.parent) == 0o700
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "/".join(["another-folder-with-a-name"] * 5)))
    assert socket_path() != path  # homes don't share engines


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(range(256)) * 64 + b"\n",
        b"[" * 200_000 + b"\n",
        b"{}\n",
        b'{"type":"generate","id":1}\n',
        b'{"type":"generate","id":1,"key":"\xff","prompt":[],"max_tokens":1}\n',
        b'{"type":"generate","id":1,"key":"k","prompt":[{"type":"text","text":"x"}],"max_tokens":-1}\n',
        b'{"type":"generate","id":1,"key":"k","prompt":[{"type":"text","text":"x"}],"max_tokens":1,"branches":-3}\n',
        b'{"type":"generate","id":1,"key":"k","prompt":[],"max_tokens":1}\n',
        b'{"type":"cancel","id":7}\n{"type":"forget","key":""}\n{"type":"unheard-of"}\n',
        b"x" * (17 * 1024 * 1024),
        b'{"type":"ask"',
        b"",
    ],
    ids=range(13),
)
async def test_garbage_harms_nobody_else(config: EngineConfig, garbage: bytes) -> None:
    async with connected(config) as (client, states):
        pid = client.state.pid
        connection = await connect(config)
        assert connection
        reader, writer = connection
        writer.write(garbage)
        writer.write_eof()
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), DEADLINE)  # until the engine hangs up
        writer.close()
        assert await answer(client) in ("length", "eog")
        assert client.state.pid == pid
        assert "restarting" not in [state.state for state in states]
    log = log_path().read_text()
    assert "Traceback" not in log


async def test_what_the_models_file_says_about_chatting(config: EngineConfig) -> None:
    async with connected(config) as (client, _):
        facts = await asyncio.wait_for(client.describe(), DEADLINE)
    assert (facts.template, facts.architecture, facts.eos) == ("", "llama", "<|endoftext|>")
    assert set(facts.controls) == {"<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}
    with pytest.raises(MidlineError, match="not running"):
        await client.describe()


async def test_a_client_that_vanishes_in_mid_stream(config: EngineConfig) -> None:
    async with connected(config) as (client, states):
        connection = await connect(config)
        assert connection
        reader, writer = connection
        writer.write(encode(Generate(1, "theirs", PROMPT, max_tokens=4000)))
        while b'"token"' not in await asyncio.wait_for(reader.readline(), DEADLINE):
            pass
        writer.transport.abort()
        assert await answer(client) in ("length", "eog")
        await until(lambda: client.state.state == "ready", lambda: f"idleness, not {client.state}")
        assert {state.pid for state in states} == {client.state.pid}


async def test_a_client_that_does_not_read_is_cut_off(config: EngineConfig) -> None:
    async with connected(config) as (client, _):
        connection = await connect(config)
        assert connection
        _, writer = connection
        writer.transport.pause_reading()
        for _ in range(40_000):  # as many answers of half a kilobyte
            writer.write(encode(Ask()))
        with suppress(ConnectionError):
            await asyncio.wait_for(writer.drain(), DEADLINE)
            await until(writer.is_closing, lambda: "the engine to hang up")
        assert await answer(client) in ("length", "eog")
        assert (await client.ask()).rss_bytes < 500_000_000


# -- sharing, leaving ---------------------------------------------------------------------------------------------


async def test_clients_that_come_at_once_meet_in_one_engine(config: EngineConfig) -> None:
    clients = [EngineClient(config) for _ in range(4)]
    for client in clients:
        client.start()
    states = await asyncio.wait_for(asyncio.gather(*(client.ready() for client in clients)), DEADLINE)
    assert len({state.pid for state in states}) == 1
    assert set(await asyncio.gather(*map(answer, clients))) <= {"length", "eog"}
    for client in clients:
        await client.close()


async def test_the_engine_leaves_some_time_after_its_last_client(config: EngineConfig) -> None:
    async with connected(config) as (_, first):
        async with connected(config):
            pass
        await asyncio.sleep(3 * config.idle_seconds)  # one client is still there
        pid = first[-1].pid
        assert alive(pid)
        path = socket_path()
    await until(lambda: not alive(pid), lambda: f"the end of {pid}")
    assert not path.exists()


async def test_a_file_that_changed_is_another_model(config: EngineConfig) -> None:
    async with connected(config) as (one, _):
        Path(config.model).touch()  # another file, as far as anybody can tell
        async with connected(config) as (other, _):
            assert one.state.pid == other.state.pid
            one.generate("a file", PROMPT, max_tokens=3)
            assert await answer(other) in ("length", "eog")
            assert await one.recall("a file")
            assert not await other.recall("a file")


# -- crashes ------------------------------------------------------------------------------------------------------


async def test_a_killed_engine_fails_its_requests_and_comes_back(config: EngineConfig) -> None:
    async with connected(config) as (client, states):
        killed = client.state.pid
        os.kill(killed, signal.SIGSTOP)  # so that the request is pending for sure
        generation = client.generate("some file", PROMPT, max_tokens=4000)
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(MidlineError, match="stopped unexpectedly"):
            await asyncio.wait_for(anext(aiter(generation)), DEADLINE)
        # Also what is asked while there is no engine fails at once.
        with pytest.raises(MidlineError, match="not running"):
            await asyncio.wait_for(anext(aiter(client.generate("file", PROMPT, max_tokens=3))), DEADLINE)
        await until(lambda: client.state.state == "ready", lambda: f"a new engine, not {client.state}")
        assert client.state.pid != killed
        assert await answer(client) in ("length", "eog")
        names = [state.state for state in states]
        assert names.index("restarting") < len(names) - 1


async def test_an_engine_that_crashes_again_and_again_is_given_up(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "BACKOFF_SECONDS", (0.01, 0.01, 0.01))
    states: list[State] = []

    def kill(state: State) -> None:
        states.append(state)
        if state.pid and alive(state.pid):
            os.kill(state.pid, signal.SIGKILL)

    client = EngineClient(config, kill)
    client.start()
    try:
        with pytest.raises(MidlineError, match="crashed 4 times in a row") as error:
            await asyncio.wait_for(client.ready(), DEADLINE)
            await until(lambda: client.state.state == "failed", lambda: f"failure, not {client.state}")
            await client.ready()
        assert str(log_path()) in error.value.cure
        assert len({state.pid for state in states if state.pid}) == 4
    finally:
        await client.close()


async def test_a_model_that_cannot_be_loaded(config: EngineConfig) -> None:
    Path(config.model).write_bytes(b"GGUF" + bytes(1000))
    client = EngineClient(config)
    client.start()
    with pytest.raises(MidlineError, match=r"can't load .*tiny\.gguf") as error:
        await asyncio.wait_for(client.ready(), DEADLINE)
    assert "midline model" in error.value.cure
    pid = client.state.pid
    await client.close()
    await until(lambda: not alive(pid), lambda: f"the end of {pid}")  # an engine that failed is of no use to anybody


async def test_an_engine_that_cannot_start_says_why(config: EngineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module.sys, "executable", "/bin/false")
    client = EngineClient(config)
    client.start()
    with pytest.raises(MidlineError, match=r"can't start \(exit code 1\)") as error:
        await asyncio.wait_for(client.ready(), DEADLINE)
    assert "midline doctor" in error.value.cure
    await client.close()


# -- through the server, with the real model ----------------------------------------------------------------------


@pytest.mark.model
async def test_two_servers_started_at_once_share_an_engine(own_home: Path, tmp_path: Path) -> None:
    uris = [(tmp_path / name).as_uri() for name in ("one.py", "two.py")]
    async with editing(own_home) as one, editing(own_home) as two:
        await asyncio.gather(one.until_state("ready"), two.until_state("ready"))
        assert one.engine["pid"] == two.engine["pid"]
        places = [one.open_at_cursor(uris[0], AREA), two.open_at_cursor(uris[1], AREA)]
        suggestions = await asyncio.gather(*map(Editor.suggestion, (one, two), uris, places))
        assert all("width * height" in suggestion for suggestion in suggestions)


@pytest.mark.model
async def test_the_engine_outlives_the_server_that_started_it(own_home: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "try.py").as_uri()
    async with AsyncExitStack() as stack:
        async with editing(own_home) as first:
            pid = (await first.until_state("ready"))["pid"]
            second = await stack.enter_async_context(editing(own_home))
        await second.until_state("ready")
        assert "width * height" in await second.suggestion(uri, second.open_at_cursor(uri, AREA))
        assert second.engine["pid"] == pid
        assert "restarting" not in second.seen()


@pytest.mark.model
async def test_an_engine_killed_in_mid_generation(own_home: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "try.py").as_uri()
    async with editing(own_home) as editor:
        killed = (await editor.until_state("ready"))["pid"]
        at = editor.open_at_cursor(uri, "".join(f"number_{i} = {i}\n" for i in range(60)) + AREA)
        request = editor.ask(uri, at)
        await editor.until_state("busy")
        os.kill(killed, signal.SIGKILL)
        assert await asyncio.wait_for(request, DEADLINE) is None
        engine = await editor.until_state("ready")
        assert engine["pid"] != killed
        seen = editor.seen()
        assert seen[seen.index("restarting") :][-1] == "ready"
        assert len(editor.said) == 1
        assert "restarted" in editor.said[0]
        assert "width * height" in await editor.suggestion(uri, editor.open_at_cursor(uri, AREA))
