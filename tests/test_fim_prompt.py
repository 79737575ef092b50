"""The fill-in-the-middle prompt: true to the text, bounded, and the same base for as many keystrokes as can be."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lsp.completion.prompt import (
    ANCHOR_CHARS,
    HOLD_CHARS,
    HOLD_LINES,
    PREFIX_CHARS,
    PREFIX_SLACK,
    SUFFIX_CHARS,
    SUFFIX_CHECK_CHARS,
    Base,
    FimPrompt,
    build_prompt,
)
from lsp.documents import Cursor
from lsp.engine.protocol import Special, Text

no_clock = settings(deadline=None)


def at(text: str, offset: int) -> Cursor:
    return Cursor("file:///a.py", None, "python", 1, text, offset)


def here(marked: str) -> Cursor:
    """A cursor where the text has a ``|``."""
    before, after = marked.split("|")
    return at(before + after, len(before))


def code(lines: int, start: int = 0) -> str:
    """Lines no two of which are alike."""
    return "".join(f"    value_{number} = compute({number})\n" for number in range(start, start + lines))


def check(cursor: Cursor, prompt: FimPrompt) -> None:
    """What holds for every prompt, held base or not."""
    prefix, suffix, middle = prompt.base.prefix, prompt.base.suffix, prompt.middle
    assert cursor.prefix.endswith(prefix + middle)
    assert suffix[:SUFFIX_CHECK_CHARS] == cursor.suffix[:SUFFIX_CHECK_CHARS]
    assert len(prefix) <= PREFIX_CHARS + PREFIX_SLACK
    assert len(suffix) <= SUFFIX_CHARS
    assert len(middle) <= HOLD_CHARS
    assert middle.count("\n") <= HOLD_LINES
    typed = cursor.text[cursor.line_start : cursor.offset]
    assert middle.endswith(typed) or len(typed) > ANCHOR_CHARS


# -- any text -------------------------------------------------------------------------------------------------------

LINE = st.sampled_from(["", "    x = 1", "}", "中🙂", "a" * 300, "\tif (x) {", "=" * 2000])
BREAK = st.sampled_from(["\n", "\n", "\r\n", "\r"])
TEXT = st.lists(st.tuples(LINE, BREAK), max_size=120).map(lambda lines: "".join(line + end for line, end in lines))


@st.composite
def cursors(draw: st.DrawFn) -> Cursor:
    text = draw(TEXT) + draw(LINE)
    offset = draw(st.integers(0, len(text)))
    assume(text[offset - 1 : offset + 1] != "\r\n")
    return at(text, offset)


@no_clock
@given(cursors(), st.none() | cursors())
def test_every_prompt_is_true_and_bounded(cursor: Cursor, other: Cursor | None) -> None:
    """Also where the base held is that of another place or another text altogether."""
    held = build_prompt(other, None).base if other else None
    prompt = build_prompt(cursor, held)
    check(cursor, prompt)
    again = build_prompt(cursor, prompt.base)
    assert again.base is prompt.base
    assert again.middle.endswith(prompt.middle)  # longer where the text repeats itself


KEYS = st.lists(st.sampled_from(["x", "(", "中", " ", "\n", "\n    ", "BACKSPACE"]), min_size=1, max_size=60)


@no_clock
@given(st.integers(0, 300), st.integers(0, 60), KEYS, st.sampled_from(["\n", "\r\n"]))
def test_typing_keeps_the_base(above: int, below: int, keys: list[str], newline: str) -> None:
    """Typing, backspacing and Enter below the anchor: the very same base, for up to so many lines."""
    cursor = at((code(above) + "    \n" + code(below, above)).replace("\n", newline), 0)
    cursor = at(cursor.text, len(code(above).replace("\n", newline)) + 4)
    prompt = build_prompt(cursor, None)
    anchor = len(cursor.prefix) - len(prompt.middle)
    for key in keys:
        if key == "BACKSPACE":
            kept = cursor.prefix[:-1].removesuffix("\r")
            if len(kept) < anchor:
                continue
            cursor = at(kept + cursor.text[cursor.offset :], len(kept))
        else:
            typed = cursor.prefix + key.replace("\n", newline)
            cursor = at(typed + cursor.text[cursor.offset :], len(typed))
        lines = cursor.text.count("\n", anchor, cursor.offset)
        if lines > HOLD_LINES:
            break
        following = build_prompt(cursor, prompt.base)
        check(cursor, following)
        assert following.base is prompt.base
        assert following.middle == cursor.text[anchor : cursor.offset]


# -- what keeps a base, and what doesn't -------------------------------------------------------------------------------

ABOVE, BELOW = code(300), code(100, 300)
BASE = build_prompt(here(ABOVE + "    retur|\n" + BELOW), None).base
LINE_3_UP = code(1, 297)


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param(ABOVE + "    return x|\n" + BELOW, id="typing"),
        pytest.param(ABOVE + "    return x\n    |\n" + BELOW, id="enter"),
        pytest.param(ABOVE + "    |\n" + BELOW, id="deleting the line"),
        pytest.param(ABOVE + "    return (|)\n" + BELOW, id="a bracket closed by the editor"),
        pytest.param(ABOVE.replace(LINE_3_UP, "") + "    retur|\n" + BELOW, id="a line below the anchor deleted"),
        pytest.param(ABOVE.replace(LINE_3_UP, code(20, 900)) + "    r|\n" + BELOW, id="lines below the anchor pasted"),
        pytest.param("import os\n" + ABOVE + "    retur|\n" + BELOW, id="an edit above the window"),
        pytest.param(ABOVE[len(code(100)) :] + "    retur|\n" + BELOW, id="much deleted above the window"),
        pytest.param(ABOVE + "    retur|\n" + BELOW[:SUFFIX_CHARS] + "# new\n", id="an edit far below"),
        pytest.param(ABOVE + "    retur|\n" + BELOW.replace("value_305", "v"), id="an edit some lines below"),
    ],
)
def test_kept(marked: str) -> None:
    assert build_prompt(here(marked), BASE).base is BASE


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param(ABOVE.replace("value_280", "v") + "    retur|\n" + BELOW, id="an edit in the prefix"),
        pytest.param(ABOVE.replace(code(1, 280), "") + "    retur|\n" + BELOW, id="a line of the prefix deleted"),
        pytest.param(ABOVE + "    retur|\n" + BELOW.replace("value_300", "v"), id="an edit in the suffix's head"),
        pytest.param(ABOVE + "    return (\n        |\n    )\n" + BELOW, id="a closing bracket pushed below"),
        pytest.param(ABOVE + "    retur|", id="all below deleted"),
        pytest.param(code(100) + "    retur|\n" + code(300, 100), id="a jump up"),
        pytest.param(ABOVE + code(50, 300) + "    retur|\n" + code(50, 350), id="a jump down"),
        pytest.param(ABOVE + code(45, 900) + "    |\n" + BELOW, id="more lines pasted than an anchor is held for"),
        pytest.param("|\n" + BELOW, id="another file"),
        pytest.param("|", id="an empty file"),
    ],
)
def test_rebuilt(marked: str) -> None:
    cursor = here(marked)
    prompt = build_prompt(cursor, BASE)
    check(cursor, prompt)
    assert prompt.base != BASE


def test_a_prefix_that_stands_in_the_text_again() -> None:
    """Neither does it hide what is between, nor does typing it move the anchor."""
    lines = "{\n" * 17
    prompt = build_prompt(here(lines + "  |\n"), None)
    assert prompt.base.prefix == "{\n"
    typed = build_prompt(here(lines + "  {\n    x|\n"), prompt.base)
    assert typed.base is prompt.base
    assert typed.middle == lines[2:] + "  {\n    x"


def test_re_anchoring_keeps_where_the_window_begins() -> None:
    """So that of the old prefix nothing is computed again."""
    cursor = here(ABOVE + code(30, 900) + "    |\n" + BELOW)
    prompt = build_prompt(cursor, BASE)
    assert prompt.base.prefix.startswith(BASE.prefix)
    check(cursor, prompt)


def test_a_window_grown_too_long_is_cut_back() -> None:
    cursor = here(ABOVE + code(150, 900) + "    |\n" + BELOW)
    assert PREFIX_CHARS // 2 < len(build_prompt(cursor, BASE).base.prefix) <= PREFIX_CHARS


def test_a_window_begins_and_ends_with_whole_lines() -> None:
    assert BASE.prefix.startswith("    value_")
    assert BASE.prefix.endswith("\n")
    assert BASE.suffix.startswith("\n    value_300")
    assert BASE.suffix.endswith(")")


# -- odd texts ------------------------------------------------------------------------------------------------------


def test_an_empty_file() -> None:
    assert build_prompt(at("", 0), None) == FimPrompt(Base("", ""), "")


def test_the_file_s_beginning() -> None:
    prompt = build_prompt(here("|import os\nx = 1\n"), None)
    assert prompt == FimPrompt(Base("", "\nx = 1\n"), "")
    typed = build_prompt(here("fro|import os\nx = 1\n"), prompt.base)
    assert (typed.base is prompt.base, typed.middle) == (True, "fro")


def test_an_empty_prefix_is_the_file_s_beginning_only() -> None:
    held = build_prompt(here("|\n"), None).base
    cursor = here(code(60) + "|\n")
    prompt = build_prompt(cursor, held)
    assert prompt.base is not held
    check(cursor, prompt)


def test_no_line_break_at_the_end() -> None:
    assert build_prompt(here("x = 1\ny = |"), None) == FimPrompt(Base("", ""), "x = 1\ny = ")


def test_the_rest_of_the_line_is_nowhere() -> None:
    prompt = build_prompt(here("a = 1\nprint(|)  # rest\nb = 2\n"), None)
    assert prompt == FimPrompt(Base("", "\nb = 2\n"), "a = 1\nprint(")


def test_line_breaks_stay_as_they_are() -> None:
    prompt = build_prompt(here("a = 1\r\nb = |\r\nc = 3\r\n"), None)
    assert prompt == FimPrompt(Base("", "\r\nc = 3\r\n"), "a = 1\r\nb = ")


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n"])
def test_a_long_file_of_any_line_breaks(newline: str) -> None:
    text = (ABOVE + BELOW).replace("\n", newline)
    offset = text.index("value_300")
    cursor = at(text, offset)
    prompt = build_prompt(cursor, None)
    check(cursor, prompt)
    assert len(prompt.base.prefix) > PREFIX_CHARS // 2
    typed = at(text[:offset] + "x" + text[offset:], offset + 1)
    assert build_prompt(typed, prompt.base).base is prompt.base


@pytest.mark.parametrize("offset", [0, 1, 999, ANCHOR_CHARS, 500_000, 999_999, 1_000_000])
def test_a_line_of_a_megabyte(offset: int) -> None:
    """Typing a while in a minified file: bounded, and the base is kept for more than a thousand characters."""
    text = "".join(f"f({number});" for number in range(130_000))[:1_000_000]
    cursor = at(text, offset)
    prompt = build_prompt(cursor, None)
    check(cursor, prompt)
    assert len(prompt.middle) <= ANCHOR_CHARS
    typed = at(text[:offset] + "x" * 1200 + text[offset:], offset + 1200)
    assert build_prompt(typed, prompt.base).base is prompt.base
    check(typed, build_prompt(typed, prompt.base))


def test_a_long_line_below() -> None:
    """Its head belongs to the suffix, and keeps the base true."""
    cursor = here(ABOVE + "    |\n}\n" + "x" * 5000)
    prompt = build_prompt(cursor, None)
    assert len(prompt.base.suffix) == SUFFIX_CHARS
    assert build_prompt(cursor, prompt.base).base is prompt.base


def test_the_layout() -> None:
    segments = FimPrompt(Base("before", "after"), "typed").segments()
    assert segments == [
        Special("bos"),
        Special("prefix"),
        Text("before"),
        Special("suffix"),
        Text("after"),
        Special("middle"),
        Text("typed"),
    ]
