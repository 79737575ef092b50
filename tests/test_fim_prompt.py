"""Bases: what a prompt begins with, and for how long that stays true."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.completion.layout import LAYOUTS
from lsp.completion.pieces import ContextPiece
from lsp.completion.prompt import (
    HOLD_CHARS,
    HOLD_LINES,
    MAX_LINE_CHARS,
    UNTITLED,
    Base,
    bounded,
    make_base,
    match,
    with_rest,
    without_rest,
)
from lsp.documents import Cursor
from lsp.engine.protocol import Segment, Special, Text
from lsp.models.fim import LayoutName

SIZE = 800


def seen(cursor: Cursor) -> str:
    """What the suffix may begin with."""
    return cursor.text[cursor.offset :] if any(map(word, cursor.rest_of_line)) else cursor.suffix


def word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


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
    assert seen(cursor).startswith(base.suffix)
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
    place = text.index("(50)")
    base = make_base(at(text[:place], text[place + 4 :]), SIZE)
    for other in ("(49)\n", "(48)\n", "(51)\n", "(52)\n"):
        offset = text.index(other) + 4
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


@pytest.mark.parametrize("typed", [0, 5, 15, 25, 35])
def test_a_small_base_nearby_does_not_make_a_large_one_small(typed: int) -> None:
    after = "\n" + lines(50, "after")
    small = make_base(at(lines(200), after), 500)
    cursor = at(lines(200) + lines(typed, "typed"), after)
    assert make_base(cursor, 2600, small).chars > 0.66 * make_base(cursor, 2600).chars


# Texts of long and short lines, with any line breaks.
long_lines = st.lists(
    st.sampled_from(["", "    x = 1", "}", "漢😀" * 20, "a" * 300, "=" * 3000, "\tif (x) {"]), max_size=80
).flatmap(lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(lines)))


@settings(deadline=None)
@given(long_lines, long_lines, long_lines, st.integers(400, 10_000), st.booleans())
def test_every_prompt_is_true_and_bounded(before: str, after: str, more: str, size: int, below: bool) -> None:
    """A new base fits its cursor; it may fit another place too, but never untruly, and never with too much between."""
    cursor = bounded(at(before, after))
    base = make_base(cursor, size)
    assert base.chars <= size
    found = match(cursor, base)
    assert found is not None
    other = bounded(at(before + more, after) if below else at(before[: len(before) // 2], more))
    for place, there in ((cursor, found), (other, match(other, base))):
        if there is not None:
            assert place.prefix.endswith(base.prefix + there.middle)
            assert len(there.middle) <= HOLD_CHARS
            assert there.lines <= HOLD_LINES
            assert there.exact == seen(place).startswith(base.suffix) or not base.suffix


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_line_breaks(newline: str) -> None:
    before, after = lines(100).replace("\n", newline), newline + lines(20, "after").replace("\n", newline)
    base = make_base(at(before, after), SIZE)
    assert len(base.prefix) > SIZE // 4
    found = match(at(before + "x", after), base)
    assert found is not None
    assert found.exact


@pytest.mark.parametrize("text", ["", "x", "import os\n"])
def test_the_beginning_of_a_file(text: str) -> None:
    base = make_base(at("", text), SIZE)
    assert base == Base("", text)
    found = match(at("# typ", text), base)
    assert found is not None
    assert found.middle == "# typ"


@pytest.mark.parametrize("chars", [400, 1_000, 1_000_000])
def test_below_a_long_line(chars: int) -> None:
    """It is part of the prefix as far as there is room; a base from before it was pasted serves no more."""
    before, after = lines(50), "\nend = 1\n"
    base = make_base(at(before, after), SIZE)
    cursor = at(before + "x" * chars + "\n    retur", after)
    below = make_base(cursor, SIZE)
    found = match(cursor, below)
    assert found is not None
    assert below.chars + len(found.middle) <= SIZE
    assert len(below.prefix) > 0
    assert (match(cursor, base) is not None) == (chars < HOLD_CHARS)


def test_a_long_line_of_which_little_room_is_left() -> None:
    cursor = bounded(at(lines(50) + "x" * 10_000, "\nend = 1\n"))
    base = make_base(cursor, 420)
    found = match(cursor, base)
    assert found is not None
    assert found.middle == "x" * MAX_LINE_CHARS
    assert base.prefix


def test_an_absurdly_long_line_is_cut_left_of_the_cursor() -> None:
    cursor = at("start = 1\n" + "x" * 1_000_000, ")\nend = 1\n")
    near = bounded(cursor)
    assert near.prefix == "start = 1\n" + "x" * MAX_LINE_CHARS
    assert near.rest_of_line == ")"
    assert near.suffix == cursor.suffix
    base = make_base(near, SIZE)
    assert base.chars < SIZE


@pytest.mark.parametrize("rest", ["number)", " else None:", "x"])
def test_words_right_of_the_cursor_begin_the_suffix(rest: str) -> None:
    cursor = at(lines(9) + "    return ", rest + "\n" + lines(9, "after"))
    base = make_base(cursor, SIZE)
    assert base.rest == rest
    assert match(at(lines(9) + "    return len(", rest + "\n" + lines(9, "after")), base)
    for other in ("", ")", "y" + rest):
        assert match(at(lines(9) + "    return ", other + "\n" + lines(9, "after")), base) is None


@pytest.mark.parametrize("rest", ["", ")", '"])', ");", " {", ":"])
def test_what_editors_close_is_not_in_the_prompt(rest: str) -> None:
    cursor = at(lines(9) + "    foo(", rest + "\n" + lines(9, "after"))
    base = make_base(cursor, SIZE)
    assert base.suffix.startswith("\n    after_0")
    assert match(at(lines(9) + "    foo(", ")\n" + lines(9, "after")), base)


def test_a_base_with_words_right_of_the_cursor_shares_all_before_them() -> None:
    cursor = at(lines(60) + "    return ", "number)\n" + lines(60, "after"))
    base = make_base(without_rest(cursor), SIZE)
    assert match(cursor, base) is None
    other = with_rest(base, cursor)
    assert match(cursor, other)
    assert (other.prefix, other.rest) == (base.prefix, "number)")


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


@pytest.mark.parametrize("layout", LAYOUTS)
@given(prefix=st.text(), suffix=st.text(), middle=st.text())
def test_a_base_is_read_back_from_its_prompt(layout: LayoutName, prefix: str, suffix: str, middle: str) -> None:
    base = Base(prefix, suffix, path="a.py")
    # As the engine tells it: without empty texts, and two of them as one.
    told = as_told(base.segments(middle, layout))
    read = Base.read(told, layout)
    assert read is not None
    assert read.suffix == suffix
    if LAYOUTS[layout].goes_on:  # nothing tells where the prefix ended
        assert (prefix + middle).startswith(read.prefix)
        assert read.prefix.endswith("\n") or not read.prefix
    else:
        assert read.prefix == prefix
    assert read.path == (base.path if LAYOUTS[layout].has_files else UNTITLED)


def as_told(segments: list[Segment]) -> list[Segment]:
    told: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Text) and told and isinstance(told[-1], Text):
            told[-1] = Text(told[-1].text + segment.text)
        elif not isinstance(segment, Text) or segment.text:
            told.append(segment)
    return told


@pytest.mark.parametrize("layout", LAYOUTS)
def test_context_stands_before_the_prefix_and_is_read_back(layout: LayoutName) -> None:
    pieces = (
        ContextPiece("a.py", 3, 3, "f", "f(x, y)\n", 1.0, "used here"),
        ContextPiece("a.py", 7, 8, "", "g = 1\n\nh = 2\n", 1.0, "similar code"),
        ContextPiece("b/c.py", 1, 1, "g", "g()\n", 1.0, "used here"),
    )
    base = Base("x = 1\n" * 30 + "def h():\n", "\nend\n", pieces, "#", "d.py")
    segments = base.segments("    re", layout)
    texts = [segment.text for segment in segments if isinstance(segment, Text)]
    if LAYOUTS[layout].has_files:
        assert texts[:2] == ["a.py\nf(x, y)\ng = 1\n\nh = 2\n", "b/c.py\ng()\n"]
    else:
        head = "# --- a.py\n# f(x, y)\n# g = 1\n# \n# h = 2\n# --- b/c.py\n# g()\n\nx = 1\n"
        assert [text for text in texts if text.removeprefix(" ").startswith(head)]
    read = Base.read(as_told(segments), layout)
    assert read is not None
    assert read.shown == base.shown == (("a.py", "f(x, y)\ng = 1\n\nh = 2\n"), ("b/c.py", "g()\n"))
    assert base.prefix.startswith(read.prefix)
    assert len(read.prefix) > len(base.prefix) / 3
    if not LAYOUTS[layout].goes_on:
        assert read.segments("    re", layout) == segments


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_no_infilling_prompt_gives_no_base(layout: LayoutName) -> None:
    assert Base.read([Text("hello")], layout) is None
    assert Base.read([], layout) is None
    assert Base.read([Special("suffix"), Text("hello"), Special("suffix")], layout) is None
