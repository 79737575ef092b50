"""Which layout a model is used with where its name doesn't tell: tried once, then known."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from lsp_support import editing, until
from test_faults import choose
from tiny_gguf import write_tiny_gguf

from lsp.cli import main
from lsp.completion import selftest
from lsp.completion.layout import LAYOUTS
from lsp.completion.selftest import GAPS, KEY, kept, layout_of, run, try_once
from lsp.engine.client import Generation
from lsp.engine.protocol import Done, ModelFacts, Priority, Segment, Token, Usage
from lsp.errors import MidlineError
from lsp.models.fim import LayoutName

MELLUM = ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<reponame>")


class Trained:
    """An engine whose model was trained on one layout: in others it finds names now and then, and runs on.

    Args:
        layout: the one.
        lucky: how many gaps it fills in others.
        tuned: whether it runs on in its own layout, too.
        busy: how many generations are interrupted first.
    """

    def __init__(self, layout: LayoutName | None, lucky: int = 3, *, tuned: bool = False, busy: int = 0) -> None:
        self.layout, self.lucky, self.tuned, self.busy = layout, lucky, tuned, busy
        self.priorities: set[Priority] = set()
        self.keys: set[str] = set()
        self.forgotten: list[str] = []

    def generate(
        self,
        key: str,
        prompt: list[Segment],
        *,
        max_tokens: int,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        self.keys.add(key)
        self.priorities.add(priority)
        generation = Generation(len(self.keys), lambda _: None)
        index, gap, layout = next(
            (index, gap, name)
            for index, gap in enumerate(GAPS)
            for name in LAYOUTS
            if gap.base.segments(gap.before, name) == prompt and key.endswith(f"#{name}")
        )
        assert max_tokens > len(gap.answer)
        own = layout == self.layout
        words = [*gap.answer] if own or index < self.lucky else ["x"]
        self.busy -= 1
        if self.busy >= 0:
            words = words[:1]
        elif not own or self.tuned:
            words += ["\n", "more"]
        for word in words:
            generation.put(Token(1, 0, word, -0.1, 0.0))
        generation.put(Done(1, "cancelled" if self.busy >= 0 else "eog", Usage()))
        return generation

    def forget(self, key: str) -> None:
        self.forgotten.append(key)

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        raise AssertionError


def facts(path: Path, *layouts: LayoutName) -> ModelFacts:
    return ModelFacts("m", str(path), "", 1, 1, True, layouts[0], True, True, False, layouts if layouts[1:] else ())


@pytest.fixture
def model(empty_home: Path, tmp_path: Path) -> Path:
    """A model of which nothing tells how it infills."""
    return write_tiny_gguf(tmp_path / "m.gguf", "full", fim=MELLUM, name="Finetune v3")


@pytest.mark.parametrize("trained", ["psm", "mellum"])
async def test_the_layout_that_a_model_was_trained_on_is_chosen(trained: LayoutName, model: Path) -> None:
    result = await run(Trained(trained), facts(model, "psm", "mellum"))
    assert result.layout == trained
    assert result.infills
    assert result.scores[trained] == selftest.Score(len(GAPS), len(GAPS))


@pytest.mark.parametrize("trained", ["psm", "mellum"])
async def test_a_tuned_model_that_runs_on_is_told_by_what_it_fills(trained: LayoutName, model: Path) -> None:
    result = await run(Trained(trained, tuned=True), facts(model, "psm", "mellum"))
    assert (result.layout, result.infills) == (trained, True)
    assert result.scores[trained].ended == 0


async def test_the_likeliest_layout_stays_unless_another_is_clearly_better(model: Path) -> None:
    result = await run(Trained("mellum", lucky=len(GAPS) - 1, tuned=True), facts(model, "psm", "mellum"))
    assert (result.layout, result.infills) == ("psm", True)


async def test_a_model_that_has_the_tokens_and_no_training_is_found_out(model: Path) -> None:
    result = await run(Trained(None), facts(model, "psm", "mellum"))
    assert (result.layout, result.infills) == ("psm", False)


async def test_interrupted_gaps_are_tried_again(model: Path) -> None:
    engine = Trained("mellum", busy=5)
    result = await run(engine, facts(model, "psm", "mellum"))
    assert result.layout == "mellum"
    assert result.scores["psm"].filled == engine.lucky
    assert engine.priorities == {"warm"}


async def test_where_there_is_no_quiet_moment_it_gives_up(model: Path) -> None:
    engine = Trained("mellum", busy=1000)
    with pytest.raises(MidlineError, match="no quiet moment"):
        await run(engine, facts(model, "psm", "mellum"))
    assert all(key.startswith(KEY) for key in engine.keys)
    assert KEY in engine.forgotten


async def test_a_model_is_tried_once_and_again_when_its_file_changes(model: Path) -> None:
    about = facts(model, "psm", "mellum")
    assert (kept(about), layout_of(about)) == (None, "psm")
    result = await try_once(Trained("mellum"), about)
    asked_again = Trained(None)
    assert await try_once(asked_again, about) == kept(about) == result
    assert not asked_again.keys
    assert layout_of(about) == "mellum"
    write_tiny_gguf(model, "full", fim=MELLUM, name="Finetune v4", seed=1)
    assert (kept(about), layout_of(about)) == (None, "psm")


@pytest.mark.parametrize(
    ("written", "filled"), [("city", True), ("city in", True), ("cityName", False), ("cit", False)]
)
def test_a_longer_word_is_no_answer(written: str, filled: bool) -> None:
    (gap,) = [gap for gap in GAPS if gap.answer == "city"]
    assert gap.is_filled(written) is filled


SCORES = '{"psm": {"filled": 1, "ended": 0}, "mellum": {"filled": 9, "ended": 9}}'


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"layout": "no such", "scores": {}}',
        f'{{"layout": "spm", "scores": {SCORES}}}'.encode(),
        f'{{"layout": "mellum", "scores": {SCORES}, "version": 0}}'.encode(),
    ],
)
async def test_a_result_that_cannot_be_used_is_found_out_again(damage: bytes, model: Path, empty_home: Path) -> None:
    about = facts(model, "psm", "mellum")
    await try_once(Trained("mellum"), about)
    (file,) = (empty_home / "cache" / "fim").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(damage)
    assert kept(about) is None
    assert (await try_once(Trained("mellum"), about)).layout == "mellum"


async def test_a_result_of_other_layouts_is_none(model: Path) -> None:
    await try_once(Trained("mellum"), facts(model, "psm", "mellum"))
    assert kept(facts(model, "psm", "spm_middle")) is None


def test_a_model_that_is_not_on_this_disk_has_its_likeliest_layout(empty_home: Path) -> None:
    assert layout_of(facts(Path("http://there/model"), "psm", "mellum")) == "psm"
    assert layout_of(facts(Path("nowhere"), "spm")) == "spm"


async def test_a_real_engine_tries_at_the_start_says_what_is_wrong_and_doctor_knows(
    model: Path, empty_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Random weights fill nothing."""
    choose(empty_home, model)
    async with editing(empty_home, root=tmp_path) as editor:
        await until(lambda: editor.said, lambda: f"a warning; engine {editor.engine}")
        assert [text for text in editor.said if "hardly fills in the middle" in text] == editor.said
        assert (await editor.status())["engine"]["layout"] == "psm"
    (file,) = (empty_home / "cache" / "fim").iterdir()
    result = json.loads(file.read_text())
    assert set(result["scores"]) == {"psm", "mellum"}
    assert await asyncio.to_thread(main, ["doctor", "--json"]) == 1
    (check,) = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["name"] == "fim"]
    assert not check["ok"]
    assert f"of {len(GAPS)} known gaps filled: psm 0 (ended 0), mellum 0 (ended 0)" in check["detail"]
    assert check["cure"]


@pytest.mark.model
def test_the_real_model_fills_the_gaps(midline_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    (check,) = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["name"] == "fim"]
    assert check["ok"], check
    filled = int(check["detail"].partition("gaps filled: psm ")[2].partition(" ")[0])
    assert filled >= len(GAPS) - 2
