"""Code actions: what midline offers to do with the lines at hand. No model is asked before the user chooses one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lsprotocol import types

from lsp.documents import Document

EDIT, EXPLAIN, ASK_EDIT = "midline.edit", "midline.explain", "midline.askEdit"
"""The commands that carry them out; the last one is the client's own."""

KINDS = [types.CodeActionKind.QuickFix, types.CodeActionKind.RefactorRewrite, types.CodeActionKind.Source]

_MOST_FIXES = 8
_TITLE_CHARS = 60
# Where types may be written, and may be missing.
_TYPED = frozenset({"python", "typescript", "typescriptreact", "php"})


def code_actions(params: types.CodeActionParams, document: Document, *, asks: bool) -> list[types.CodeAction]:
    """What is offered for a range of a document.

    Args:
        params: the request.
        document: one that models may see.
        asks: whether the client asks its user for the instruction of an edit.
    """
    only = params.context.only
    return [one for one in _all(params, document, asks) if not only or _wanted(one.kind, only)]


def _all(params: types.CodeActionParams, document: Document, asks: bool) -> Iterator[types.CodeAction]:
    named = {"uri": document.uri, "version": document.version}
    here = {"textDocument": named, "selection": _range(params.range)}
    for one in params.context.diagnostics[:_MOST_FIXES]:
        # An empty selection stands for the definition around it: a fix is seldom on the very line.
        where = _range(types.Range(one.range.start, one.range.start))
        told = {"range": _range(one.range), "message": _message(one)}
        arguments = {"textDocument": named, "selection": where, "command": "fix", "diagnostics": [told]}
        title = f"Fix: {_shortened(_message(one))} (midline)"
        yield _action(title, types.CodeActionKind.QuickFix, EDIT, arguments, [one])
    if not any(line.strip() for line in document.lines[params.range.start.line : params.range.end.line + 1]):
        return
    rewrite = types.CodeActionKind.RefactorRewrite
    yield _action("Document (midline)", rewrite, EDIT, here | {"command": "document"})
    if document.language in _TYPED:
        yield _action("Add type hints (midline)", rewrite, EDIT, here | {"command": "types"})
    if asks:
        yield _action("Edit with midline…", rewrite, ASK_EDIT, here)
    if document.fs_path:
        yield _action("Write tests (midline)", types.CodeActionKind.Source, EDIT, here | {"command": "tests"})
    yield _action("Explain (midline)", None, EXPLAIN, here)


def _action(
    title: str,
    kind: types.CodeActionKind | None,
    command: str,
    arguments: dict[str, Any],
    diagnostics: list[types.Diagnostic] | None = None,
) -> types.CodeAction:
    return types.CodeAction(
        title, kind, diagnostics=diagnostics, command=types.Command(title, command, arguments=[arguments])
    )


def _wanted(kind: types.CodeActionKind | str | None, only: Iterable[types.CodeActionKind | str]) -> bool:
    """Whether one of the kinds asked for is this one, or one that it is a kind of."""
    name = str(getattr(kind, "value", kind or ""))
    wanted = [str(getattr(one, "value", one)) for one in only]
    return any(f"{name}.".startswith(f"{one}.") or not one for one in wanted)


def _message(one: types.Diagnostic) -> str:
    return one.message if isinstance(one.message, str) else one.message.value


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARS else f"{line[: _TITLE_CHARS - 1]}…"


def _range(one: types.Range) -> dict[str, Any]:
    return {
        end: {"line": place.line, "character": place.character}
        for end, place in (("start", one.start), ("end", one.end))
    }
