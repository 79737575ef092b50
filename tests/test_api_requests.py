"""The API on a real port with an engine that is a stand-in: shapes, refusals, streams, who may ask, and how many."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_support import (
    FACTS,
    HELLO,
    LOOK,
    TEMPLATE,
    Api,
    Scripted,
    events,
    message,
    serving,
    told,
)
from chat_support import FakeGeneration, flat

from lsp.engine.protocol import ChatFacts, Control, Sampling, Special, Text

pytestmark = pytest.mark.usefixtures("tiny_home")
CALL = '<tool_call>\n{"name": "look", "arguments": {"at": "é"}}\n</tool_call>'


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


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, None),
        ({"temperature": 0}, None),
        ({"temperature": None, "top_p": 0.5}, None),
        ({"temperature": 0.7}, Sampling(0.7)),
        ({"temperature": 1, "top_p": 0.9, "seed": 3}, Sampling(1.0, 0.9, 3)),
        ({"temperature": 99.0, "top_p": 7, "seed": -1}, Sampling(5.0, 1.0)),
    ],
)
async def test_how_tokens_are_chosen(api: Api, given: dict[str, object], meant: Sampling | None) -> None:
    assert (await api.chat(**given)).status_code == 200
    body = {"model": "tiny", "messages": HELLO, "stream": False, "options": given}
    assert (await api.post("/api/chat", body)).status_code == 200
    assert api.engine.sampled == [meant, meant]


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
