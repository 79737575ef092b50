"""`midline serve-api` as a user starts it, with the real model: OpenAI's and Ollama's own clients, other requests.

What Continue, Cline and Open WebUI send was read in their sources: Continue's `core/llm/llms/{OpenAI,Ollama}.ts` and
`packages/openai-adapters`, Cline's `src/core/api/providers/{openai,ollama}.ts`, Open WebUI's `routers/ollama.py` and
`utils/payload.py`.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
from indexer_support import write_tree

MODEL = "qwen2.5-coder-0.5b-instruct"
AREA = "def area(width, height):\n    return "
AFTER = "\n\n\nprint(area(2, 3))\n"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

pytestmark = pytest.mark.model


@dataclass
class Running:
    """The started command: where it is, its token, and the repository that it knows."""

    url: str
    token: str
    workspace: Path

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.token, max_retries=0, timeout=120)

    @property
    def ollama(self) -> ollama.Client:
        return ollama.Client(self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=120)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        headers |= {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return httpx.post(self.url + path, content=json.dumps(body), headers=headers, timeout=120, trust_env=False)


@pytest.fixture(scope="module")
def running(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    shop = tmp_path_factory.mktemp("shop")
    files = {
        "shop/prices.py": "VAT_SHARE = 0.19\n\n\ndef gross_price(net):\n    return net * (1 + VAT_SHARE)\n",
        "shop/secret.py": 'API_KEY = "sk-' + "a1B2c3D4" * 5 + '"\n',
    }
    write_tree(shop, files)
    environment = os.environ | {"MIDLINE_HOME": str(shared_home), "OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lsp.cli", "serve-api", "--port", "0", "--workspace", str(shop), "--json"],
        stdout=subprocess.PIPE,
        env=environment,
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        told = json.loads(process.stdout.readline())
        assert told["models"] == [MODEL]
        yield Running(told["url"], Path(told["token_file"]).read_text().strip(), shop)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


# -- OpenAI's client -----------------------------------------------------------------------------------------------


def test_openais_client_chats(running: Running) -> None:
    with running.openai as client:
        assert client.models.list().data[0].id == MODEL
        assert client.models.retrieve(MODEL).owned_by == "midline"
        asked: Any = [{"role": "user", "content": "What is 2 + 2? Answer with the number alone."}]
        answer = client.chat.completions.create(model=MODEL, messages=asked, max_tokens=8)
        assert "4" in (answer.choices[0].message.content or "")
        assert answer.usage is not None
        assert answer.usage.prompt_tokens > 20
        again = client.chat.completions.create(
            model=MODEL, messages=asked, max_tokens=8, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(again)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == answer.choices[0].message.content
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == answer.usage.completion_tokens
        details = chunks[-1].usage.prompt_tokens_details
        assert details is not None
        assert details.cached_tokens == answer.usage.prompt_tokens - 1  # the last one's logits are what is asked for


def test_openais_client_calls_a_tool(running: Running) -> None:
    asked: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    with running.openai as client:
        answer = client.chat.completions.create(model=MODEL, messages=asked, tools=[WEATHER], max_tokens=60)
        assert answer.choices[0].finish_reason == "tool_calls"
        call = (answer.choices[0].message.tool_calls or [])[0]
        assert call.type == "function"
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments) == {"city": "Paris"}
        asked += [
            answer.choices[0].message.to_dict(),
            {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21, "sky": "clear"}'},
        ]
        told = client.chat.completions.create(model=MODEL, messages=asked, tools=[WEATHER], max_tokens=60)
        assert "21" in (told.choices[0].message.content or "")
        forced: Any = {"type": "function", "function": {"name": "get_weather"}}
        asked = [{"role": "user", "content": "Say hello to Berlin."}]
        answer = client.chat.completions.create(
            model=MODEL, messages=asked, tools=[WEATHER], tool_choice=forced, max_tokens=60, stream=False
        )
        assert (answer.choices[0].message.tool_calls or [])[0].function.name == "get_weather"  # type: ignore[union-attr]


def test_openais_client_fills_a_gap_and_goes_on(running: Running) -> None:
    with running.openai as client:
        gap = client.completions.create(model=MODEL, prompt=f"# area.py\n{AREA}", suffix=AFTER)
        assert gap.choices[0].text == "width * height"
        assert gap.choices[0].finish_reason == "stop"
        on = client.completions.create(model=MODEL, prompt=f"{AREA}width", max_tokens=4, stop="\n")
        assert on.choices[0].text.startswith(" *")
        pieces = client.completions.create(model=MODEL, prompt=f"# area.py\n{AREA}", suffix=AFTER, stream=True)
        assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == "width * height"


def test_openais_client_gets_vectors(running: Running) -> None:
    with running.openai as client:
        name = client.models.list().data[-1].id
        made = client.embeddings.create(model=name, input=["read a file", "open a socket"])  # in base64, by itself
        plain = client.embeddings.create(model=name, input="read a file", encoding_format="float")
        assert made.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
        raw = running.post("/v1/embeddings", {"model": name, "input": "x", "encoding_format": "base64"}).json()
        assert len(struct.unpack("<256f", base64.b64decode(raw["data"][0]["embedding"]))) == 256


def test_openais_client_is_told_what_is_wrong(running: Running) -> None:
    with running.openai as client:
        asked: Any = []
        for words in (10_000, 100_000):  # too many tokens, and so many characters that nobody counts the tokens
            asked = [{"role": "user", "content": "word " * words}]
            with pytest.raises(openai.BadRequestError) as error:
                client.chat.completions.create(model=MODEL, messages=asked)
            assert error.value.code == "context_length_exceeded"
        with pytest.raises(openai.NotFoundError, match=r"model\.chat"):
            client.chat.completions.create(model="gpt-5", messages=asked)
        with pytest.raises(openai.AuthenticationError, match="serve-api"):
            client.with_options(api_key="wrong").models.list()


# -- Ollama's client -----------------------------------------------------------------------------------------------


def test_ollamas_client(running: Running) -> None:
    client = running.ollama
    assert client.list().models[0].model == MODEL
    shown = client.show(MODEL)
    assert shown.capabilities == ["completion", "tools", "insert"]
    asked = [{"role": "user", "content": "What is 2 + 2? Answer with the number alone."}]
    answer = client.chat(MODEL, asked, options={"num_predict": 8, "temperature": 0})
    assert "4" in (answer.message.content or "")
    assert answer.done_reason in ("stop", "length")
    pieces = list(client.chat(f"{MODEL}:latest", asked, options={"num_predict": 8}, stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == answer.message.content
    assert pieces[-1].eval_count == answer.eval_count
    assert client.generate(MODEL, AREA, suffix=AFTER).response == "width * height"
    called = client.chat(MODEL, [{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER])
    assert (called.message.tool_calls or [])[0].function.arguments == {"city": "Paris"}
    assert client.ps().models[0].model == MODEL
    name = client.list().models[-1].model
    assert name
    assert len(client.embed(name, ["read a file", "x"]).embeddings) == 2
    with pytest.raises(ollama.ResponseError, match="not found") as error:
        client.chat("llama3", asked)
    assert error.value.status_code == 404


# -- what others send ----------------------------------------------------------------------------------------------


def sse(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_continue_asks(running: Running) -> None:
    headers = {"api-key": running.token, "x-api-key": running.token, "Accept": "application/json"}
    chat = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi."}],
        "model": MODEL,
        "max_tokens": 4096,
        "temperature": 0.5,
        "frequency_penalty": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ["</never>"],
    }
    chunks = sse(running.post("/v1/chat/completions", chat, **headers))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert chunks[-1]["usage"]["completion_tokens"]
    fim = {
        "model": MODEL,
        "prompt": f"# Path: area.py\n{AREA}",
        "suffix": AFTER,
        "max_tokens": 1024,
        "temperature": 0.01,
        "stop": ["<fim_prefix>", "\n\n", "/src/"],
        "stream": True,
    }
    chunks = sse(running.post("/v1/fim/completions", fim, **headers))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "width * height"
    # Its provider for Ollama looks for `.Suffix` in the template, and reads each line of the parameters.
    shown = running.post("/api/show", {"name": MODEL}).json()
    assert ".Suffix" in shown["template"]
    assert [line.split()[0] for line in shown["parameters"].split("\n")] == ["num_ctx"]
    generate = {
        "model": MODEL,
        "prompt": AREA,
        "suffix": AFTER,
        "options": {"temperature": 0.01, "num_predict": 1024, "stop": ["\n\n"], "num_ctx": 8192},
        "keep_alive": 1800,
        "stream": True,
    }
    lines = running.post("/api/generate", generate).text.splitlines()
    assert "".join(json.loads(line)["response"] for line in lines) == "width * height"


def test_cline_asks(running: Running) -> None:
    messages: Any = [
        {"role": "system", "content": "You are an agent."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<task>\nSay hi.\n</task>"},
                {"type": "text", "text": "<environment_details>\nnone\n</environment_details>"},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "cold"},
    ]
    chat = {
        "model": MODEL,
        "messages": messages,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [WEATHER],
        "max_tokens": 16,
    }
    chunks = sse(running.post("/v1/chat/completions", chat))
    assert chunks[-1]["usage"]["prompt_tokens"] > 100
    old = {"model": MODEL, "messages": [*messages[:1], {"role": "user", "content": "Say hi."}], "stream": True}
    lines = running.post("/api/chat", old | {"options": {"num_ctx": 32768, "num_predict": 8}}).text.splitlines()
    last = json.loads(lines[-1])
    assert last["prompt_eval_count"]
    assert last["eval_count"]


def test_open_webui_asks(running: Running) -> None:
    for path in ("/api/version", "/api/tags", "/api/ps", "/v1/models"):
        response = httpx.get(
            running.url + path,
            headers={
                "Authorization": f"Bearer {running.token}",
                "Content-Type": "application/json",
                "X-OpenWebUI-User-Name": "Ada",
            },
            trust_env=False,
        )
        assert response.status_code == 200
    chat = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Say hi."}],
        "stream": True,
        "options": {"temperature": 0.8, "num_predict": 8, "seed": 3},
        "metadata": {"chat_id": "c", "features": {}},
        "keep_alive": "10m",
    }
    assert json.loads(running.post("/api/chat", chat).text.splitlines()[-1])["done"]
    title = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "### Task:\nGenerate a title for: hi"}],
        "stream": False,
        "max_completion_tokens": 8,
    }
    assert running.post("/v1/chat/completions", title).json()["choices"][0]["message"]["content"]


# -- a repository --------------------------------------------------------------------------------------------------


def test_a_request_about_the_repository(running: Running) -> None:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "What does gross_price multiply with?"}]}
    by_header = running.post(
        "/v1/chat/completions", asked | {"max_tokens": 40}, **{"X-Midline-Workspace": str(running.workspace)}
    ).json()
    answer = by_header["choices"][0]["message"]["content"]
    assert "VAT" in answer
    assert answer.endswith("[1] shop/prices.py:1-5")
    by_name = running.post(
        "/v1/chat/completions", asked | {"model": f"{MODEL}@{running.workspace}", "max_tokens": 40}
    ).json()
    assert by_name["choices"][0]["message"] == by_header["choices"][0]["message"]
    without = running.post("/v1/chat/completions", asked | {"max_tokens": 40}).json()
    assert by_name["usage"]["prompt_tokens"] > without["usage"]["prompt_tokens"] + 20
    gap = {"model": MODEL, "prompt": "from shop.prices import gross_price\n\n\ntotal = gross", "suffix": "\n"}
    path = {"X-Midline-Workspace": str(running.workspace), "X-Midline-Path": "shop/till.py"}
    assert running.post("/v1/completions", gap, **path).json()["choices"][0]["text"].startswith("_price(")
    outside = path | {"X-Midline-Path": "../../etc/passwd"}
    assert running.post("/v1/completions", gap, **outside).status_code == 403
