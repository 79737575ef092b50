"""The replay's keystrokes come to the planned text whatever is suggested; and a short replay with the real model."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.cli import main
from lsp.errors import MidlineError
from lsp.replay.editor import Answer, Ask
from lsp.replay.history import plan_history
from lsp.replay.keystrokes import KEYS, Edit, Event, keystrokes
from lsp.replay.pairs import pairs
from lsp.replay.plan import Plan, Stint, plan_files, plan_text
from lsp.replay.player import Player

PATH = Path("/a/file.py")
OTHER = Path("/a/other.py")

# Code-like enough to reach the editor's rules: brackets, quotes, blank lines, indentation, every line break.
_PIECES = st.sampled_from(
    [
        *"abcxyz01 \t()[]{}\"'#:,é变😀",
        *("\n", "\n", "\n    ", "\n        ", "    \n", "\r", "\r\n", "\r\n    "),
        *("(\n    ", "\n)", "(\n\n)", "[\r\n  ", "\r\n]", '"""', "def f(", "foo", "return "),
    ]
)
TEXTS = st.lists(_PIECES, max_size=60).map("".join)


def play(plan: Plan, seed: int, suggest: random.Random | None = None) -> tuple[list[Event], dict[Path, str]]:
    """All events, applied; with ``suggest``, after half of them a suggestion: right, half right or wrong."""
    texts = dict(plan.initial)
    events: list[Event] = []
    typing = keystrokes(plan, seed)
    shown: str | None = None
    while True:
        try:
            event = next(typing) if shown is None else typing.send(shown)
        except StopIteration:
            return events, texts
        events.append(event)
        for edit in event.edits:
            assert 0 <= edit.start <= edit.end <= len(texts[event.path])
            texts[event.path] = edit.apply(texts[event.path])
        assert 0 <= event.cursor <= len(texts[event.path])
        shown = ""
        if suggest and suggest.random() < 0.5:
            wrong = suggest.choice(["", "x", "\nreturn", "()\n"])
            shown = event.ahead[: suggest.randrange(40)] + wrong


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    texts = {PATH: draw(TEXTS), OTHER: draw(TEXTS)}
    initial = dict(texts)
    stints = []
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from([PATH, OTHER]))
        start = draw(st.integers(0, len(texts[path])))
        end = draw(st.integers(start, len(texts[path])))
        stint = Stint(path, start, end, draw(TEXTS), at_once=draw(st.booleans()) and draw(st.booleans()))
        stints.append(stint)
        texts[path] = texts[path][:start] + stint.text + texts[path][end:]
    return Plan(initial, stints)


@given(plans(), st.integers(0, 1000), st.none() | st.randoms(use_true_random=False))
def test_all_events_together_write_exactly_the_planned_text(
    plan: Plan, seed: int, suggest: random.Random | None
) -> None:
    _, texts = play(plan, seed, suggest)
    assert texts == plan.final()


@given(plans(), st.integers(0, 1000))
def test_equal_seeds_give_equal_events(plan: Plan, seed: int) -> None:
    assert play(plan, seed, random.Random(1)) == play(plan, seed, random.Random(1))


@given(TEXTS, st.integers(0, 1000), st.integers(10, 400))
def test_a_plan_for_a_file_writes_back_what_it_took_out(text: str, seed: int, chars: int) -> None:
    text = "a = 1\nb = 2\nc = 3\nd = 4\n" + text + "\ne = 5\n"
    plan = plan_text(PATH, text, chars, random.Random(seed))
    assert plan.final() == {PATH: text}
    assert len(plan.initial[PATH]) < len(text)


def test_several_files_are_visited_in_turn(tmp_path: Path) -> None:
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    for file in files:
        file.write_text("".join(f"value_{i} = compute(item_{i}, 'name')\n" for i in range(200)))
    plan = plan_files(files, 1500, seed=3)
    events, texts = play(plan, 3)
    assert texts == {file: file.read_text() for file in files}
    kinds = [event.kind for event in events]
    assert kinds.count("open") == 2
    assert kinds.count("switch") >= 1
    assert kinds.count("jump") >= 3
    assert sum(kind in KEYS for kind in kinds) >= 1500


def test_the_editor_closes_brackets_and_the_typist_types_over_them() -> None:
    plan = Plan({PATH: "\n"}, [Stint(PATH, 0, 0, 'f(a, "b")')])
    events, texts = play(plan, 5)
    assert texts[PATH] == 'f(a, "b")\n'
    inserted = [edit.text for event in events for edit in event.edits]
    assert "()" in inserted
    assert '""' in inserted
    assert [event.kind for event in events].count("over") == 2


def test_enter_between_brackets_puts_the_closing_one_on_its_own_line() -> None:
    plan = Plan({PATH: "x\n"}, [Stint(PATH, 1, 1, "(\n    a,\n)")])
    events, texts = play(plan, 5)
    assert texts[PATH] == "x(\n    a,\n)\n"
    enter = next(event for event in events if event.kind == "enter")
    assert [edit.text for edit in enter.edits] == ["\n    ", "\n"]
    assert "step" in [event.kind for event in events]


def test_the_editor_indents_and_the_typist_corrects_it() -> None:
    text = "\nif a:\n    b()\nc()\n\n\nd()"
    events, texts = play(Plan({PATH: "#"}, [Stint(PATH, 1, 1, text)]), 1)
    assert texts[PATH] == "#" + text
    entered = [event.edits[-1].text for event in events if event.kind == "enter"]
    assert entered == ["\n", "\n    ", "\n    ", "\n", "\n", "\n"]
    assert "backspace" in [event.kind for event in events]


def test_right_suggestions_are_accepted_whole_or_up_to_the_line() -> None:
    text = "total = sum(values)\nprint(total)\n"
    plan = Plan({PATH: ""}, [Stint(PATH, 0, 0, text)])
    accepted = []
    typing = keystrokes(plan, 2)
    event = next(typing)
    while event.kind != "accept":
        event = typing.send(event.ahead.split("\n")[0] + "\nwrong")
    accepted.append(event)
    assert event.edits[0].text in text.split("\n")[0]
    assert event.ahead.startswith("\n")
    wrong = [e for e in play(plan, 2)[0] if e.kind == "accept"]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f(a)", {1: 3}),
        ("[(1), {}]", {0: 8, 1: 3, 6: 7}),
        ("x = 'a(b' # it's (", {4: 8}),
        ('"""(\n"""()', {8: 9}),
        ("'unclosed\n()", {10: 11}),
        ("(]", {}),
        (r"'\''", {0: 3}),
    ],
)
def test_pairs(text: str, expected: dict[int, int]) -> None:
    assert pairs(text) == expected


def _git(directory: Path, *arguments: str) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, *arguments], cwd=directory, check=True, capture_output=True)


def test_a_repositorys_history_is_written_again(tmp_path: Path) -> None:
    versions = [
        "a = 1\nb = 2\nc = 3\n",
        "a = 1\nb = 20\nc = 3\n",
        "a = 1\nb = 20\nnew = 4\nc = 3\n",
        "b = 20\nc = 5\nd = 6\n",
    ]
    _git(tmp_path, "init", "-b", "main")
    for version in versions:
        (tmp_path / "m.py").write_text(version)
        _git(tmp_path, "add", ".")
        _git(tmp_path, "commit", "-m", "x")
    plan = plan_history(tmp_path, 1000)
    path = tmp_path / "m.py"
    assert plan.initial == {path: versions[0]}
    events, texts = play(plan, 1)
    assert texts == {path: versions[-1]}
    assert {"open", "jump", "delete", "char", "enter"} <= {event.kind for event in events}
    # One changed digit is one digit typed.
    assert plan.stints[0].text == "0"


def test_a_folder_without_a_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidlineError, match="git"):
        plan_history(tmp_path, 100)


def test_a_file_with_nothing_to_take_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n")
    with pytest.raises(MidlineError, match="too few lines"):
        plan_files([tmp_path / "a.py"], 100, 1)


def test_replay_needs_something_to_replay(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay"]) == 1
    assert "Replay what?" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_:
        main(["replay", "x.py", "--keys", "0"])
    assert exit_.value.code == 2


class _Oracle:
    """An editor in which the suggestion is what stands next in ``text``, a few characters of it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def is_open(self, path: Path) -> bool:
        return True

    def edit(self, path: Path, edits: Sequence[Edit]) -> None:
        pass

    def move(self, path: Path, offset: int) -> None:
        pass

    def place(self, path: Path, offset: int) -> tuple[int, int]:
        return 1, offset + 1

    def ask(self, path: Path, offset: int) -> Ask:
        async def answer() -> Answer:
            # Every third place: between them a suggestion lives on by being typed along.
            return Answer(self._text[offset : offset + 6] if offset % 3 == 0 else self._text[offset : offset + 2], 1.0)

        return Ask("", asyncio.get_running_loop().create_task(answer()))

    async def accepted(self) -> None:
        pass

    async def status(self) -> dict[str, Any]:
        counts = {"tokens_evaluated": 0, "tokens_prewarmed": 0}
        return {"completion": counts, "last_completion": None, "engine": {}}


@pytest.mark.parametrize("accepts", [True, False])
def test_each_stroke_tells_what_was_on_the_screen_and_what_came_next(accepts: bool) -> None:
    text, path = "alpha = beta + gamma + delta + epsilon", Path("/w/a.py")
    plan = Plan({path: ""}, [Stint(path, 0, 0, text)])
    editor: Any = _Oracle(text)
    player = Player(editor, dict(plan.initial), 0, accepts=accepts)
    recording = asyncio.run(player.play(keystrokes(plan, 2), 100))
    judged = [stroke for stroke in recording.strokes if stroke.ahead]
    assert all(stroke.screen and stroke.ahead.startswith(stroke.screen) for stroke in judged)
    assert (recording.accepted > 0) == accepts
    if not accepts:
        assert recording.characters_typed >= len(text)
        # A place comes again behind a mistake that was taken back.
        assert list(dict.fromkeys(stroke.ahead for stroke in judged)) == [text[i:] for i in range(1, len(text))]


@pytest.mark.model
def test_a_short_replay_against_a_real_server(
    midline_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "midline.toml").write_text("[completion]\nmax_tokens = 6\n")
    rng = random.Random(1)
    words = ["wombat", "price", "basket", "total", "query", "shelf", "north", "limit"]
    code = "".join(f"{rng.choice(words)}_{i} = {rng.choice(words)}({rng.randrange(10**6)})\n" for i in range(120))
    (tmp_path / "a.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert main(["replay", "a.py", "--keys", "15", "--speed", "0", "--seed", "4", "--json"]) == 0
    output = capfd.readouterr().out
    report = json.loads(output)
    assert report["keystrokes"] == report["answered"] == 15
    tokens = report["tokens_evaluated"]
    # Every token that the server counted belongs to a keystroke.
    assert round(tokens["mean"] * 15) == report["totals"]["tokens_evaluated"]
    assert sum(report["why"].values()) == report["totals"]["tokens_evaluated"]
    assert 0 <= tokens["p50"] <= 2 < tokens["max"]
    assert 0 < report["first_token_ms_computed"]["p50"] <= report["first_token_ms_computed"]["max"]
    assert 0 <= report["hit_rate"] <= 1
    assert "without any pause" in report["pace"]
    assert "wombat" not in output
