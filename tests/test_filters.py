"""What of the model's text is shown.

In the tables, ``¦`` in a document is the cursor; then comes what the model writes, and what is suggested of it.
"""

from __future__ import annotations

import pytest
from filters_support import case, place_of
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.completion.filters import FILTERS, apply_filters

# What editors put right of the cursor by themselves when a bracket or a quote is typed.
CLOSED_BY_THE_EDITOR = [
    case("the model closes it too", "python", "print(¦)", "x)\n", "x"),
    case("the model leaves it", "python", "print(¦)", "x\n", "x"),
    case("a call in a call", "python", "print(¦)", "len(x))\n", "len(x)"),
    case("a call in a call, left open", "python", "print(¦)", "len(x)\n", "len(x)"),
    case("what comes behind it", "python", "print(¦)", "x) + 1\n", "x"),
    case("a call over several lines", "python", "print(¦)", "\n    a,\n)\n", "\n    a,\n"),
    case("a call in a call, over several lines", "python", "print(¦)", "foo(\n    a,\n))\n", "foo(\n    a,\n)"),
    case("more is opened than closed", "python", "print(¦)", "foo(\n    a,\n", ""),
    case("a string", "python", 'print("¦")', 'hello")\n', "hello"),
    case("a string, left open", "python", 'print("¦")', "hello\n", "hello"),
    case("a string, closed alone", "python", 'print("¦")', 'hello"\n', "hello"),
    case("a string with an operator", "python", 'print("¦")', '%s" % x)\n', "%s"),
    case("two strings", "python", 'print("¦")', 'a" + b + "c")\n', 'a" + b + "c'),
    case("a bracket in the string", "python", 'print("¦")', 'f(x)")\n', "f(x)"),
    case("an escaped quote", "python", 'print("¦")', 'a \\" b")\n', 'a \\" b'),
    case("a list", "python", "items = [¦]", "1, 2, 3]\n", "1, 2, 3"),
    case("a list of lists", "python", "items = [¦]", "[1], [2]]\n", "[1], [2]"),
    case("a list in a call", "python", "f([¦])", "1, 2])\n", "1, 2"),
    case("a list in a call, with more arguments", "python", "f([¦])", "1, 2], x=3)\n", "1, 2"),
    case("a key", "python", 'x = d["¦"]', 'name"]\n', "name"),
    case("a dictionary", "python", "x = {¦}", '"a": {"b": 1}}\n', '"a": {"b": 1}'),
    case("parameters", "python", "def f(¦):", "self, x=(1, 2)):\n    pass", "self, x=(1, 2)"),
    case("a condition", "python", "if ¦:", "x[1:2] == {1: 2}:\n", "x[1:2] == {1: 2}"),
    case("the opening bracket is lines above", "python", "f(\n    a,\n    ¦)", "g(b))\n", "g(b)"),
    case("a bracket in a comment", "python", "# see (¦)", "below)\n", "below"),
    case("a comment would hide the bracket", "python", "f(¦)", "x  # the x\n", ""),
    case("a body", "javascript", "if (x) {¦}", " return 1; }\n", " return 1; "),
    case("a body on the next lines", "javascript", "if (x) {¦}", "\n  return 1;\n}\n", "\n  return 1;\n"),
    case("a callback", "javascript", "f(() => {¦});", " g(); });\n", " g(); "),
    case("a semicolon", "c", "int x = ¦;", "f(a[1]);\n", "f(a[1])"),
    case("a semicolon, left open", "c", "int x = ¦;", "0\n", "0"),
    case("a comma", "javascript", "  a: ¦,", "f(1, 2),\n", "f(1, 2)"),
    case("a character", "c", "x = '¦';", "a';\n", "a"),
    case("an include", "c", '#include "¦"', 'x.h"\n', "x.h"),
    case("a type's parameter", "rust", "let v: Vec<¦>", "Vec<u8>>\n", "Vec<u8>"),
    case("a type's parameter with an arrow", "rust", "let v: Box<¦>", "fn(u8) -> u8>\n", "fn(u8) -> u8"),
    case("lifetimes are no strings", "rust", "fn f<'a>(¦)", "x: &'a str)\n", "x: &'a str"),
    case("a template", "typescript", "const s = `¦`;", "a ${f(b)}`;\n", "a ${f(b)}"),
    case("an attribute", "html", '<a href="¦">', 'x.html">Link</a>\n', "x.html"),
    case("a variable", "shellscript", 'echo "${¦}"', 'HOME}"\n', "HOME"),
    case("a condition", "shellscript", "if [[ ¦ ]]; then", "-f $x ]]; then\n", "-f $x"),
    case("a slice", "go", "x := []int{¦}", "1, 2}\n", "1, 2"),
    case("a block's parameter", "ruby", "xs.each { ¦ }", "|x| f(x) }\n", "|x| f(x)"),
    case("a table", "lua", "local t = {¦}", "a = {1}, b = 2}\n", "a = {1}, b = 2"),
    case("a flow mapping", "yaml", "on: [¦]", "push, pull]\n", "push, pull"),
    case("an argument", "java", "list.add(¦);", "new A(1));\n", "new A(1)"),
]

# Code that was there before: it must still make sense.
IN_THE_MIDDLE_OF_CODE = [
    case("a value before an operator", "python", "x = ¦ + 1", "y + 1\n", "y"),
    case("a value that doesn't come to the operator", "python", "x = ¦ + 1", "compute()\n", ""),
    case("an argument before another", "python", "f(¦, b)", "a, b)\n", "a"),
    case("an argument with brackets before another", "python", "f(¦, b)", "g(a, b), b)\n", "g(a, b)"),
    case("the middle of a word", "python", "get¦_name()", "_user_name()\n", "_user"),
    case("the middle of a word, whole already", "python", "pri¦nt(x)", "nt(x)\n", ""),
    case("a name that is only part of a word", "python", "return ¦x", "max(a)\n", ""),
    case("a name's object", "python", "return ¦x", "self.x\n", "self."),
    case("a name that begins like the rest", "python", "return ¦x", "xs[0] + x\n", "xs[0] + "),
    case("before an assignment", "python", "self.¦ = 1", "size = 1\n", "size"),
    case("another assignment", "python", "self.¦ = 1", "size = 2\n", ""),
    case("a comment stays", "python", "x = ¦  # the x", "1\n", "1"),
    case("a string before a bracket of code", "python", 'f(¦"a")', 'x, "a")\n', "x, "),
    case("a closing tag", "html", "<p>¦</p>", "Hello <b>you</b></p>\n", "Hello <b>you</b>"),
    case("a keyword", "lua", "if ¦ then", "x == 1 then\n", "x == 1"),
    case("a loop", "go", "for ¦ {", "i := range xs {\n", "i := range xs"),
]

BELOW = [
    case("lines that are there", "python", "def f():\n    ¦\n    return x\n", "x = 1\n    return x", "x = 1"),
    case("the only line is there", "python", "¦\nx = 1\n", "x = 1\n", ""),
    case("the rest of a line that is there", "python", "x = ¦\nx = 1", "1", ""),
    case("windows line breaks", "python", "def f():\r\n    ¦\r\n    return x\r\n", "x = 1\r\n    return x", "x = 1"),
    case("a line like one below, but not the next", "python", "¦\na()\nb()\n", "b()\n\n", "b()"),
    case("a brace of the block around", "c", "if (x) {\n  ¦\n}\n", "a();\n}\n", "a();"),
    case("a brace of its own", "c", "f {\n¦\n}\n", "if (x) {\n  a();\n}\n\n", "if (x) {\n  a();\n}"),
    case("a bracket closed below", "python", "f(\n    ¦\n)", "a, g(b))\n", "a, g(b)"),
    case("a bracket closed below, in the middle of a line", "python", "f(\n    x=¦\n)", "1)\n", "1"),
    case("a bracket closed below, opened on this line", "python", "f(\n    g(¦\n)", "1)\n", "1)"),
    case("two brackets closed below", "javascript", "f({\n  a: ¦\n});", "1 });\n", "1"),
    case("a bracket not closed below", "python", "f(\n    a,\n    ¦\nx = 1", "b)\n", "b)"),
    case("a list closed below", "python", "xs = [\n    ¦\n]", "'a', 'b']\n", "'a', 'b'"),
    case("a docstring closed below", "python", 'def f():\n    """Do.\n\n    ¦\n    """\n', 'More."""\n    x', "More."),
    case("a docstring not closed below", "python", 'def f():\n    """¦\n    x = 1\n', 'Do."""\n', 'Do."""'),
    case("end of the block around", "ruby", "def f\n  ¦\nend\n", "x = 1\nend\n", "x = 1"),
]

ABOVE_AND_BEFORE = [
    case("the line again", "python", "    return ¦", "return self.x\n", "self.x"),
    case("the line again, indented", "python", "    return ¦", "    return self.x\n", "self.x"),
    case(
        "the line again, without a space",
        "python",
        "    if foo(¦",
        "if foo(x):\n        a()\n    b()",
        "x):\n        a()",
    ),
    case("an import again", "typescript", "import { ¦", "import { a } from 'b';\n", "a } from 'b';"),
    case("a call in its own arguments", "python", "    max(¦", "max(a, b), c)\n", "max(a, b), c)"),
    case("one character", "python", "(¦", "(a, b), c)\n", "(a, b), c)"),
    case("an empty line first", "python", "def f():\n    ¦", "\n    x = 1\n\n", "x = 1"),
    case("empty lines first", "python", "def f():\n    ¦", "\n\n    \n    x = 1\n\n", "x = 1"),
    case("empty lines first, at the left", "python", "¦", "\n\nx = 1\n\n", "x = 1"),
    case(
        "an empty line first, then a smaller indentation",
        "python",
        "def f():\n    ¦",
        "\ndef g():\n    x\n\ny",
        "\ndef g():\n    x",
    ),
    case("a block's first line", "python", "def f():¦", "\n    return 1\n\n\ng()", "\n    return 1"),
]

CHAT = [
    case("a fence", "python", "¦", "x = 1\n```\n\nHere is …", "x = 1"),
    case("a fence on the line", "python", "x = ¦", "1```", "1"),
    case("a fence in a block", "python", "if x:¦", "\n    a()\n    ```\nHere", "\n    a()"),
    case("all of it in a fence", "python", "¦", "```python\nx = 1\n```\n", "x = 1"),
    case(
        "a fence in documentation",
        "rust",
        "/// Do.\n¦",
        "/// ```\n/// f();\n/// ```\nfn f() {}\n\n",
        "/// ```\n/// f();\n/// ```\nfn f() {}",
    ),
    case("a fence behind a star", "java", "/**\n * ¦", "```\n", "```"),
    case(
        "a fence in a docstring",
        "python",
        "def f():\n    ¦",
        '"""Do.\n    ```\n    """\n\n',
        '"""Do.\n    ```\n    """',
    ),
    case("a fence in Markdown", "markdown", "Run:\n\n¦", "```sh\nmake\n```\n\nThen", "```sh\nmake\n```"),
]

NOTHING = [
    case("nothing", "python", "x = ¦", "", ""),
    case("spaces", "python", "x =¦", "   \n", ""),
    case("an empty line", "python", "x = 1¦", "\n", ""),
    case("empty lines", "python", "    ¦", "\n\n\n    \n", ""),
    case("spaces at the end", "python", "x = ¦", "1   \n", "1"),
    case("the next statement", "python", "x = 1¦", "\ny = 2\n", ""),
    case("a lone carriage return", "python", "if x¦\r\n", ":\r\n    a()\r\nb()\r\n", ":\n    a()"),
]


@pytest.mark.parametrize(
    ("language", "document", "model", "suggestion"),
    [*CLOSED_BY_THE_EDITOR, *IN_THE_MIDDLE_OF_CODE, *BELOW, *ABOVE_AND_BEFORE, *CHAT, *NOTHING],
)
def test_what_is_suggested(language: str, document: str, model: str, suggestion: str) -> None:
    assert apply_filters(model, place_of(language, document)).text == suggestion


@pytest.mark.parametrize(
    ("document", "model", "fired"),
    [
        ("x = ¦", "1", ()),
        ("x = ¦", "1\ny = 2\n", ("unit",)),
        ("print(¦)", "x)", ("rest-of-line",)),
        ("def f():\n    ¦", "\n    x = 1\r\n\r\ny\r\n", ("line-breaks", "leading-blank", "unit")),
        ("¦\nx = 1", "x = 1", ("suffix",)),
        ("f(\n    ¦\n)", "1)", ("closed-below",)),
        ("return ¦", "return x```", ("chat", "typed-again")),
        ("x =¦", "  ", ("blank",)),
    ],
)
def test_it_is_told_which_filters_fired(document: str, model: str, fired: tuple[str, ...]) -> None:
    assert apply_filters(model, place_of("python", document)).fired == fired


TEXT = st.text(st.sampled_from("ab (){}[]\"'`#\n\t=,;:<>/*-é中"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT, TEXT, st.sampled_from(["python", "rust", "html", "javascript", "markdown", "yaml", ""]))
def test_any_text_at_any_place(before: str, after: str, text: str, language: str) -> None:
    """No filter fails; what is left has no blank end, unless it is for what follows on its line."""
    place = place_of(language, f"{before}¦{after}")
    result = apply_filters(text, place)
    assert set(result.fired) <= set(FILTERS)
    assert result.text == "" or result.text.strip()
    if place.rest.strip():
        assert result.text.count("\n") <= 8
    else:
        assert result.text == result.text.rstrip()
        assert result.text in text or place.before.strip() == "" or "typed-again" in result.fired


BALANCED = st.recursive(
    st.sampled_from(["a", "x.y", "1", "'('", '")"', "中"]),
    lambda inner: st.builds(
        lambda pair, items: pair[0] + ", ".join(items) + pair[1],
        st.sampled_from(["()", "[]", "{}"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(BALANCED, st.sampled_from(["()", "[]", "{}"]), st.sampled_from(["", ";", ":", ")"]), st.booleans())
def test_an_expression_in_brackets_that_the_editor_closed(inner: str, pair: str, end: str, closes: bool) -> None:
    """Whatever it is, and whether the model closes the brackets too: they are closed once."""
    place = place_of("python", f"f{pair[0]}¦{pair[1]}{end}\n")
    text = f"{inner}{pair[1]}{end}\nmore" if closes else f"{inner}\nmore"
    assert apply_filters(text, place).text == inner


def test_every_filter_says_what_it_does() -> None:
    for function in FILTERS.values():
        assert function.__doc__
        assert not function.__name__.startswith("_")
