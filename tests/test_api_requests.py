"""The API on a real port with an engine that is a stand-in: shapes, refusals, streams, who may ask, and how many."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_support import FACTS, HELLO, TEMPLATE, TOKEN, Api, Scripted, events, install_tiny, made, serving, told
from chat_support import FakeGeneration, flat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indexer_support import write_tree

from lsp.api import replies, shapes, slots
from lsp.api.guard import MOST_REQUESTS
from lsp.engine.protocol import ChatFacts, Control, Special, State, Text

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CALL = '<tool_call>\n{"name": "look", "arguments": {"at": "é"}}\n</tool_call>'


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIDLINE_HOME", str(tmp_path_factory.mktemp("home")))
        install_tiny(tmp_path_factory.mktemp("model"))
        yield


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    engine = Scripted()
    async with made(engine) as app:
        yield Api("http://localhost", engine, app)


@pytest.fixture
async def served() -> AsyncIterator[Api]:
    """On a real port, where it matters how bytes come and clients leave."""
    async with serving(Scripted()) as running:
        yield running


def message(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


# -- OpenAI's shapes -----------------------------------------------------------------------------------------------


async def test_an_answer_whole(api: Api) -> None:
    api.engine.answers = ["hello to you"]
    response = await api.chat(max_tokens=7, temperature=0.2, user="ada", metadata={"a": 1}, stop=None)
    whole = response.json()
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "hello to you"},
        "finish_reason": "stop",
        "logprobs": None,
    }
    assert whole["usage"]["prompt_tokens"] == 12
    assert whole["usage"]["completion_tokens"] == 3
    assert whole["usage"]["total_tokens"] == 15
    assert api.engine.limits == [7]
    assert api.engine.prompts[0] == [
        Special("bos") if FACTS.adds_bos else Control("<|im_start|>user\n"),
        Text("hello"),
        Control("<|im_end|>\n<|im_start|>assistant\n"),
    ]


async def test_an_answer_in_pieces(served: Api) -> None:
    served.engine.answers = ["hello to you"]
    response = await served.chat(stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert told(chunks) == "hello to you"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:-1]] == ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert len({chunk["id"] for chunk in chunks}) == 1
    served.engine.answers = ["again"]
    assert "usage" not in (await served.chat(stream=True)).text


async def test_reasoning_is_told_apart(api: Api) -> None:
    api.engine.answers = ["<think>hm, well</think>yes", "<think>hm, well</think>yes"]
    assert message(await api.chat()) == {"role": "assistant", "content": "yes", "reasoning_content": "hm, well"}
    chunks = events((await api.chat(stream=True)).text)
    assert (told(chunks, "reasoning_content"), told(chunks)) == ("hm, well", "yes")


async def test_a_stop_ends_the_generation_too(api: Api) -> None:
    api.engine.answers = ["one two three four"]
    response = await api.chat(stop=["three"])
    assert message(response)["content"] == "one two "
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert api.engine.given[0].cancelled.is_set()


async def test_what_becomes_too_long_says_so(api: Api) -> None:
    class Cut(FakeGeneration):
        async def __aiter__(self) -> Any:
            async for token in super().__aiter__():
                yield token
            self.reason = "length"

    api.engine.make = Cut
    assert (await api.chat()).json()["choices"][0]["finish_reason"] == "length"
    response = await api.post("/api/chat", {"model": "tiny", "messages": HELLO, "stream": False})
    assert response.json()["done_reason"] == "length"


async def test_a_tool_is_offered_called_and_answered(api: Api) -> None:
    api.engine.answers = [f"Let me see. {CALL}", CALL, "Two."]
    whole = (await api.chat(tools=[LOOK])).json()
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    said = whole["choices"][0]["message"]
    assert said["content"] == "Let me see."
    call = said["tool_calls"][0]
    assert call["function"] == {"name": "look", "arguments": '{"at": "é"}'}
    assert '"name": "look"' in api.engine.asked
    chunks = events((await api.chat(tools=[LOOK], stream=True)).text)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert next(delta for delta in deltas if "tool_calls" in delta)["tool_calls"][0]["index"] == 0
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    result = {"role": "tool", "tool_call_id": call["id"], "content": "<|im_end|>2"}
    assert message(await api.chat(messages=[*HELLO, said, result], tools=[LOOK]))["content"] == "Two."
    assert '<tool_call>{"name": "look", "arguments": {"at": "é"}}</tool_call>' in api.engine.asked
    assert Text("<|im_end|>2") in api.engine.prompts[-1]


@pytest.mark.parametrize(
    ("choice", "answer", "begun"),
    [
        ("required", 'look", "arguments": {}}', '<tool_call>\n{"name": "'),
        (
            {"type": "function", "function": {"name": "look"}},
            "{}}",
            '<tool_call>\n{"name": "look", "arguments": ',
        ),
    ],
)
async def test_a_tool_that_has_to_be_called(api: Api, choice: Any, answer: str, begun: str) -> None:
    api.engine.answers = [answer]
    said = message(await api.chat(tools=[LOOK], tool_choice=choice))
    assert said["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert api.engine.prompts[0][-1] == Control(begun)


async def test_no_tool_where_none_is_wanted(api: Api) -> None:
    api.engine.answers = [CALL]
    assert message(await api.chat(tools=[LOOK], tool_choice="none"))["content"] == CALL
    assert "look" not in api.engine.asked


async def test_an_answer_that_was_begun_is_gone_on_with(api: Api) -> None:
    begun = {"role": "assistant", "content": "Well,"}
    await api.chat(messages=[*HELLO, begun])
    assert api.engine.prompts[0][-2:] == [Control("<|im_end|>\n<|im_start|>assistant\n"), Text("Well,")]


async def test_a_text_is_gone_on_with_as_it_is(api: Api) -> None:
    api.engine.answers = ["a + b"]
    body = {"model": "tiny", "prompt": "<|im_start|>def add(a, b):", "max_tokens": 9}
    whole = (await api.post("/v1/completions", body)).json()
    assert whole["object"] == "text_completion"
    assert whole["choices"] == [{"index": 0, "text": "a + b", "finish_reason": "stop", "logprobs": None}]
    assert api.engine.prompts[0] == [Special("bos"), Control("<|im_start|>def add(a, b):")]
    api.engine.answers = ["a + b"]
    chunks = events((await api.post("/v1/completions", body | {"stream": True})).text)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "a + b"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"suffix": "\nprint(area(2, 3))\n"}),
        ("/v1/fim/completions", {"suffix": "\nprint(area(2, 3))\n"}),
        ("/api/generate", {"suffix": "\nprint(area(2, 3))\n", "stream": False}),
        ("/v1/completions", {"suffix": "\nprint(area(2, 3))\n", "raw": True}),
    ],
)
async def test_a_gap_is_filled(api: Api, path: str, body: dict[str, Any]) -> None:
    code = "# Path: area.py\ndef area(w, h):\n    return "
    api.engine.answers = ["w * h\nprint(area(2, 3))"] * 3  # the base, the gap
    api.engine.make = lambda words: FakeGeneration(words if api.engine.limits[-1] else [])
    response = await api.post(path, {"model": "tiny", "prompt": code} | body)
    assert response.status_code == 200, response.text
    whole = response.json()
    text = whole.get("response") or whole["choices"][0].get("text") or whole["choices"][0]["message"]["content"]
    assert text == ("w * h\nprint(area(2, 3))" if body.get("raw") else "w * h")
    assert [segment.name for segment in api.engine.prompts[-1] if isinstance(segment, Special)][-1] == "middle"


async def test_vectors(api: Api) -> None:
    name = (await api.client().get("/v1/models")).json()["data"][-1]["id"]
    texts = ["def read_file(path):\n    return open(path).read()", "class Socket:\n    def send(self, data): ..."]
    body = {"model": name, "input": texts}
    data = (await api.post("/v1/embeddings", body)).json()["data"]
    vectors = [one["embedding"] for one in data]
    assert [len(vector) for vector in vectors] == [256, 256]
    query = {"model": name, "input": "read a file"}
    question = (await api.post("/v1/embeddings", query)).json()["data"][0]["embedding"]
    near, far = (sum(a * b for a, b in zip(question, vector, strict=True)) for vector in vectors)
    assert near > far + 0.1
    embedded = (await api.post("/api/embed", body)).json()["embeddings"]
    assert embedded == vectors
    old = (await api.post("/api/embeddings", {"model": name, "prompt": texts[0]})).json()["embedding"]
    assert old == vectors[0]


# -- Ollama's shapes -----------------------------------------------------------------------------------------------


async def test_ollamas_chat(api: Api) -> None:
    api.engine.answers = ["<think>hm</think>hello to you", f"See: {CALL}"]
    response = await api.post("/api/chat", {"model": "tiny:latest", "messages": HELLO, "options": {"num_predict": 5}})
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "hello to you"
    assert "".join(line["message"].get("thinking", "") for line in lines) == "hm"
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["done_reason"]) == (12, "stop")
    assert api.engine.limits == [5]
    body = {"model": "tiny", "messages": HELLO, "stream": False, "tools": [LOOK]}
    said = (await api.post("/api/chat", body)).json()["message"]
    assert said["content"] == "See:"
    assert said["tool_calls"][0]["function"] == {"name": "look", "arguments": {"at": "é"}}


async def test_ollamas_prompt_is_a_question(api: Api) -> None:
    api.engine.answers = ["fine", "raw"]
    body = {"model": "tiny", "prompt": "how?", "system": "be brief", "stream": False}
    assert (await api.post("/api/generate", body)).json()["response"] == "fine"
    assert "system\nbe brief" in api.engine.asked
    assert (await api.post("/api/generate", body | {"raw": True})).json()["response"] == "raw"
    assert flat(api.engine.prompts[-1]) == "how?"


async def test_ollamas_clients_load_a_model_and_ask_about_it(api: Api) -> None:
    for path in ("/api/generate", "/api/chat"):
        loaded = (await api.post(path, {"model": "tiny", "keep_alive": "5m"})).json()
        assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    assert not api.engine.prompts
    shown = (await api.post("/api/show", {"name": "tiny"})).json()
    assert ".Suffix" in shown["template"]
    assert shown["capabilities"] == ["completion", "tools", "insert"]
    assert shown["parameters"] == "num_ctx 8192"
    assert shown["model_info"]["general.architecture"] == "llama"
    async with api.client() as client:
        assert (await client.get("/api/tags")).json()["models"][0]["model"] == "tiny"
        assert [one["model"] for one in (await client.get("/api/ps")).json()["models"]] == ["tiny"]
        assert (await client.get("/api/version")).json()["version"].count(".") == 2


async def test_a_model_that_can_less_says_so() -> None:
    template = TEMPLATE.replace("tools", "gadgets")
    async with serving(Scripted(facts=ChatFacts(template=template), fim=False)) as api:
        assert (await api.post("/api/show", {"model": "tiny"})).json()["capabilities"] == ["completion"]
        refused = await api.chat(tools=[LOOK])
        assert "does not support tools" in refused.json()["error"]["message"]
        for path in ("/v1/completions", "/api/generate"):
            refused = await api.post(path, {"model": "tiny", "prompt": "a", "suffix": "b"})
            assert refused.status_code == 400
            assert "does not support insert" in refused.text
    async with serving(Scripted(facts=ChatFacts(), fim=True)) as api:
        assert (await api.post("/api/show", {"model": "tiny"})).json()["capabilities"] == ["completion", "insert"]
        assert "can't chat" in (await api.chat()).json()["error"]["message"]


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "gpt-4"}, 404, "model"),
        ({"n": 2}, 400, "n"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"logit_bias": {"1": 1}}, 400, "logit_bias"),
        ({"functions": [{}]}, 400, "functions"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400, "messages"),
        ({"messages": "hi"}, 400, None),
        ({"messages": [{"role": "user", "content": 1}]}, 400, None),
        ({"stop": ["x"] * 40 + list("abc") + list(map(str, range(40)))}, 400, "stop"),
        ({"tools": [LOOK], "tool_choice": "always"}, 400, "tool_choice"),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "function": {"name": "go"}}}, 400, "tool_choice"),
        ({"tools": [LOOK | {"type": "web_search"}]}, 400, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "MidlineMessage0Text"}}]}, 400, "messages"),
    ],
)
async def test_what_is_refused_names_the_field(api: Api, body: dict[str, Any], status: int, param: str | None) -> None:
    response = await api.chat(**body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param), error
    assert error["message"].strip()
    assert not api.engine.prompts


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/chat", {"model": "llama3", "messages": HELLO}, 404),
        ("/api/chat", {"model": "tiny", "messages": HELLO, "format": "json"}, 400),
        ("/api/generate", {"model": "tiny", "prompt": "x", "images": ["AAAA"]}, 400),
        ("/api/show", {"model": "llama3"}, 404),
        ("/api/pull", {"model": "llama3"}, 404),
        ("/api/chat", b"{", 400),
        ("/api/chat", b"\xff\xfe", 400),
        ("/api/chat", b"[" * 100_000, 400),
    ],
)
async def test_ollamas_refusals_are_one_text(api: Api, path: str, body: Any, status: int) -> None:
    response = await api.post(path, body)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert isinstance(response.json()["error"], str)


async def test_half_of_a_character_where_a_client_has_cut_its_text(api: Api) -> None:
    body = b'{"model": "tiny", "messages": [{"role": "user", "content": "a \\ud83d b \\ud83d\\ude00"}]}'
    assert (await api.post("/v1/chat/completions", body)).status_code == 200
    assert Text("a ? b \U0001f600") in api.engine.prompts[0]
    for broken in (b'{"model": "\\ud83d"', b'{"model": "\\u12"}', b"\\u"):
        assert (await api.post("/v1/chat/completions", broken)).status_code == 400


async def test_prompts_and_vectors_that_are_refused(api: Api) -> None:
    for body in (
        {"prompt": [1, 2]},
        {"prompt": ["a", "b"]},
        {"prompt": "a", "echo": True},
        {"prompt": "a", "logprobs": 1},
    ):
        assert (await api.post("/v1/completions", {"model": "tiny"} | body)).status_code == 400
    name = (await api.client().get("/v1/models")).json()["data"][-1]["id"]
    for body in (
        {"input": []},
        {"input": [1, 2]},
        {"input": "a", "dimensions": 64},
        {"input": "a", "encoding_format": "hex"},
        {"input": ["a"] * 3_000},
    ):
        assert (await api.post("/v1/embeddings", {"model": name} | body)).status_code == 400
    assert (await api.post("/v1/embeddings", {"model": "tiny", "input": "a"})).status_code == 404


async def test_a_body_that_is_too_large_or_never_comes(served: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    response = await served.post("/v1/chat/completions", b" " * (shapes.MAX_BODY_BYTES + 1))
    assert response.status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000_000

    async with served.client() as client:
        with contextlib.suppress(httpx.ReadError, httpx.WriteError):  # who goes on sending may not hear why
            assert (await client.post("/v1/chat/completions", content=endless())).status_code == 413
    monkeypatch.setattr(shapes, "BODY_SECONDS", 0.1)

    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    answer = await asyncio.wait_for(reader.read(), 10)  # to the end: the connection is closed
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


# -- who may ask ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"bearer  {TOKEN}"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
    ],
)
async def test_who_may_ask(api: Api, headers: dict[str, str], status: int) -> None:
    for path in ("/v1/models", "/api/tags", "/"):
        async with api.client() as client:
            response = await client.get(path, headers=headers)
        assert response.status_code == (404 if status == 200 and path == "/" else status)
        assert not any(name.startswith("access-control") for name in response.headers)
        assert TOKEN not in response.text
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_preflight_is_refused(api: Api) -> None:
    async with api.client() as client:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        response = await client.options("/v1/chat/completions", headers=asked)
    assert response.status_code == 403
    assert not any(name.startswith("access-control") for name in response.headers)


async def test_a_workspace_that_was_not_named_at_the_start(api: Api) -> None:
    for headers in ({"X-Midline-Workspace": "/etc"}, {"X-Midline-Workspace": "../.."}):
        response = await api.post("/v1/chat/completions", {"model": "tiny", "messages": HELLO}, **headers)
        assert response.status_code == 403
    assert (await api.chat(model="tiny@/etc")).status_code == 403
    assert not api.engine.prompts


async def test_a_conversation_about_a_repository_goes_on_with_the_prompt_it_began_with(tmp_path: Path) -> None:
    files = {
        "midline.toml": '[privacy]\nexclude = ["hidden.py"]\n',
        "prices.py": "VAT = 0.19\n\n\ndef gross_price(net):\n    return net * (1 + VAT)\n",
        "stock.py": "def count_stock(shelf):\n    return sum(shelf.values())\n",
        "hidden.py": "def gross_price_of_secrets():\n    return 'a secret'\n",
    }
    write_tree(tmp_path, files)
    engine = Scripted("It multiplies [1].", "See [2], not [7].")
    async with made(engine, [tmp_path]) as app:
        api = Api("http://localhost", engine, app)
        asked = [{"role": "user", "content": "What does gross_price multiply with?"}]
        headers = {"X-Midline-Workspace": str(tmp_path)}
        first = message(await api.post("/v1/chat/completions", {"model": "tiny", "messages": asked}, **headers))
        assert first["content"] == "It multiplies [1].\n\n[1] prices.py:1-5"
        assert "return net * (1 + VAT)" in engine.asked
        asked += [first, {"role": "user", "content": "And what does count_stock sum?"}]
        second = message(await api.post("/v1/chat/completions", {"model": "tiny", "messages": asked}, **headers))
        assert second["content"] == "See [2], not [7].\n\n[2] stock.py:1-2"
        shorter, longer = engine.prompts
        assert longer[: len(shorter) - 1] == shorter[:-1]
        assert "a secret" not in engine.asked
        gap = {"model": "tiny", "prompt": "x = ", "suffix": "\n"}
        hidden = headers | {"X-Midline-Path": "hidden.py"}
        assert (await api.post("/v1/completions", gap, **hidden)).status_code == 403


# -- how many, and how long ----------------------------------------------------------------------------------------


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_that_leaves_ends_its_request(served: Api) -> None:
    served.engine.make = lambda words: FakeGeneration([], forever=True)
    for stream in (False, True):
        asking = asyncio.create_task(served.chat(stream=stream))
        await until(lambda: served.engine.given and not served.engine.given[-1].cancelled.is_set())
        asking.cancel()
        await until(lambda: served.engine.given[-1].cancelled.is_set())


async def test_a_client_that_leaves_in_the_middle_of_a_stream(served: Api) -> None:
    served.engine.make = lambda words: FakeGeneration(["a", "b"], forever=True)
    body = {"model": "tiny", "messages": HELLO, "stream": True}
    async with served.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if '"b"' in line:
                break
    await until(lambda: served.engine.given[-1].cancelled.is_set())


async def test_a_stream_that_is_open_when_the_server_ends_says_so() -> None:
    engine = Scripted()
    engine.make = lambda words: FakeGeneration(["a"], forever=True)
    async with serving(engine) as api:
        asking = asyncio.create_task(api.chat(stream=True))
        await until(lambda: bool(engine.given) and engine.given[0].usage.tokens_generated)
    chunks = events((await asking).text)
    assert told(chunks[:-1]) == "a"
    assert "closed" in chunks[-1]["error"]["message"]
    assert engine.given[0].cancelled.is_set()


async def test_a_failure_has_a_status_or_ends_the_stream(served: Api) -> None:
    served.engine.make = lambda words: FakeGeneration([], fails=True)
    for stream in (False, True):
        response = await served.chat(stream=stream)
        assert response.status_code == 500
        assert "restarted" in response.json()["error"]["message"]
    served.engine.make = lambda words: FakeGeneration(["a"], fails=True)
    chunks = events((await served.chat(stream=True)).text)
    assert told(chunks[:-1]) == "a"
    assert chunks[-1]["error"]["type"] == "server_error"
    lines = (await served.post("/api/chat", {"model": "tiny", "messages": HELLO})).text.splitlines()
    assert "restarted" in json.loads(lines[-1])["error"]


async def test_an_engine_that_has_failed_is_started_anew() -> None:
    engine = Scripted("one", "two", "three")
    async with serving(engine) as api:
        assert (await api.chat()).status_code == 200
        engine.state = State("failed", "The engine crashed.", "Read its log.")
        failed = await api.chat()
        assert failed.status_code == 500
        assert failed.json()["error"]["message"] == "The engine crashed. Read its log."
        engine.state = State("ready", n_ctx=8192)
        assert (await api.chat()).status_code == 200


async def test_a_stream_begins_in_time_for_impatient_clients(served: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "FIRST_BYTE_SECONDS", 0.05)
    served.engine.is_ready.clear()
    body = {"model": "tiny", "messages": HELLO, "stream": True}
    served.engine.make = lambda words: FakeGeneration([], forever=True)
    served.engine.is_ready.set()
    async with served.client() as client:
        for path, first in (("/v1/chat/completions", '"role":"assistant"'), ("/api/chat", '"done":false')):
            async with client.stream("POST", path, json=body) as response:
                assert first in await anext(response.aiter_lines())


async def test_a_thousand_requests_at_once(served: Api) -> None:
    release = asyncio.Event()

    class Slow(FakeGeneration):
        async def __aiter__(self) -> Any:
            await release.wait()
            async for token in super().__aiter__():
                yield token

    served.engine.make = Slow
    body = json.dumps({"model": "tiny", "messages": HELLO}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    request = f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    asked = [asyncio.create_task(ask()) for _ in range(1_000)]
    admitted = slots.RUNNING + slots.WAITING
    await until(lambda: sum(task.done() for task in asked) == 1_000 - admitted)
    assert len(served.engine.given) == slots.RUNNING
    for task in asked:
        if task.done():
            assert task.result()[9:12] in (b"429", b"503")
            assert b"retry-after: " in task.result()
    release.set()
    answers = await asyncio.gather(*asked)
    assert sum(answer[9:12] == b"200" for answer in answers) == admitted
    assert (await served.chat()).status_code == 200
    assert admitted <= MOST_REQUESTS
    assert len(set(served.engine.keys)) <= slots.SEQUENCES


async def test_what_the_engine_held_is_dropped_at_the_end() -> None:
    async with serving(Scripted()) as api:
        await api.chat()
        assert not api.engine.forgotten
    assert api.engine.keys[0].startswith(api.engine.forgotten[0])


# -- anything at all -----------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_VALUE = _JSON | st.just("tiny") | st.just(HELLO) | st.just([LOOK]) | st.just({"role": "user", "content": ""})
_FIELDS = [
    "model",
    "messages",
    "prompt",
    "suffix",
    "stream",
    "stop",
    "max_tokens",
    "n",
    "tools",
    "tool_choice",
    "input",
    "options",
    "format",
    "system",
    "raw",
    "images",
    "stream_options",
    "response_format",
]
_PATHS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/fim/completions", "/v1/embeddings"),
    *("/api/chat", "/api/generate", "/api/show", "/api/embed", "/api/embeddings"),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(_PATHS), st.dictionaries(st.sampled_from(_FIELDS), _VALUE, max_size=6), st.booleans())
def test_whatever_is_asked_gets_an_answer(path: str, body: dict[str, Any], named: bool) -> None:
    async def ask(app: Any) -> None:
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            response = await client.post(path, json=body | ({"model": "tiny"} if named else {}))
            assert response.status_code < 500, response.text
            if response.status_code >= 400:
                assert response.json()["error"]

    async def run() -> None:
        async with made(Scripted()) as app:
            await ask(app)

    asyncio.run(run())
