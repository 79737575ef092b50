"""Texts that come in pieces: what was taken back, or begun, is left out of them however they are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.engine.remote import llama_server
from lsp.engine.remote.server import Piece
from lsp.engine.remote.texts import healed, without_opening

CODE = st.text(st.sampled_from("ab_1 =(.\n\té猫"), max_size=30)
CUTS = st.lists(st.integers(1, 5), min_size=1, max_size=40)


async def pieces(text: str, cuts: list[int]) -> AsyncGenerator[Piece, None]:
    """A text in pieces."""
    at = 0
    while at < len(text):
        size = cuts[at % len(cuts)]
        yield Piece(text[at : at + size])
        at += size


async def joined(answer: AsyncGenerator[Piece, None]) -> str:
    return "".join([piece.text async for piece in answer])


@given(CODE, CODE, CUTS)
def test_a_model_that_knows_the_text_goes_on_behind_the_cursor(before: str, after: str, cuts: list[int]) -> None:
    asked: list[str] = []

    def answer(middle: str) -> AsyncGenerator[Piece, None]:
        asked.append(middle)
        return pieces((before + after)[len(middle) :], cuts)

    assert asyncio.run(joined(healed(before, answer))) == after
    assert all(before.startswith(middle) for middle in asked)
    # Only where nothing is written behind the word, it isn't known whether it was right.
    assert len(asked) == 1 or not after


@given(CODE, CODE, CODE, CUTS)
def test_one_that_would_write_another_word_is_asked_with_it(
    before: str, other: str, then: str, cuts: list[int]
) -> None:
    def answer(middle: str) -> AsyncGenerator[Piece, None]:
        return pieces(then if middle == before else other, cuts)

    text = asyncio.run(joined(healed(before, answer)))
    assert text == then or other.endswith(text)


@given(st.text(max_size=20).filter(lambda text: "`" not in text), CODE, CODE, CUTS)
def test_what_was_begun_is_written_but_once(said: str, begun: str, code: str, cuts: list[int]) -> None:
    answer = pieces(f"{said}\n```python\n{begun}{code}", cuts)
    assert asyncio.run(joined(without_opening(f"```python\n{begun}", answer))) == code


@given(st.text(st.sampled_from("ab é猫"), min_size=1, max_size=8), CODE, CUTS)
def test_what_a_grammar_had_spelled_again_is_left_out(heal: str, text: str, cuts: list[int]) -> None:
    writing = llama_server._Writing(heal.encode(), frozenset())

    async def read() -> str:
        shown = ""
        async for piece in pieces(heal + text, cuts):
            chosen = llama_server._Choice(1, [*piece.text.encode()], -0.5, [])
            chunk = llama_server._Chunk(piece.text, False, [1], completion_probabilities=[chosen])
            if made := writing.take(chunk):
                assert made.logprob <= 0 and 0 <= made.eog <= 1
                shown += made.text
        return shown

    assert asyncio.run(read()) == text


@pytest.mark.parametrize("text", ['say "hi"', "a\\b", "tab\t", "猫", "]", "[\\x00]"])
def test_a_grammar_spells_any_text(text: str) -> None:
    spelled = llama_server._beginning_with(text).partition('"')[2].partition('"')[0]
    assert "".join(chr(int(code, 16)) for code in spelled.split("\\U")[1:]) == text
