"""What of the model's text is dropped for what it is, and how the rest is indented.

In the tables, ``¦`` in a document is the cursor; then comes what the model writes, and what is suggested of it.
"""

from __future__ import annotations

import pytest
from filters_support import case, place_of
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.completion.filters import apply_filters
from lsp.completion.style import indent_unit
from lsp.completion.syntax import errors, parse

CHAT = [
    case("an answer before its code", "python", "¦", "Sure, here is the code:\n```python\nx = 1\n```\n", "x = 1"),
    case("a phrase behind the code", "python", "¦", "x = 1\nThis code sets x to one.\n", "x = 1"),
    case("a phrase behind the code", "go", "func f() {\n\t¦\n}\n", "a()\n\tHere is the rest:\n", "a()"),
    case("a phrase behind the code", "rust", "fn f() {\n    ¦\n}\n", "a();\n    The function calls a.\n", "a();"),
    case("a comment is none", "java", "class A {\n  ¦\n}\n", "// This code is fine.\n  int x;\n", None),  # type: ignore[arg-type]
    case("words in a string are none", "typescript", "const x = ¦\n", "`\nThis is fine.\n`;\n", "`\nThis is fine.\n`;"),
    case("words in a docstring are none", "python", 'def f():\n    """¦\n', "This code sets x.\n", "This code sets x."),
    case("words of Markdown are none", "markdown", "¦", "This is fine.\n", "This is fine."),
]

REPETITION = [
    case("a line", "python", "def f():\n    ¦\n", "a(1)\n    a(1)\n    a(1)\n    a(1)\n", "a(1)"),
    case("a line", "c", "void f(void)\n{\n  ¦\n}\n", "a(1);\n  a(1);\n  a(1);\n  b();\n", "a(1);"),
    case("a block", "go", "func f() {\n\t¦\n}\n", "a(1)\n\tb(1)\n\ta(1)\n\tb(1)\n\ta(1)\n\tb(1)\n", "a(1)\n\tb(1)"),
    case("brackets are no lines", "javascript", "x = [[[¦", "\n1\n]\n]\n]\n", "\n1\n]\n]\n]"),
    case("twice is fine", "typescript", "function f() {\n  ¦\n}\n", "a(1);\n  a(1);\n}\n", "a(1);\n  a(1);"),
    case("in a line", "rust", "let x = vec![¦];\n", "0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0", ""),
]

ECHO = [
    case("the line above", "python", "total = add(1)\n¦\n", "total = add(1)\nprint(total)\n", "print(total)"),
    case(
        "the lines above", "java", "class A {\n  int a;\n  int b;\n  ¦\n}\n", "int a;\n  int b;\n  int c;\n", "int c;"
    ),
    case("nothing but the line above", "c", "int total = 1;\n¦\n", "int total = 1;\n", ""),
    case("a short line may come again", "python", "a()\n¦\n", "a()\n", "a()"),
]

COMMENTS = [
    case("nothing else", "python", "¦\n", "# TODO\n", ""),
    case("nothing else", "typescript", "function f() {\n  ¦\n}\n", "// Do it.\n}\n", ""),
    case("code too", "python", "¦\n", "# One.\nx = 1\n\n", "# One.\nx = 1"),
    case("one that was begun", "go", "// f does¦\nfunc f() {}\n", " it.\n", " it."),
    case("one at a line's end", "c", "int x; /¦\n", "/ one\n", "/ one"),
]

INDENTATION = [
    case("twice", "python", "def f():\n    ¦\n", "    a()\n    return b\n", "a()\n    return b"),
    case("twice, all lines", "go", "func f() {\n\t¦\n}\n", "\ta()\n\t\tb()\n", "a()\n\tb()"),
    case(
        "the cursor's line is the only one with a tab", "python", "if x:\n\t¦\n", "y = 1\n    z = 2\n", "y = 1\n\tz = 2"
    ),
    case("not yet", "python", "def f():\n¦\n", "    a()\n    return b\n", "    a()\n    return b"),
    case(
        "spaces for tabs",
        "go",
        "func f() {\n\tif a {\n\t\tb()\n\t}\n\t¦\n}\n",
        "for {\n        c()\n    }\n",
        "for {\n\t\tc()\n\t}",
    ),
    case(
        "tabs for spaces",
        "c",
        "void f(void) {\n  a();\n  if (b) {\n    c();\n  }\n}\n\nint g(void) ¦\n",
        "{\n\treturn 1;\n}\n",
        "{\n  return 1;\n}",
    ),
    case(
        "four for two",
        "typescript",
        "function f() {\n  if (a) {\n    b();\n  }\n}\n\nfunction g() ¦\n",
        "{\n    if (c) {\n        d();\n    }\n}\n",
        "{\n  if (c) {\n    d();\n  }\n}",
    ),
    case(
        "two for four",
        "rust",
        "fn f() {\n    if a {\n        b();\n    }\n}\n\nfn g() ¦\n",
        "{\n  c();\n}\n",
        "{\n    c();\n}",
    ),
    case(
        "aligned arguments stay", "python", "def f():\n    a()\n\nx = ¦\n", "foo(a,\n        b)\n", "foo(a,\n        b)"
    ),
    case("a file that shows no style", "java", "class A ¦\n", "{\n   int a;\n}\n", "{\n   int a;\n}"),
]

ERRORS = [
    case("a line that doesn't parse", "python", "def f():\n    ¦\n", "a()\n    b(]\n", "a()"),
    case("a line that doesn't parse", "typescript", "function f() {\n  ¦\n}\n", "a();\n  b(];\n}\n", "a();"),
    case("a line that doesn't parse", "go", "package a\n\nfunc f() {\n\t¦\n}\n", "a()\n\tb(]\n}\n", "a()"),
    case("a line that doesn't parse", "rust", "fn f() {\n    ¦\n}\n", "a();\n    b(];\n}\n", "a();"),
    case(
        "a line that doesn't parse", "java", "class A {\n  void f() {\n    ¦\n  }\n}\n", "a();\n    b(];\n  }\n", "a();"
    ),
    case("a line that doesn't parse", "c", "void f(void)\n{\n  ¦\n}\n", "a();\n  b(];\n}\n", "a();"),
    case("nothing that parses", "python", "¦\n", "x = = 1\n", ""),
    case("the end of a line", "python", "¦\n", "x = foo(1) )\n", "x = foo(1)"),
    case("a language without a grammar", "zig", "¦\n", "x = ((1\n", "x = ((1"),
]


@pytest.mark.parametrize(
    ("language", "document", "model", "suggestion"),
    [*CHAT, *REPETITION, *ECHO, *COMMENTS, *INDENTATION, *ERRORS],
)
def test_what_is_suggested(language: str, document: str, model: str, suggestion: str | None) -> None:
    expected = model.rstrip() if suggestion is None else suggestion
    assert apply_filters(model, place_of(language, document)).text == expected


@pytest.mark.parametrize(
    ("language", "document", "model", "suggestion"),
    [
        case("the last line", "python", "def f():\n    ¦\n", "a()\n    b(1, ", "a()"),
        case("the last line", "go", "func f() {\n\t¦\n}\n", "a()\n\tb(1, ", "a()"),
        case("the only line", "python", "x = ¦\n", "foo(1, ", ""),
        case("a line behind the unit's end", "python", "x = ¦\n", "foo(1)\ny = b", "foo(1)"),
        case("what wasn't met", "python", "def f():\n    ¦\n    c()\n", "a()\n\n    b()\n    d", "a()"),
        case("prose may end anywhere", "python", "# The ¦\n", "sum of all the", "sum of all the"),
    ],
)
def test_what_was_broken_off(language: str, document: str, model: str, suggestion: str) -> None:
    assert apply_filters(model, place_of(language, document), whole=False).text == suggestion


@pytest.mark.parametrize(
    ("text", "language", "unit"),
    [
        ("def f():\n    a()\n", "python", "    "),
        ("if (a) {\n  b();\n}\n", "c", "  "),
        ("if (a) {\n\tb();\n}\n", "c", "\t"),
        ("x\n", "go", "\t"),
        ("x\n", "python", ""),
    ],
)
def test_a_document_s_indentation(text: str, language: str, unit: str) -> None:
    assert indent_unit(text, "", language) == unit
    assert indent_unit("", text, language) == unit


# -- what holds for any text ----------------------------------------------------------------------------------------

LINE = st.one_of(
    st.sampled_from(["a(1)", "x = [", "]", ")", "}", "{", "if a:", "if (a) {", "} else {", "else:", "return x"]),
    st.sampled_from(["# note", "'", '"""', "", "```"]),
)
INDENT = st.sampled_from(["", "  ", "    ", "\t", "        "])
CODE = st.lists(st.tuples(INDENT, LINE), max_size=7).map(lambda lines: "\n".join(map("".join, lines)))
LANGUAGE = st.sampled_from(["python", "javascript", "go", "rust", "java", "c", "ruby", "lua", "yaml", "zig"])


@settings(max_examples=150, deadline=None)
@given(CODE, INDENT, CODE, CODE, LANGUAGE)
def test_filters_leave_what_they_filtered(above: str, indent: str, text: str, below: str, language: str) -> None:
    place = place_of(language, f"{above}\n{indent}¦\n{below}")
    once = apply_filters(text, place).text
    assert apply_filters(once, place).text == once


@settings(max_examples=150, deadline=None)
@given(CODE, CODE, CODE, st.sampled_from(["", ")", "}", " + 1"]), st.sampled_from(["python", "javascript", "go", "c"]))
def test_no_suggestion_adds_an_error(above: str, text: str, below: str, rest: str, language: str) -> None:
    document = f"{above}¦{rest}\n{below}"
    suggestion = apply_filters(text, place_of(language, document)).text
    before, after = (parse(document.replace("¦", inserted), language) for inserted in ("", suggestion))
    assert before is not None
    assert after is not None
    assert not suggestion or len(list(errors(after))) <= len(list(errors(before)))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["\t", "  ", "    "]), st.sampled_from(["\t", "  ", "    "]), st.integers(1, 3))
def test_indentation_is_the_document_s(own: str, models: str, depth: int) -> None:
    """Whatever the model indents with."""
    document = f"function f() {{\n{own}if (a) {{\n{own * 2}b();\n{own}}}\n}}\n\nfunction g() ¦\n"

    def body(unit: str) -> str:
        opened = [f"{unit * n}if (a{n}) {{" for n in range(1, depth)]
        closed = [f"{unit * n}}}" for n in range(depth - 1, 0, -1)]
        return "\n".join(["{", *opened, f"{unit * depth}c();", *closed, "}"])

    assert apply_filters(body(models) + "\n", place_of("javascript", document)).text == body(own)
