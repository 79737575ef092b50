"""What an editor's diagnostics become for the model."""

from __future__ import annotations

from typing import Any

from lsp.chat.library import Place
from lsp.chat.requests import ChatParams, notes_on, read_params


def diagnostic(first: int, last: int, message: Any, **more: Any) -> dict[str, Any]:
    """As LSP has it; lines from 0."""
    place = {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 3}}
    return {"range": place, "message": message} | more


def told(diagnostics: list[dict[str, Any]], start: int = 0, end: int = 0) -> str:
    params = read_params(ChatParams, {"message": "?", "diagnostics": diagnostics})
    return notes_on(params.diagnostics, Place("a.py", "x\n" * 20, start, end))


def test_they_are_told_with_their_lines_severity_and_source() -> None:
    found = [
        diagnostic(2, 2, "x is not\n  defined", severity=1, source="pyright"),
        diagnostic(8, 8, {"kind": "markdown", "value": "too *long*"}, severity=2),
        diagnostic(9, 9, "so"),
    ]
    assert told(found).split("\n") == [
        "Tools report of a.py:",
        "- line 3: error: x is not defined (pyright)",
        "- line 9: warning: too *long*",
        "- line 10: so",
    ]


def test_of_a_selection_only_its_own_are_told() -> None:
    found = [diagnostic(0, 0, "above"), diagnostic(1, 4, "across"), diagnostic(4, 4, "in"), diagnostic(6, 6, "below")]
    assert [line[2:] for line in told(found, 4, 6).split("\n")[1:]] == ["line 2: across", "line 5: in"]
    assert told(found, 12, 13) == ""
    assert told([]) == ""


def test_no_flood_and_no_secret_reaches_the_model() -> None:
    token = "ghp_" + "a1B2" * 9
    text = told([diagnostic(0, 0, f"{token} " + "long " * 500)] * 50)
    assert token not in text
    assert len(text.split("\n")) == 11
    assert len(text) < 4_000
