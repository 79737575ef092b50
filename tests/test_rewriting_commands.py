"""Commands whose answers have a form of their own: fix, document, types, tests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rewriting_support import MEAN, Engine, new_text, rewritten, task

from lsp.errors import MidlineError


async def test_a_diagnostic_is_told_with_its_line_and_the_name_that_is_meant() -> None:
    text = "import os\n\ndef mean(values):\n    return sum(vaules)\n"
    engine = Engine("def mean(values):\n    return sum(values)\n```")
    asked = replace(task("", text, (3, 4), "fix"), diagnostics=("line 4: Undefined name `vaules`",))
    assert (await rewritten(engine, asked)).text == "def mean(values):\n    return sum(values)\n"
    assert "Undefined name `vaules`, in the line `return sum(vaules)`. Is `values` meant?" in engine.asked


@pytest.mark.parametrize(
    ("code", "said", "documented"),
    [
        (
            MEAN,
            'The mean.""" and so on',
            'def mean(values):\n    """The mean."""\n    return sum(values) / len(values)\n',
        ),
        (
            'def f():\n    """Old."""\n    return 1\n',
            'New.\n\n    Returns:\n        one\n    """',
            'def f():\n    """New.\n\n    Returns:\n        one\n    """\n    return 1\n',
        ),
        (
            "class B:\n    @a\n    def f(self): ...\n",
            'A B."""',
            'class B:\n    """A B."""\n    @a\n    def f(self): ...\n',
        ),
        ("@cached\nclass A:\n    x = 1\n", 'An A.\n"""', '@cached\nclass A:\n    """An A."""\n    x = 1\n'),
        ("def f():\n    return 1\n", 'Matches \\d."""', 'def f():\n    r"""Matches \\d."""\n    return 1\n'),
    ],
)
async def test_a_docstring_is_all_that_documenting_adds(code: str, said: str, documented: str) -> None:
    asked = task("", code, (1, code.count("\n")), "document")
    assert await new_text(said, asked) == documented


@pytest.mark.parametrize(
    ("language", "code", "said", "documented"),
    [
        ("go", "func Mean(v []int) int {\n\treturn 1\n}\n", "is the mean.\nfunc Mean", "// Mean is the mean.\n"),
        ("rust", "fn mean() -> i32 {\n    1\n}\n", "The mean.\n///\n/// One.\nfn x", "/// The mean.\n///\n/// One.\n"),
        ("typescript", "function f() {\n  return 1;\n}\n", "One.\n * Two.\n */\nx", "/**\n * One.\n * Two.\n */\n"),
    ],
)  # fmt: skip
async def test_documentation_of_other_languages_is_a_comment_above(
    language: str, code: str, said: str, documented: str
) -> None:
    asked = replace(task("", code, (1, code.count("\n")), "document"), language=language)
    assert await new_text(said, asked) == documented + code


async def test_documentation_replaces_documentation_and_no_other_comment() -> None:
    rust = "/// Old.\nfn f() {}\n"
    made = await new_text("New.\nfn x", replace(task("", rust, (1, 2), "document"), language="rust"))
    assert made == "/// New.\nfn f() {}\n"
    shell = "#!/bin/sh\nf() {\n  true\n}\n"
    made = await new_text("New.\nf", replace(task("", shell, (1, 4), "document"), language="shellscript"))
    assert made == "#!/bin/sh\n# New.\nf() {\n  true\n}\n"
    java = "/** Old. */\n@Override\npublic class A {\n}\n"
    made = await new_text("New.\n */", replace(task("", java, (1, 4), "document"), language="java"))
    assert made == "/**\n * New.\n */\n@Override\npublic class A {\n}\n"


async def test_type_hints_change_the_signature_alone() -> None:
    code = "@cached\ndef pick(values, n=1):  # some\n    # none\n    return values[:n]\n"
    engine = Engine("values: List[int], n: Optional[int] = 1) -> Any:\n    return None\n```")
    made = await rewritten(engine, task("", code, (1, 4), "types"))
    assert made.text == (
        "@cached\ndef pick(values: list[int], n: int | None = 1) -> object:\n    # none\n    return values[:n]\n"
    )
    assert engine.asked.endswith("```python\n@cached\ndef pick(")


async def test_types_that_nobody_imports_are_written_as_text() -> None:
    made = await new_text("values: Iterable[int]) -> float:\n```", task("", MEAN, (1, 2), "types"))
    assert made.startswith('def mean(values: "Iterable[int]") -> float:\n')
    text = f"from typing import Iterable\n{MEAN}"
    made = await new_text("values: Iterable[int]) -> float:\n```", task("", text, (2, 3), "types"))
    assert made.startswith("def mean(values: Iterable[int]) -> float:\n")


async def test_type_hints_that_change_the_parameters_are_refused() -> None:
    with pytest.raises(MidlineError, match="changed nothing"):
        await rewritten(Engine(*["numbers: list) -> float:\n```"] * 2), task("", MEAN, (1, 2), "types"))


async def test_tests_are_new_code_of_which_what_is_whole_is_kept() -> None:
    engine = Engine(
        "mean():\n    assert mean([1]) == 1\n\ndef mean(v):\n    return 0\n\ndef test_other():\n    pass\n\n"
        "def test_mean_of_two():\n    assert mean([1, 3]) == 2\n\nprint(1)\ndef test_cut():\n    assert mean(["
    )
    made = await rewritten(engine, replace(task("", MEAN, (1, 2), "tests"), path="src/app/stats.py"))
    assert engine.asked.endswith("```python\nfrom app.stats import mean\n\n\ndef test_")
    assert made.text == (
        "from app.stats import mean\n\n\ndef test_mean():\n    assert mean([1]) == 1\n\n\n"
        "def test_mean_of_two():\n    assert mean([1, 3]) == 2\n"
    )
