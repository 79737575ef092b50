"""What becomes of tokens: when to stop, what is shown, and how sure the model was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.completion.branch import Branch
from lsp.completion.confidence import Written, confidence_of, discounted, is_hopeless
from lsp.completion.names import Invented
from lsp.completion.place import Place
from lsp.documents import Cursor
from lsp.engine.protocol import Token

BODY = 'def mean(numbers):\n    """The mean."""\n    '


def place(before: str = BODY, after: str = "\n") -> Place:
    return Place.of(Cursor("file:///a.py", None, "python", 1, before + after, len(before)))


def fed(pieces: list[tuple[str, float]], least: float, where: Place | None = None) -> Branch:
    branch = Branch(where or place(), least)
    for text, logprob in pieces:
        branch.add(Token(0, 0, text, logprob, 0.0))
    return branch


def known(names: object) -> set[str]:
    return set()


SURE, UNSURE = -0.01, -3.0
TWO_LINES = [("total = ", SURE), ("sum(numbers)", SURE), ("\n", SURE), ("    return ", SURE)]


def test_a_line_that_the_model_is_unsure_of_is_taken_back_and_the_rest_is_shown() -> None:
    branch = fed([*TWO_LINES, ("foo", UNSURE), ("bar", UNSURE), ("baz", UNSURE)], 0.4)
    assert branch.complete
    suggestion = branch.finish(known, whole=True)
    assert suggestion.text == "total = sum(numbers)"
    assert "confidence" in suggestion.fired
    assert suggestion.confidence > 0.4


def test_a_first_line_without_hope_ends_the_generation_and_nothing_is_shown() -> None:
    branch = fed([("total", UNSURE), (" =", UNSURE), (" su", UNSURE), ("m(", UNSURE)], 0.4)
    assert branch.complete
    suggestion = branch.finish(known, whole=True)
    assert suggestion.text == ""
    assert "confidence" in suggestion.reason
    assert "0.40" in suggestion.reason


def test_without_a_threshold_everything_is_shown() -> None:
    branch = fed([*TWO_LINES, ("foo", UNSURE), ("bar", UNSURE), ("\n", UNSURE)], 0.0)
    assert branch.finish(known, whole=True).text == "total = sum(numbers)\n    return foobar"


def test_a_line_that_was_broken_off_is_not_shown() -> None:
    branch = fed([*TWO_LINES, ("total /", SURE)], 0.0)
    assert not branch.complete
    assert branch.finish(known, whole=False).text == "total = sum(numbers)"


def test_invented_names_lower_the_confidence() -> None:
    sure = fed([("return ", SURE), ("sum(numbers)", SURE)], 0.0).finish(known, whole=True)
    invented = fed([("return ", SURE), ("add_up(numbers)", SURE)], 0.0).finish(known, whole=True)
    assert invented.confidence < 0.6 * sure.confidence
    defined = fed([("return ", SURE), ("add_up(numbers)", SURE)], 0.0).finish(lambda names: set(names), whole=True)
    assert defined.confidence == sure.confidence


def test_the_reason_names_the_filter() -> None:
    suggestion = fed([("\n", SURE), ("\n", SURE)], 0.0).finish(known, whole=True)
    assert suggestion.text == ""
    assert "filter" in suggestion.reason
    assert fed([], 0.0).finish(known, whole=True).reason == "the model suggested nothing"


logprobs = st.lists(st.floats(-20, 0), min_size=1, max_size=40)


@given(logprobs)
def test_confidence_is_a_probability_and_never_rises_with_a_doubtful_token(values: list[float]) -> None:
    tokens = [Written(i, value) for i, value in enumerate(values)]
    assert 0 <= confidence_of(tokens) <= 1
    worst = [Written(i, min(values)) for i in range(len(values))]
    assert confidence_of(worst) <= confidence_of(tokens) + 1e-9


@given(logprobs, st.lists(st.just(0.0), max_size=40), st.floats(0, 1))
def test_what_is_hopeless_stays_below_the_threshold(values: list[float], more: list[float], least: float) -> None:
    tokens = [Written(i, value) for i, value in enumerate(values)]
    if is_hopeless(tokens, least) and len(more) <= len(values):
        assert confidence_of([*tokens, *(Written(99, value) for value in more)]) < least


@pytest.mark.parametrize(("names", "attributes"), [(1, 0), (0, 1), (2, 3)])
def test_each_invented_name_counts(names: int, attributes: int) -> None:
    invented = Invented(("x",) * names, ("y",) * attributes)
    assert 0 < discounted(0.9, invented) < 0.9
    assert discounted(0.9, Invented()) == 0.9
