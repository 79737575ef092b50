"""Whether a model fills in the middle, and in which layout: tried out on gaps that only the text around them tells.

Names and vocabularies don't settle it: files are renamed, models are tuned until they have forgotten it, and some have
the tokens of another's vocabulary without ever having seen them used. So each plausible layout is given the same gaps;
the first, which is likeliest, stays unless another fills clearly more. What came out is kept by the model's key.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lsp import paths
from lsp.completion.bases import Engine
from lsp.completion.pieces import ContextPiece
from lsp.completion.prompt import Base
from lsp.engine.protocol import ModelFacts, Priority
from lsp.errors import MidlineError
from lsp.models import store
from lsp.models.fim import LayoutName

# Keys of the sequences that it uses.
KEY = "midline:selftest"
CURE = "Set `model.completion` to a model that is made for it: midline model recommend."
# Another layout must do so much better than the likeliest.
_CLEARLY = 2
# A model that fills fewer gaps than this share doesn't infill.
_ENOUGH = 0.5
# A gap that was interrupted so often, by a user who types, is tried another time.
_PATIENCE = 20
# Results of other gaps, or of other ways to judge them, are no results.
_VERSION = 1


@dataclass(frozen=True)
class Gap:
    """A text with a gap, and what a model that sees all of it begins to write there.

    Args:
        before: the line's beginning, behind ``above``.
        after: all behind the gap.
        answer: the gap's text.
        above: the lines before.
        other: path and text of a file that the answer is in.
        mark: what begins a comment in the language.
    """

    before: str
    after: str
    answer: str
    above: str = ""
    other: tuple[str, str] | None = None
    mark: str = "#"

    @property
    def base(self) -> Base:
        """What its prompt begins with."""
        pieces = (ContextPiece(self.other[0], 1, 1, "", self.other[1], 1.0, "self-test"),) if self.other else ()
        return Base(self.above, self.after, pieces, self.mark)

    def is_filled(self, written: str) -> bool:
        """Whether what a model wrote begins with the answer, and not with a longer word."""
        return written.startswith(self.answer) and not re.match(r"\w", written[len(self.answer) :])


GAPS = (
    Gap("def area(", "):\n    return width * height\n\n\nprint(area(2, 3))\n", "width, height"),
    Gap("    with open(path) as ", ":\n        return stream.read()\n", "stream", "def load(path):\n"),
    Gap("    for ", " in cities:\n        print(city.name)\n", "city", "def show(cities):\n"),
    Gap("function greet(", ") {\n  return `Hello, ${person}!`;\n}\n", "person", mark="//"),
    Gap(
        "int sum(const int *values, int ",
        ") {\n    int total = 0;\n    for (int i = 0; i < count; i++) total += values[i];\n    return total;\n}\n",
        "count",
        "#include <stdio.h>\n\n",
        mark="//",
    ),
    Gap("class ", ":\n    balance = 0\n\n\nmine = BankAccount()\nmine.balance += 10\n", "BankAccount"),
    Gap("    ", " = sorted(numbers)\n    return ordered[0]\n", "ordered", "def least(numbers):\n"),
    Gap(
        "    billing.",
        "(order.customer, order.total)\n",
        "charge",
        "import billing\n\n\ndef pay(order):\n",
        ("billing.py", "def charge(customer, cents):\n    ledger.append((customer, cents))\n"),
    ),
    Gap(
        "for attempt in range(limits.",
        "):\n    connect()\n",
        "MOST_RETRIES",
        "import limits\n\n",
        ("limits.py", "MOST_RETRIES = 5\n"),
    ),
)


class Score(msgspec.Struct, frozen=True):
    """How many gaps a layout filled, and after how many of these the model ended by itself.

    A model that was trained on a layout knows where a gap ends. One that wasn't may find a name in the suffix, but then
    writes on. Tuned models run on in any layout.
    """

    filled: int
    ended: int

    @property
    def points(self) -> int:
        """To compare layouts by."""
        return self.filled + self.ended

    @property
    def infills(self) -> bool:
        """Whether that is more than chance."""
        return self.filled >= _ENOUGH * len(GAPS)


class Result(msgspec.Struct, frozen=True):
    """What the self-test found: the layout to use, and how each did."""

    layout: LayoutName
    scores: dict[LayoutName, Score]
    version: int = _VERSION

    @property
    def infills(self) -> bool:
        """Whether the model fills in the middle."""
        return self.scores[self.layout].infills

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {score.filled} (ended {score.ended})" for name, score in self.scores.items())
        return f"layout {self.layout}; of {len(GAPS)} known gaps filled: {counts}"


async def try_once(engine: Engine, facts: ModelFacts, priority: Priority = "warm") -> Result:
    """The result kept for this model's file; where there is none, of a test now.

    Raises:
        MidlineError: the engine can't, or is never free.
    """
    result = kept(facts)
    if result is None:
        result = await run(engine, facts, priority)
        keep(facts, result)
    return result


async def run(engine: Engine, facts: ModelFacts, priority: Priority = "warm") -> Result:
    """Try the plausible layouts of the model that ``engine`` runs.

    Raises:
        MidlineError: the engine can't, or is never free.
    """
    scores = {}
    try:
        for layout in plausible(facts):
            tries = [await _try(engine, gap, layout, priority) for gap in GAPS]
            scores[layout] = Score(sum(filled for filled, _ in tries), sum(ended for _, ended in tries))
    finally:
        engine.forget(KEY)
    likeliest = plausible(facts)[0]
    best = max(scores, key=lambda layout: scores[layout].points)
    clear = scores[best].points >= scores[likeliest].points + _CLEARLY
    return Result(best if clear else likeliest, scores)


def plausible(facts: ModelFacts) -> tuple[LayoutName, ...]:
    """The layouts that a model may have been trained on, the likeliest first."""
    return facts.layouts or (facts.layout,)


async def _try(engine: Engine, gap: Gap, layout: LayoutName, priority: Priority) -> tuple[bool, bool]:
    """Whether a gap is filled, and the model then ends."""
    for _ in range(_PATIENCE):
        written = ""
        segments = gap.base.segments(gap.before, layout)
        generation = engine.generate(f"{KEY}#{layout}", segments, max_tokens=len(gap.answer) + 1, priority=priority)
        try:
            async for token in generation:
                written += token.text
                if not gap.answer.startswith(written):
                    return gap.is_filled(written), False
        finally:
            generation.cancel()
        if generation.reason != "cancelled":
            return gap.is_filled(written), written == gap.answer and generation.reason == "eog"
    raise MidlineError("The self-test of the model found no quiet moment.")


def kept(facts: ModelFacts) -> Result | None:
    """What an earlier self-test of this model's file found; None where there was none."""
    try:
        result = msgspec.json.decode(_path(facts).read_bytes(), type=Result)
    except (OSError, MidlineError, msgspec.DecodeError):
        return None
    fits = tuple(result.scores) == plausible(facts) and result.layout in result.scores
    return result if result.version == _VERSION and fits else None


def keep(facts: ModelFacts, result: Result) -> None:
    """Keep ``result`` for the next time; without a disk it is found out again."""
    with suppress(OSError, MidlineError):
        path = _path(facts)
        paths.private_dir(path.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
        temporary.chmod(0o600)
        temporary.replace(path)


def layout_of(facts: ModelFacts) -> LayoutName:
    """The layout to use for a model: the one that its self-test chose, if there was one, else the likeliest."""
    if not facts.layouts:
        return facts.layout
    result = kept(facts)
    return result.layout if result else facts.layout


def _path(facts: ModelFacts) -> Path:
    return paths.cache_dir() / "fim" / f"{store.find(facts.path).key}.json"
