"""With the real model: what stands in the cache after any edits is what a fresh context would hold."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from reuse_support import Rig, psm

from lsp.engine.prompt import base_length, compile_prompt
from lsp.engine.protocol import Control, Segment, Text
from lsp.models.store import InstalledModel

pytestmark = pytest.mark.model

# Numbers computed in batches of other sizes differ by up to 0.35 with a KV cache of 16-bit floats.
TOLERANCE = 0.35
SEQUENCES, EDITS = 12, 7

SOURCE = Path(queue.__file__).read_text()
ANCHOR = SOURCE.index("    def task_done(self)")
PREFIX, TYPED, SUFFIX = SOURCE[ANCHOR - 400 : ANCHOR], SOURCE[ANCHOR:], SOURCE[ANCHOR + 1800 : ANCHOR + 2000]


@pytest.fixture(scope="module")
def rig(installed_model: InstalledModel) -> Iterator[Rig]:
    rig = Rig(installed_model.path, n_ctx=1024, n_seq=4, tolerance=TOLERANCE)
    yield rig
    rig.close()


def prompt(middle: str) -> list[Segment]:
    return psm(PREFIX, SUFFIX, middle)


def behind_the_base(rig: Rig, middle: str) -> int:
    """How many tokens a prompt has behind its base."""
    tokens = compile_prompt(prompt(middle), rig.llama.vocabulary, rig.llama.tokenize, True).tokens
    return len(tokens) - base_length(tokens, rig.llama.vocabulary)


def test_reuse_changes_nothing(rig: Rig) -> None:
    """A dozen places of a real file, at each some keys, typos, backspaces, Enters, jumps back and acceptances."""
    for seed in range(SEQUENCES):
        random = Random(seed)
        typed = random.randint(1, 300)
        middle, suggestion = TYPED[:typed], ""
        past = [middle]
        rig.run_one(prompt(middle), "one", max_tokens=0, priority="anchor")
        for _ in range(EDITS):
            action = random.choice(["key"] * 6 + ["typo", "backspace", "backspace", "enter", "jump", "accept"])
            match action:
                case "key":
                    middle, typed = middle + TYPED[typed], typed + 1
                case "typo":
                    middle += random.choice("abcxyz(中é.")
                case "backspace":
                    middle = middle[:-1]
                case "enter":
                    middle += "\n        "
                case "jump":
                    middle = random.choice(past)
                case "accept":
                    middle += suggestion
            past.append(middle)
            key = random.choice(["one", "one", "one", "two"])
            request = rig.run_one(prompt(middle), key, max_tokens=3)
            evaluated = rig.done(request).usage.tokens_evaluated
            if key == "one" and action in ("key", "typo", "backspace"):
                assert evaluated <= 3, (seed, action, middle[-20:])
            assert evaluated <= behind_the_base(rig, middle)
            suggestion = "".join(rig.texts(request)).replace("\ufffd", "")
        rig.check(request)
    assert rig.compared >= SEQUENCES, rig.compared


def test_what_is_moved_to_other_positions_reads_on_as_if_computed_there(rig: Rig) -> None:
    """What was left out may show a little in what was computed behind it; so what follows is an obvious text."""
    opening = "<|im_start|>system\nYou count.<|im_end|>\n"
    left_out = "My favourite colours are red, green and blue. " * 4
    counting = ", ".join(str(number) for number in range(100, 130))
    rig.run_one([Control(opening), Text(left_out), Text(f"{counting},"), Control("")], "chat", max_tokens=0)
    kept: list[Segment] = [Control(opening), Text(f"{counting},"), Text(" 130, 131, 132, 133,"), Control("")]
    moved = rig.run_one(kept, "chat", max_tokens=8, movable=True)
    rig.scheduler.forget("chat")
    computed = rig.run_one(kept, "chat", max_tokens=8)
    assert "".join(rig.texts(moved)) == "".join(rig.texts(computed)) == " 134, 13"
    usage, afresh = rig.done(moved).usage, rig.done(computed).usage
    assert usage.tokens_evaluated <= len(rig.llama.tokenize(" 130, 131, 132, 133,"))
    assert usage.tokens_evaluated + usage.tokens_reused == afresh.tokens_evaluated + afresh.tokens_reused
    assert afresh.tokens_reused < len(rig.llama.tokenize(counting))
