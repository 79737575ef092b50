"""Every kind of memory that llama.cpp has, in the real engine with tiny random models.

Whatever was typed, undone, interrupted or evicted before: an answer from reused memory is the answer from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from reuse_support import Rig, load, psm, spm
from tiny_gguf import FIM_TOKENS, Kind, Unfit, write_tiny_gguf

from lsp.engine.batching import PREFILL_BATCH, SHORT_BATCH
from lsp.engine.prompt import base_length, compile_prompt
from lsp.engine.protocol import Failed, Priority, Segment
from lsp.errors import MidlineError
from lsp.models.gguf import inspect_gguf

KINDS: tuple[Kind, ...] = ("full", "sliding", "recurrent", "hybrid", "hybrid_sliding")
# Batches of other sizes round otherwise: logits differ by up to 0.015 in these models. Another token anywhere in the
# prompt changes them by 0.1 to 5.
TOLERANCE = 0.02

CODE = """\
def read(self, path):
    with open(path) as file:
        return [line.strip() for line in file if line]

class Table:
    def __init__(self, rows=()):
        self.rows = list(rows)
        self.names = {}

"""
WORDS = ("return ", "self", "import ", "    ", "def __init__(", "x = y\n", "()", "中é")
SUFFIX = "\n    def __len__(self):\n        return len(self.rows)\n"
Layout = Callable[[str, str, str], list[Segment]]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / f"{request.param}.gguf", request.param)


@pytest.fixture
def rig(model: Path) -> Iterator[Rig]:
    rig = Rig(model, n_ctx=1536, n_seq=6, tolerance=TOLERANCE)
    yield rig
    rig.close()


class Editing:
    """A file in which somebody edits at random."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.prefix, self.suffix, self.middle = CODE * random.randint(1, 2), SUFFIX, ""
        self.past = [self.middle]

    def edit(self) -> None:
        random = self.random
        match random.choice(["type"] * 5 + ["word"] * 2 + ["backspace"] * 3 + ["enter", "undo", "rebase", "suffix"]):
            case "type":
                self.middle += random.choice("abcdefg(). =_中é")
            case "word":
                self.middle += random.choice(WORDS)
            case "backspace":
                self.middle = self.middle[: -random.randint(1, 4)]
            case "enter":
                self.middle += "\n" + " " * random.choice([4, 8])
            case "undo":
                self.middle = random.choice(self.past)
            case "rebase":  # the anchor moves to the cursor's line
                start = self.middle.rfind("\n") + 1
                self.prefix, self.middle = self.prefix + self.middle[:start], self.middle[start:]
                self.prefix = self.prefix[-600:]
                self.past = []
            case "suffix":
                self.suffix = random.choice(["", SUFFIX, "x\n" + SUFFIX])
        self.past = [*self.past[-5:], self.middle]

    def prompt(self, layout: Layout) -> list[Segment]:
        return layout(self.prefix, self.suffix, self.middle)


def edit_at_random(rig: Rig, random: Random, rounds: int, layout: Layout = psm) -> None:
    """Requests of all sorts for a few files, some of them in the middle of others' batches."""
    files = {key: Editing(random) for key in ("one", "two", "three", "four")}
    for _ in range(rounds):
        key = random.choice(["one", "one", "one", "two", "three", "four"])
        file = files[key]
        file.edit()
        submit = partial(rig.submit, branches=random.choice([1, 1, 3]), max_tokens=random.choice([1, 6]))
        first = len(rig.requests)
        match random.choice(["complete"] * 4 + ["warm", "cancel", "interrupt", "several"]):
            case "complete":
                submit(file.prompt(layout), key)
            case "warm":
                rig.submit(file.prompt(layout), key, max_tokens=0, priority="anchor")
            case "cancel":
                request = submit(file.prompt(layout), key)
                rig.interrupt(random.randint(1, 2000), partial(rig.cancel, request))
            case "interrupt":
                rig.submit(file.prompt(layout), key, max_tokens=random.choice([0, 4]), priority="anchor")
                other = random.choice(list(files))
                files[other].edit()
                rig.interrupt(random.randint(1, 500), partial(submit, files[other].prompt(layout), other))
            case "several":
                priorities: list[Priority] = ["anchor", "anchor", "chat", "chat"]
                for other, priority in zip(files, priorities, strict=True):
                    files[other].edit()
                    rig.submit(files[other].prompt(layout), other, max_tokens=3, priority=priority)
        rig.run()
        for request_id in range(first, len(rig.requests)):
            rig.check(request_id)


@pytest.mark.parametrize("seed", range(2))
def test_reuse_changes_nothing(rig: Rig, seed: int) -> None:
    edit_at_random(rig, Random(seed), rounds=40)
    assert rig.compared > 100


def test_eviction_changes_nothing(model: Path) -> None:
    """Fewer sequences than files, and cells for two of them."""
    rig = Rig(model, n_ctx=1024, n_seq=3, tolerance=TOLERANCE)
    edit_at_random(rig, Random(5), rounds=40)
    assert rig.compared > 100
    rig.close()


@pytest.mark.parametrize("kind", ["full", "recurrent"])
def test_a_model_without_a_token_for_the_middle_reads_the_suffix_first(kind: Kind, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", kind, fim=FIM_TOKENS[:2])
    info = inspect_gguf(path)
    assert info.fim
    assert info.fim.middle is None
    rig = Rig(path, n_ctx=1536, n_seq=6, tolerance=TOLERANCE)
    assert rig.llama.facts.fim
    assert rig.llama.facts.layout == "spm"
    edit_at_random(rig, Random(1), rounds=40, layout=spm)
    assert rig.compared > 100
    rig.close()


def middle_tokens(rig: Rig, prompt: list[Segment]) -> int:
    tokens = compile_prompt(prompt, rig.llama.vocabulary, rig.llama.tokenize, True).tokens
    return len(tokens) - base_length(tokens, rig.llama.vocabulary)


def test_a_key_costs_a_token_or_few(rig: Rig) -> None:
    """Where memory can't be cut: what stands between the nearest checkpoint and the cursor."""
    text = CODE[:150]
    rig.evaluated(psm(CODE, SUFFIX, text), max_tokens=0, priority="anchor")
    keys = []
    for key in "        if self.rows:\n            return None":
        text += key
        keys.append(rig.evaluated(psm(CODE, SUFFIX, text)))
    assert max(keys) <= (2 if rig.llama.cuttable else SHORT_BATCH)
    assert sum(keys) / len(keys) <= 1.5
    for _ in range(8):
        text = text[:-1]
        prompt = psm(CODE, SUFFIX, text)
        assert rig.evaluated(prompt) <= (2 if rig.llama.cuttable else middle_tokens(rig, prompt))


def test_a_jump_back_costs_no_base(rig: Rig) -> None:
    before, after = psm(CODE, SUFFIX, "x = 1\n" * 20), psm(CODE, SUFFIX, "x = 1\nfor x in y:\n    pass\n" * 3)
    rig.evaluated(before)
    for prompt in (after, before, after, before):
        assert rig.evaluated(prompt) <= middle_tokens(rig, prompt)


def test_another_file_in_between_costs_nothing(rig: Rig) -> None:
    one, two = psm(CODE, SUFFIX, "    return sel"), psm(CODE[100:], SUFFIX, "    for row in")
    rig.evaluated(one, key="one")
    rig.evaluated(two, key="two")
    for _ in range(3):
        assert rig.evaluated(one, key="one") <= SHORT_BATCH
        assert rig.evaluated(two, key="two") <= SHORT_BATCH


def test_an_interrupted_prefill_goes_on_where_it_was(rig: Rig) -> None:
    """A keystroke in the middle of the third batch of another file's base."""
    base = rig.submit(psm(CODE * 2, SUFFIX, "x"), "one", max_tokens=0, priority="chat")
    for _ in range(2):
        rig.scheduler.step()
    key: list[int] = []
    rig.interrupt(20, lambda: key.append(rig.submit(psm(CODE[:60], "", "y"), "two")))
    rig.run()
    rig.check(key[0])
    prompt = compile_prompt(rig.requests[base].prompt, rig.llama.vocabulary, rig.llama.tokenize, True)
    assert len(prompt.tokens) > 4 * PREFILL_BATCH
    assert rig.done(base).usage.tokens_evaluated == len(prompt.tokens)
    assert rig.evaluated(psm(CODE * 2, SUFFIX, "xy"), key="one") <= 2


def test_an_interrupted_continuation_goes_back_to_the_prompt_before(rig: Rig) -> None:
    """What was generated has no checkpoint at its end."""
    for i in range(100):
        question = rig.submit(psm("", "", f"{i}\n"), "one", max_tokens=2, priority="chat")
        rig.run()
        answer = rig.texts(question)
        if answer and len(answer[0]) == 1 and answer[0].isascii() and answer[0].isprintable():
            break
    continued = rig.submit(psm("", "", f"{i}\n{answer[0]}\n{CODE[:20]}"), "one", max_tokens=4, priority="chat")
    keys: list[int] = []
    rig.interrupt(20, lambda: keys.append(rig.submit(psm(CODE, "", "y"), "two")))
    rig.run()
    before = rig.done(question).usage
    assert rig.done(continued).usage.tokens_reused > before.tokens_evaluated + before.tokens_reused
    for request in (continued, *keys):
        rig.check(request)


def test_unequal_requests_at_once_change_nothing(rig: Rig) -> None:
    """One file grows faster than another, into the cells that the other's sliding window has left."""
    random = Random(0)

    def some(count: int) -> str:
        return "".join(random.choices("bcghjk", k=count - 1)) + "\n"  # which leaves nothing to heal

    for _ in range(6):
        texts = {"first": some(2), "slow": some(80), "fast": ""}
        for key in ("first", "slow"):
            rig.complete(psm("", "", texts[key]), key, max_tokens=1)
        rig.scheduler.forget("first")
        for _ in range(6):
            texts["slow"] += some(16)
            texts["fast"] += some(40)
            requests = [rig.submit(psm("", "", texts[key]), key, max_tokens=1) for key in ("slow", "fast")]
            rig.run()
            for request in requests:
                rig.check(request)
        rig.scheduler.forget("")


def test_cancelling_requests_spares_the_others(rig: Rig) -> None:
    """While two are decoded together, for which llama.cpp may move about the state of a third."""
    texts = dict.fromkeys(("one", "two", "three"), "")
    random = Random(0)

    def submit(key: str, max_tokens: int) -> int:
        texts[key] += "x = 1\n"  # which goes on where the sequence ends
        return rig.submit(psm(CODE[:40], "", texts[key]), key, max_tokens=max_tokens)

    for _ in range(30):
        for key in texts:
            submit(key, 0)
        rig.run()
        *keys, other = random.sample(sorted(texts), 3)
        requests = [submit(key, 8) for key in keys]
        rig.interrupt(random.randint(200, 330), lambda: [rig.cancel(request) for request in requests])  # noqa: B023
        rig.run()
        requests.append(submit(other, 4))
        rig.run()
        for request in requests:
            rig.check(request)


def test_requests_under_way_keep_the_cells_they_were_promised(model: Path) -> None:
    """Three prompts any two of which fit, but not together."""
    rig = Rig(model, n_ctx=768, n_seq=6, tolerance=TOLERANCE)
    names = ("one", "two", "three")
    requests = [rig.submit(psm(f"{name}{CODE}{CODE}", "", "x"), name, max_tokens=20) for name in names]
    rig.run()
    for request in requests:
        rig.check(request)
    assert 768 / 3 < rig.done(requests[0]).usage.tokens_evaluated < 768 / 2 - 20
    rig.close()


def test_a_prompt_longer_than_the_context_is_refused(rig: Rig) -> None:
    request = rig.submit(psm(CODE * 16, SUFFIX, "x"))
    rig.run()
    (failed,) = rig.told[request]
    assert isinstance(failed, Failed)
    assert "context of 1536 tokens" in failed.message
    assert rig.complete(psm(CODE, SUFFIX, "x")).reason != "cancelled"


@pytest.mark.parametrize(
    ("kind", "reason"), [("diffusion", "a diffusion model"), ("embedding", "an embedding"), ("encoder", "an encoder")]
)
def test_a_model_that_cannot_write_is_refused(kind: Unfit, reason: str, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / f"{kind}.gguf", kind)
    with pytest.raises(MidlineError, match=f"can't complete code: .*{reason}"):
        load(path, n_ctx=512, n_seq=1)
