"""Text sync against a reference that works on code units one by one, as the LSP specification puts it."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lsprotocol import types

from lsp.documents import (
    MAX_DOCUMENT_CHARS,
    Cursor,
    Document,
    cursor_from_file,
    path_of,
    split_lines,
)
from lsp.errors import MidlineError

ENCODINGS = ("utf-8", "utf-16", "utf-32")
URI = "file:///w/a.py"
no_clock = settings(deadline=None)

# --- the reference -----------------------------------------------------------------------------------


def to_units(text: str, encoding: str) -> list[int]:
    if encoding == "utf-8":
        return list(text.encode())
    if encoding == "utf-32":
        return [ord(char) for char in text]
    data = text.encode("utf-16-le")
    return [data[i] | data[i + 1] << 8 for i in range(0, len(data), 2)]


def to_text(units: list[int], encoding: str) -> str:
    if encoding == "utf-8":
        return bytes(units).decode()
    if encoding == "utf-32":
        return "".join(map(chr, units))
    return b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le")


def inside_character(unit: int, encoding: str) -> bool:
    return {"utf-8": 0x80 <= unit < 0xC0, "utf-16": 0xDC00 <= unit < 0xE000, "utf-32": False}[encoding]


def reference_index(units: list[int], line: int, character: int, encoding: str) -> int:
    """The index into ``units`` of a position: walk line by line, then unit by unit."""
    if line < 0:
        return 0
    at = 0
    for _ in range(line):
        while at < len(units) and units[at] not in (10, 13):
            at += 1
        if at == len(units):
            return at
        at += 2 if units[at : at + 2] == [13, 10] else 1
    for _ in range(character):
        if at == len(units) or units[at] in (10, 13):
            break
        at += 1
    while at < len(units) and inside_character(units[at], encoding):
        at -= 1
    return at


# --- strategies --------------------------------------------------------------------------------------

PIECES = (
    "a",
    "bc ",
    "\n",
    "\r",
    "\r\n",
    "\f",
    "\v",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\ufeff",
    "é",
    "e\u0301",
)
PIECES += ("漢", "😀", "𝒳", "\t", "\0", "👨‍👩‍👧")
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)
# Lone surrogates have a test of their own.
texts = texts.filter(lambda text: not any(0xD800 <= ord(char) < 0xE000 for char in text))
coordinates = st.integers(-1, 9) | st.just(2**31 - 1)
positions = st.tuples(coordinates, coordinates)
edits = st.lists(st.tuples(positions, positions, texts), max_size=8)


def position(line: int, character: int) -> Any:
    # lsprotocol's own Position refuses the negative numbers that are to be clamped.
    return SimpleNamespace(line=line, character=character)


def partial(start: tuple[int, int], end: tuple[int, int], text: str) -> types.TextDocumentContentChangePartial:
    change = types.TextDocumentContentChangePartial(types.Range(types.Position(0, 0), types.Position(0, 0)), text)
    change.range = types.Range(position(*start), position(*end))
    return change


def document(text: str, encoding: str = "utf-16") -> Document:
    return Document(URI, text, 1, "python", encoding)


# --- lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\n", ["a\n", ""]),
        ("a\r\nb\rc\n\rd", ["a\r\n", "b\r", "c\n", "\r", "d"]),
        ("a\fb\vc\x1cd\x85e\u2028f\u2029g", ["a\fb\vc\x1cd\x85e\u2028f\u2029g"]),
        ("\f\r\n\x0b", ["\f\r\n", "\x0b"]),
    ],
)
def test_lines_end_where_lsp_says(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines
    assert document(text).lines == lines


@no_clock
@given(texts)
def test_lines_join_to_the_text_and_break_only_at_their_ends(text: str) -> None:
    lines = split_lines(text)
    assert "".join(lines) == text
    assert all(line.endswith(("\r", "\n")) for line in lines[:-1])
    assert not any(char in lines[-1] for char in "\r\n")
    for line in lines:
        assert not any(char in line.removesuffix("\n").removesuffix("\r") for char in "\r\n")
    assert not any(a.endswith("\r") and b.startswith("\n") for a, b in pairwise(lines))


# --- positions and edits -----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@no_clock
@given(text=texts, changes=edits, place=positions)
@example(text="a\rb", changes=[((1, 0), (1, 0), "\n")], place=(1, 0))
@example(text="a\rbc\nd", changes=[((1, 0), (1, 2), "")], place=(1, 1))
@example(text="a\nb", changes=[((1, 0), (0, 1), "\r")], place=(0, 2))
@example(text="x😀y", changes=[((0, 2), (0, 2), "!")], place=(0, 9))
def test_edits_give_what_the_reference_gives(
    encoding: str,
    text: str,
    changes: list[tuple[tuple[int, int], tuple[int, int], str]],
    place: tuple[int, int],
) -> None:
    edited = document(text, encoding)
    units = to_units(text, encoding)
    for start, end, new in changes:
        edited.apply_change(partial(start, end, new))
        low, high = sorted(reference_index(units, *where, encoding) for where in (start, end))
        units[low:high] = to_units(new, encoding)
        assert edited.source == to_text(units, encoding)
        assert edited.lines == split_lines(edited.source)

        offset = len(to_text(units[: reference_index(units, *place, encoding)], encoding))
        assert edited.offset_at_position(position(*place)) == offset
        assert edited.offset_at_position(edited.position_at(offset)) == offset
        assert edited.offset_at_position(edited.position_at(10**9)) == len(edited.source)
        cursor = edited.cursor(position(*place))
        assert (cursor.text, cursor.offset) == (edited.source, offset)


@pytest.mark.parametrize("encoding", ENCODINGS)
@no_clock
@given(text=texts)
def test_offset_and_position_round_trip(encoding: str, text: str) -> None:
    doc = document(text, encoding)
    for offset in range(-1, len(text) + 2):
        inside = min(max(offset, 0), len(text))
        if text[inside - 1 : inside + 1] == "\r\n":
            inside -= 1  # no position stands between the two
        assert doc.offset_at_position(doc.position_at(offset)) == inside


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 8), ("utf-16", 5), ("utf-32", 4)])
def test_positions_count_in_the_clients_units(encoding: str, character: int) -> None:
    kind = types.PositionEncodingKind(encoding)  # as pygls hands it over
    doc = Document(URI, 'é="😀"\r\n', 1, "python", kind)
    assert doc.position_at(4) == types.Position(0, character)
    assert doc.offset_at_position(types.Position(0, character)) == 4
    assert doc.offset_at_position(types.Position(0, 99)) == 5
    assert doc.offset_at_position(types.Position(1, 0)) == 7
    assert doc.offset_at_position(types.Position(7, 0)) == 7


def test_a_position_is_left_as_it_was() -> None:
    asked = types.Position(0, 99)
    document("abc").cursor(asked)
    assert asked == types.Position(0, 99)


def test_a_change_without_a_range_replaces_the_whole_text() -> None:
    doc = document("a\nb")
    doc.apply_change(types.TextDocumentContentChangeWholeDocument("\ufeffé\r\n"))
    assert doc.source == "\ufeffé\r\n"
    assert doc.offset_at_position(types.Position(0, 2)) == 2


@no_clock
@given(st.lists(st.sampled_from(["a", "\ud83d", "\ude00", "😀", "\n"]), max_size=8).map("".join))
def test_lone_surrogates_become_encodable_without_moving_anything(text: str) -> None:
    doc = document("")
    doc.apply_change(types.TextDocumentContentChangeWholeDocument(text))
    doc.source.encode()
    assert len(doc.source.encode("utf-16")) == len(text.encode("utf-16", "surrogatepass"))


def test_inherited_helpers_count_the_same_lines() -> None:
    doc = document("one\ftwo\nthree😀four")
    where = types.Range(types.Position(1, 0), types.Position(1, 7))
    assert doc.text_in_client_range(where) == "three😀"
    assert doc.word_at_position(types.Position(1, 8)) == "four"


def opcodes(action: Any) -> int:
    """How many Python instructions ``action`` executes: what it costs, without a clock."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def test_a_keystroke_in_a_long_file_takes_no_step_per_line() -> None:
    def keystroke(lines: int) -> int:
        doc = document("x = '漢字'\n" * lines)
        change = partial((lines // 2, 3), (lines // 2, 3), "y")

        def edit_and_ask() -> None:
            doc.apply_change(change)
            cursor = doc.cursor(types.Position(lines // 2, 4))
            assert cursor.prefix.endswith("x =y")
            assert cursor.suffix.startswith("\nx")

        return opcodes(edit_and_ask)

    assert keystroke(20_000) == keystroke(20)


# --- what documents are ------------------------------------------------------------------------------


def test_an_oversized_document_keeps_nothing_until_it_is_small_again() -> None:
    doc = document("x" * MAX_DOCUMENT_CHARS)
    assert not doc.oversized
    doc.apply_change(partial((0, 0), (0, 0), "y"))
    assert doc.oversized
    assert doc.source == ""
    doc.apply_change(partial((0, 0), (0, 0), "z"))
    assert doc.source == ""
    assert doc.cursor(types.Position(3, 3)).text == ""
    doc.apply_change(types.TextDocumentContentChangeWholeDocument("small"))
    assert not doc.oversized
    assert doc.source == "small"
    assert document("x" * (MAX_DOCUMENT_CHARS + 1)).oversized


def test_edits_that_keep_the_length_never_make_a_document_oversized() -> None:
    doc = document("ab\n" * (MAX_DOCUMENT_CHARS // 3))
    for line in range(50):
        doc.apply_change(partial((line, 0), (line + 1, 0), "cd\n"))
    assert not doc.oversized
    assert doc.source.startswith("cd\n" * 50 + "ab\n")
    doc.apply_change(partial((0, 0), (10, 0), ""))
    doc.apply_change(partial((0, 0), (0, 0), "x" * 32))
    assert not doc.oversized
    doc.apply_change(partial((0, 0), (0, 0), "x"))
    assert doc.oversized


def test_binary_means_a_nul_character() -> None:
    doc = document("a\0b")
    assert doc.binary
    doc.apply_change(partial((0, 1), (0, 2), ""))
    assert not doc.binary


@pytest.mark.parametrize(
    ("uri", "language_id", "language", "path"),
    [
        ("file:///w/a%20b%3Bc;d%23.py", None, "python", "/w/a b;c;d#.py"),
        ("file:///w/run", "sh", "shellscript", "/w/run"),
        ("file://localhost/w/x.rs", "", "rust", "/w/x.rs"),
        ("untitled:Untitled-1", "go", "go", None),
        ("file:///w/%00.py", "python", "python", None),
        ("http://[", "lua", "lua", None),
        ("file:///\ud800.py", "python", "python", None),
    ],
)
def test_uri_and_language(uri: str, language_id: str | None, language: str, path: str | None) -> None:
    cursor = Document(uri, "x", 3, language_id).cursor(types.Position(0, 1))
    assert cursor == Cursor(uri, Path(path) if path else None, language, 3, "x", 1)


def test_a_path_survives_its_uri(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"100% \xff;#?\xc3\xa9.py")
    assert path_of(path.as_uri()) == path


# --- cursors -----------------------------------------------------------------------------------------


def test_what_a_cursor_sees() -> None:
    cursor = Cursor(URI, None, "python", 1, "a\r\n\t if x:\r\nb\r", 8)
    assert cursor.prefix == "a\r\n\t if "
    assert cursor.rest_of_line == "x:"
    assert cursor.suffix == "\r\nb\r"
    assert cursor.indent == "\t "
    assert cursor.text[cursor.line_start : cursor.line_end] == "\t if x:"


@no_clock
@given(texts, st.integers(0, 40))
@example("a\nb\rc", 5)
@example("a\rb\nc", 5)
def test_a_cursor_cuts_its_text_at_its_line(text: str, offset: int) -> None:
    doc = document(text, "utf-32")
    offset = doc.offset_at_position(doc.position_at(offset))
    cursor = doc.cursor(doc.position_at(offset))
    line = doc.lines[doc.position_at(offset).line]
    assert cursor.prefix + cursor.rest_of_line + cursor.suffix == text
    assert text[cursor.line_start : cursor.line_end] == line.rstrip("\r\n")
    assert cursor.suffix == "" or cursor.suffix[0] in "\r\n"
    body = line.rstrip("\r\n")
    assert cursor.indent == body[: len(body) - len(body.lstrip(" \t"))]


@no_clock
@given(texts, st.integers(0, 60), st.integers(0, 8), st.integers(0, 8))
def test_near_a_cursor_nothing_but_its_line_is_cut(text: str, offset: int, left: int, right: int) -> None:
    doc = document(text, "utf-32")
    cursor = doc.cursor(doc.position_at(offset))
    near = cursor.near(left, right)
    before, rest = cursor.text[cursor.line_start : cursor.offset], cursor.rest_of_line
    assert near.text[near.line_start : near.offset] == (before[-left:] if left else "")
    assert near.rest_of_line == rest[:right]
    assert near.text[: near.line_start] == cursor.text[: cursor.line_start]
    assert near.suffix == cursor.suffix


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_cursor_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.py", b"\xef\xbb\xbfx = 1\r\ny\x0c = '\xf0\x9f\x98\x80'\r\n")
    cursor = cursor_from_file(path, 2, 7)
    assert cursor.text == "x = 1\r\ny\f = '😀'\r\n"
    assert cursor.prefix == "x = 1\r\ny\f = '"
    assert (cursor.path, cursor.language, cursor.version) == (path, "python", None)
    assert path_of(cursor.uri) == path
    assert cursor_from_file(path, 2, 9).rest_of_line == ""
    assert cursor_from_file(path, 1, None).prefix == "x = 1"
    assert cursor_from_file(path, 1, 1).prefix == ""
    assert cursor_from_file(path, 3, None).suffix == ""
    assert cursor_from_file(write(tmp_path / "empty", b""), 1, 1).text == ""


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.py", b"x")
    monkeypatch.chdir(tmp_path)
    assert cursor_from_file(Path("a.py"), 1, 2).path == tmp_path / "a.py"


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (3, None, "has 1 line."),
        (0, None, "has 1 line."),
        (-1, 1, "has 1 line."),
        (1, 5, "line 1 of"),
        (1, 5, "has 3 characters"),
        (1, 0, "from 1 to 4"),
    ],
)
def test_places_outside_a_file(tmp_path: Path, line: int, column: int | None, said: str) -> None:
    path = write(tmp_path / "a.py", b"abc\n")
    with pytest.raises(MidlineError) as caught:
        cursor_from_file(path, line, column)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 50_000_000)
    cases = {
        tmp_path / "missing.py": "There is no file",
        tmp_path: "is a folder",
        tmp_path / "fifo": "not a regular file",
        write(tmp_path / "nul.py", b"a\0b"): "is binary",
        write(tmp_path / "latin", b"caf\xe9"): "is not UTF-8: byte 4",
        write(tmp_path / "big", b"x" * (MAX_DOCUMENT_CHARS + 1)): "is too big",
        tmp_path / "huge": "is too big",
        tmp_path / "nul.py" / "below": "Not a directory",
        Path("a\0b"): "Can't read",
    }
    for path, said in cases.items():
        with pytest.raises(MidlineError) as caught:
            cursor_from_file(path, 1, 1)
        assert said in caught.value.message
        assert caught.value.cure


def test_a_file_that_cant_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.py", b"x")
    path.chmod(0)
    if os.geteuid() == 0:  # root may read anything but this
        path = Path("/proc/self/mem")
    with pytest.raises(MidlineError, match=f"Can't read {path}: "):
        cursor_from_file(path, 1, 1)
