"""New tests for a definition: what they begin with is known, and what of the model's is usable is kept."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

from lsp.chat.editing.documenting import Form
from lsp.chat.editing.python_repairs import first_line, parsed

MOST_TESTS = 4
# Folders that sources lie in and no import names.
_ROOTS = ("src", "lib", "python")
_TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)


def tests_of(text: str, path: str, start_line: int, end_line: int) -> Form | None:
    """The form of pytest's tests for what stands in some lines of a module; None where they define nothing.

    Args:
        text: the module.
        path: of its file in the workspace.
        start_line, end_line: from 1, the last one included.
    """
    tree = parsed(text)
    if tree is None:
        return None
    names = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.lineno <= end_line
        and (node.end_lineno or 0) >= start_line
    ]
    if not names:
        return None
    begun = f"from {_module(path)} import {', '.join(names)}\n\n\ndef test_"

    def ended(written: str) -> bool:
        return len(_TEST.findall(written)) > MOST_TESTS

    def fitted(written: str) -> str:
        return _usable(written, names)

    return Form(begun, ended, fitted)


def _usable(written: str, names: list[str]) -> str:
    """The imports and the whole tests among what was written; empty where there is no test that names the tested."""
    lines = written.split("\n")
    tree = parsed(written)
    while tree is None and lines:  # the last one may be cut
        lines.pop()
        tree = parsed("\n".join(lines))
    if tree is None or len(_TEST.findall("\n".join(lines))) > MOST_TESTS:
        lines = "\n".join(lines).split("\n")
        last = max((i for i, line in enumerate(lines) if _TEST.match(line)), default=0)
        tree = parsed("\n".join(lines[:last]))
    kept: list[tuple[str, bool]] = []
    for node in tree.body if tree else []:
        code = "\n".join(lines[first_line(node) - 1 : node.end_lineno])
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept.append((code, False))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name not in names:
            is_test = node.name.lower().startswith("test")
            if not is_test or any(re.search(rf"\b{name}\b", code) for name in names):
                kept.append((code, True))
    if not any("def test" in code for code, defines in kept if defines):
        return ""
    imports = "\n".join(dict.fromkeys(code for code, defines in kept if not defines))
    return "\n\n\n".join([imports, *(code for code, defines in kept if defines)])


def _module(path: str) -> str:
    """The name that a file is imported by."""
    parts = list(PurePosixPath(path).with_suffix("").parts)
    if path.startswith("/") or not all(part.isidentifier() for part in parts):
        return parts[-1] if parts and parts[-1].isidentifier() else "module"
    while len(parts) > 1 and parts[0] in _ROOTS:
        parts.pop(0)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)
