"""What is left of a suggestion is served while it is typed."""

from __future__ import annotations

import pytest

from lsp.completion.cache import SuggestionCache
from lsp.completion.completion import Completion
from lsp.documents import Cursor
from lsp.engine.protocol import Usage


def at(before: str, after: str = "\nend\n") -> Cursor:
    return Cursor("file:///a.py", None, "python", 1, before + after, len(before))


def made(text: str, at_offset: int, *others: str) -> Completion:
    usage = Usage(tokens_evaluated=5, tokens_generated=9)
    return Completion(text, at_offset, at_offset, others, "m", usage, 0.5, {"total": 3.0})


@pytest.fixture
def cache() -> SuggestionCache:
    cache = SuggestionCache()
    cache.add(at("x = "), made("foo(1)", 4, "far", "bar"))
    return cache


def test_the_same_place_gives_the_same_suggestion_at_no_cost(cache: SuggestionCache) -> None:
    found = cache.find(at("x = "))
    assert found is not None
    assert (found.text, found.alternatives, found.usage, found.cached) == ("foo(1)", ("far", "bar"), Usage(), True)


@pytest.mark.parametrize(("typed", "rest", "others"), [("f", "oo(1)", ("ar",)), ("foo(", "1)", ()), ("foo(1", ")", ())])
def test_typing_along_leaves_the_rest(cache: SuggestionCache, typed: str, rest: str, others: tuple[str, ...]) -> None:
    found = cache.find(at("x = " + typed))
    assert found is not None
    assert (found.text, found.start, found.end) == (rest, 4 + len(typed), 4 + len(typed))
    assert found.alternatives == others


@pytest.mark.parametrize("before", ["x = g", "x = foo(1)", "x = foo(1)2", "x =", "y = "])
def test_anything_else_is_asked_anew(cache: SuggestionCache, before: str) -> None:
    assert cache.find(at(before)) is None


def test_a_change_after_the_cursor_is_asked_anew(cache: SuggestionCache) -> None:
    assert cache.find(at("x = ", "\nother\n")) is None
    assert cache.find(at("x = f", ")\nend\n")) is None


def test_that_nothing_was_suggested_is_remembered_for_the_very_place_only() -> None:
    cache = SuggestionCache()
    cache.add(at("x"), Completion("", 1, 1, reason="blank"))
    found = cache.find(at("x"))
    assert found is not None
    assert found.reason == "blank"
    assert cache.find(at("xy")) is None


def test_taking_back_what_was_typed_finds_the_earlier_suggestion(cache: SuggestionCache) -> None:
    cache.add(at("x = g"), made("reat", 5))
    assert cache.find(at("x = ")) is not None


def test_old_suggestions_are_forgotten(cache: SuggestionCache) -> None:
    for i in range(20):
        cache.add(at(f"y{i}"), made("z", 2))
    assert cache.find(at("x = ")) is None
