"""What stands before the dot: read off the text above the cursor, by its look, in any language.

No types are inferred: a variable is what it was last constructed from or annotated with, ``self`` is the class above,
and where neither is known a variable is taken for the class of its own name (``session``: ``Session``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SELVES = frozenset({"self", "cls", "this", "super", "Self", "@"})

_MOST = 200_000  # characters
_LOOKED_AT = 200  # lines above the cursor that are searched for what a variable is
_NEAR = 30  # lines above the cursor whose receivers are likely to be used again
_TYPE = r"(?:\w++(?:\.|::))*+(?P<type>[A-Z]\w*)"
_KNOWN_BY = (
    # x = Type(...), x := &Type{...}, x = new Type<...>(...), let x = Type::new(...)
    re.compile(r"\b(?P<name>\w++)\s*+:?=\s*(?:await\s+|new\s+|&\s*)*" + _TYPE + r"(?:<[^<>()]*>)?\s*(?:[({]|::\w+\()"),
    # x: Type, x: Optional[Type], x: &mut Type, x?: Type
    re.compile(
        r"\b(?P<name>\w++)\s*+\??:\s*[\"'&]*(?:mut\s+)?(?:(?:Optional|Final|ClassVar|Annotated|type|Type|Promise|Box|Arc|Rc)"
        r"\s*[\[<]\s*[\"']?)?" + _TYPE
    ),
    # with Type(...) as x
    re.compile(r"\b(?:with|,)\s+" + _TYPE + r"\([^()]*\)\s+as\s+(?P<name>\w+)"),
    # Type x = ..., Type<...> x;, (Type x, Type y)
    re.compile(r"(?m:^[ \t]*|[(,]\s*)(?:\w+\s+)*?" + _TYPE + r"(?:<[^<>()]*>)?[\s*&]+(?P<name>[a-z_]\w*)\s*(?=[=;,)])"),
)
_CLASS = re.compile(r"^\s*(?:[a-z]+\s+)*(?:class|interface|struct|trait|impl|object|enum)\s+(?P<name>\w+)(?P<bases>.*)")
_AT_CURSOR = re.compile(r"(?P<receiver>[\w.]+|\bsuper\([^()]*\))(?:\(\))?\s*(?:\?\.|\.|->|::)\s*\w*$")
_RECEIVER = re.compile(r"(?<![\w.])(?P<receiver>\w+(?:\.\w+)*?)(?:\.|->|::)(?=\w)")
_NAME = re.compile(r"[A-Z]\w*")


@dataclass(frozen=True)
class Receivers:
    """What code at a cursor calls methods of."""

    at_cursor: str = ""
    """The last name of the expression before the dot that the cursor is behind; empty where it is behind none."""
    near: tuple[str, ...] = ()
    """The same of the expressions in the lines above, nearest first, each once."""
    types: dict[str, str] = field(default_factory=dict)
    """By a variable's or an attribute's name, the class that it is of, where that could be read."""
    enclosing: tuple[str, ...] = ()
    """The class around the cursor, and those that it builds on; empty outside of one."""

    def classes(self, name: str, elsewhere: Iterable[str] = ()) -> tuple[str, ...]:
        """The classes that a name may be of.

        Args:
            name: of a variable, of an attribute, or of a class, which stands for itself.
            elsewhere: what variables of this name are in other code, which counts where nothing nearer is known.
        """
        if name in SELVES:
            return self.enclosing
        if name in self.types:
            return (self.types[name],)
        if name[:1].isupper():
            return (name,)
        return tuple(dict.fromkeys([*elsewhere, *_named_after(name)]))


def _named_after(name: str) -> tuple[str, ...]:
    """The class that a variable is named after, if there is one."""
    parts = [part for part in name.strip("_").split("_") if part]
    return ("".join(part[:1].upper() + part[1:] for part in parts),) if parts else ()


def read(prefix: str) -> Receivers:
    """The receivers of the code before a cursor."""
    lines = prefix[-_MOST:].split("\n")
    here = lines[-1]
    before = _AT_CURSOR.search(here)
    near = [
        _last(found["receiver"]) for line in reversed(lines[-_NEAR:]) for found in reversed([*_RECEIVER.finditer(line)])
    ]
    return Receivers(
        _last(before["receiver"]) if before else "",
        tuple(dict.fromkeys(near)),
        dict(typed(lines[-_LOOKED_AT:])),
        _enclosing(lines, here),
    )


def typed(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The variables whose class these lines tell, by what they are constructed from or annotated with, each with it."""
    text = "\n".join(lines)
    found = sorted(
        (match.start(), match["name"], match["type"]) for known in _KNOWN_BY for match in known.finditer(text)
    )
    yield from ((name, kind) for _, name, kind in found)


def bases(signature: str, name: str) -> list[str]:
    """The classes that a class's head names, as those it builds on: all names with a capital but its own."""
    return [found for found in _NAME.findall(signature) if found != name]


def _last(expression: str) -> str:
    if expression.startswith("super"):
        return "super"
    return expression.rpartition(".")[2]


def _enclosing(lines: list[str], here: str) -> tuple[str, ...]:
    """The class whose head stands above the cursor's line with less space before it, and what that names."""
    written = (line for line in reversed(lines) if line.strip())
    indent = _indent(here or next(written, ""))
    for line in reversed(lines):
        if not indent:
            break
        width = _indent(line)
        if width >= indent or not line.strip():
            continue
        found = _CLASS.match(line)
        if found:
            return (found["name"], *bases(found["bases"], found["name"]))
        if not line.lstrip().startswith(("#", "//", "*", ")", "}", "]")):
            indent = width
    return ()


def _indent(line: str) -> int:
    """The blanks before a line's text; a tab is one, as a file has either."""
    return len(line) - len(line.lstrip())
