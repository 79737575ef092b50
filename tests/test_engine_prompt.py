"""Prompts compiled to tokens: what healing takes back, and what it leaves alone.

The vocabulary is byte-level like the real ones: every byte is a token, and so are some longer pieces, among them ones
that end inside a character.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.engine.prompt import Prompt, compile_prompt
from lsp.engine.protocol import Control, Segment, Special, SpecialName, Text
from lsp.engine.vocabulary import Vocabulary

PIECES = [
    *(bytes([i]) for i in range(256)),
    *(b" ", b"    ", b"return", b" return", b"self", b".", b"<|", b"fim", b"\n    ", b"()"),
    *("中".encode(), "中".encode()[:2], b" " + "🙂".encode()[:2], "🙂".encode()[1:3], "é".encode()),
]
BOS, PREFIX, SUFFIX, MIDDLE = range(len(PIECES), len(PIECES) + 4)
NAMES: dict[str, int] = {"bos": BOS, "prefix": PREFIX, "suffix": SUFFIX, "middle": MIDDLE}
VOCABULARY = Vocabulary([*PIECES, b"", b"", b"", b""], NAMES, frozenset(NAMES.values()))
LONGEST_FIRST = sorted(range(len(PIECES)), key=lambda i: -len(PIECES[i]))


def tokenize(text: str) -> list[int]:
    data = text.encode()
    tokens = []
    while data:
        token = next(i for i in LONGEST_FIRST if data.startswith(PIECES[i]))
        tokens.append(token)
        data = data[len(PIECES[token]) :]
    return tokens


def spell(tokens: list[int]) -> bytes:
    return b"".join(VOCABULARY.pieces[token] for token in tokens)


def compiled(*segments: Segment, heal: bool = True) -> Prompt:
    return compile_prompt(segments, VOCABULARY, tokenize, heal)


def healed(text: str) -> str:
    return compiled(Text(text)).heal.decode()


TEXT = st.lists(
    st.sampled_from(["return", "self", "中", "🙂", "é", "<|fim|>", "    ", " ", "\n", "\r\n", ".", "x"]), max_size=12
).map("".join)


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), st.booleans())
def test_no_byte_is_lost_and_whole_characters_stay(texts: list[str], heal: bool) -> None:
    whole = compiled(*map(Text, texts), heal=False)
    assert whole.heal == b""
    assert spell(whole.tokens).decode() == "".join(texts)
    prompt = compiled(*map(Text, texts), heal=heal)
    assert spell(prompt.tokens) + prompt.heal == "".join(texts).encode()
    prompt.heal.decode()  # raises where a character was cut in two
    spell(prompt.tokens).decode()
    assert prompt.tokens == whole.tokens[: len(prompt.tokens)]
    wanted = heal and texts[-1] != "" and not texts[-1].endswith(("\n", "\r"))
    assert bool(prompt.heal) == wanted


@settings(deadline=None)
@given(TEXT.filter(lambda text: bool(text) and not text.endswith(("\n", "\r"))))
def test_a_token_spells_what_was_healed(text: str) -> None:
    """Or the model would be left without a choice."""
    prompt = compiled(Special("middle"), Text(text))
    assert len(VOCABULARY.spelling(prompt.heal)) > 0


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("return self", "self"),
        ("x return", " return"),  # tokenisers merge a space with the word behind it
        ("def f():\n    ", "\n    "),  # and an indentation with what comes next
        ("wh", "h"),
        ("f()", "()"),
    ],
)
def test_the_last_token_is_taken_back(text: str, back: str) -> None:
    assert healed(text) == back


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("x = '中", "中"),  # one token
        ("x = '丰", "丰"),  # e4 b8 | b0
        ("x = '好", "好"),  # byte by byte
        ("x = é", "é"),
        ("x 🙂", " 🙂"),  # " f0 9f" | 99 82: the space goes with it, for it is in the same token
        ("x🙂", "🙂"),  # f0 | 9f 99 | 82
        ("🙂🙂", "🙂"),
    ],
)
def test_a_character_split_over_tokens_is_taken_back_whole(text: str, back: str) -> None:
    assert healed(text) == back


@pytest.mark.parametrize("text", ["", "x = 1\n", "x = 1\r\n", "x = 1\r", "\n"])
def test_nothing_to_heal_at_a_line_start(text: str) -> None:
    prompt = compiled(Special("middle"), Text(text))
    assert prompt == Prompt([MIDDLE, *tokenize(text)], b"")


def test_healing_stops_at_special_tokens() -> None:
    assert compiled(Text("self"), Special("middle")) == Prompt([*tokenize("self"), MIDDLE], b"")
    assert compiled(Text("self"), Special("middle"), Text("")) == Prompt([*tokenize("self"), MIDDLE], b"")
    assert compiled(Text("self"), Special("middle"), Text(".")) == Prompt([*tokenize("self"), MIDDLE], b".")


def test_a_tokeniser_that_makes_nothing_of_the_text() -> None:
    prompt = compile_prompt([Special("middle"), Text(" ")], VOCABULARY, lambda _: [], True)
    assert prompt == Prompt([MIDDLE], b"")


def test_the_layout_of_a_fill_in_the_middle_prompt() -> None:
    names: list[SpecialName] = ["bos", "prefix", "suffix", "middle"]
    prompt = compiled(*[part for name in names for part in (Special(name), Text("self"))])
    own = tokenize("self")
    assert prompt == Prompt([BOS, *own, PREFIX, *own, SUFFIX, *own, MIDDLE], b"self")


def test_special_tokens_that_the_model_lacks_are_left_out() -> None:
    poor = Vocabulary(VOCABULARY.pieces, {"middle": MIDDLE}, frozenset())
    segments = [Special("bos"), Special("repository"), Text("self"), Special("separator"), Special("middle")]
    assert compile_prompt(segments, poor, tokenize, True).tokens == [*tokenize("self"), MIDDLE]


def test_text_that_spells_a_special_token_stays_text() -> None:
    prompt = compiled(Text("<|fim_middle|>\n"))
    assert not set(prompt.tokens) & set(NAMES.values())
    assert spell(prompt.tokens) == b"<|fim_middle|>\n"


def test_an_empty_prompt() -> None:
    assert compiled() == Prompt([], b"")
    assert compiled(Special("separator")) == Prompt([], b"")


# -- a chat's segments --------------------------------------------------------------------------------------------

END = len(PIECES) + 4
CHAT = Vocabulary([*PIECES, b"", b"", b"", b"", b""], NAMES, frozenset([*NAMES.values(), END]))


def tokenize_control(text: str) -> list[int]:
    parts = text.split("<end>")
    return [token for i, part in enumerate(parts) for token in ([END] if i else []) + tokenize(part)]


def chat(*segments: Segment, held: list[int]) -> list[int]:
    return compile_prompt(segments, CHAT, tokenize, heal=False, tokenize_control=tokenize_control, held=held).tokens


def test_only_control_text_makes_special_tokens() -> None:
    assert chat(Control("<end>x"), Text("<end>"), held=[]) == [END, ord("x"), *map(ord, "<end>")]


def test_an_answer_keeps_the_tokens_that_the_model_chose() -> None:
    question, spelled = tokenize("()"), [ord(letter) for letter in "return"]
    held = [END, *question, END, *spelled]
    assert chat(Control("<end>"), Text("()"), Control("<end>"), Text("return"), Control("<end>"), held=held) == [
        *held,
        END,
    ]


@pytest.mark.parametrize("text", ["retur", "returns", "()", ""])
def test_a_text_that_is_not_what_is_held_is_tokenised(text: str) -> None:
    held = [END, *(ord(letter) for letter in "return"), END]
    assert chat(Control("<end>"), Text(text), held=held) == [END, *tokenize(text)]


def test_an_answer_keeps_its_tokens_when_turns_before_it_are_left_out() -> None:
    spelled = [ord(letter) for letter in "return"]
    held = [END, *tokenize("old()"), END, *tokenize("()"), END, *spelled, END]
    prompt = chat(Control("<end>"), Text("()"), Control("<end>"), Text("return"), Control("<end>"), held=held)
    assert prompt == [END, *tokenize("()"), END, *spelled, END]


def test_a_text_is_not_read_across_a_special_token() -> None:
    held = [ord("r"), ord("e"), END, *(ord(letter) for letter in "turn")]
    assert chat(Text("return"), held=held) == tokenize("return")


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), TEXT)
def test_whatever_is_held_no_byte_is_lost(texts: list[str], other: str) -> None:
    held = [byte for text in [*texts[:-1], other] for byte in text.encode()]
    assert spell(chat(*map(Text, texts), held=held)).decode() == "".join(texts)
