"""Where a suggestion ends, in several languages.

In the tables, ``¦`` in a document is the cursor; ``■`` in what the model writes is where the suggestion ends.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.completion.unit import Place, unit_end
from lsp.documents import Cursor


def place_of(language: str, document: str) -> Place:
    before, after = document.split("¦")
    return Place.of(Cursor("file:///x", None, language, 1, before + after, len(before)))


def ends(text: str, place: Place) -> int | None:
    """The end of ``text``, checked to be the same one from the moment that it is known."""
    end = unit_end(text, place)
    known = [e for e in (unit_end(text[:length], place) for length in range(len(text))) if e is not None]
    assert set(known) <= {end}
    return end


def case(name: str, language: str, document: str, model: str) -> object:
    """``model`` begins right after the cursor: a line break before its closing quotes is not part of it."""
    return pytest.param(language, document, model, id=f"{language}: {name}")


TEXT_BELOW = 'def f():\n    """Do x.\n\n    ¦\n    """\n    a()\n'

PYTHON = [
    case("a statement ends with its line", "python", "x = ¦", "compute(1)■\ny = 2\n"),
    case("nothing to add", "python", "x = 1¦", "■\nz = 3\n"),
    case("nothing that comes to what is below", "python", "if a:\n    x = 1¦\n    y = 2", "■\n    z = 3\n\nb()\n"),
    case("what comes to what is below", "python", "if a:\n    x = 1¦\n    y = 2", "\n    z = 3■\n    y = 2\n"),
    case("a block before what is below", "python", "x = 1¦\ny = 2", "\nif x:\n    a()\n\n    b()■\ny = 2\n"),
    case("what comes to the end of the block", "python", "if a:\n    b()¦\nc()", "\nelif d:\n    e()■\nc()\n"),
    case("what is below, soon", "python", "def f():\n    ¦\n    c()", "a()\n\n    b()■\n\n    c()\n"),
    case("what is below, never", "python", "def f():\n    ¦\n    c()", "a()■\n\n    b()\n\n" + "    d()\n" * 13),
    case("the line after the one below", "python", "def f():\n    ¦\n    c()\n    d(1)", "a()■\n    c(1)\n    d(1)\n"),
    case("a jump over what is below", "python", "def f():\n    ¦\n    return x", "a()■\n    return y\n"),
    case("an open bracket goes on", "python", "x = foo(¦", "\n    1,\n    2,\n)■\ny = 2\n"),
    case("arguments aligned", "python", "x = ¦", "foo(a,\n        b)■\ny = 2"),
    case("a bracket in a string is none", "python", "x = ¦", "'('■\ny = 2\n"),
    case("a bracket in a comment is none", "python", "x = ¦", "1  # see (1■\ny = 2\n"),
    case("a colon in a comment opens nothing", "python", "x = ¦", "1  # note:■\ny = 2\n"),
    case("an escaped quote", "python", "x = ¦", "'it\\'s ('■\ny = 2\n"),
    case("a hash in a string is no comment", "python", "x = foo('¦", "#', (\n    1,\n))■\ny\n"),
    case("floor division is no comment", "python", "x = (¦", "a // b)■\ny\n"),
    case("a backslash goes on", "python", "assert ¦", "a and \\\n    b■\ny = 2\n"),
    case("a block ends where its indentation does", "python", "def f(x)¦", ":\n    y = x\n    return y■\n\nf(1)\n"),
    case("a block in a block", "python", "for x in xs¦", ":\n    if x:\n        f(x)\n    g(x)■\nh()\n"),
    case("a block has blank lines in it", "python", "def f()¦", ":\n    a = 1\n\n    return a■\n\n\ng()\n"),
    case("else goes on", "python", "if x¦", ":\n    a()\nelif y:\n    b()\nelse:\n    c()■\nd()\n"),
    case("except goes on", "python", "try¦", ":\n    a()\nexcept E:\n    b()\nfinally:\n    c()■\nd()\n"),
    case("a name that begins like else", "python", "if x¦", ":\n    a()■\nelse_value = 1\n"),
    case("names that begin like end and fi", "python", "if x¦", ":\n    a()■\nfields = 1\n"),
    case("a header over several lines", "python", "def f(¦", "\n    a,\n    b,\n):\n    return a■\n\ng()\n"),
    case("a line in an open bracket", "python", "xs = [\n    'a',\n    'b¦\n]", "',■\n    'c',\n]\n"),
    case("a block on one line", "python", "if x¦", ": return 1■\ny = 2\n"),
    case(
        "a docstring over several lines",
        "python",
        "def f():\n    ¦",
        '"""Do (x.\n\n    More\n    """\n    a()\n\n    b()■\nc()\n',
    ),
    case("the end of a docstring", "python", 'def f():\n    """Do x.\n\n    ¦', 'More.\n    """■\n    a()\n'),
    case("the end of a docstring closed below", "python", TEXT_BELOW, 'More.\n    This■\n    """\n    a()\n'),
    case("a paragraph of a docstring", "python", TEXT_BELOW, "More.\n    This (too■\n\n    And that\n"),
    case(
        "a docstring's lines that are below",
        "python",
        TEXT_BELOW.replace("¦", "¦\n    Last."),
        "More.■\n    Last.\n    x\n",
    ),
    case("a line of a docstring", "python", 'def f():\n    """Do x.\n\n    Mo¦', 're (text■\n    """\n    a()\n'),
    case("an empty line: a paragraph", "python", "¦", "a = 1\nb = 2■\n\nc = 3\n"),
    case("an empty line: a body", "python", "def f():\n    ¦", "for x in y:\n        a()\n\n    return b■\ng()\n"),
    case("an empty line: the rest of a body", "python", "def f():\n    a()\n    ¦\n\ng()", "b()\n\n    c()■\n\nh()\n"),
    case(
        "an empty line: the middle of a body", "python", "def f():\n    ¦\n    b()", "a()\n    c()■\n\n    d()\ne()\n"
    ),
    case(
        "an empty line: the middle of a body, a block",
        "python",
        "def f():\n    ¦\n    b()",
        "if x:\n        a()■\n    c()\ne()\n",
    ),
    case("an empty line: the body of a loop", "python", "for x in y:\n    ¦\nf()", "a()\n\n    b()■\nc()\n"),
    case("an empty line: a member", "python", "class A:\n    ¦", "def f(self):\n        a()■\n\n    def g(self):\n"),
    case("an empty line: members", "python", "class A:\n    ¦", "x: int\n    y: int■\n\n    def g(self):\n"),
    case(
        "an empty line: a nested function",
        "python",
        "def f():\n    ¦",
        "def g():\n        a()\n\n    return g■\n\n\nf()",
    ),
    case("an empty line: one block", "python", "¦", "x = 1\nfor y in z:\n    f(y)■\ng()\n"),
    case("an empty line: brackets are no block", "python", "¦", "f(\n    1,\n)\ng(\n    2,\n)■\n\nh()\n"),
    case(
        "an empty line: a decorator",
        "python",
        "class A:\n    ¦",
        "@property\n    def x(self):\n        return 1■\n\n    @p\n",
    ),
    case("blank lines first", "python", "¦", "\na = 1■\n\nb = 2\n"),
    case("meeting the suffix", "python", "def f():\n    ¦\n    return x\n", "x = 1■\n    return x\n"),
    case(
        "meeting the suffix behind blank lines", "python", "def f():\n    ¦\n\n    return x\n", "x = 1■\n    return x\n"
    ),
    case("meeting the suffix in a block", "python", "def f(¦\n    a = 1\n", "x):■\n    a = 1\n    b = 2\n"),
    case("what is below, in a bracket", "python", "f(\n    ¦\n    b,\n)", "g(\n        a,\n    ),■\n    b,\n"),
    case("the beginning of a line below", "python", "def f():\n    ¦\n    x = 1\n", "x = 12\n    y = 2■\n\nz\n"),
    case("a comment ends with its line", "python", "# the bi¦", "ggest (of all■\nx = 1\n"),
    case(
        "a finished comment is answered", "python", "# the sum of xs¦", "\ndef total(xs):\n    return sum(xs)■\n\nx\n"
    ),
    case("a finished comment is not repeated", "python", "# the sum¦\nx = 1\n", "■\nx = 1\n"),
    case("a fence", "python", "¦", "x = 1■\n```\n\nThis code …\n"),
    case("a fence in an open bracket", "python", "x = [¦", "1,■\n```\n"),
    case(
        "a fence in a docstring",
        "python",
        "def f():\n    ¦",
        '"""Do:\n    ```\n    x\n    ```\n    """\n\n    a()■\nb()\n',
    ),
    case("windows line breaks", "python", "x = ¦\r\n", "1■\r\ny = 2\r\n"),
    case("windows line breaks in a block", "python", "if x¦\r\n", ":\r\n    a()\r\nelse:\r\n    b()■\r\nc()\r\n"),
]

CURLY = [
    case("a statement", "c", "int x = ¦", "0;■\nint y;\n"),
    case("a block on the next line", "c", "int f(int x)¦", "\n{\n    return x;\n}■\n\nint g"),
    case("a statement without braces", "c", "if (x)¦", "\n    return 1;■\nreturn 2;\n"),
    case("a character", "c", "c = ¦", "'{';■\nd = 2;\n"),
    case("an include", "c", "#inc¦", "lude <stdio.h>■\n#include <x.h>\n"),
    case("a call over several lines", "c", "f(¦", "a,\n  b);■\ng();\n"),
    case("a block comment", "c", "¦", "/* f( returns\n * x */\nint f(void);■\n\nint g"),
    case("a function", "go", "func (s *S) Len() int ¦", "{\n\treturn s.n\n}■\n\nfunc"),
    case("an increment goes nowhere", "go", "\tcount¦", "++■\n\tx = 1\n"),
    case("else goes on", "go", "if err != nil ¦", "{\n\ta()\n} else {\n\tb()\n}■\nc()\n"),
    case("cases at the switch's indentation", "go", "switch x ¦", "{\ncase 1:\n\ta()\ndefault:\n\tb()\n}■\nc()\n"),
    case("a raw string", "go", "q := ¦", "`SELECT (\nFROM t`■\nx := 1\n"),
    case("a lifetime", "rust", "fn f<'a>(¦", "x: &'a str) -> &'a str {\n    x\n}■\n\nfn g"),
    case("a chain of calls", "rust", "let n = ¦", "xs\n    .iter()\n    .map(|x| x.len())\n    .sum();■\nlet m"),
    case("a match", "rust", "match x ¦", "{\n    Some(y) => y,\n    None => {\n        0\n    }\n}■\nlet m"),
    case("a tail expression", "rust", "fn f() -> i32 {\n    ¦\n}", "x + 1■\n}\n\nfn g"),
    case("a method", "java", "    public int size()¦", " {\n        return n;\n    }■\n\n    public"),
    case("catch goes on", "java", "try ¦", "{\n    a();\n} catch (E e) {\n    b();\n}■\nc();\n"),
    case("an annotation", "java", "@Over¦", "ride■\npublic int f() {\n"),
    case("an arrow function", "typescript", "const f = ¦", "(x: number) => {\n  return x;\n};■\nconst g"),
    case("an object", "typescript", "const o = ¦", "{\n  a: 1,\n  b: { c: 2 },\n};■\nconst p"),
    case("a callback", "javascript", "xs.forEach(¦", "(x) => {\n  f(x);\n\n  g(x);\n});■\nh();\n"),
    case("a chain without semicolons", "javascript", "const x = ¦", "fetch(u)\n  .then(f)\n  .then(g)■\nconst y = 1\n"),
    case("no semicolons", "javascript", "const x = ¦", "1■\nconst y = 2\n"),
    case("a paragraph without semicolons", "javascript", "¦", "const x = 1\nconst y = 2■\n\nconst z = 3\n"),
    case("a template over several lines", "javascript", "const s = ¦", "`a (\nb`;■\nf();\n"),
    case("an address in a string is no comment", "javascript", "f('http:¦", "//x', {\n  a: 1,\n});■\ng();\n"),
    case("a comment with an apostrophe", "javascript", "x = 1; // don¦", "'t (■\ny = 2;\n"),
    case("else on a new line is another unit", "csharp", "    if (x)¦", "\n    {\n        A();\n    }■\n    B();\n"),
    case("do while", "c", "do ¦", "{\n  a();\n} while (x);■\nb();\n"),
    case("a closing brace first", "javascript", "if (x) {\n  a();\n}¦", " else {\n  b();\n}■\nc();\n"),
    case("one item of a list", "javascript", "xs = [\n  'a',\n  '¦\n];", "b',■\n  'c',\n];\n"),
    case("an empty line in braces", "javascript", "function f() {\n  ¦\n}", "a();\n  b();■\n}\n\nfunction"),
    case(
        "an empty line: a body with blocks",
        "javascript",
        "f(() => {\n  ¦\n});",
        "if (x) {\n    a();\n  }\n\n  b();■\n});\n",
    ),
    case(
        "an empty line: a body, its brace below",
        "csharp",
        "void F()\n{\n  ¦\n}",
        "if (x)\n  {\n    A();\n  }\n  B();■\n}\n",
    ),
    case(
        "an empty line: a body",
        "rust",
        "fn f() -> Result<(), E> {\n    ¦\n}",
        "for x in y {\n        a();\n    }\n    Ok(())■\n}\n",
    ),
    case(
        "an empty line: a body",
        "go",
        "func f() (int, error) {\n\t¦\n}",
        "if x {\n\t\ta()\n\t}\n\n\treturn 1, nil■\n}\n",
    ),
    case(
        "an empty line: a member",
        "typescript",
        "export class A {\n  ¦\n}",
        "f(): void {\n    a();\n  }■\n\n  g(): void {\n",
    ),
    case("an empty line: a member's value", "typescript", "const a = {\n  ¦\n};", "b: {\n    c: 1,\n  },■\n  d: 2,\n"),
    case("an empty line: one block in braces", "javascript", "¦", "let x = 1;\nif (x) {\n  f();\n}■\ng();\n"),
    case("meeting the suffix in braces", "typescript", "  f¦\n    a();\n  }\n", "(): void {■\n    a();\n  }\n"),
    case("badly indented", "javascript", "function f() ¦", "{\nif (x) {\na();\n}\nb();\n}■\ng();\n"),
]

WORDS = [
    case("a method", "ruby", "def size¦", "\n  @items.size\nend■\n\ndef"),
    case("a block", "ruby", "xs.each ¦", "do |x|\n  f x\nend■\ng\n"),
    case("else goes on", "ruby", "if x¦", "\n  a\nelsif y\n  b\nelse\n  c\nend■\nd\n"),
    case("rescue goes on", "ruby", "begin¦", "\n  a\nrescue E => e\n  b\nensure\n  c\nend■\nd\n"),
    case("when goes on", "ruby", "case x¦", "\nwhen 1\n  a\nwhen 2\n  b\nend■\nc\n"),
    case("a modifier", "ruby", "  return ¦", "x if y■\n  z\n"),
    case("a name that begins like end", "ruby", "def f¦", "\n  a■\nend_of = 1\n"),
    case("an interpolation is no comment", "ruby", "puts ¦", '"#{x} (", y■\nz\n'),
    case("a function", "lua", "local function f(x)¦", "\n  return x\nend■\n\nf(1)\n"),
    case("a function as an argument", "lua", "map(xs, ¦", "function(x)\n  return x\nend)■\nf()\n"),
    case("if", "lua", "if x ¦", "then\n  a()\nelseif y then\n  b()\nend■\nc()\n"),
    case("repeat", "lua", "repeat¦", "\n  a()\nuntil x■\nb()\n"),
    case("a word that ends like do", "lua", "x = un¦", "do■\ny = 2\n"),
    case("a comment with a bracket", "lua", "x = 1 -- se¦", "e (1■\ny = 2\n"),
    case("if", "shellscript", "if [ -f x ]¦", "; then\n  a\nelse\n  b\nfi■\nc\n"),
    case("for", "shellscript", "for x in *.c; ¦", 'do\n  echo "$x"\ndone■\nc\n'),
    case("case", "shellscript", 'case "$1" ¦', "in\n  a)\n    b\n    ;;\n  *) c ;;\nesac■\nd\n"),
    case("an empty line: a body", "ruby", "xs.each do |x|\n  ¦\nend", "if x\n    a\n  end\n  b■\nend\n"),
    case("an empty line: a member", "ruby", "class A\n  ¦\nend", "def f\n    a\n  end■\n\n  def g\n"),
    case(
        "an empty line: a body",
        "lua",
        "local function f()\n  ¦\nend",
        "for x in y do\n    a()\n  end\n  return b■\nend\n",
    ),
    case("a pipe", "shellscript", "cat x ¦", "|\n  sort■\nd\n"),
    case("the number of arguments is no comment", "shellscript", "if (( ¦", "$# )); then\n  a\nfi■\nb\n"),
    case("a function", "shellscript", "f() ¦", "{\n  a\n}■\nb\n"),
]

MARKUP = [
    case("an element on its line", "html", "  <li>¦", "One</li>■\n  <li>Two</li>\n"),
    case("an element with others in it", "html", "<ul¦", ">\n  <li>One</li>\n</ul>■\n<p>\n"),
    case("an element without content", "html", "<img ¦", 'src="a.png">■\n<p>\n'),
    case("an apostrophe is one", "html", "<p>Don¦", "'t (</p>■\n<p>\n"),
    case("siblings up to the parent's end", "html", "<ul>\n  ¦\n</ul>", "<li>One</li>\n  <li>Two</li>■\n</ul>\n"),
    case("a value", "yaml", "name: ¦", "build■\non: push\n"),
    case("a mapping", "yaml", "on¦", ":\n  push:\n    branches: [main]■\njobs:\n"),
    case("a list at the key's indentation", "yaml", "on¦", ":\n- push■\n- pull\n"),
    case("a text", "yaml", "  run: ¦", "|\n    make\n    make test■\n  env:\n"),
    case("an item", "yaml", "  - name¦", ": x■\n  - name: y\n"),
    case("an empty line", "yaml", "steps:\n  ¦", "- run: a\n    env: b■\n  - run: c\n"),
    case("a sentence", "markdown", "The q¦", "uick (brown■\nfox\n"),
    case("a fence", "markdown", "¦", "Run:\n```\nmake\n```■\n\nThen\n"),
    case("a row of a table", "markdown", "| a ¦", "| b |■\n| c | d |\n"),
    case("a member", "json", '{\n  "a": ¦\n}', '[\n    1,\n    2\n  ],■\n  "b": 1\n'),
    case("a value", "json", '{\n  "a": ¦\n}', '1,■\n  "b": 2\n'),
]


@pytest.mark.parametrize(("language", "document", "model"), [*PYTHON, *CURLY, *WORDS, *MARKUP])
def test_a_unit_ends(language: str, document: str, model: str) -> None:
    text = model.replace("■", "")
    end = ends(text, place_of(language, document))
    assert end is not None
    assert text[:end] + "■" + text[end:] == model


@pytest.mark.parametrize(
    ("language", "document", "model"),
    [
        case("a line that may go on", "python", "x = ¦", "foo(1)"),
        case("nothing yet", "python", "x = ¦", ""),
        case("a bracket is open", "python", "x = foo(¦", "\n    1,\n"),
        case("a string is open", "python", "x = ¦", '"""a\nb\n\nc\n'),
        case("a block is open", "python", "def f(x):¦", "\n    return x\n"),
        case("blank lines in a block", "python", "def f(x):¦", "\n    a = 1\n\n\n"),
        case("the beginning of else", "python", "if x:¦", "\n    a()\nel"),
        case("a brace is open", "c", "int f() {¦", "\n  int x;\n\n  x = 1;\n"),
        case("an end is to come", "lua", "function f()¦", "\n  a()\n\n  b()\n"),
    ],
)
def test_a_unit_that_is_not_known_to_end(language: str, document: str, model: str) -> None:
    assert ends(model, place_of(language, document)) is None


@pytest.mark.parametrize(
    ("language", "document", "model"),
    [
        case("brackets closed by the editor", "python", "print(¦)", "x, y)■\nz\n"),
        case("a whole call", "python", "if ¦:", "foo(\n    1)■:\n"),
        case("the line ends first", "python", "print(¦)", "x■\ny\n"),
        case("arguments over several lines", "python", "print(¦)", "\n    a,\n    b,\n)■\nx\n"),
        case("a body over several lines", "javascript", "f(() => {¦})", "\n  a();\n  b();\n})■\n"),
        case("lines that never end", "python", "print(¦)", "a,■\n" + "    b,\n" * 9),
        case("lines before what is there", "go", "\t¦return err\n", "a()\n\tb()\n\treturn err■\n"),
    ],
)
def test_with_something_right_of_the_cursor_that_is_to_be_met(language: str, document: str, model: str) -> None:
    """On this line, or on a few more in a bracket or from the line's start."""
    text = model.replace("■", "")
    assert ends(text, place_of(language, document)) == text.index("\n", model.index("■"))


def test_spaces_right_of_the_cursor_are_nothing() -> None:
    place = place_of("python", "if x¦   \n")
    assert ends(":\n    a()\nb()\n", place) == len(":\n    a()")


def test_a_place_knows_what_its_line_begins_in() -> None:
    document = 'x = """one"""\ndef f():\n    """Do\n    ¦\n    """\n'
    assert place_of("python", document).string == '"""'
    assert place_of("python", document.replace("¦", "").replace("    return", "") + "¦").string == ""
    assert place_of("python", "s = '''\n¦").string == "'''"


def test_a_place_knows_the_first_line_below() -> None:
    assert place_of("python", "x¦\n\n  \t\n    y = 1\nz\n").below == "    y = 1\nz\n"
    assert place_of("python", "x¦\r\n\r\n    y = 1\r\n").below == "    y = 1\r\n"
    assert place_of("python", "x¦\r\n\r\n    y = 1\r\n").line_below == "    y = 1"
    assert place_of("python", "x¦\n\n").below == ""
    assert place_of("python", "x¦").below == ""


# -- streaming ------------------------------------------------------------------------------------------------------

SNIPPET = st.one_of(
    st.sampled_from(["x = f(", "1, 2", ")", "]", "}", "{", "def f():", "if (x) {", "} else {", "else:", "elsewhere"]),
    st.sampled_from(["end", "e", "en", "fi", "do", "case x", "-", "- x", "-x", "<", "</p>", "<p>", "return x;", "x ="]),
    st.sampled_from(["# note", "// don't", '"""', "'", "'('", "`", "``", "```", "/*", "*/", "=", "|", ",", ";", "\\"]),
    st.sampled_from(["", "中"]),
)
INDENT = st.sampled_from(["", "", "  ", "    ", "    ", "\t", "        "])
BREAK = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n", "\n   \n"])
CODE = st.lists(st.tuples(INDENT, SNIPPET, SNIPPET, BREAK), max_size=8).map(
    lambda lines: "".join("".join(line) for line in lines)
)
LANGUAGE = st.sampled_from(["python", "javascript", "rust", "ruby", "yaml", "html", "markdown", "c", "lua", ""])


@settings(max_examples=200, deadline=None)
@given(CODE, SNIPPET, CODE, CODE, st.sampled_from(["", "", "", ")", "  "]), LANGUAGE, INDENT)
def test_an_end_once_found_stays(
    above: str, before: str, text: str, below: str, rest: str, language: str, indent: str
) -> None:
    """For every beginning of a text: an end that is known is the end of the whole."""
    place = place_of(language, f"{above}{indent}{before}¦{rest}\n{below}".replace("\r\n", "\n"))
    end = ends(text, place)
    assert end is None or text[:end] == text[:end].rstrip() or place.rest.strip()


@settings(deadline=None)
@given(CODE, LANGUAGE)
def test_a_unit_ends_at_a_line_s_end(text: str, language: str) -> None:
    end = ends(text, place_of(language, "¦"))
    if end is not None:
        assert text[end:].lstrip(" \t\r").startswith("\n")
