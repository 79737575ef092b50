"""What becomes of suggestions, as it is told from reports and edits, and what is learnt from it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from lsp.completion.completion import Completion
from lsp.completion.feedback import Feedback
from lsp.completion.survival import difference
from lsp.completion.tally import Tally, read
from lsp.completion.threshold import BINS, LIMIT, bin_of, followed
from lsp.documents import Cursor, Document

URI = "file:///try.py"
OUTCOMES = ("accepted", "partly", "typed", "rejected")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A user at a document, whose suggestions are counted in memory."""

    def __init__(self, text: str = "x = ‸\ny = 2\n", path: Path = Path("/nowhere/counts")) -> None:
        before, _, after = text.partition("‸")
        self.clock = Clock()
        self.tally = Tally(path, lambda: date(2026, 5, 4))
        self.tally._useless = True  # nothing is written
        self.feedback = Feedback(self.tally, self.clock)
        self.document = Document(URI, before + after, 1, "python")
        self.at = len(before)

    @property
    def cursor(self) -> Cursor:
        return Cursor(URI, None, "python", 1, self.document.source, self.at)

    def show(self, text: str, replaced: int = 0, **more: object) -> Completion:
        completion = Completion(text, self.at, self.at + replaced, mode="line", confidence=0.55, **more)  # type: ignore[arg-type]
        self.feedback.shown(completion, self.cursor)
        self.clock.now += 1.0
        return completion

    def insert(self, text: str, replaced: int = 0, changes: int = 1) -> None:
        source = self.document.source
        source = source[: self.at] + text + source[self.at + replaced :]
        self.document.apply_change(types.TextDocumentContentChangeWholeDocument(source))
        self.at += len(text)
        self.feedback.edited(self.document, changes)

    def type(self, text: str) -> None:
        for char in text:
            self.insert(char)

    def told(self) -> dict[str, float]:
        names = ("shown", *OUTCOMES, "characters")
        return {name: value for name in names if (value := self.tally.recent("python", "line", name))}

    def alive(self, check: str) -> tuple[float, float]:
        counts = [self.tally.recent("python", "line", f"{name}_{check}") for name in ("checked", "alive")]
        return counts[0], counts[1]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- what becomes of a suggestion ---------------------------------------------------------------------------------


def test_text_that_comes_at_once_was_accepted_and_a_report_of_it_counts_no_more(desk: Desk) -> None:
    completion = desk.show("compute(1)")
    desk.insert("compute(1)")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 10}
    desk.feedback.accepted(completion.id)
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 10}


def test_a_report_that_comes_before_its_edit(desk: Desk) -> None:
    completion = desk.show("compute(1)")
    desk.feedback.accepted(completion.id)
    desk.insert("compute(1)")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 10}


def test_what_is_typed_key_by_key_was_typed(desk: Desk) -> None:
    desk.show("compute")
    desk.type("compute")
    assert desk.told() == {"shown": 1, "typed": 1}


def test_keys_that_an_editor_sends_together_were_typed_too(desk: Desk) -> None:
    desk.show("compute")
    desk.insert("comp", changes=4)
    desk.insert("ute", changes=3)
    assert desk.told() == {"shown": 1, "typed": 1}


def test_an_acceptance_right_behind_keys(desk: Desk) -> None:
    desk.show("compute(first)")
    desk.insert("compute(first)", changes=3)
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 14}


def test_the_indentation_that_an_editor_adds_was_typed(desk: Desk) -> None:
    desk.show("f(\n        a)")
    desk.type("f(")
    desk.insert("\n        ")
    desk.type("a)")
    assert desk.told() == {"shown": 1, "typed": 1}


def test_the_rest_of_what_was_begun_by_hand(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.type("com")
    desk.insert("pute(1)")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 7}


def test_a_part_at_once_and_then_something_else(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.insert("compute")
    desk.type("[")
    assert desk.told() == {"shown": 1, "partly": 1, "characters": 7}


def test_small_parts_count_when_they_are_reported(desk: Desk) -> None:
    completion = desk.show("a = b")
    desk.insert("a")
    desk.feedback.partly(completion.id, 1)
    desk.insert(" =")
    desk.feedback.partly(completion.id, 2)
    desk.type("x")
    assert desk.told() == {"shown": 1, "partly": 1, "characters": 3}


def test_a_late_report_corrects_what_was_counted(desk: Desk) -> None:
    completion = desk.show("ab")
    desk.insert("ab")
    assert desk.told() == {"shown": 1, "typed": 1}
    desk.feedback.accepted(completion.id)
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 1}


def test_an_alternative_is_accepted(desk: Desk) -> None:
    desk.show("compute(1)", alternatives=("other(2)",))
    desk.insert("other(2)")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 8}


def test_what_is_replaced_goes_with_the_acceptance() -> None:
    desk = Desk("f(‸)\n")
    desk.show("one, two)", replaced=1)
    desk.insert("one, two)", replaced=1)
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 9}


def test_a_bracket_that_the_editor_closes_contradicts_nothing(desk: Desk) -> None:
    desk.show("f(a)")
    desk.type("f")
    desk.insert("()")
    desk.at -= 1
    assert desk.told() == {}
    desk.type("a")
    assert desk.told() == {"shown": 1, "typed": 1}


def test_contradicted(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.type("z")
    assert desk.told() == {"shown": 1, "rejected": 1}


def test_an_edit_elsewhere_rejects(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.at = 0
    desk.insert("z")
    assert desk.told() == {"shown": 1, "rejected": 1}


def test_a_cursor_elsewhere_rejects_and_one_behind_what_was_typed_does_not(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.type("com")
    desk.feedback.asked(desk.cursor)
    assert desk.told() == {}
    desk.at = 0
    desk.feedback.asked(desk.cursor)
    assert desk.told() == {"shown": 1, "rejected": 1}


def test_a_glimpse_counts_for_nothing(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.clock.now -= 0.9
    desk.type("z")
    assert desk.told() == {}


def test_closing_the_document_or_the_editor_ends_what_is_shown(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.feedback.closed("file:///other.py")
    assert desk.told() == {}
    desk.feedback.closed(URI)
    assert desk.told() == {"shown": 1, "rejected": 1}


def test_what_is_shown_again_is_shown_once(desk: Desk) -> None:
    completion = desk.show("compute(1)")
    desk.type("com")
    desk.show("pute(1)", id=completion.id, cached=True)
    desk.insert("pute(1)")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 7}


def test_the_same_text_under_another_name_is_no_other(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.type("com")
    completion = desk.show("pute(1)", alternatives=("fort()",))
    desk.insert("fort()")
    desk.feedback.accepted(completion.id)
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 6}


def test_another_text_at_the_same_place_is_another(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.show("other(1)")
    desk.insert("other(1)")
    assert desk.told() == {"shown": 2, "accepted": 1, "rejected": 1, "characters": 8}


def test_what_was_rejected_comes_back_and_is_accepted(desk: Desk) -> None:
    completion = desk.show("compute(1)")
    desk.type("z")
    assert desk.told() == {"shown": 1, "rejected": 1}
    desk.at -= 1
    desk.insert("", replaced=1)
    desk.show("compute(1)", id=completion.id, cached=True)
    desk.insert("compute(1)")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 10}


def test_reports_of_the_unknown_are_ignored(desk: Desk) -> None:
    desk.feedback.accepted("never")
    desk.feedback.partly("never", 5)
    completion = desk.show("compute(1)")
    desk.feedback.partly(completion.id, -3)
    desk.type("z")
    assert desk.told() == {"shown": 1, "rejected": 1}


def test_nothing_is_counted_where_it_is_not_wanted(desk: Desk) -> None:
    desk.feedback = Feedback(None, desk.clock)
    desk.show("compute(1)")
    desk.insert("compute(1)")
    assert desk.told() == {}
    assert desk.feedback.threshold("python", "line", 0.4) == 0.4


def test_line_breaks_of_windows() -> None:
    desk = Desk("def f():\r\n    ‸\r\n")
    desk.show("x = 1\n    return x")
    desk.insert("x = 1\r\n    return x")
    assert desk.told() == {"shown": 1, "accepted": 1, "characters": 18}


moves = st.lists(
    st.one_of(
        st.tuples(st.just("show"), st.sampled_from(["compute(1)", "ab", "x\n    y", ")"])),
        st.tuples(st.just("insert"), st.sampled_from(["compute", "(1)", "a", "b", "z", "ab", "x\n    ", "y"])),
        st.tuples(st.just("delete"), st.just("")),
        st.tuples(st.just("again"), st.just("")),
        st.tuples(st.sampled_from(["accepted", "partly", "saved", "closed", "asked"]), st.just("")),
    ),
    max_size=25,
)


@given(moves)
def test_each_showing_has_one_outcome_whatever_happens(steps: list[tuple[str, str]]) -> None:
    desk = Desk()
    shown: list[Completion] = []
    for step, text in steps:
        desk.clock.now += 0.2
        if step == "show":
            shown.append(desk.show(text))
        elif step == "again" and shown:
            desk.show(shown[-1].text, id=shown[-1].id)
        elif step == "insert":
            desk.insert(text)
        elif step == "delete" and desk.at:
            desk.at -= 1
            desk.insert("", replaced=1)
        elif step == "accepted" and shown:
            desk.feedback.accepted(shown[-1].id)
        elif step == "partly" and shown:
            desk.feedback.partly(shown[-1].id, 2)
        elif step == "saved":
            desk.feedback.saved(URI)
        elif step == "closed":
            desk.feedback.closed(URI)
        elif step == "asked":
            desk.feedback.asked(desk.cursor)
    desk.feedback.close()
    told = desk.told()
    assert sum(told.get(name, 0) for name in OUTCOMES) == told.get("shown", 0) <= len(shown)
    assert all(value >= 0 for value in told.values())
    bins = [sum(desk.tally.recent("python", "line", f"bin_{n}_{i}") for i in range(BINS)) for n in ("shown", "taken")]
    assert bins == [told.get("shown", 0), told.get("shown", 0) - told.get("rejected", 0)]


# -- how long it lives --------------------------------------------------------------------------------------------


def test_how_much_is_left_is_looked_at_in_time(desk: Desk) -> None:
    desk.show("first + second")
    desk.insert("first + second")
    desk.clock.now += 31
    desk.at -= len(" + second")
    desk.insert("", replaced=len(" + second"))  # too late for the first look
    assert desk.alive("30s") == (1, 1)
    desk.clock.now += 300
    desk.at = 0
    desk.insert("import os\n")
    assert desk.alive("5min") == pytest.approx((1, 5 / 12))
    assert desk.alive("saved") == (0, 0)
    desk.feedback.saved(URI)
    desk.feedback.saved(URI)
    assert desk.alive("saved") == pytest.approx((1, 5 / 12))


def test_what_moves_or_is_indented_anew_is_all_there(desk: Desk) -> None:
    desk.show("first(\n    second)")
    desk.insert("first(\n    second)")
    desk.at = 0
    desk.insert("import os\n\n")
    source = desk.document.source
    desk.document.apply_change(types.TextDocumentContentChangeWholeDocument(source.replace("    second", "\tsecond")))
    desk.feedback.edited(desk.document)
    desk.feedback.closed(URI)
    assert desk.alive("saved") == (1, 1)
    assert desk.alive("30s") == (0, 0)  # nobody knows


def test_what_is_undone_is_gone(desk: Desk) -> None:
    desk.show("compute(1)")
    desk.insert("compute(1)")
    desk.at -= 10
    desk.insert("", replaced=10)
    desk.feedback.saved(URI)
    assert desk.alive("saved") == (1, 0)


def test_parts_of_one_suggestion_are_one_text(desk: Desk) -> None:
    desk.show("compute(first)")
    desk.insert("compute")
    desk.insert("(first)")
    desk.feedback.saved(URI)
    assert desk.alive("saved") == (1, 1)


@given(st.text("ab\n", max_size=20), st.text("ab\n", max_size=20))
def test_a_difference_leads_from_one_text_to_the_other(before: str, after: str) -> None:
    start, removed, inserted = difference(before, after)
    assert min(start, removed, inserted) >= 0
    assert before[:start] + after[start : start + inserted] + before[start + removed :] == after
    assert removed + inserted == 0 or before != after


# -- what is learnt -----------------------------------------------------------------------------------------------

histograms = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=BINS, max_size=BINS)


@given(st.floats(0, 1), histograms)
def test_the_threshold_stays_within_its_limits(default: float, history: list[tuple[int, int]]) -> None:
    shown = [a + b for a, b in history]
    taken = [a for a, _ in history]
    threshold = followed(default, shown, taken)
    assert 0 <= threshold <= 1
    assert abs(threshold - default) <= LIMIT + 1e-9
    assert followed(default, shown, [0] * BINS) >= threshold >= followed(default, shown, shown)


@pytest.mark.parametrize(("count", "rate", "moved"), [(49, 0.0, 0.0), (50, 0.0, 0.075), (5000, 0.0, 0.149)])
def test_the_threshold_rises_slowly_where_nothing_is_taken(count: int, rate: float, moved: float) -> None:
    shown = [0] * BINS
    shown[bin_of(0.45)] = count
    taken = [round(count * rate)] * BINS
    assert followed(0.4, shown, taken) - 0.4 == pytest.approx(moved, abs=0.001)


def test_what_is_far_from_the_edge_says_nothing_of_it() -> None:
    shown = [0] * (BINS - 1) + [1000]
    assert followed(0.4, shown, [0] * BINS) == pytest.approx(0.4)


def test_who_asks_for_everything_gets_it() -> None:
    assert followed(0.0, [1000] * BINS, [0] * BINS) == 0.0


def test_the_threshold_follows_what_is_rejected(desk: Desk) -> None:
    for _ in range(100):
        desk.show("compute(1)")
        desk.type("z")
    assert desk.feedback.threshold("python", "line", 0.5) > 0.55
    assert desk.feedback.threshold("python", "body", 0.5) == 0.5
    assert desk.feedback.threshold("rust", "line", 0.5) == 0.5


# -- the file -----------------------------------------------------------------------------------------------------


def test_nothing_but_counts_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    tally = Tally(path)
    feedback = Feedback(tally)
    document = Document("file:///secret_name.py", "secret_before = \n", 1, "python /home/secret")
    cursor = document.cursor(types.Position(0, 16))
    feedback.shown(Completion("secret_text()", 16, 16, mode="line"), cursor)
    document.apply_change(types.TextDocumentContentChangeWholeDocument("secret_before = secret_text()\n"))
    feedback.edited(document)
    feedback.closed(document.uri)
    feedback.close()
    counts = read(path)
    assert {(name.language, name.mode) for name in counts} == {("other", "line")}
    assert {name.name: value for name, value in counts.items()}["accepted"] == 1
    for file in tmp_path.iterdir():
        assert b"secret" not in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
