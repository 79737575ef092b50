"""What kind of completion is wanted at a place: ``¦`` in a document is the cursor."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.completion.mode import Mode
from lsp.completion.place import Place
from lsp.completion.syntax import Syntax, errors, parse
from lsp.documents import Cursor


def cursor_of(language: str, document: str) -> Cursor:
    before, after = document.split("¦")
    return Cursor("file:///x", None, language, 1, before + after, len(before))


CASES: list[tuple[Mode, str, str]] = [
    ("line", "python", "x = ¦"),
    ("line", "python", "x = ¦ + 1\n"),
    ("line", "python", "x = [¦]\n"),
    ("line", "c", "int main(void) {\n  int x = ¦;\n}\n"),
    ("line", "go", "func f() {\n\tx := ¦\n}\n"),
    ("line", "python", "def f(a, ¦):\n    pass\n"),
    ("line", "java", "class A {\n  void f(int a, ¦) {}\n}\n"),
    ("block", "python", "if x¦"),
    ("block", "python", "¦\nx = 1\n"),
    ("block", "python", "def f():\n    a()\n    ¦\n    b()\n"),
    ("block", "typescript", "class A {\n  ¦\n}\n"),
    ("body", "python", "def f(x):\n    ¦\n\ng()\n"),
    ("body", "python", "def f(x):¦\n"),
    ("body", "python", "for x in xs:¦\n"),
    ("body", "typescript", "function f() {\n  ¦\n}\n"),
    ("body", "go", "func f() error {¦\n}\n"),
    ("body", "rust", "fn f() -> u8 {\n    ¦\n}\n"),
    ("body", "java", "class A {\n  int f() {\n    ¦\n  }\n}\n"),
    ("body", "c", "int f(int a)\n{\n  ¦\n}\n"),
    ("body", "ruby", "xs.each do |x|\n  ¦\nend\n"),
    ("docstring", "python", 'def f(x):\n    """¦\n'),
    ("docstring", "python", 'def f(x):\n    """¦"""\n    a()\n'),
    ("docstring", "python", 'def f(x):\n    """Do.\n\n    ¦\n    """\n    a()\n'),
    ("docstring", "python", '"""¦"""\n'),
    ("docstring", "typescript", "/**\n * ¦\n */\nfunction f() {}\n"),
    ("docstring", "rust", "/// Do¦\nfn f() {}\n"),
    ("docstring", "java", "class A {\n  /** ¦ */\n  int f() { return 1; }\n}\n"),
    ("arguments", "python", "f(a, ¦)\n"),
    ("arguments", "python", "x = f(a, ¦"),
    ("arguments", "python", "f(\n    a,\n    ¦\n)\n"),
    ("arguments", "python", "f(g(a), [b], ¦)\n"),
    ("arguments", "python", "f('(', ¦)\n"),
    ("line", "python", "f([¦])\n"),
    ("arguments", "typescript", "function f() {\n  g(¦);\n}\n"),
    ("arguments", "go", "package a\n\nfunc f() {\n\tfmt.Println(¦)\n}\n"),
    ("arguments", "rust", "fn f() {\n    g(a, ¦);\n}\n"),
    ("arguments", "rust", "fn f() {\n    println!(¦);\n}\n"),
    ("arguments", "java", "class A {\n  void f() {\n    list.add(¦);\n  }\n}\n"),
    ("arguments", "c", "int main(void) {\n  printf(¦);\n}\n"),
    ("arguments", "cpp", "int main() {\n  f(¦);\n}\n"),
    ("arguments", "csharp", "class A {\n  void F() {\n    G(¦);\n  }\n}\n"),
    ("arguments", "ruby", "f(¦)\n"),
    ("arguments", "php", "<?php\nf(¦);\n"),
    ("arguments", "kotlin", "fun f() {\n  g(¦)\n}\n"),
    ("arguments", "lua", "f(¦)\n"),
    ("comment", "python", "# the ¦"),
    ("comment", "python", "x = 1  # the ¦\n"),
    ("comment", "c", "/* the\n * ¦\n */\nint x;\n"),
    ("comment", "go", "// the ¦\nfunc f() {}\n"),
    ("comment", "shellscript", "# the ¦\n"),
    ("comment", "yaml", "# the ¦\n"),
    ("text", "python", "x = 'the ¦'\n"),
    ("text", "python", 'x = """the\n¦\n"""\n'),
    ("text", "javascript", "const x = `a\n  ¦\n`;\n"),
    ("line", "javascript", "const x = `a\n ${¦}\n`;\n"),
    ("text", "markdown", "# A\n\nThe ¦\n"),
    ("text", "yaml", "on:\n  ¦\n"),
    ("text", "plaintext", "The ¦"),
    ("text", "unheard-of", "x = ¦"),
]


@pytest.mark.parametrize(("mode", "language", "document"), CASES, ids=[f"{m} {d!r}" for m, _, d in CASES])
def test_the_mode_of_a_place(mode: Mode, language: str, document: str) -> None:
    assert Place.of(cursor_of(language, document)).mode == mode


@settings(max_examples=60, deadline=None)
@given(
    st.text("abf(){}[]'\"`:#/*\n \t\\<>;=é", max_size=60),
    st.text("abf(){}[]'\"`:#/*\n \t\\<>;=é", max_size=60),
    st.sampled_from(["python", "typescript", "go", "rust", "java", "c", "ruby", "php", "kotlin", "lua", "yaml", "zig"]),
)
def test_any_place_has_a_mode(before: str, after: str, language: str) -> None:
    place = Place.of(cursor_of(language, f"{before}¦{after}"))
    assert place.mode in Mode.__args__  # type: ignore[attr-defined]
    plain = language in ("yaml", "zig")
    assert place.mode in ("text", "comment") if plain else place.mode != "text" or re.search(r"['\"`<]", before + after)


# -- the tree below it ----------------------------------------------------------------------------------------------


def test_errors_are_counted_with_a_text_put_in() -> None:
    syntax = Syntax.of(cursor_of("python", "def f():\n    x = ¦\n\n\nf()\n"))
    assert syntax is not None
    assert syntax.errors_with("1") == 0
    assert syntax.errors_with("g(1)") == 0
    assert syntax.errors_with("g(1") != 0


def test_offsets_are_bytes() -> None:
    syntax = Syntax.of(cursor_of("python", "é = '中'; f(¦)"))
    assert syntax is not None
    assert syntax.offset == len("é = '中'; f(".encode())


def test_a_window_of_a_large_document() -> None:
    functions = [f"def f{number}():\n    return {number}\n\n\n" for number in range(10_000)]
    document = "".join(functions[:5_000]) + "x = ¦\n" + "".join(functions[5_000:])
    syntax = Syntax.of(cursor_of("python", document))
    assert syntax is not None
    assert syntax.before.startswith("def f")
    assert syntax.before.endswith("x = ")
    assert syntax.after.endswith("\n")
    assert 80_000 < len(syntax.before + syntax.after) < 120_000
    assert syntax.errors_with("1") == 0


def test_what_a_parser_cannot_cope_with_is_given_up() -> None:
    assert parse("/* " * 8_000, "c") is None
    assert Place.of(cursor_of("c", "int x = ¦;" + "/* " * 8_000)).mode == "line"


def test_a_tree_can_be_read_long_after() -> None:
    """The parser's limit on reading doesn't hold for the text of its nodes."""
    root = parse("x = 1\n" * 2_000, "python")
    assert root is not None
    assert [child.text for child in root.children for _ in range(5)] == [b"x = 1"] * 10_000


def test_languages_without_a_grammar_have_no_syntax() -> None:
    assert Syntax.of(cursor_of("zig", "¦")) is None
    assert parse("x", "zig") is None


def test_a_tree_without_errors() -> None:
    root = parse("x = 1\n", "python")
    assert root is not None
    assert list(errors(root)) == []


@pytest.mark.parametrize("document", ["a(b); " * 50_000 + "¦" + "a(b); " * 50_000, "a(b); " * 50_000 + "\n  ¦\n"])
def test_of_absurdly_long_lines_only_what_is_near_is_read(document: str) -> None:
    """All of the cursor's line is read again with each token, and its block's header by expressions."""
    place = Place.of(cursor_of("javascript", document))
    assert place.syntax is not None
    assert len(place.before) + len(place.rest) + len(place.header) < 4_000
    assert len(place.syntax.before + place.syntax.after) < 30_000
    assert place.syntax.errors_with("c") is not None
