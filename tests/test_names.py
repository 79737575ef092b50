"""Names that a suggestion uses and nobody defined: ``¦`` in a document is the cursor."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lsp.completion.names import Invented, invented
from lsp.completion.place import Place
from lsp.documents import Cursor

INDEX = {"load_settings", "Workspace"}


def find(language: str, document: str, text: str) -> Invented:
    before, after = document.split("¦")
    place = Place.of(Cursor("file:///x", None, language, 1, before + after, len(before)))

    def known(names: Iterable[str]) -> set[str]:
        return INDEX.intersection(names)

    return invented(text, place, known)


@pytest.mark.parametrize(
    ("language", "document", "text"),
    [
        ("python", "def f(xs):\n    ¦\n", "return sorted(xs)"),
        ("python", "def f(xs):\n    ¦\n", "for item in xs:\n        print(item)"),
        ("python", "def f(xs):\n    ¦\n", "total = sum(xs)\n    return total"),
        ("python", "def f(xs):\n    ¦\n", "first, *rest = xs\n    return rest, first"),
        ("python", "def f(xs):\n    ¦\n", "return [x * 2 for x in xs if x]"),
        ("python", "def f(xs):\n    ¦\n", "return max(xs, key=lambda pair: pair[1])"),
        ("python", "def f(path):\n    ¦\n", "with open(path) as file:\n        return file"),
        ("python", "def f():\n    ¦\n", "try:\n        f()\n    except ValueError as error:\n        print(error)"),
        ("python", "¦\n", "import json\nfrom os import path as p\njson, p"),
        ("python", "¦\n", "def g(value: int = 1, *rest, key=None):\n    return value, rest, key"),
        ("python", "¦\n", "settings = load_settings()"),
        ("python", "self.wid¦\n", "th"),
        ("python", "width = 1\nx = wid¦\n", "th"),
        ("python", "x = ¦\n", "'no name' # nor here"),
        ("typescript", "function f(xs: string[]) {\n  ¦\n}\n", "for (const x of xs) {\n    console.log(x);\n  }"),
        ("typescript", "¦\n", "const go = (value: number) => value + 1;\ngo(1);"),
        ("typescript", "¦\n", "try {\n} catch (error) {\n  throw error;\n}"),
        ("go", "func f(xs []int) {\n\t¦\n}\n", "for _, value := range xs {\n\t\tprintln(value)\n\t}"),
        ("go", "func f() error {\n\t¦\n}\n", "if first := f(); first != nil {\n\t\treturn first\n\t}"),
        ("rust", "fn f(xs: &[u8]) {\n    ¦\n}\n", "let total: usize = xs.len();\n    drop(total);"),
        ("rust", "fn f(xs: Option<u8>) {\n    ¦\n}\n", "if let Some(value) = xs {\n        drop(value);\n    }"),
        ("java", "class A {\n  void f(int[] xs) {\n    ¦\n  }\n}\n", "for (int x : xs) {\n      f(x);\n    }"),
        ("java", "class A {\n  void f() {\n    ¦\n  }\n}\n", "String text = null;\n    f(text);"),
        ("c", "int f(int n)\n{\n  ¦\n}\n", 'for (int i = 0; i < n; i++)\n    printf("%d", i);'),
        ("c", "int f(int n)\n{\n  ¦\n}\n", "char *text = malloc(n);\n  free(text);"),
        ("csharp", "class A {\n  void F(int[] xs) {\n    ¦\n  }\n}\n", "foreach (var item in xs) { F(item); }"),
        ("ruby", "def f(xs)\n  ¦\nend\n", "xs.each { |item| puts item }"),
        ("lua", "local xs\n¦\n", "for key, value in pairs(xs) do\n  print(key, value)\nend"),
        ("kotlin", "fun f(xs: List<Int>) {\n  ¦\n}\n", "for (item in xs) { println(item) }"),
        ("php", "<?php\nfunction f($xs) {\n  ¦\n}\n", "foreach ($xs as $item) { f($item); }"),
        ("markdown", "¦\n", "any words"),
        ("swift", "func f() {\n    ¦\n}\n", "let x = String(5)\n    print(x)"),
        ("scala", "def f() = {\n  ¦\n}\n", "val x = Some(5)\n  println(x)"),
        ("zig", "¦\n", "any words"),
    ],
)
def test_nothing_is_invented(language: str, document: str, text: str) -> None:
    assert find(language, document, text).names == ()


@pytest.mark.parametrize(
    ("language", "document", "text"),
    [
        ("python", "def f(xs):\n    ¦\n", "return wished_for(xs)"),
        ("python", "def f(xs):\n    return ¦\n", "wished_for"),
        ("python", "def f(xs):\n    wished¦\n", "_for(xs)"),
        ("python", "¦\n", "value = wished_for(value=1)"),
        ("typescript", "¦\n", "const x = wished_for(1);"),
        ("go", "func f() {\n\t¦\n}\n", "x := wished_for(1)"),
        ("rust", "fn f() {\n    ¦\n}\n", "let x = wished_for(1);"),
        ("java", "class A {\n  void f() {\n    ¦\n  }\n}\n", "int x = wished_for(1);"),
        ("c", "int f(int n)\n{\n  ¦\n}\n", "int x = wished_for(n);"),
        ("cpp", "int f(int n)\n{\n  ¦\n}\n", "auto x = wished_for(n);"),
        ("csharp", "class A {\n  void F() {\n    ¦\n  }\n}\n", "var x = wished_for(1);"),
        ("ruby", "def f\n  ¦\nend\n", "x = wished_for(1)"),
        ("lua", "¦\n", "local x = wished_for(1)"),
        ("kotlin", "fun f() {\n  ¦\n}\n", "val x = wished_for(1)"),
        ("php", "<?php\n¦\n", "$x = wished_for(1);"),
    ],
)
def test_a_name_is_invented(language: str, document: str, text: str) -> None:
    assert find(language, document, text).names == ("wished_for",)


@pytest.mark.parametrize(
    ("language", "document", "text"),
    [
        ("python", "def f(x):\n    ¦\n", "return x.wished_for()"),
        ("python", "def f(x):\n    return x.¦\n", "wished_for"),
        ("python", "def f(x):\n    ¦\n", "f(wished_for=1)"),
        ("typescript", "function f(x: any) {\n  ¦\n}\n", "return x.wished_for;"),
        ("go", "func f(x T) {\n\t¦\n}\n", "x.wished_for()"),
        ("rust", "fn f(x: T) {\n    ¦\n}\n", "x.wished_for();"),
        ("java", "class A {\n  void f(A a) {\n    ¦\n  }\n}\n", "a.wished_for();"),
        ("c", "int f(struct a *n)\n{\n  ¦\n}\n", "n->wished_for = 1;"),
        ("ruby", "def f(x)\n  ¦\nend\n", "x.wished_for"),
        ("lua", "local x\n¦\n", "x.wished_for()"),
    ],
)
def test_attributes_are_apart(language: str, document: str, text: str) -> None:
    assert find(language, document, text) == Invented((), ("wished_for",))


def test_what_a_parser_cannot_read_has_no_names() -> None:
    assert find("c", "int x = ¦;" + "/* " * 8_000, "wished_for") == Invented()
    assert find("python", "¦", "") == Invented()


def test_code_nested_deeper_than_python_may_recurse_is_read() -> None:
    assert find("python", f"x = {'(' * 3000}¦{')' * 3000}\n", "nobody").names == ("nobody",)
