"""Who calls a function: the lines of the index' files that use its name, with the definition that they stand in.

The index knows by name which chunks use what, so that methods of the same name can't be told apart; where one of them
is asked for (``Session.run``), lines of files that name its class come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from indexer.chunk import Chunk, split_lines
from indexer.query import is_test
from indexer.rows import term_id
from indexer.view import View
from lsp.chat.library import Library, enclosing, qualified
from lsp.chat.need import READ, names_in

# Chunks that have the name in them and are looked at; a name that more have is no news.
_LOOKED_AT = 200


@dataclass(frozen=True)
class Call:
    """A line that uses a name.

    Args:
        path: of its file.
        line: from 1.
        caller: the definition that it stands in; empty outside of all.
        text: the line and its neighbours, from line ``start``.
        is_call: whether it looks like a call, and not only like a mention.
    """

    path: str
    line: int
    caller: str
    start: int
    text: str
    is_call: bool


def asks_for_callers(question: str) -> bool:
    """Whether it is asked who calls something, and not what something calls."""
    return _CALLERS.search(question[:READ]) is not None


_CALLERS = re.compile(
    r"\b(?:who|what|which\b[\w ]*|where\b[\w ]*|everything|code) (?:that )?(?:calls|uses|invokes|references)\b|"
    r"\bwhich \w+ (?:call|use|invoke)\b|"
    r"\b(?:where|how|who)\b.*\b(?:called|used|invoked|referenced)\b|\bcallers?\b|\b(?:usages?|uses|calls) (?:of|to)\b|"
    r"谁[^，。]{0,6}(?:调用|使用|引用|用)|哪[^，。]{0,10}(?:调用|使用|引用|用到|用了)|"
    r"被[^，。]{0,6}(?:调用|使用|引用)|(?:调用|使用|引用)(?:者|方|处)|调用了? ?`?\w+`? ?的(?:地方|代码|函数)",
    re.IGNORECASE,
)


def asked_names(question: str, library: Library) -> list[str]:
    """The names that a question on callers is about: identifiers in it, and what it says to be called, if defined."""
    question = question[:READ]
    telling = set(names_in(question))
    words = [word for word in _DOTTED.findall(question) if telling.intersection(word.split("."))]
    words += [word for groups in _CALLED.findall(question) for word in groups if word]
    known = library.known({word.rpartition(".")[2] for word in words})
    return [word for word in dict.fromkeys(words) if word.rpartition(".")[2] in known]


_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
# A plain word counts where it is what is called: ``who calls flush``, ``where is run called``, 谁调用了 flush.
_CALLED = re.compile(
    rf"\b(?:calls|invokes|callers? of|calls (?:of|to)) (?:the )?(?:function |method )?`?({_DOTTED.pattern})|"
    rf"({_DOTTED.pattern})`?(?:\(\))? (?:is |are |being |gets? )?(?:called|invoked)\b|"
    rf"调用[了过]? ?`?({_DOTTED.pattern})|"
    rf"({_DOTTED.pattern})`?(?:\(\))? ?(?:函数|方法)?(?:是|会)?(?:在|被)[^，。A-Za-z]{{0,6}}调用",
    re.IGNORECASE | re.ASCII,
)


def calls(library: Library, symbol: str, most: int) -> list[Call]:
    """Lines that use what ``symbol`` (``run``, ``Session.run``) names, one for each definition, tests last."""
    if library.index is None:
        return []
    scope, _, name = symbol.rpartition(".")
    owner = scope.rpartition(".")[2]
    view = library.index.view()
    found = [
        call
        for file, chunk in _using(view, name)
        if chunk.symbol != symbol and (call := _call(view, file, chunk, name))
    ]
    found.sort(key=lambda one: (is_test(one.path), not one.is_call, not _names(library, one.path, owner), one.path))
    return [replace(one, caller=_around(library, one)) for one in found[:most]]


def _using(view: View, name: str) -> Iterator[tuple[int, Chunk]]:
    """The chunks that use a name, with their files' ids."""
    term = term_id(name.strip("_").lower())
    for part, dead in zip(view.segments, view.dead, strict=True):
        rows = (part.postings_of(term) >> np.uint32(8)).astype(np.int64)
        for row in rows[~dead[rows]][:_LOOKED_AT].tolist():
            file = int(part.files[row])
            try:
                chunk = view.chunk(file, int(part.numbers[row]))
            except (KeyError, IndexError):  # changed meanwhile
                continue
            # The head of a class shows its methods' signatures, which stand further down.
            if name in chunk.uses and chunk.kind in ("function", "method", "module"):
                yield file, chunk


def _call(view: View, file: int, chunk: Chunk, name: str) -> Call | None:
    """The line of a chunk that calls a name, else the first that uses it other than to define or import it."""
    try:
        lines = split_lines(view.text(file))
    except KeyError:
        return None
    word = rf"(?<!\w){re.escape(name)}(?!\w)"
    numbers = range(chunk.start_line, min(chunk.end_line, len(lines)) + 1)
    used = [line for line in numbers if re.search(word, lines[line - 1])][name in chunk.defines :]
    called = [line for line in used if re.search(rf"{word}\s*\(", lines[line - 1])]
    # Outside of all definitions it is mostly imported.
    found = called or (used if chunk.kind != "module" else [])
    if not found:
        return None
    line = found[0]
    start, end = max(chunk.start_line, line - 1), min(chunk.end_line, line + 1)
    return Call(view.files[file].path, line, "", start, "\n".join(lines[start - 1 : end]), bool(called))


def _around(library: Library, call: Call) -> str:
    """The definition that a call stands in: small ones have no chunk of their own."""
    taken = library.outline(call.path)
    inside = enclosing(taken[0], call.line, call.line) if taken else None
    return qualified(inside) if inside else ""


def _names(library: Library, path: str, owner: str) -> bool:
    """Whether a file has the name of what encloses the symbol."""
    return bool(owner) and owner in (library.text(path) or "")
