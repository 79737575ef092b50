"""Quality: does the model complete a line better when the prompt is anchored above it than when it is split at it?

At seeded places in the middle of lines of the standard library, the rest of the line is removed and completed: greedy,
one line, the same window of text in every variant. ``split`` puts the cursor where everybody does, between prefix and
suffix, without token healing; ``anchor N`` is midline's prompt with the anchor N lines up, with healing; ``layout X``,
only where asked for, is the same in another layout (`lsp/completion/layout`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

from bench.common import STDLIB, bench_home, engine_config, machine, print_report, running_engine
from lsp.completion import prompt
from lsp.completion.layout import LAYOUTS
from lsp.documents import Cursor
from lsp.engine.client import EngineClient
from lsp.engine.protocol import Segment, Special, Text

# Highest first: each variant then finds most of its prompt computed by the one before.
ANCHORS = (30, 16, 6, 0)
MAX_TOKENS = 48
KEY = "bench"


@dataclass(frozen=True)
class Place:
    """A cursor behind which the line was cut off, and what stood there."""

    file: str
    line: int
    cursor: Cursor
    truth: str


def places(seed: int, count: int, per_file: int = 2) -> list[Place]:
    """Seeded places in code lines of the standard library, at most ``per_file`` a file."""
    rng = random.Random(seed)
    files = sorted(file for file in STDLIB.rglob("*.py") if _is_ours(file))
    rng.shuffle(files)
    return list(islice((place for file in files for place in _places_in(file, rng, per_file)), count))


def _is_ours(file: Path) -> bool:
    """Code that people wrote to be read: no installed packages, no tests, no tables."""
    parts = file.relative_to(STDLIB).parts
    return not {"site-packages", "test", "tests", "idle_test", "encodings", "pydoc_data"} & set(parts)


def _places_in(file: Path, rng: random.Random, count: int) -> Iterator[Place]:
    try:
        text = file.read_text("utf-8")
        lines = sorted(_code_lines(text))
    except (UnicodeDecodeError, tokenize.TokenError, SyntaxError):
        return
    rows = text.split("\n")
    if not 150 <= len(rows) <= 6000:
        return
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row) + 1)
    fitting = [line for line in lines if line > max(ANCHORS) and len(rows[line].strip()) >= 12]
    for line in rng.sample(fitting, min(count, len(fitting))):
        row = rows[line].rstrip()
        indent = len(row) - len(row.lstrip())
        column = rng.randrange(indent + 2, len(row) - 3)
        offset = starts[line] + column
        shortened = text[:offset] + text[starts[line] + len(rows[line]) :]
        cursor = Cursor(file.as_uri(), file, "python", None, shortened, offset)
        yield Place(file.name, line + 1, cursor, row[column:])


def _code_lines(text: str) -> set[int]:
    """Lines (from 0) that hold code and neither a comment nor any part of a string of several lines or a docstring."""
    code: set[int] = set()
    out: set[int] = set()
    begins = True
    for token in tokenize.generate_tokens(StringIO(text).readline):
        first, last = token.start[0] - 1, token.end[0] - 1
        if token.type == tokenize.COMMENT:
            out.add(first)
        elif token.type == tokenize.STRING and (begins or last > first):
            out.update(range(first, last + 1))
        elif token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
            code.add(first)
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
    return code - out


def prompts(cursor: Cursor, chars: int) -> dict[str, tuple[list[Segment], bool]]:
    """The variants' prompts, each with whether to heal."""
    found: dict[str, tuple[list[Segment], bool]] = {}
    usual = prompt.ANCHOR_LINES
    try:
        for lines in ANCHORS:
            prompt.ANCHOR_LINES = lines
            base = prompt.make_base(cursor, chars)
            fitting = prompt.match(cursor, base)
            assert fitting is not None
            found[f"anchor {lines}"] = base.segments(fitting.middle, "psm"), True
            if lines == usual:
                found |= {f"layout {name}": (base.segments(fitting.middle, name), True) for name in LAYOUTS}
    finally:
        prompt.ANCHOR_LINES = usual
    # `base` is the one anchored at the line's start: the same text, split at the cursor.
    segments: list[Segment] = [
        Special("bos"),
        Special("prefix"),
        Text(base.prefix + cursor.text[cursor.line_start : cursor.offset]),
        Special("suffix"),
        Text(base.suffix),
        Special("middle"),
    ]
    return found | {"split": (segments, False)}


async def complete_line(engine: EngineClient, segments: list[Segment], heal: bool) -> str:
    """The first line of what the model writes."""
    generation = engine.generate(KEY, segments, max_tokens=MAX_TOKENS, heal=heal)
    text = ""
    async for token in generation:
        text += token.text
        if "\n" in text:
            generation.cancel()
            break
    return text.split("\n")[0].rstrip()


def similarity(one: str, other: str) -> float:
    """1 - edit distance / length of the longer; 1.0 for two empty strings."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        row, above = [i], row
        for j, right in enumerate(other, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (left != right)))
    return 1 - row[-1] / max(len(one), len(other), 1)


async def _run(options: argparse.Namespace) -> dict[str, object]:
    chosen = places(options.seed, options.places)
    exact: dict[str, list[int]] = {}
    similar: dict[str, list[float]] = {}
    began = time.monotonic()
    with bench_home() as home:
        async with running_engine(engine_config(home)) as engine:
            for number, place in enumerate(chosen, 1):
                for name, (segments, heal) in prompts(place.cursor, options.chars).items():
                    if name not in options.variants if options.variants else name.startswith("layout"):
                        continue
                    text = await complete_line(engine, segments, heal)
                    exact.setdefault(name, []).append(text == place.truth)
                    similar.setdefault(name, []).append(similarity(text, place.truth))
                hits = "  ".join(f"{name} {sum(hit)}" for name, hit in exact.items())
                print(f"{number}/{len(chosen)}  {time.monotonic() - began:.0f} s  {hits}", file=sys.stderr)
    return {
        "bench": "anchoring",
        "places": len(chosen),
        "files": len({place.cursor.uri for place in chosen}),
        "chars": options.chars,
        "seed": options.seed,
        "variants": {
            name: {
                "exact": sum(hits),
                "exact_share": round(sum(hits) / len(hits), 3),
                "edit_similarity": round(sum(similar[name]) / len(hits), 3),
                "exact_ratio_to_split": round(sum(hits) / max(1, sum(exact["split"])), 2) if "split" in exact else None,
                # Places that only one of the two completed: what a sign test goes by.
                "only_this": sum(a > b for a, b in zip(hits, exact.get("split", hits), strict=True)),
                "only_split": sum(a < b for a, b in zip(hits, exact.get("split", hits), strict=True)),
            }
            for name, hits in exact.items()
        },
        "machine": machine(),
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.anchoring", description=__doc__)
    parser.add_argument("--places", type=int, default=200, help="how many places (default 200)")
    parser.add_argument("--chars", type=int, default=3960, help="the window: characters of prefix, middle and suffix")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", nargs="*", metavar="NAME", help="only these, as `split`, `layout spm_nested`")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print_report(asyncio.run(_run(options)), options.json)


if __name__ == "__main__":
    main()
