"""What one setting is for and what it may be: messages and docs/settings.md are made from it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

STRINGS = tuple[str, ...]
_IN_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    STRINGS: "a list of non-empty strings",
}


@dataclass(frozen=True)
class Rule:
    """What one setting is for and what it may be.

    ``low`` and ``high`` bound numbers, ``also`` lists values allowed besides, or all of them where ``kind`` is None.
    A ``user_only`` setting can't be set by a workspace's file, which comes with whatever repository was cloned. A
    ``joined`` list is added to, never replaced, by each further source. Of a list of places ``inside``, a workspace's
    file may only name those in the workspace; of a list ``by_name``, it may only name what is in the user's own folder.
    """

    kind: Any
    text: str
    low: float = -math.inf
    high: float = math.inf
    also: tuple[object, ...] = ()
    user_only: bool = False
    joined: bool = False
    inside: bool = False
    by_name: bool = False

    @property
    def allowed(self) -> str:
        """What is allowed, in words: ``"auto" or a whole number from 1 to 512``."""
        if self.kind is None:
            return " or ".join(map(json.dumps, self.also))
        kind = _IN_WORDS[self.kind]
        if self.joined and not self.inside:
            kind += ", none beginning with !"
        if self.low > -math.inf:
            kind += f" from {self.low:,} to {self.high:,}"
        return " or ".join([*map(json.dumps, self.also), kind])

    def checked(self, value: object) -> object:
        """``value`` as the settings hold it.

        Raises:
            ValueError: it isn't allowed.
        """
        if any(type(value) is type(other) and value == other for other in self.also):
            return value
        if self.kind is None:
            raise ValueError(self.allowed)
        try:
            converted: Any = msgspec.convert(value, self.kind)
        except msgspec.ValidationError as error:
            raise ValueError(self.allowed) from error
        if isinstance(converted, tuple):
            # "!" would take back what another source has excluded.
            fits = all(item and (self.inside or not (self.joined and item.startswith("!"))) for item in converted)
        else:
            fits = isinstance(converted, str) or self.low <= converted <= self.high
        if not fits:
            raise ValueError(self.allowed)
        return converted


def setting(
    default: Any,
    kind: object,
    text: str,
    *,
    between: tuple[float, float] = (-math.inf, math.inf),
    also: tuple[object, ...] = (),
    user_only: bool = False,
    joined: bool = False,
    inside: bool = False,
    by_name: bool = False,
) -> Any:
    """A field of a section of settings; the arguments are those of `Rule`, ``between`` its bounds."""
    rule = Rule(kind, text, *between, also=also, user_only=user_only, joined=joined, inside=inside, by_name=by_name)
    return field(default=default, metadata={"rule": rule})


def is_path(entry: str) -> bool:
    """Whether an entry of a list ``by_name`` is a path of a GGUF file, rather than a name in the user's own folder."""
    return "/" in entry or "\\" in entry or ".gguf" in entry or entry.startswith((".", "~"))


def shown(value: object) -> str:
    """A value as TOML and JSON spell it, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:59]}…"
