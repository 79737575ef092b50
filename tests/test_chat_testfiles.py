"""Where tests belong by a workspace's habits, and how new ones join those that there are."""

from __future__ import annotations

import pytest

from lsp.chat.editing.testfiles import file_of_tests, is_test_file, with_tests


@pytest.mark.parametrize(
    ("path", "paths", "expected"),
    [
        ("shop/prices.py", ["shop/prices.py", "tests/test_prices.py"], "tests/test_prices.py"),
        ("a/b.py", ["tests/a/test_b.py", "tests/c/test_b.py"], "tests/a/test_b.py"),
        # none of its own: as the others have it
        ("shop/prices.py", ["shop/cart.py", "shop/tests/test_cart.py"], "shop/tests/test_prices.py"),
        ("shop/prices.py", ["shop/cart.py", "shop/cart_test.py"], "shop/prices_test.py"),
        ("shop/prices.py", ["lib/cart.py", "lib/cart_test.py"], "shop/prices_test.py"),
        ("shop/prices.py", ["shop/cart.py", "tests/unit/test_cart.py"], "tests/unit/test_prices.py"),
        ("shop/prices.py", ["tests/test_all.py"], "tests/test_prices.py"),
        (
            "src/main/java/a/Price.java",
            ["src/main/java/b/Cart.java", "src/test/java/b/CartTest.java"],
            "src/test/java/a/PriceTest.java",
        ),
        ("web/price.ts", ["web/cart.ts", "web/__tests__/cart.test.ts"], "web/__tests__/price.test.ts"),
        ("src/cart.c", ["src/cart.h", "src/cart.c"], "tests/test_cart.c"),
        # none at all: as it is usual
        ("prices.py", [], "tests/test_prices.py"),
        ("pkg/price.go", [], "pkg/price_test.go"),
        ("web/price.tsx", [], "web/price.test.tsx"),
        ("lib/price.rb", [], "spec/price_spec.rb"),
        ("Price.java", [], "PriceTest.java"),
    ],
)
def test_where_tests_belong(path: str, paths: list[str], expected: str) -> None:
    assert file_of_tests(path, paths) == expected


def test_tests_are_told_by_their_names() -> None:
    assert [is_test_file(path) for path in ("tests/test_a.py", "a.test.ts", "ATest.java", "a.py", "latest.py")] == [
        True,
        True,
        True,
        False,
        False,
    ]


CODE = "from shop.prices import price_of\nimport pytest\n\n\ndef test_price_of():\n    assert price_of(10) == 12\n"


def test_a_new_file_is_the_tests() -> None:
    assert with_tests("", CODE, "python") == CODE
    assert with_tests("\n", f"\n{CODE}\n\n", "python") == CODE


def test_imports_join_the_imports() -> None:
    before = '"""Prices."""\n\nimport pytest\nfrom shop import (\n    cart,\n)\n\n\ndef test_cart():\n    pass\n\n\n'
    assert with_tests(before, CODE, "python") == (
        '"""Prices."""\n\nimport pytest\nfrom shop import (\n    cart,\n)\nfrom shop.prices import price_of\n\n\n'
        "def test_cart():\n    pass\n\n\ndef test_price_of():\n    assert price_of(10) == 12\n"
    )


def test_line_breaks_are_those_of_the_file() -> None:
    before = "import pytest\r\n\r\n\r\ndef test_a():\r\n    pass"
    after = with_tests(before, CODE, "python")
    assert after.count("\r\n") == after.count("\n")
    assert after.startswith("import pytest\r\nfrom shop.prices import price_of\r\n")


def test_a_file_without_imports_gets_them_where_they_parse() -> None:
    before = "def test_a():\n    pass\n"
    after = with_tests(before, CODE, "python")
    compile(after, "test", "exec")
    assert after.index("import price_of") < after.index("def test_price_of")


def test_other_languages_are_left_as_they_are_written() -> None:
    before = 'import { cart } from "./cart";\n\ntest("cart", () => {});\n'
    code = 'import { price } from "./price";\n\ntest("price", () => {\n  expect(price(1)).toBe(2);\n});'
    assert with_tests(before, code, "typescript") == (
        'import { cart } from "./cart";\nimport { price } from "./price";\n\ntest("cart", () => {});\n\n'
        'test("price", () => {\n  expect(price(1)).toBe(2);\n});\n'
    )
