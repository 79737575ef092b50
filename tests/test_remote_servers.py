"""Remote engines on real servers: llama.cpp's own, and llama-cpp-python's with OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from remote_support import DEADLINE, llama_cpp_python, llama_server, ready, remote, written
from reuse_support import psm
from tiny_gguf import write_tiny_gguf

from lsp.chat.answer import Answerer, Question
from lsp.chat.conversations import Conversations
from lsp.chat.templates import ChatTemplate, Turn
from lsp.completion.completer import Completer
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor
from lsp.engine.client import EngineClient
from lsp.engine.protocol import Text
from lsp.engine.remote.engine import RemoteEngine
from lsp.errors import MidlineError
from lsp.models import store

pytestmark = pytest.mark.model

BEFORE = 'def area(width, height):\n    """The area of a rectangle."""\n'
AFTER = "\n\n\nresult = area(2, 3)\n"
NOW = datetime(2026, 1, 1)


@pytest.fixture(scope="module")
def native(installed_model: store.InstalledModel) -> Iterator[str]:
    with llama_server(installed_model.path, key="secret") as url:
        yield url


@pytest.fixture(scope="module")
def openai(installed_model: store.InstalledModel) -> Iterator[str]:
    with llama_cpp_python(installed_model.path, "qwen2.5-coder", key="secret") as url:
        yield url


@pytest.fixture(params=["native", "openai"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MIDLINE_REMOTE_KEY", "secret")
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def llama(native: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MIDLINE_REMOTE_KEY", "secret")
    return native


def cursor_at(text: str) -> Cursor:
    before, after = text.split("‸")
    return Cursor("file:///a.py", None, "python", None, before + after, len(before))


async def test_a_completion_by_the_way_of_the_editors(server: str) -> None:
    async with remote(server) as engine:
        state = await ready(engine)
        assert state.remote == server and state.model and "qwen2.5-coder" in state.model.name
        made = await Completer(engine, "", CompletionStats()).complete(
            cursor_at(f"{BEFORE}    return wid‸{AFTER}"), max_tokens=16
        )
        assert made.text == "th * height"  # the word is completed, though its half is no token of the model's
        assert made.model == state.model.name
        assert 0 < made.confidence < 1


async def test_a_key_costs_one_token_where_the_server_reads_tokens(llama: str) -> None:
    async with remote(llama) as engine:
        await ready(engine)
        line = "    return width"
        costs = []
        for end in range(4, len(line)):
            generation = engine.generate("file", psm(BEFORE, AFTER, line[:end]), max_tokens=1)
            async for _ in generation:
                pass
            costs.append(generation.usage.tokens_evaluated)
        assert max(costs[1:]) <= 3, costs
        assert sum(costs[1:]) <= 1.5 * len(costs[1:]), costs


async def test_text_that_spells_special_tokens_stays_text(llama: str) -> None:
    async with remote(llama) as engine:
        await ready(engine)
        found = engine._found
        assert found is not None
        tokenized = await found.server._plain("a <|fim_suffix|> b<|im_end|>")  # type: ignore[attr-defined]
        assert b"".join(token.text for token in tokenized) == b"a <|fim_suffix|> b<|im_end|>"
        assert all(token.id < 151_643 for token in tokenized), "one of Qwen's special tokens"


async def test_characters_of_several_tokens_are_healed_and_come_whole(llama: str) -> None:
    async with remote(llama) as engine:
        await ready(engine)
        names = "猫 = '🐈‍⬛'\n犬 = '🐕'\n猫"
        text = await written(engine, psm("", "\n", f"{names} = '🐈"), tokens=6)
        assert "\ufffd" not in text


async def test_half_a_character_is_no_reason_to_fail(server: str) -> None:
    async with remote(server) as engine:
        await ready(engine)
        await written(engine, psm(f"x = '\ud83d'\n{BEFORE}", AFTER, "    return "), tokens=2)


async def test_alternatives_come_apart(server: str) -> None:
    async with remote(server) as engine:
        await ready(engine)
        generation = engine.generate("file", psm(BEFORE, AFTER, "    return "), max_tokens=4, branches=2)
        texts = ["", ""]
        async for token in generation:
            texts[token.branch] += token.text
        assert all(texts)


async def test_cancelling_frees_the_server_at_once(server: str) -> None:
    async with remote(server) as engine:
        await ready(engine)
        long = engine.generate("file", psm("# all numbers: 1, 2, 3,", "", " 4,"), max_tokens=1500)
        async for _ in long:
            long.cancel()
            break
        async for _ in long:
            pass
        assert long.reason == "cancelled"
        # Were it still computing, this would wait for more than a minute.
        assert await asyncio.wait_for(written(engine, psm(BEFORE, AFTER, "    return "), tokens=3), 45)


async def test_a_conversation_keeps_its_roles(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    kept = Conversations()
    async with remote(server, infills=False) as engine:
        state = await ready(engine)
        answerer = Answerer(engine, state.model.name if state.model else "", kept)
        talk = kept.begin(tmp_path, "a talk")
        shown: list[str] = []
        asked = Question("Reply with the single word: banana")
        answer = await asyncio.wait_for(
            answerer.answer(talk, asked, lambda kind, text: shown.append(text), max_tokens=12), DEADLINE
        )
        assert "banana" in answer.text.lower() and "".join(shown).strip() == answer.text
        again = await asyncio.wait_for(answerer.answer(talk, Question("Which word was it?"), max_tokens=16), DEADLINE)
        assert "banana" in again.text.lower()
        assert answer.reason in ("eog", "length") and shown


async def test_an_answer_that_was_begun_goes_on(server: str) -> None:
    """As edits do: the code's fence is opened for the model."""
    async with remote(server, infills=False) as engine:
        await ready(engine)
        template = ChatTemplate(await engine.describe(), "it")
        turns = [Turn("user", "Write a Python function add(a, b) that returns the sum. Only code, in one block.")]
        prompt = [*template.prompt(turns, NOW).segments, Text("```python\n")]
        text = await written(engine, prompt, tokens=24, heal=False)
        assert text.lstrip().startswith("def add(") and "```python" not in text


async def test_a_wrong_key_is_said(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_REMOTE_KEY", "wr0ng")
    async with remote(server) as engine:
        with pytest.raises(MidlineError, match="refuses the API key") as raised:
            await ready(engine)
        assert "wr0ng" not in str(raised.value) and "remote.key_variable" in raised.value.cure


async def test_a_model_that_isnt_there_is_said_with_those_that_are(server: str) -> None:
    async with remote(server, model="gpt-9") as engine:
        with pytest.raises(MidlineError, match="gpt-9") as raised:
            await ready(engine)
        assert "qwen2.5-coder" in str(raised.value).lower()


async def test_a_model_that_doesnt_infill_is_refused_for_completion_and_chats(tmp_path: Path) -> None:
    """Random weights fill no gap."""
    with llama_server(write_tiny_gguf(tmp_path / "tiny.gguf", "full"), slots=1) as url:
        async with remote(url) as engine:
            with pytest.raises(MidlineError, match="can't fill in the middle"):
                await ready(engine)
        async with remote(url, infills=False) as engine:
            assert (await ready(engine)).remote == url


async def test_what_is_prepared_makes_room_on_a_server_with_one_place(installed_model: store.InstalledModel) -> None:
    with llama_server(installed_model.path, slots=1) as url:
        async with remote(url) as engine:
            await ready(engine)
            assert engine._found and engine._found.facts.slots == 1
            long = "x = 1\n" * 60
            prepared = engine.generate("file#2", psm(long, AFTER, ""), max_tokens=0, priority="anchor")
            await asyncio.sleep(0.3)
            assert await written(engine, psm(BEFORE, AFTER, "    return "), tokens=3)
            async for _ in prepared:
                pass
            assert prepared.reason == "cancelled"


def test_commands_say_which_engine_answers(llama: str, own_home: Path, tmp_path: Path) -> None:
    settings = own_home / "config" / "midline.toml"
    settings.write_text(settings.read_text().replace("[engine]\n", f'[engine]\nremote = "{llama}"\n'))
    (tmp_path / "w").mkdir()
    file = tmp_path / "w" / "area.py"
    file.write_text(f"{BEFORE}    return wid{AFTER}")

    def run(*arguments: str) -> dict[str, object]:
        command = [sys.executable, "-m", "lsp.cli", *arguments, "--json"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path / "w", timeout=DEADLINE
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    status = run("status")
    assert status["engine"]["remote"] == llama and status["engine"]["state"] == "ready"  # type: ignore[index]
    made = run("complete", f"{file}:3", "--workspace", str(tmp_path / "w"))
    assert made["text"] == "th * height" and "qwen2.5-coder" in str(made["model"])
    doctor = {check["name"]: check for check in run("doctor")["checks"]}  # type: ignore[attr-defined]
    assert doctor["remote"]["ok"] and "llama-server" in doctor["remote"]["detail"]
    assert doctor["fim"]["ok"]


def test_a_suggestion_of_the_local_model_says_so(own_home: Path, tmp_path: Path) -> None:
    settings = own_home / "config" / "midline.toml"
    settings.write_text(settings.read_text().replace("[engine]\n", '[engine]\nremote = "http://127.0.0.1:9"\n'))
    file = tmp_path / "area.py"
    file.write_text(f"{BEFORE}    return wid{AFTER}")
    command = [sys.executable, "-m", "lsp.cli", "complete", f"{file}:3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:9 can't be reached" in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("model ")]
    assert line.endswith(".gguf") and "127.0.0.1" not in line


def test_the_surface_is_that_of_the_local_client() -> None:
    public = {name for name in dir(EngineClient) if not name.startswith("_")}
    assert public <= {name for name in dir(RemoteEngine) if not name.startswith("_")}
