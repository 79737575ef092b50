"""Servers that misbehave: each is a clear error, nothing leaks, and the local model goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from lsp_support import until
from remote_support import (
    DEADLINE,
    Asked,
    Reply,
    Script,
    forever,
    free_port,
    ready,
    remote,
    scripted,
    sse,
    written,
)
from reuse_support import psm
from tiny_gguf import write_tiny_gguf

from lsp.completion.completer import Completer
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.engine.config import EngineConfig
from lsp.engine.remote import discovery, wire
from lsp.engine.remote import engine as engine_module
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.engine import RemoteEngine
from lsp.errors import MidlineError

KEY = "sk-very-secret"
GAP = psm("def f():\n", "\n", "    return 1")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_REMOTE_KEY", KEY)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there: it must not be asked


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(wire, "STREAM_SECONDS", 0.3)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineConfig:
    """An engine of this machine that loads in no time."""
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    return EngineConfig(str(write_tiny_gguf(tmp_path / "tiny.gguf", "full")), threads=1, idle_seconds=0.5)


def good(answer: Script | None = None) -> Script:
    """A server with OpenAI's API whose model fills each gap, then answers as ``answer`` does."""
    answers = {"def load(": "stream", "greet(": "person", "class": "BankAccount"}

    async def script(asked: Asked, reply: Reply) -> None:
        if asked.path == "/v1/models":
            await reply.send({"data": [{"id": "qwen2.5-coder"}]})
        elif asked.path == "/v1/completions":
            prompt = asked.body["prompt"]
            known = next((text for start, text in answers.items() if start in prompt and "return 1" not in prompt), "")
            if answer and not known:
                await answer(asked, reply)
            else:
                await reply.send(sse(_choice(known or " + 2"), _choice("", "stop")) + b"data: [DONE]\n\n")
        else:
            await reply.send({"error": "no such path"}, 404)

    return script


def _choice(text: str, finish: str | None = None, model: str = "qwen2.5-coder") -> dict[str, Any]:
    return {"model": model, "choices": [{"text": text, "finish_reason": finish}]}


async def refusal(script: Script, **options: Any) -> MidlineError:
    """Why an engine on such a server isn't ready."""
    async with scripted(script) as server, remote(server.url, **options) as engine:
        with pytest.raises(MidlineError) as raised:
            await ready(engine)
        return _harmless(raised.value)


async def failure(answer: Script) -> MidlineError:
    """Why a completion on such a server fails, which was good when it was tried."""
    async with scripted(good(answer)) as server, remote(server.url) as engine:
        await ready(engine)
        with pytest.raises(MidlineError) as raised:
            await written(engine, GAP, heal=False)
        return _harmless(raised.value)


def _harmless(error: MidlineError) -> MidlineError:
    said = str(error)
    assert KEY not in said and said.isprintable() and len(said) < 600
    return error


async def test_a_good_one_is_asked_with_the_key_and_without_a_proxy() -> None:
    async with scripted(good()) as server, remote(server.url) as engine:
        state = await ready(engine)
        assert state.remote == server.url and state.model and state.model.name == "qwen2.5-coder"
        assert await written(engine, GAP, heal=False) == " + 2"
        asked = server.asked[-1]
        assert asked.headers["authorization"] == f"Bearer {KEY}" and asked.headers["host"] == server.url[7:]
        assert asked.body["prompt"] == "<|fim_prefix|>def f():\n<|fim_suffix|>\n<|fim_middle|>    return 1"


async def test_one_that_hangs_is_away(impatient: None) -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        await forever()

    assert "does not answer" in (await refusal(script)).message


async def test_one_that_hangs_in_the_middle_of_an_answer_is_away(impatient: None) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.write(sse(_choice(" +")))
        await forever()

    assert "does not answer" in (await failure(answer)).message


async def test_one_that_drips_doesnt_keep_a_request_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_SECONDS", 1.0)

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        while True:
            await reply.write(b": still here\n\n")
            await asyncio.sleep(0.05)

    assert "does not answer" in (await failure(answer)).message


async def test_one_that_isnt_there_is_away() -> None:
    async with remote(f"http://127.0.0.1:{free_port()}") as engine:
        with pytest.raises(MidlineError, match="can't be reached"):
            await ready(engine)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works!</html>",
        b"\xff\xfe\x00garbage",
        b"[1, 2]",
        b'{"data": 5}',
        b'{"data": [{"id": {}}]}',
        b"[" * 200_000,
        b'{"data": [{"id": "' + b"x" * (5 << 20) + b'"}]}',
    ],
)
async def test_garbage_is_no_answer(body: bytes) -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        await reply.send(body)

    assert " sent " in (await refusal(script)).message


async def test_what_isnt_http_is_no_server() -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        await reply.write(b"220 mail.example.org ESMTP\r\n")

    assert "doesn't speak HTTP" in (await refusal(script)).message


async def test_a_bomb_isnt_unpacked() -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        await reply.send(gzip.compress(b"0" * (1 << 26)), headers="Content-Encoding: gzip\r\n")

    assert "compressed" in (await refusal(script)).message


@pytest.mark.parametrize(
    "data",
    [
        b"data: {}garbage\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": [{"text": 5}]}\n\n',
        b"data: " + b"x" * (2 << 20),
    ],
)
async def test_garbage_in_a_stream_ends_it(data: bytes) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.write(sse(_choice(" +")))
        await reply.write(data)

    assert " sent " in (await failure(answer)).message


async def test_one_that_closes_in_the_middle_is_away() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.write(sse(_choice(" +")))

    assert "in the middle of an answer" in (await failure(answer)).message


async def test_an_error_in_a_stream_is_told_on_one_line_without_the_key() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.write(sse({"error": {"message": f"out\x1b[31m of\nmemory for {KEY}"}}))

    assert (await failure(answer)).message.endswith("failed: out [31m of memory for ***.")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_isnt_followed(status: int) -> None:
    async with scripted(good()) as elsewhere:

        async def script(asked: Asked, reply: Reply) -> None:
            await reply.send({}, status, f"Location: {elsewhere.url}{asked.path}\r\n")

        error = await refusal(script)
        assert "doesn't follow" in error.message and "127.0.0.1" in error.message
        assert not elsewhere.asked, "the key went to another server"


async def test_a_wrong_key_is_refused_without_being_shown() -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        await reply.send({"error": f"bad key {asked.headers['authorization']}"}, 401)

    error = await refusal(script)
    assert "refuses the API key" in error.message and "remote.key_variable" in error.cure


async def test_one_that_lies_about_its_model_is_caught() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.write(sse(_choice(" + 2", "stop", "tiny-and-cheap")))

    assert "answered with tiny-and-cheap" in (await failure(answer)).message


async def test_one_whose_model_only_talks_is_refused_for_completion() -> None:
    async def talks(asked: Asked, reply: Reply) -> None:
        if asked.path == "/v1/models":
            await reply.send({"data": [{"id": "talker"}]})
        elif asked.path != "/v1/completions":
            await reply.send({}, 404)
        elif "suffix" in asked.body:
            await reply.send({"error": {"message": "suffix is not currently supported"}}, 400)
        else:
            await reply.send(sse(_choice("Sure! Here is", None, "talker"), _choice("", "stop", "talker")))

    error = await refusal(talks)
    assert "can't fill in the middle: answered 400: suffix is not currently supported" in error.message


def test_the_gaps_that_are_tried_are_there() -> None:
    assert len(discovery._GAPS) == 3


@pytest.mark.parametrize(
    "tokens", [[], [{"id": "x", "piece": "a"}], [{"id": 1, "piece": [300, -5]}], [{"id": -(1 << 62), "piece": ""}]]
)
async def test_a_llama_server_that_tells_nonsense_is_none(tokens: list[Any]) -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        if asked.path == "/props":
            settings = {"n_ctx": 10**15}
            await reply.send({"total_slots": -5, "default_generation_settings": settings, "model_alias": "m"})
        elif asked.path == "/tokenize":
            await reply.send({"tokens": tokens})
        else:
            await reply.send({"error": "no"}, 404)

    error = await refusal(script)
    assert "404" in error.message or "can't fill in the middle" in error.message


async def test_several_models_are_to_be_chosen_from() -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        known = asked.path == "/v1/models"
        await reply.send({"data": [{"id": "one"}, {"id": "two"}]} if known else {}, 200 if known else 404)

    error = await refusal(script)
    assert "several models" in error.message and "one, two" in error.cure


async def test_a_busy_one_is_away_for_now() -> None:
    async def script(asked: Asked, reply: Reply) -> None:
        await reply.send({"error": {"message": "Loading model"}}, 503)

    assert "is not ready (503 Loading model)" in (await refusal(script)).message


async def test_cancelling_closes_the_request() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.write(sse(_choice(" +")))
        await forever()

    async with scripted(good(answer)) as server, remote(server.url) as engine:
        await ready(engine)
        generation = engine.generate("file", GAP, max_tokens=50, heal=False)
        async for token in generation:
            assert token.text == " +"
            generation.cancel()
        assert generation.reason == "cancelled" and generation.usage.tokens_generated == 1
        await asyncio.wait_for(server.closed.wait(), DEADLINE)


async def test_many_requests_at_once_are_all_answered() -> None:
    async with scripted(good()) as server, remote(server.url) as engine:
        await ready(engine)
        texts = await asyncio.gather(*(written(engine, GAP, heal=False) for _ in range(200)))
        assert texts == [" + 2"] * 200


# -- the local model in its place ------------------------------------------------------------------------------------


class Watched:
    """A remote engine that falls back on ``local``, and what it told."""

    def __init__(self, url: str, local: EngineConfig) -> None:
        self.notices: list[str] = []
        self.engine = RemoteEngine(RemoteConfig(url, fallback=local), on_notice=self.notices.append)
        self.engine.start()

    async def answers_at(self, place: str) -> None:
        """Wait until a server, or this machine (an empty string), answers."""
        await until(
            lambda: self.engine.state.state == "ready" and self.engine.state.remote == place,
            lambda: place or "this machine",
        )


@contextlib.asynccontextmanager
async def watched(url: str, local: EngineConfig) -> AsyncIterator[Watched]:
    it = Watched(url, local)
    try:
        yield it
    finally:
        await it.engine.close()


async def test_the_local_model_answers_while_the_server_is_away_and_no_longer(
    local: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "RETRY_SECONDS", (0.1, 0.1))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with watched(url, local) as it:
        await it.answers_at("")
        assert await written(it.engine, GAP, tokens=2), "of this machine"
        assert len(it.notices) == 1 and "can't be reached" in it.notices[0] and "local model" in it.notices[0]
        assert "can't be reached" in it.engine.state.detail
        async with scripted(good(), port=port):
            await it.answers_at(url)
            assert await written(it.engine, GAP, heal=False) == " + 2"
            assert len(it.notices) == 2 and "is back" in it.notices[1]
        with contextlib.suppress(MidlineError):
            await written(it.engine, GAP, heal=False)  # finds that it has gone
        await it.answers_at("")
        assert await written(it.engine, GAP, tokens=2)


async def test_completions_go_on_when_the_server_goes(local: EngineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of prompts follows the model that answers."""
    monkeypatch.setattr(engine_module, "RETRY_SECONDS", (60.0, 60.0))
    cursor = Cursor("file:///a.py", None, "python", None, "def f():\n    return 1\n", 20)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(scripted(good(), port=port))
        async with watched(url, local) as it:
            await it.answers_at(url)
            completer = Completer(it.engine, "", CompletionStats())
            made = await completer.complete(cursor, max_tokens=4)
            assert made.model == "qwen2.5-coder" and server.asked
            await stack.aclose()
            completer.forget_suggestions()
            with contextlib.suppress(MidlineError):
                await completer.complete(cursor, max_tokens=4)
            await it.answers_at("")
            assert (await completer.complete(cursor, max_tokens=4)).model == "tiny"


async def test_a_public_server_is_refused_and_the_local_model_answers(local: EngineConfig) -> None:
    async with watched("https://192.0.2.1", local) as it:
        await it.answers_at("")
        assert "outside of the local network" in it.notices[0] and "remote.allowed_hosts" in it.notices[0]


async def test_without_a_local_model_the_reason_is_both() -> None:
    config = {"missing": "The model isn't installed. Install it."}
    async with remote(f"http://127.0.0.1:{free_port()}", **config) as engine:
        with pytest.raises(MidlineError, match=r"can't be reached.*isn't installed"):
            await ready(engine)


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """A server's certificate for ``localhost``, and the authority that signed it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return context, str(tmp_path / "ca.pem")


async def test_a_certificate_of_an_own_authority_is_trusted_by_setting(tls: tuple[ssl.SSLContext, str]) -> None:
    context, bundle = tls
    async with scripted(good(), tls=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with remote(url, ca_bundle=bundle) as engine:
            assert (await ready(engine)).remote == url
        async with remote(url) as engine:
            with pytest.raises(MidlineError, match="isn't trusted") as raised:
                await ready(engine)
            assert "remote.ca_bundle" in raised.value.cure


async def test_a_certificate_of_another_host_isnt_trusted(tls: tuple[ssl.SSLContext, str]) -> None:
    context, bundle = tls
    async with scripted(good(), tls=context) as server, remote(server.url, ca_bundle=bundle) as engine:
        with pytest.raises(MidlineError, match="isn't trusted"):
            await ready(engine)


async def test_a_bundle_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    async with remote("https://127.0.0.1:9", ca_bundle=str(tmp_path / "ca.pem")) as engine:
        with pytest.raises(MidlineError, match=r"remote\.ca_bundle can't be read"):
            await ready(engine)
