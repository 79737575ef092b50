"""With and without guessing, the real model writes the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from lsp.engine import job as job_module
from lsp.engine import sampling
from lsp.engine import scheduler as scheduler_module
from lsp.engine.drafting import Copying, Drafter
from lsp.engine.llama import Llama
from lsp.engine.offload import Placement
from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Special, Text
from lsp.engine.sampling import Logits
from lsp.engine.scheduler import Scheduler
from lsp.engine.vocabulary import TokenIds
from lsp.models.store import InstalledModel

pytestmark = pytest.mark.model

# Code that repeats itself, so that guesses are found and many of them are right.
PREFIX = """\
COLOURS = {
    "red": Colour(name="red", code="#ff0000", group="warm"),
    "orange": Colour(name="orange", code="#ff8800", group="warm"),
    "yellow": Colour(name="yellow", code="#ffff00", group="warm"),
    "green": Colour(name="green", code="#00ff00", group="cold"),
    "blue": Colour(name="blue","""
SUFFIX = "\n}\n\n\ndef by_group(group):\n    return [colour for colour in COLOURS.values() if colour.group == group]\n"


@pytest.fixture(scope="module")
def llama(installed_model: InstalledModel) -> Iterator[Llama]:
    made = Llama(
        installed_model.path,
        Placement(1024),
        n_seq=4,
        n_batch=128,
        threads=1,
        progress=lambda _: None,
        log=lambda _level, _line: None,
    )
    yield made
    made.close()


class Always(Drafter):
    """Guesses at every occasion."""

    trials = 0

    def guess(self, tokens: Sequence[int], copying: Copying) -> list[int]:
        found = list(tokens[copying.at : copying.at + 5]) if copying.follow(tokens) else []
        self.trials += bool(found)
        return found


class Never(Drafter):
    """Never guesses."""

    def guess(self, tokens: Sequence[int], copying: Copying) -> list[int]:
        return []


@dataclass
class Written:
    """What the model wrote: its tokens, the margin of each over the second best, and in how many batches."""

    tokens: list[int]
    margins: list[float]
    steps: int


def written(llama: Llama, drafter: Drafter, monkeypatch: pytest.MonkeyPatch) -> Written:
    result = Written([], [], 0)

    def observed(
        logits: Logits, eog: TokenIds, allowed: TokenIds | None = None, count: int = 1
    ) -> list[sampling.Choice]:
        chosen = sampling.best(logits, eog, allowed, count)
        second, first = np.sort(logits)[-2:]
        result.tokens.append(chosen[0].token)
        result.margins.append(float(first - second))
        return chosen

    for module in (scheduler_module, job_module):  # the one checks guesses, the other chooses
        monkeypatch.setattr(module, "best", observed)
    scheduler = Scheduler(llama, 4)
    scheduler.drafter = drafter
    messages: list[EngineMessage] = []
    prompt = [Special("prefix"), Text(PREFIX), Special("suffix"), Text(SUFFIX), Special("middle"), Text("")]
    scheduler.submit("test", Generate(1, "key", prompt, 60), messages.append)
    while not any(isinstance(message, Done | Failed) for message in messages):
        scheduler.step()
        result.steps += 1
    assert isinstance(messages[-1], Done), messages[-1]
    llama.cut(-1, 0)
    return result


def test_guessing_changes_the_number_of_steps_and_not_the_text(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = written(llama, Never(), monkeypatch)
    always = Always()
    guessed = written(llama, always, monkeypatch)
    # Numbers differ a little with the shape of a batch: where two tokens are as good as equal, either may win.
    certain = next((i for i, margin in enumerate(plain.margins) if margin < 0.3), len(plain.margins))
    assert certain > 20
    assert guessed.tokens[:certain] == plain.tokens[:certain]
    assert always.trials > 5
    assert guessed.steps < plain.steps
