"""Documentation of a definition: the model writes the words, and where they go is known, so the code stays as it is."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from indexer.languages import LINE_COMMENT
from indexer.outline import outline
from lsp.chat.editing.python_repairs import header, only_definition

# How documentation begins, how each further line of it does, and what ends it; by the languages that have such.
_BLOCK = ("/**\n * ", " * ", "*/")
_STYLES = {
    **dict.fromkeys(
        ("c", "cpp", "java", "javascript", "javascriptreact", "kotlin", "php", "scala", "typescript",
         "typescriptreact", "groovy", "objective-c"),
        _BLOCK,
    ),
    **dict.fromkeys(("rust", "csharp", "swift", "dart", "fsharp", "zig"), ("/// ", "/// ", "")),
    "lua": ("--- ", "--- ", ""),
    "haskell": ("-- | ", "-- ", ""),
}  # fmt: skip
_MOST_LINES = 24


@dataclass(frozen=True)
class Form:
    """How an answer begins, when it is complete, and what the code becomes with it.

    Args:
        begun: what the answer is begun with.
        ended: whether what was written, ``begun`` included, is complete.
        fitted: the code with what was written; the same code where nothing of it can be used.
    """

    begun: str = ""
    ended: Callable[[str], bool] = lambda written: False
    fitted: Callable[[str], str] = lambda written: written


def documentation(code: str, language: str) -> Form | None:
    """The form of documentation for the definition that the code begins with; None where there is none.

    Args:
        code: without indentation.
        language: LSP's identifier.
    """
    if language == "python":
        return _docstring(code)
    defined = outline(code, language).definitions
    comment = LINE_COMMENT.get(language)
    if not defined or not comment:
        return None
    opening, further, closing = _STYLES.get(language, (f"{comment} ", f"{comment} ", ""))
    if language == "go":
        opening += f"{defined[0].name} "
    lines = code.split("\n")
    at = defined[0].line - 1
    while at and lines[at - 1].lstrip().startswith(("@", "#[")):
        at -= 1
    above = "".join(f"{line}\n" for line in lines[:at])
    if language in _STYLES or language == "go":
        above = _without_comment(above, opening if language == "go" else further, closing)
    return _comment(code, above, "\n".join(lines[at:]), (opening, further.rstrip(), closing))


def _docstring(code: str) -> Form | None:
    definition = only_definition(code)
    above = header(code)
    if definition is None or not above:
        return None
    lines = code.split("\n")
    body = definition.body[0]
    had = ast.get_docstring(definition) is not None
    rest = lines[body.end_lineno or body.lineno :] if had else lines[len(above.split("\n")) - 1 :]
    indent = lines[body.lineno - 1][: body.col_offset]
    begun = f'{above}{indent}"""'

    def fitted(written: str) -> str:
        said = written.removeprefix(begun).partition('"""')[0].strip()
        if not said or '"""' not in written.removeprefix(begun):
            return code
        first, _, others = said.partition("\n")
        text = first.strip()
        if others.strip():
            further = textwrap.dedent(others).rstrip().split("\n")
            text += "\n" + "\n".join(f"{indent}{line}".rstrip() for line in further) + f"\n{indent}"
        mark = 'r"""' if "\\" in said else '"""'
        return "\n".join([f'{above}{indent}{mark}{text}"""', *rest])

    return Form(begun, lambda written: '"""' in written.removeprefix(begun), fitted)


def _comment(code: str, above: str, below: str, style: tuple[str, str, str]) -> Form:
    opening, mark, closing = style

    def said(written: str) -> str:
        if closing:
            return written.partition(closing)[0].rstrip() + f"\n {closing}" if closing in written else ""
        lines = written.split("\n")
        end = next((i for i, line in enumerate(lines) if not line.startswith(mark)), len(lines))
        return "\n".join(lines[:end]).rstrip()

    def ended(written: str) -> bool:
        if closing:
            return closing in written
        *complete, _ = written.split("\n")
        return len(complete) > _MOST_LINES or any(not line.startswith(mark) for line in complete)

    def fitted(written: str) -> str:
        comment = said(written)
        return f"{above}{comment}\n{below}" if len(comment) > len(opening) else code

    return Form(opening, ended, fitted)


def _without_comment(above: str, begins: str, closing: str) -> str:
    """What stands above a definition, without the documentation at its end."""
    if closing:
        return re.sub(r"/\*\*(?:(?!\*/).)*\*/\s*\Z", "", above, flags=re.DOTALL)
    lines = above.splitlines()
    while lines and lines[-1].startswith(begins.rstrip()):
        lines.pop()
    return "".join(f"{line}\n" for line in lines)
