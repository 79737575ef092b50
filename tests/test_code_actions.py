"""Code actions: what is offered where, without a model."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types

from lsp.chat.editing.actions import code_actions
from lsp.documents import Document

TEXT = "def f(a):\n    return b\n\n\n"


def offered(
    *,
    lines: tuple[int, int] = (0, 0),
    language: str = "python",
    diagnostics: list[types.Diagnostic] | None = None,
    only: list[types.CodeActionKind | str] | None = None,
    asks: bool = False,
    uri: str = "file:///w/a.py",
) -> list[types.CodeAction]:
    first, last = lines
    where = types.Range(types.Position(first, 0), types.Position(last, 0))
    params = types.CodeActionParams(
        types.TextDocumentIdentifier(uri), where, types.CodeActionContext(diagnostics or [], only=only)
    )
    return code_actions(params, Document(uri, TEXT, 7, language), asks=asks)


def titles(**wanted: Any) -> list[str]:
    return [one.title for one in offered(**wanted)]


def undefined(message: str = "undefined name 'b'") -> types.Diagnostic:
    return types.Diagnostic(types.Range(types.Position(1, 11), types.Position(1, 12)), message)


REWRITES = ["Document (midline)", "Add type hints (midline)"]
OTHERS = ["Write tests (midline)", "Explain (midline)"]


def test_what_is_offered() -> None:
    assert titles() == REWRITES + OTHERS
    assert titles(asks=True) == [*REWRITES, "Edit with midline…", *OTHERS]
    assert titles(language="go") == ["Document (midline)", *OTHERS]
    assert titles(uri="untitled:1") == [*REWRITES, "Explain (midline)"]


def test_nothing_is_offered_for_empty_lines() -> None:
    assert titles(lines=(2, 2)) == titles(lines=(2, 3)) == []
    assert titles(lines=(99, 99)) == []


def test_a_fix_for_each_diagnostic() -> None:
    fix, *others = offered(diagnostics=[undefined(), undefined("x " * 100)], only=["quickfix"])
    assert fix.title == "Fix: undefined name 'b' (midline)"
    assert fix.diagnostics == [undefined()]
    assert fix.command is not None
    assert fix.command.command == "midline.edit"
    start = {"line": 1, "character": 11}
    assert fix.command.arguments == [
        {
            "textDocument": {"uri": "file:///w/a.py", "version": 7},
            "selection": {"start": start, "end": start},
            "command": "fix",
            "diagnostics": [
                {"range": {"start": start, "end": {"line": 1, "character": 12}}, "message": "undefined name 'b'"}
            ],
        }
    ]
    assert len(others) == 1
    assert len(others[0].title) < 80


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        (["refactor"], {"refactor.rewrite"}),
        (["refactor.rewrite"], {"refactor.rewrite"}),
        (["refactor.extract"], set()),
        (["source"], {"source"}),
        (["source.organizeImports"], set()),
        (["quickfix", "source"], {"quickfix", "source"}),
        ([""], {"quickfix", "refactor.rewrite", "source", ""}),
        ([], {"quickfix", "refactor.rewrite", "source", ""}),
    ],
)
def test_only_the_kinds_asked_for(only: list[types.CodeActionKind | str], kinds: set[str]) -> None:
    found = {str(getattr(one.kind, "value", one.kind or "")) for one in offered(diagnostics=[undefined()], only=only)}
    assert found == kinds
