"""Calls of tools told apart from text while an answer comes.

Qwen2.5, Qwen3 and others of Hermes' format write ``<tool_call>``, JSON with ``name`` and ``arguments``, and
``</tool_call>`` (https://qwen.readthedocs.io/en/latest/framework/function_call.html); Qwen3-Coder writes
``<function=NAME>`` and ``<parameter=KEY>`` between those marks. Small models forget the marks: an answer that is
nothing but such JSON, in a fence or not, counts where it names a tool that was offered, as Llama 3.1's does, whose
arguments are ``parameters``.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_BARE = ("{", "[", "```json", "```\n", "<tools>")
_FENCE = re.compile(r"\A\s*(?:```(?:json)?|<tools>)\s*(.*?)\s*(?:```|</tools>)?\s*\Z", re.DOTALL)
_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


@dataclass(frozen=True)
class Called:
    """A tool that the model asks for."""

    name: str
    arguments: dict[str, Any]
    id: str = field(default_factory=lambda: f"call_{secrets.token_hex(12)}", compare=False)


class ToolCalls:
    """Takes an answer piece by piece.

    Args:
        names: the tools that were offered; none: all is text.
        written: what of the answer the prompt has begun already.
    """

    def __init__(self, names: Collection[str], written: str = "") -> None:
        self._names = frozenset(names)
        self._held = written
        self._begun = not self._names  # whether it is known how the answer begins
        self._bare = False  # whether it begins as if it were nothing but a call

    def feed(self, text: str) -> Iterator[str | Called]:
        """The next piece; gives back what is known of the text, and the calls that are complete."""
        self._held += text
        if not self._names:
            yield from self._flush()
            return
        if not self._begun:
            start = self._held.lstrip()
            if any(mark.startswith(start) and mark != start for mark in _BARE):
                return
            self._begun = True
            self._bare = start.startswith(_BARE)
        if self._bare:
            return
        while True:
            before, mark, rest = self._held.partition(_OPEN)
            if not mark:
                part = next((_OPEN[:n] for n in range(len(_OPEN) - 1, 0, -1) if before.endswith(_OPEN[:n])), "")
                shown = before.removesuffix(part).rstrip()  # lines between text and a call are neither's
                self._held = before[len(shown) :]
                yield from _text(shown)
                return
            inside, mark, after = rest.partition(_CLOSE)
            yield from _text(before.rstrip())
            self._held = _OPEN + rest
            if not mark:
                return
            yield from _read(inside, None) or _text(_OPEN + inside + _CLOSE)
            self._held = after.lstrip("\n")

    def finish(self) -> Iterator[str | Called]:
        """There is no more; gives back what was held."""
        held, self._held = self._held, ""
        if self._bare and self._names:
            fenced = _FENCE.match(held)
            yield from _read(fenced[1] if fenced else held, self._names) or _text(held)
        elif held.startswith(_OPEN):
            yield from _read(held.removeprefix(_OPEN), None) or _text(held)
        else:
            yield from _text(held)

    def _flush(self) -> Iterator[str]:
        held, self._held = self._held, ""
        yield from _text(held)


def _text(text: str) -> Iterator[str]:
    if text:
        yield text


def _read(text: str, names: Collection[str] | None) -> list[Called]:
    """The calls that a text consists of; none where it is anything else, or names another tool than ``names``."""
    if "<function=" in text:
        return [Called(name.strip(), _parameters(inside)) for name, inside in _FUNCTION.findall(text)]
    decoder = json.JSONDecoder(strict=False)  # models write line breaks into strings
    found: list[Called] = []
    rest = text.strip()
    try:
        while rest:
            value, end = decoder.raw_decode(rest)
            rest = rest[end:].lstrip().lstrip(",;").lstrip()
            for one in value if isinstance(value, list) else [value]:
                call = _called(one)
                if call is None or (names is not None and call.name not in names):
                    return []
                found.append(call)
    except (ValueError, RecursionError):
        return []
    return found


def _called(value: object) -> Called | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    value = inner if isinstance(inner, dict) else value
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return None
    arguments = {} if arguments is None else arguments
    return Called(name, arguments) if isinstance(name, str) and name and isinstance(arguments, dict) else None


def _parameters(text: str) -> dict[str, Any]:
    """Qwen3-Coder's parameters: JSON where they are JSON other than a text, else the text itself."""
    found: dict[str, Any] = {}
    for key, value in _PARAMETER.findall(text):
        try:
            found[key.strip()] = json.loads(value)
        except (ValueError, RecursionError):
            found[key.strip()] = value
    return found
