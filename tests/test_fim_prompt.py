"""Bases: what a prompt begins with, and for how long that stays true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.completion.prompt import HOLD_LINES, MAX_LINE_CHARS, Base, bounded, make_base, match
from lsp.documents import Cursor
from lsp.engine.protocol import Special, Text

SIZE = 800


def at(before: str, after: str = "") -> Cursor:
    return Cursor("file:///a.py", None, "python", 1, before + after, len(before))


def lines(count: int, word: str = "line") -> str:
    return "".join(f"    {word}_{i} = compute({i})\n" for i in range(count))


texts = st.text(st.sampled_from("ab (\n\r\té漢😀"), max_size=400)


@given(texts, texts, st.integers(50, 2000))
def test_a_new_base_fits_its_cursor_and_keeps_to_its_size(before: str, after: str, size: int) -> None:
    cursor = at(before, after)
    base = make_base(cursor, size)
    found = match(cursor, base)
    assert found is not None
    assert found.exact
    assert before.endswith(base.prefix + found.middle)
    assert cursor.suffix.startswith(base.suffix)
    line = cursor.offset - cursor.line_start
    assert base.chars + len(found.middle) <= size + line


@given(st.integers(0, 60), st.integers(0, 60), st.text(st.sampled_from("abc ()\n"), max_size=200))
def test_typing_and_taking_back_below_the_anchor_leave_the_base_as_it_is(above: int, below: int, typed: str) -> None:
    before, after = lines(above), "\n" + lines(below, "after")
    base = make_base(at(before, after), SIZE)
    for length in [*range(len(typed) + 1), *range(len(typed), -1, -1)]:
        if typed[:length].count("\n") > HOLD_LINES // 2:
            return
        found = match(at(before + typed[:length], after), base)
        assert found is not None
        assert found.exact
        assert found.middle.endswith(typed[:length])


def test_edits_above_the_window_leave_the_base_true() -> None:
    before, after = lines(100), "\n" + lines(20, "after")
    base = make_base(at(before, after), SIZE)
    assert match(at("import os\n" + before, after), base)


def test_an_edit_in_the_prefix_makes_the_base_false() -> None:
    before, after = lines(30), "\n" + lines(20, "after")
    base = make_base(at(before, after), SIZE)
    assert base.prefix
    changed = before.replace(base.prefix.splitlines()[-1], "    changed = True")
    assert match(at(changed, after), base) is None


def test_a_jump_far_away_makes_the_base_false() -> None:
    text = lines(300)
    far = text.index("line_250")
    base = make_base(at(text[:far], text[far:]), SIZE)
    near = text.index("    line_20 ")
    assert match(at(text[:near], text[near:]), base) is None


def test_a_line_up_or_down_the_suffix_is_a_little_off_and_the_base_still_serves() -> None:
    text = lines(100)
    place = text.index("line_50 ")
    base = make_base(at(text[:place], text[place:]), SIZE)
    for other in ("line_49 ", "line_48 ", "line_51 ", "line_52 "):
        offset = text.index(other)
        found = match(at(text[:offset], text[offset:]), base)
        assert found is not None, other
        assert not found.exact


def test_changed_lines_below_the_cursor_make_the_suffix_a_little_off() -> None:
    before, after = lines(30), "\n" + lines(20, "after")
    base = make_base(at(before, after), SIZE)
    found = match(at(before, after.replace("after_0", "renamed")), base)
    assert found is not None
    assert not found.exact
    assert match(at(before, "\n" + lines(20, "quite_different")), base) is None


def test_another_file_with_the_same_suffix_is_not_taken_for_this_one() -> None:
    base = make_base(at("x = 1\n"), SIZE)
    assert base.prefix == ""
    assert match(at("".join(f"y{i} = 1\n" for i in range(50))), base) is None


def test_far_below_its_anchor_a_base_is_no_longer_held() -> None:
    before = lines(50)
    base = make_base(at(before), SIZE)
    assert match(at(before + "x\n" * 10), base)
    assert match(at(before + "x\n" * (HOLD_LINES + 1)), base) is None


def test_repeated_lines_do_not_move_the_anchor() -> None:
    base = Base("x\n", "\nend\n")
    found = match(at("x\nx\nx\ny = ", "\nend\n"), base)
    assert found is not None
    assert found.middle == "x\nx\ny = "


def test_a_nearby_base_is_extended_so_that_its_beginning_is_shared() -> None:
    text = lines(400)
    place = text.index("line_100 ")
    first = make_base(at(text[:place], text[place:]), 2000)
    later = text.index("line_110 ")
    second = make_base(at(text[:later], text[later:]), 2000, first)
    assert second.prefix.startswith(first.prefix)
    assert len(second.prefix) > len(first.prefix)


def test_an_absurdly_long_line_is_cut_left_of_the_cursor() -> None:
    cursor = at("start = 1\n" + "x" * 1_000_000, ")\nend = 1\n")
    near = bounded(cursor)
    assert near.prefix == "start = 1\n" + "x" * MAX_LINE_CHARS
    assert near.rest_of_line == ")"
    assert near.suffix == cursor.suffix
    base = make_base(near, SIZE)
    assert base.chars < SIZE


@pytest.mark.parametrize("layout", ["psm", "spm"])
def test_typing_only_appends_to_the_prompt(layout: str) -> None:
    base = Base("def f():\n", "\nprint(f())\n")
    short, long = (base.segments(middle, layout) for middle in ("    re", "    return 1"))  # type: ignore[arg-type]
    assert short[:-1] == long[:-1]
    assert isinstance(short[-1], Text)
    assert isinstance(long[-1], Text)
    assert long[-1].text.startswith(short[-1].text)
    names = [segment.name for segment in long if isinstance(segment, Special)]
    assert names == (["bos", "prefix", "suffix", "middle"] if layout == "psm" else ["bos", "suffix", "prefix"])


@given(st.text(), st.text(), st.text())
def test_a_base_is_read_back_from_its_prompt(prefix: str, suffix: str, middle: str) -> None:
    base = Base(prefix, suffix)
    assert Base.read(base.segments(middle, "psm")) == base
    # As the engine tells it: without empty texts.
    told = [segment for segment in base.segments(middle, "psm") if not isinstance(segment, Text) or segment.text]
    assert Base.read(told) == base


def test_what_is_no_infilling_prompt_gives_no_base() -> None:
    assert Base.read([Text("hello")]) is None
    assert Base.read([]) is None
