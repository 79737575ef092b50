"""Adapters in the engine: each request is computed with its own, and nothing of one set serves another."""

from __future__ import annotations

import asyncio
from itertools import groupby, pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest
import reuse_support
import scheduler_support
from lsp_support import DEADLINE
from reuse_support import psm
from scheduler_support import LONG
from test_engine_process import PROMPT, connected
from test_memory_kinds import TOLERANCE, Editing
from tiny_gguf import Kind, write_tiny_gguf
from tiny_lora import write_lora

from lsp.engine.batching import ADAPTER_TURN
from lsp.engine.client import EngineClient
from lsp.engine.config import Adapter, EngineConfig
from lsp.engine.protocol import Failed, Token
from lsp.errors import MidlineError
from lsp.models.adapters import resolve

ONE, OTHER = (Adapter("one.gguf"),), (Adapter("other.gguf"),)
MATRICES = ("attn_q", "attn_v", "ffn_up", "ssm_in", "ssm_out", "in_proj", "output")


# -- the scheduler, over a stand-in that refuses to mix --------------------------------------------------------------


def test_requests_of_equal_rank_take_turns() -> None:
    rig = scheduler_support.Rig(n_ctx=2000)
    first = rig.submit(LONG, "one", max_tokens=60, priority="chat", adapters=ONE)
    second = rig.submit(LONG, "other", max_tokens=60, priority="chat", adapters=OTHER)
    used: list[tuple[Adapter, ...]] = []
    rig.llama.on_decode = lambda: used.append(rig.llama.adapters)
    while {first, second} <= set(rig.open):
        rig.step()
    turns = [(adapters, len(list(batches))) for adapters, batches in groupby(used)]
    assert all(a != b for (a, _), (b, _) in pairwise(turns))
    assert [count for _, count in turns[:10]] == [1] * 10, "to read a batch of a prompt takes longer than to change"
    assert 1 < max(count for _, count in turns) <= ADAPTER_TURN, "tokens are written several in a turn"
    rig.run()
    rig.check_cache()
    rig.check_ends()


def test_what_is_urgent_waits_for_no_turn() -> None:
    rig = scheduler_support.Rig(n_ctx=2000)
    rig.submit(LONG, "chat", max_tokens=60, priority="chat", adapters=ONE)
    for _ in range(12):
        rig.step()
    completion = rig.submit("f(abc", "file", max_tokens=3, adapters=OTHER)
    rig.step()
    assert rig.llama.adapters == OTHER
    while completion in rig.open:
        rig.step()
        assert rig.llama.adapters == OTHER
    rig.run()
    rig.check_cache()


def test_one_that_doesnt_fit_is_told_and_harms_nobody() -> None:
    rig = scheduler_support.Rig()
    bad = rig.submit("f(abc", "one", adapters=(Adapter("bad.gguf"),))
    good = rig.submit("f(abc", "two", adapters=ONE)
    rig.run()
    assert rig.failed(bad).message == "The adapter doesn't fit."
    assert rig.done(good).reason in ("length", "eog")
    rig.check_cache()


def test_another_set_computes_all_and_coming_back_too() -> None:
    rig = scheduler_support.Rig()
    text = "f(abc).gh" * 8
    assert rig.complete(text).usage.tokens_reused == 0
    assert rig.complete(text).usage.tokens_reused > 0
    assert rig.complete(text, adapters=ONE).usage.tokens_reused == 0
    assert rig.complete(text, "another", adapters=ONE).usage.tokens_reused > 0
    assert rig.complete(text).usage.tokens_reused == 0
    half = (Adapter("one.gguf", 0.5),)
    assert rig.complete(text, adapters=half).usage.tokens_reused == 0, "another scale is another set"


# -- llama.cpp, with tiny random models ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "sliding", "recurrent", "hybrid"])
def test_answers_are_those_from_scratch_with_the_same_adapters(tmp_path: Path, kind: Kind) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf", kind)
    named = [str(write_lora(tmp_path / f"{seed}.gguf", model, seed=seed, only=MATRICES)) for seed in range(2)]
    sets = [(), resolve(named[:1], model), resolve(named[1:], model), resolve([f"{named[0]}:0.5", named[1]], model)]
    rig = reuse_support.Rig(model, n_ctx=1536, n_seq=6, tolerance=TOLERANCE)
    random = Random(3)
    files = {key: Editing(random) for key in ("one", "two")}
    for _ in range(25):
        for key in random.sample(list(files), random.randint(1, 2)):
            files[key].edit()
            rig.submit(files[key].prompt(psm), key, adapters=random.choice(sets))
        rig.run()
    for request_id in rig.requests:
        rig.check(request_id)
    assert rig.compared > 100
    rig.close()


def test_each_set_answers_otherwise_and_none_as_before(tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf", "full")
    named = [str(write_lora(tmp_path / f"{seed}.gguf", model, seed=seed)) for seed in range(3)]
    rig = reuse_support.Rig(model, n_ctx=512, n_seq=4, tolerance=TOLERANCE)

    def told(*names: str) -> list[tuple[str, float]]:
        request_id = rig.run_one(psm("def f(", ")", "x"), adapters=resolve(names, model))
        return [(one.text, one.logprob) for one in rig.told[request_id] if isinstance(one, Token)]

    before = told()
    others = [told(named[0]), told(named[1]), told(*named), told(f"{named[0]}:0.5"), told(f"{named[0]}:-1")]
    assert all(one != before for one in others)
    assert all(a != b for i, a in enumerate(others) for b in others[:i])
    assert told() == told(f"{named[0]}:0") == before
    rig.close()


@pytest.mark.parametrize("branches", [1, 3])
def test_weights_that_are_no_numbers_are_told_and_harm_nobody(tmp_path: Path, branches: int) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf", "full")
    broken = resolve([str(write_lora(tmp_path / "broken.gguf", model, gain=float("nan")))], model)
    rig = reuse_support.Rig(model, n_ctx=512, n_seq=4, tolerance=TOLERANCE)
    for _ in range(4):  # oftener than llama.cpp may fail
        bad = rig.submit(psm("def f(", ")", "x"), branches=branches, adapters=broken)
        good = rig.submit(psm("def f(", ")", "x"), "another", branches=branches)
        rig.run()
        (told,) = rig.told[bad]
        assert isinstance(told, Failed)
        assert "no numbers" in told.message
        assert "model.adapters" in told.cure
        rig.check(good)
    assert rig.compared > 0
    rig.close()


# -- the engine's process --------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineConfig:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    return EngineConfig(str(write_tiny_gguf(tmp_path / "tiny.gguf", "full")), threads=1, idle_seconds=0.5)


async def said(client: EngineClient, key: str = "some file") -> list[tuple[str, float]]:
    async def read() -> list[tuple[str, float]]:
        return [(one.text, one.logprob) async for one in client.generate(key, PROMPT, max_tokens=4)]

    return await asyncio.wait_for(read(), DEADLINE)


def alike(one: list[tuple[str, float]], other: list[tuple[str, float]]) -> bool:
    """Whether two answers are the same but for rounding, which differs with what else is in a batch."""
    for (text, worth), (other_text, other_worth) in zip(one, other, strict=True):
        if abs(worth - other_worth) >= 2 * TOLERANCE:
            return False
        if text != other_text:
            return True  # two tokens as good as equal; what follows is another text
    return True


async def test_clients_with_other_adapters_share_the_model(config: EngineConfig, tmp_path: Path) -> None:
    model = Path(config.model)
    named = [str(write_lora(tmp_path / f"{seed}.gguf", model, seed=seed)) for seed in range(2)]
    first, second = (msgspec.structs.replace(config, adapters=resolve([name], model)) for name in named)
    async with connected(config) as (plain, states), connected(first) as (one, _), connected(second) as (two, _):
        assert plain.state.pid == one.state.pid == two.state.pid
        clients = (plain, one, two)
        alone = [await said(client) for client in clients]
        assert not any(alike(a, b) for i, a in enumerate(alone) for b in alone[:i])
        # The same file in all of them at once, as in windows of several workspaces; and files of their own.
        for _ in range(3):
            answers = await asyncio.gather(*(said(client, key) for key in ("some file", "x") for client in clients))
            assert all(map(alike, answers, alone * 2))
        names = [state.state for state in states]
        assert "starting" not in names[names.index("ready") :]  # nothing was loaded again


async def test_one_that_has_changed_on_disk_isnt_used(config: EngineConfig, tmp_path: Path) -> None:
    model = Path(config.model)
    name = str(write_lora(tmp_path / "a.gguf", model))
    async with connected(msgspec.structs.replace(config, adapters=resolve([name], model))) as (client, _):
        write_lora(Path(name), model, only=["attn_q"])
        with pytest.raises(MidlineError, match="has changed"):
            await said(client)
    async with connected(config) as (client, _):
        assert await said(client)
