"""What imports mean: the names that they bind, and the files of the workspace that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ALIAS = re.compile(r"^(.*?)(?:\s+as\s+|\s*=>\s*)([\w*]+)$")
_LEADING = re.compile(r"^(?:import|use|using|static|function|const|pub|global)\s+")
_SEPARATOR = re.compile(r"::|[.\\/]")


def bound_by(module: str, part: str) -> list[str]:
    """The name that a bare import of a module binds: the first or the last part of its path, or none."""
    if not part:
        return []
    pieces = [piece for piece in _SEPARATOR.split(module) if piece]
    return [pieces[0 if part == "first" else -1]] if pieces else []


def expanded(tree: str) -> Iterator[tuple[str, str]]:
    """The paths of a use tree such as ``a::{b, c as d, e::*}``, each with the name that it binds (a star: ``*``)."""
    tree = tree.strip().rstrip(";")
    while (shorter := _LEADING.sub("", tree)) != tree:
        tree = shorter
    for path in _leaves(" ".join(tree.split())):
        alias = _ALIAS.match(path)
        module, name = (alias[1].strip(), alias[2]) if alias else (path, "")
        pieces = [piece.strip() for piece in _SEPARATOR.split(module)]
        if pieces[-1] in ("*", "_", "given"):
            yield re.sub(r"(?:::|[.\\])?(?:\*|_|given)$", "", module), "*"
        elif pieces[-1] == "self" and len(pieces) > 1:
            yield module.removesuffix("self").rstrip(":."), name or pieces[-2]
        elif module:
            yield module, name or pieces[-1]


def _leaves(tree: str) -> Iterator[str]:
    """A tree's paths, braces multiplied out; at most some thousand, so that nested braces can't explode."""
    todo = [("", tree)]
    for _ in range(2_000):
        if not todo:
            return
        prefix, rest = todo.pop()
        parts = _at_commas(rest)
        if len(parts) > 1:
            todo += [(prefix, part) for part in reversed(parts)]
            continue
        head, brace, inner = rest.partition("{")
        if brace:
            todo.append((prefix + head.strip(), inner.rpartition("}")[0] or inner))
        elif rest.strip():
            yield prefix + rest.strip()


def _at_commas(tree: str) -> list[str]:
    depth, start, parts = 0, 0, []
    for at, character in enumerate(tree):
        if character == "," and depth == 0:
            parts.append(tree[start:at])
            start = at + 1
        else:
            depth += (character == "{") - (character == "}")
    return [part for part in (*parts, tree[start:]) if part.strip()] or [tree]
