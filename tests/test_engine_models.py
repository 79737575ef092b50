"""Several models in one engine: who computes when, whose memory is given back, and what one's death does to others."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from lsp_support import DEADLINE, alive, until
from test_engine_process import PROMPT, answer, connected
from tiny_gguf import write_tiny_gguf

from lsp import paths
from lsp.engine.client import EngineClient, connect
from lsp.engine.config import EngineConfig
from lsp.engine.loading import MAX_DEATHS, loading
from lsp.engine.protocol import Sampling, State
from lsp.engine.protocol import decode_engine as decode
from lsp.engine.turn import PATIENCE, Turn
from lsp.errors import MidlineError


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EngineConfig]]:
    """Two models that load in no time, and an engine of this test's own."""
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    paths_of_models = [str(write_tiny_gguf(tmp_path / f"{name}.gguf", "full")) for name in ("one", "two")]
    yield [EngineConfig(model, threads=1, idle_seconds=0.5) for model in paths_of_models]


# -- turns --------------------------------------------------------------------------------------------------------


def order(turn: Turn, ranks: dict[str, int], steps: int) -> str:
    """Who gets the next ``steps`` turns, where all always have work."""
    served = ""
    while len(served) < steps:
        for who, rank in ranks.items():
            with turn.take(who, rank) as mine:
                served += who if mine else ""
    return served[:steps]


def test_between_equals_it_goes_round() -> None:
    assert order(Turn(), {"a": 1, "b": 1}, 8) in ("abababab", "aabababa")


def test_the_more_urgent_goes_first_and_the_patient_is_let_in() -> None:
    served = order(Turn(), {"c": 1, "b": 2}, 4 * (PATIENCE + 1))
    assert "c" * (PATIENCE + 2) not in served
    assert 1 <= served.count("b") <= len(served) / PATIENCE


def test_nobody_slips_in_while_a_user_waits_for_a_completion() -> None:
    turn = Turn()
    with turn.take("completing", 0) as mine:
        assert mine
    for _ in range(3 * PATIENCE):  # between two batches of the completion
        with turn.take("chatting", 1) as mine:
            assert not mine
    turn.leave("completing")
    with turn.take("chatting", 1) as mine:
        assert mine


def test_a_less_urgent_batch_is_broken_off() -> None:
    turn = Turn()
    broken, done = threading.Event(), threading.Event()

    def chat() -> None:
        with turn.take("chatting", 1, broken.set) as mine:
            assert mine
            done.set()
            assert broken.wait(DEADLINE)

    thread = threading.Thread(target=chat)
    thread.start()
    assert done.wait(DEADLINE)
    with turn.take("warming", 3):
        assert not broken.is_set()
    served = False
    while not served:
        with turn.take("completing", 0) as served:
            pass
    assert broken.is_set()
    thread.join()


# -- in one process -----------------------------------------------------------------------------------------------


async def test_two_models_share_a_process_and_nothing_else(models: list[EngineConfig]) -> None:
    one, two = models
    async with connected(one) as (first, _), connected(two) as (second, _):
        assert first.state.pid == second.state.pid
        assert first.state.model and second.state.model
        assert [first.state.model.name, second.state.model.name] == ["one", "two"]
        ends = await asyncio.gather(answer(first, 40), answer(second, 40), answer(first, 40))
        assert set(ends) <= {"length", "eog"}
        assert await first.recall("some") == await second.recall("some") != {}
        first.forget("some")
        assert await first.recall("some") == {}
        assert await second.recall("some") != {}


async def test_a_model_that_fails_to_load_leaves_the_other_alone(models: list[EngineConfig]) -> None:
    one, two = models
    Path(two.model).write_bytes(b"GGUF" + bytes(1000))
    async with connected(one) as (client, states):
        broken = EngineClient(two)
        broken.start()
        with pytest.raises(MidlineError, match=r"can't load .*two\.gguf"):
            await asyncio.wait_for(broken.ready(), DEADLINE)
        await broken.close()
        assert await answer(client) in ("length", "eog")
        assert not {state.state for state in states} & {"failed", "restarting"}


async def test_a_model_goes_with_its_last_client_and_the_engine_with_its_last_model(models: list[EngineConfig]) -> None:
    one, two = models
    async with connected(one) as (client, _):
        pid = client.state.pid
        async with connected(two):
            pass
        await until_not_loaded(two)
        assert alive(pid)
        assert await answer(client) in ("length", "eog")
    await until(lambda: not alive(pid), lambda: f"the end of {pid}")


async def test_another_model_takes_the_place_of_one_that_nobody_uses(models: list[EngineConfig]) -> None:
    one, two = (msgspec.structs.replace(model, idle_seconds=1000.0) for model in models)
    async with connected(one) as (client, _):
        pid = client.state.pid
    async with connected(msgspec.structs.replace(two, beside=(one.model,))):
        assert await loaded(one)  # they go together
    try:
        async with connected(msgspec.structs.replace(two, n_ctx=512)) as (client, _):
            assert client.state.pid == pid
            await until_not_loaded(one)
            await until_not_loaded(two)
    finally:
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not alive(pid), lambda: f"the end of {pid}")


async def loaded(config: EngineConfig) -> bool:
    """Whether the engine has a model, as asked without having it loaded."""
    connection = await connect(config, load=False)
    assert connection
    reader, writer = connection
    message = decode(await asyncio.wait_for(reader.readline(), DEADLINE))
    writer.close()
    assert isinstance(message, State)
    return message.state != "disabled"


async def until_not_loaded(config: EngineConfig) -> None:
    async with asyncio.timeout(DEADLINE):
        while await loaded(config):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_what_is_drawn_depends_on_its_seed_alone(models: list[EngineConfig]) -> None:
    async with connected(models[0]) as (client, _):

        async def text(sampling: Sampling | None) -> str:
            generation = client.generate("drawn", PROMPT, max_tokens=12, sampling=sampling)
            return "".join([token.text async for token in generation])

        greedy = await text(None)
        seeds = [await text(Sampling(2.0, 1.0, seed)) for seed in (1, 2, 3, 1)]
        assert seeds[0] == seeds[3]
        assert len(set(seeds)) == 3
        assert await text(Sampling(2.0, 0.0, 1)) == greedy == await text(None)


# -- memory given back ---------------------------------------------------------------------------------------------


async def test_a_model_without_requests_is_unloaded_and_comes_back(models: list[EngineConfig]) -> None:
    config = msgspec.structs.replace(models[0], unload_seconds=0.3)
    async with connected(config) as (client, states):
        prompt = [*PROMPT[:1], *PROMPT[1:2] * 40, *PROMPT[2:]]  # long enough for a snapshot
        first = client.generate("some file", prompt, max_tokens=3)
        text = "".join([token.text async for token in first])
        await until(lambda: "unloaded" in client.state.detail, lambda: f"rest, not {client.state}")
        assert (client.state.state, client.state.sequences) == ("ready", 0)
        seen = len(states)
        again = client.generate("some file", prompt, max_tokens=3)
        assert "".join([token.text async for token in again]) == text
        assert again.usage.tokens_reused > 0  # restored from the disk
        assert next(state.state for state in states[seen:]) == "starting"
        facts = await client.describe()
        assert facts.architecture == "llama"


async def test_what_waits_for_a_model_to_come_back_can_be_cancelled(models: list[EngineConfig]) -> None:
    config = msgspec.structs.replace(models[0], unload_seconds=0.2)
    async with connected(config) as (client, _):
        await until(lambda: "unloaded" in client.state.detail, lambda: f"rest, not {client.state}")
        cancelled, kept = (client.generate(key, PROMPT, max_tokens=3) for key in "ab")
        cancelled.cancel()
        assert [token async for token in kept]
        async with asyncio.timeout(DEADLINE):
            async for _ in cancelled:
                pass
        assert cancelled.reason in ("cancelled", "length", "eog")


# -- models that take the engine with them -------------------------------------------------------------------------


def test_a_model_that_the_engine_died_of_is_refused_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    deadly, harmless = tmp_path / "deadly.gguf", tmp_path / "harmless.gguf"

    died = [loading(deadly) for _ in range(MAX_DEATHS)]
    for attempt in died:
        attempt.__enter__()  # and nothing more: the process has gone
        with loading(harmless):
            pass
    with pytest.raises(MidlineError, match=r"died 2 times while it loaded .*deadly\.gguf") as error, loading(deadly):
        pass
    assert "midline plan" in error.value.cure
    with loading(deadly):
        pass  # somebody has asked again: perhaps there is more memory now


def test_that_deaths_cannot_be_counted_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    file = paths.private_dir(paths.runtime_dir()) / "loading.json"
    file.write_bytes(b"\xff not JSON")
    with loading(tmp_path / "a.gguf"):
        assert "a.gguf" in file.read_text()
    file.unlink()
    file.mkdir()
    with loading(tmp_path / "a.gguf"):
        pass
