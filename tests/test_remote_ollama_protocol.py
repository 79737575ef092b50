"""Ollama's API as its documentation gives it: no package index has an Ollama to run, so this is a protocol test only.

What the scripted server answers is written from https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from remote_support import Asked, Reply, Scripted, ready, remote, scripted, sse, written
from reuse_support import psm

from lsp.engine.protocol import Control, Text
from lsp.engine.remote.ollama import way_of
from lsp.engine.remote.openai import ways_by_name
from lsp.errors import MidlineError

QWEN = (
    "{{- if .Suffix }}<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}<|fim_middle|>\n"
    "{{- else if .Messages }}{{ .Prompt }}{{ end }}"
)
FILLED = {"def load(": "stream", "greet(": "person", "class": "BankAccount"}


class Ollama:
    """Answers as Ollama does; its model fills the gaps that it is tried with."""

    def __init__(self, template: str, capabilities: list[str], answer: list[dict[str, Any]] | None = None) -> None:
        self._template = template
        self._capabilities = capabilities
        self._answer = answer or [_piece(" *"), _piece(" height")]

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        match asked.path:
            case "/api/tags":
                await reply.send({"models": [{"name": "qwen2.5-coder:latest", "model": "qwen2.5-coder:latest"}]})
            case "/api/show":
                assert asked.body == {"model": "qwen2.5-coder:latest"}
                await reply.send({"template": self._template, "capabilities": self._capabilities, "model_info": {}})
            case "/api/ps":
                await reply.send({"models": [{"name": "qwen2.5-coder:latest", "context_length": 8192}]})
            case "/api/generate":
                whole = asked.body["prompt"] + asked.body.get("suffix", "")
                known = next((text for start, text in FILLED.items() if start in whole), "")
                gone = known and ("infill" if asked.body.get("raw") else "insert") not in self._capabilities
                await reply.send(_lines([_piece("Sure!" if gone else known)] if known else self._answer))
            case "/api/chat":
                await reply.send(_lines(self._answer))
            case _:
                await reply.send({"error": "not found"}, 404)


def _piece(text: str, logprob: float = -0.1) -> dict[str, Any]:
    return {"response": text, "logprobs": [{"token": text, "logprob": logprob, "top_logprobs": []}]}


def _said(text: str, thinking: str = "") -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text} | ({"thinking": thinking} if thinking else {})}


def _lines(pieces: list[dict[str, Any]]) -> bytes:
    last = {"response": "", "done": True, "done_reason": "stop", "prompt_eval_count": 26, "prompt_eval_duration": 10**8}
    model = {"model": "qwen2.5-coder:latest", "created_at": "2026-01-01T00:00:00Z"}
    return b"".join(json.dumps(model | {"done": False} | piece).encode() + b"\n" for piece in [*pieces, last])


def last_body(server: Scripted) -> Any:
    return server.asked[-1].body


async def test_the_models_template_tells_its_tokens_and_prompts_keep_our_layout() -> None:
    async with scripted(Ollama(QWEN, ["completion", "insert", "infill"])) as server, remote(server.url) as engine:
        state = await ready(engine)
        assert state.backend == "Ollama" and state.n_ctx == 8192 and "layout psm" in state.gpu_reason
        text = await written(engine, psm("def area(w, h):\n", "\nprint()\n", "    return w"), heal=False)
        assert text == " * height"
        body = last_body(server)
        assert body["raw"] is True and body["stream"] is True and body["options"]["num_predict"] == 8
        assert body["prompt"] == "<|fim_prefix|>def area(w, h):\n<|fim_suffix|>\nprint()\n<|fim_middle|>    return w"


async def test_where_it_doesnt_the_server_puts_the_parts_together() -> None:
    template = "{{ if .Suffix }}<X> {{ .Prompt }}<Y>{{ .Suffix }}{{ end }}"
    async with scripted(Ollama(template, ["completion", "insert"])) as server, remote(server.url) as engine:
        await ready(engine)
        await written(engine, psm("def area(w, h):\n", "\nprint()\n", "    return w"), heal=False)
        body = last_body(server)
        assert body["prompt"] == "def area(w, h):\n    return w" and body["suffix"] == "\nprint()\n"
        assert "raw" not in body


async def test_a_model_without_either_is_refused_and_chats() -> None:
    async with scripted(Ollama("{{ .Prompt }}", ["completion"])) as server:
        async with remote(server.url) as engine:
            with pytest.raises(MidlineError, match="can't fill in the middle"):
                await ready(engine)
        async with remote(server.url, infills=False) as engine:
            assert (await ready(engine)).model


async def test_the_word_before_the_cursor_is_written_again() -> None:
    answer = [_piece(" wi"), _piece("dth * "), _piece("height")]
    script = Ollama(QWEN, ["insert", "infill"], answer)
    async with scripted(script) as server, remote(server.url) as engine:
        await ready(engine)
        assert await written(engine, psm("", "\n", "return wid")) == "th * height"
        assert last_body(server)["prompt"].endswith("<|fim_middle|>return")
        assert await written(engine, psm("", "\n", "return hei")) == " width * height", "asked again as it stands"
        assert last_body(server)["prompt"].endswith("<|fim_middle|>return hei")


async def test_a_chat_goes_by_roles_whatever_a_message_spells() -> None:
    script = Ollama(QWEN, ["completion"], [_said("", "hm"), _said("Hel"), _said("lo")])
    async with scripted(script) as server, remote(server.url, infills=False) as engine:
        await ready(engine)
        facts = await engine.describe()
        assert "<midline:" in facts.template
        prompt = [
            Control("<midline:system>"),
            Text("Be brief."),
            Control("<midline:user>"),
            Text("What is <midline:system> and <|im_end|>?"),
            Control("<midline:assistant>"),
        ]
        assert await written(engine, prompt, heal=False) == "<think>hm</think>Hello"
        assert last_body(server)["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is <midline:system> and <|im_end|>?"},
        ]


async def test_an_answer_that_was_begun_goes_on_where_the_server_begins_anew() -> None:
    script = Ollama(QWEN, ["completion"], [_said("Here you are:\n``"), _said("`python\ndef "), _said("add(a, b):\n")])
    async with scripted(script) as server, remote(server.url, infills=False) as engine:
        await ready(engine)
        prompt = [Control("<midline:user>"), Text("add"), Control("<midline:assistant>"), Text("```python\ndef ")]
        assert await written(engine, prompt, heal=False) == "add(a, b):\n"


async def test_text_that_spells_the_models_tokens_is_made_harmless() -> None:
    async with scripted(Ollama(QWEN, ["insert", "infill"])) as server, remote(server.url) as engine:
        await ready(engine)
        await written(engine, psm("x = '<|fim_suffix|>'\n", "", "y = 1"), heal=False)
        assert last_body(server)["prompt"] == "<|fim_prefix|>x = '< |fim_suffix|>'\n<|fim_suffix|><|fim_middle|>y = 1"


@pytest.mark.parametrize(
    ("template", "layout"),
    [
        (QWEN, "psm"),
        ("{{ if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>{{ end }}", "psm"),
        ("{{- if .Suffix }}<｜fim▁begin｜>{{ .Prompt }}<｜fim▁hole｜>{{ .Suffix }}<｜fim▁end｜>{{ end }}", "psm"),
        ("{{ .Prompt }}", None),
        ("[SUFFIX]{{ .Suffix }}[PREFIX] {{ .Prompt }}", None),  # the server's own way
        ("<PRE> {{ .Prompt }} <SUF>{{ .Suffix }} <MID>", None),  # its spaces are tokens' own
    ],
)
def test_templates_are_read(template: str, layout: str | None) -> None:
    way = way_of(template)
    assert (way.layout if way else None) == layout


def test_ways_worth_trying_are_those_of_the_models_family() -> None:
    assert [way.marks["prefix"] for way in ways_by_name("Qwen/Qwen2.5-Coder-7B")[:-1]] == ["<|fim_prefix|>"]
    assert ways_by_name("codestral-22b")[0].layout == "spm"
    guesses = ways_by_name("my-model")
    assert 3 < len(guesses) < 10 and not guesses[-1].marks


async def test_what_a_server_tells_of_its_cache_is_counted() -> None:
    """As vLLM does (``--enable-prompt-tokens-details``)."""
    usage = {"prompt_tokens": 40, "prompt_tokens_details": {"cached_tokens": 37}}

    async def script(asked: Asked, reply: Reply) -> None:
        if asked.path == "/v1/models":
            await reply.send({"data": [{"id": "starcoder2", "max_model_len": 16384}]})
        elif asked.path == "/v1/completions":
            known = next((text for start, text in FILLED.items() if start in asked.body["prompt"]), " * b")
            choice = {"text": known, "finish_reason": "stop", "logprobs": {"token_logprobs": [-0.5]}}
            chunks = {"model": "starcoder2", "choices": [choice]}, {"choices": [], "usage": usage}
            await reply.send(sse(*chunks) + b"data: [DONE]\n\n")
        else:
            await reply.send({}, 404)

    async with scripted(script) as server, remote(server.url) as engine:
        assert (await ready(engine)).n_ctx == 16384
        generation = engine.generate("file", psm("def f(a, b):\n", "\n", "    return a"), max_tokens=4, heal=False)
        tokens = [token async for token in generation]
        assert [(token.text, token.logprob) for token in tokens] == [(" * b", -0.5)]
        assert (generation.usage.tokens_evaluated, generation.usage.tokens_reused) == (3, 37)


async def test_the_speed_of_a_server_that_doesnt_tell_is_seen_from_what_is_prepared() -> None:
    async with scripted(Ollama(QWEN, ["insert", "infill"])) as server, remote(server.url) as engine:
        assert (await ready(engine)).prefill_per_second == 0
        generation = engine.generate("file", psm("x = 1\n" * 200, "", ""), max_tokens=0, priority="anchor")
        assert [token async for token in generation] == []
        assert 0 < engine.state.prefill_per_second < 10_000_000
        assert generation.usage.tokens_evaluated == 0
