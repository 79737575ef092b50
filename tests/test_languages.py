"""Languages by file name, and by the names that editors give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.languages import LINE_COMMENT, canonical, language_of


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"),
        ("src/A.PY", "python"),
        (Path("/w/a.d.ts"), "typescript"),
        ("App.tsx", "typescriptreact"),
        ("app.jsx", "javascriptreact"),
        ("a.mjs", "javascript"),
        ("x.h", "c"),
        ("x.hpp", "cpp"),
        ("Makefile", "makefile"),
        ("Makefile.am", "makefile"),
        ("Dockerfile.dev", "dockerfile"),
        ("CMakeLists.txt", "cmake"),
        ("notes.txt", "plaintext"),
        ("tsconfig.json", "jsonc"),
        ("package.json", "json"),
        (".bashrc", "shellscript"),
        ("a.py.orig", "plaintext"),
        ("py", "plaintext"),
        ("", "plaintext"),
        ("a.", "plaintext"),
    ],
)
def test_language_of(path: str | Path, language: str) -> None:
    assert language_of(path) == language


def test_line_comments() -> None:
    assert {name: LINE_COMMENT[name] for name in ("python", "rust", "lua", "sql", "latex")} == {
        "python": "#",
        "rust": "//",
        "lua": "--",
        "sql": "--",
        "latex": "%",
    }
    assert not {"html", "css", "json", "markdown", "plaintext"} & LINE_COMMENT.keys()


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("sh", "shellscript"),
        ("cs", "csharp"),
        ("typescript.tsx", "typescriptreact"),
        ("Python", "python"),
        ("zz", "zz"),
    ],
)
def test_what_editors_call_it(name: str, language: str) -> None:
    assert canonical(name) == language
