"""Files taken apart: a golden outline for each language, and what holds for every file."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.grammars import grammar
from indexer.languages import language_of
from indexer.outline import outline

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.suffix != ".golden")


def described(text: str, language: str) -> str:
    """An outline as lines: what a reader would check."""
    found = outline(text, language)
    rows = [
        f"{c.start_line}-{c.end_line} {c.kind} {c.symbol or '-'} [{' '.join(c.defines)}] "
        f"| {c.signature} | {' '.join(c.docstring.split())} | {' '.join(c.uses)}"
        for c in found.chunks
    ]
    rows += [
        f"def {d.kind} {'.'.join(filter(None, (d.scope, d.name)))} {d.line}-{d.end_line}" for d in found.definitions
    ]
    rows += [f"import {i.module} ({', '.join(i.names)}) {i.line}" for i in found.imports]
    return "\n".join(re.sub(r" +$", "", row) for row in rows) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    text = (SAMPLES / name).read_text(encoding="utf-8")
    assert described(text, language_of(name)) == (SAMPLES / f"{name}.golden").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_line_with_code_is_in_a_chunk_and_chunks_are_in_order(name: str) -> None:
    text = (SAMPLES / name).read_text(encoding="utf-8")
    check_cover(text, language_of(name))


def check_cover(text: str, language: str) -> None:
    chunks = outline(text, language).chunks
    rows = re.split(r"\r\n|\r|\n", text)
    covered = {line for chunk in chunks for line in range(chunk.start_line, chunk.end_line + 1)}
    closing = re.compile(r"[\W_]*|\s*(?:end|fi|done|esac|[\])};,]+)[\])};,]*\s*(?:(?://|#|--|/\*).*)?")
    assert not [row for at, row in enumerate(rows, 1) if at not in covered and not closing.fullmatch(row)]
    places = [(chunk.start_line, chunk.end_line) for chunk in chunks]
    assert places == sorted(places)
    assert all(1 <= start <= end <= len(rows) for start, end in places)
    assert all(len(chunk.text) <= 12_000 for chunk in chunks)


CODE = [
    name
    for name in NAMES
    if grammar(language_of(name)) and outline((SAMPLES / name).read_text(), language_of(name)).definitions
]


@pytest.mark.parametrize("name", CODE)
def test_a_span_cut_out_leaves_definitions_elsewhere(name: str) -> None:
    text = (SAMPLES / name).read_text(encoding="utf-8")
    language = language_of(name)
    dice = random.Random(name)
    kept = expected = 0
    for _ in range(12):
        start = dice.randrange(len(text))
        end = min(len(text), start + dice.randrange(1, 25))
        cut = text[:start] + text[end:]
        first, last = text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1
        whole = {d.name for d in outline(text, language).definitions if d.end_line < first or d.line > last}
        kept += len(whole & {d.name for d in outline(cut, language).definitions})
        expected += len(whole)
        check_cover(cut, language)
    assert kept >= 0.6 * expected


SCRAPS = ["def f(x):", "class A:", "function g() {", "}", "{", "(", "'", '"""', "# é中", "\r", "\n", "\r\n"]
SCRAPS += ["\0", "\ud800", "\x0c", "\u2028", "    ", "x = 1", "end", "import a", "<p>", "- a: b", "=====", "/*"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["python", "typescript", "c", "ruby", "markdown", "json", "yaml", "plaintext", "restructuredtext"]),
    st.lists(
        st.sampled_from(SCRAPS) | st.text(max_size=5),
        max_size=60,
    ),
)
def test_no_text_raises_or_loses_lines(language: str, parts: list[str]) -> None:
    check_cover("".join(parts), language)


def test_lines_end_where_editors_end_them() -> None:
    found = outline("a = '\x0c\u2028'\r\nb = 1\rdef long(x):\n    y = x\n    return y\n", "python")
    assert [(d.name, d.line) for d in found.definitions] == [("a", 1), ("b", 2), ("long", 3)]


def test_a_large_function_is_split_at_statements() -> None:
    body = "".join(f"    if x{i}:\n        call_{i}(\n            x{i},\n        )\n" for i in range(100))
    chunks = outline(f'def big():\n    """Much."""\n{body}', "python").chunks
    assert len(chunks) > 4
    assert {chunk.symbol for chunk in chunks} == {"big"}
    assert [chunk.defines for chunk in chunks] == [("big",)] + [()] * (len(chunks) - 1)
    assert [chunk.docstring for chunk in chunks] == ["Much."] + [""] * (len(chunks) - 1)
    assert all(chunk.text.startswith("    if ") for chunk in chunks[1:])
    assert all(len(chunk.text) <= 4_000 and chunk.text.count("\n") < 100 for chunk in chunks)


def test_small_functions_are_merged_unless_documented() -> None:
    small = "".join(f"def f{i}():\n    return {i}\n\n\n" for i in range(8))
    chunks = outline(small + "# Says why.\ndef told():\n    return 1\n", "python").chunks
    assert 1 < len(chunks) < 8
    assert [name for chunk in chunks for name in chunk.defines] == [f"f{i}" for i in range(8)] + ["told"]
    assert chunks[-1].docstring == "Says why."


def test_the_head_of_a_class_lists_its_members() -> None:
    code = "class A:\n    x = 1\n\n    def go(self, y):\n        z = y\n        return z\n"
    head, method = outline(code, "python").chunks
    assert head.text == "class A:\n    x = 1\n    def go(self, y)"
    assert (method.symbol, method.scope, method.start_line, method.end_line) == ("A.go", "A", 4, 6)


def test_names_in_strings_and_comments_are_not_used() -> None:
    (chunk,) = outline(
        'def f(aa):\n    """no_doc"""\n    call(aa, "no_text")  # no_comment\n    return aa\n', "python"
    ).chunks
    assert chunk.uses == ("aa", "call")


@pytest.mark.parametrize("language", ["python", "javascript", "json", "yaml", "cpp", "markdown", "html", "plaintext"])
@pytest.mark.parametrize(
    "text", ["[" * 10_000, "{[(" * 3_000, "[" * 9_000 + "]" * 9_000, "<div>" * 4_000, "- " * 4_000]
)
def test_deep_nesting_is_survived(language: str, text: str) -> None:
    check_cover(text, language)


def test_deep_indentation_is_survived() -> None:
    check_cover("\n".join(" " * i + "a:" for i in range(600)), "yaml")
    check_cover("\n".join(" " * i + f"def f{i}():" for i in range(600)), "python")


def test_a_long_line_is_cut() -> None:
    found = outline("function a(b){return b+1};" * 15_000, "javascript")
    assert len(found.chunks) == 98
    assert all(len(chunk.text) <= 4_000 for chunk in found.chunks)


def test_an_unknown_language_is_cut_by_lines() -> None:
    chunks = outline("\n".join(f"line {i}" if i % 9 else "" for i in range(200)), "plaintext").chunks
    assert all(chunk.end_line - chunk.start_line < 40 for chunk in chunks)
    assert 5 <= len(chunks) <= 9
    assert {chunk.kind for chunk in chunks} == {"text"}


def test_a_grammar_that_cannot_be_loaded_falls_back_to_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise ImportError

    grammar.cache_clear()
    monkeypatch.setattr("indexer.grammars.import_module", absent)
    try:
        found = outline("def f():\n    return 1\n", "python")
    finally:
        grammar.cache_clear()
    assert found.definitions == ()
    assert [chunk.text for chunk in found.chunks] == ["def f():\n    return 1"]
