"""Messages and tools of either API as the chat template is given them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from lsp.api.desk import Tools
from lsp.api.refused import RefusedError
from lsp.api.shapes import Message, NamedTool, Tool, ToolCall
from lsp.chat.templates import Role, Turn

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_MOST_MESSAGES = 2_000
_MOST_TOOLS = 256


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """The turns of a chat.

    Raises:
        RefusedError: there are none, or too many, or what no model here can read.
    """
    if not messages or len(messages) > _MOST_MESSAGES:
        raise RefusedError(f"A chat has 1 to {_MOST_MESSAGES:,} messages, not {len(messages):,}.", param="messages")
    return [_turn(message) for message in messages]


def _turn(message: Message) -> Turn:
    role = _ROLES.get(message.role)
    if role is None:
        allowed = ", ".join(_ROLES)
        raise RefusedError(f"There is no role {message.role[:50]!r}; allowed: {allowed}.", param="messages")
    parts = message.content if isinstance(message.content, list) else []
    if message.images or any(part.type not in ("text", "refusal") for part in parts):
        raise RefusedError("Models here read text only, no images, sound or files.", "Send text.", param="messages")
    text = message.content if isinstance(message.content, str) else "".join(part.text or "" for part in parts)
    calls = tuple(map(_call, message.tool_calls or ())) if role == "assistant" else ()
    return Turn(cast(Role, role), text, calls)


def _call(call: ToolCall) -> dict[str, Any]:
    arguments: object = call.function.arguments
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):  # else it stays as the model wrote it
            arguments = json.loads(arguments or "{}")
    return {"name": call.function.name, "arguments": arguments}


def tools_of(tools: Sequence[Tool] | None, choice: str | NamedTool | None) -> Tools:
    """What the model may call, and what it must.

    Raises:
        RefusedError: there is no such tool, or no such choice.
    """
    offered = [msgspec.to_builtins(tool) for tool in tools or ()]
    if len(offered) > _MOST_TOOLS or any(one["type"] != "function" for one in offered):
        raise RefusedError(f"Tools are functions, {_MOST_TOOLS} at the most.", param="tools")
    if isinstance(choice, NamedTool):
        found = Tools(offered, choice.function.name)
        if found.must not in found.names:
            raise RefusedError(f"tool_choice names {found.must[:100]!r}, which no tool is.", param="tool_choice")
        return found
    if choice not in (None, "auto", "none", "required") or (choice == "required" and not offered):
        raise RefusedError('tool_choice is "auto", "none", "required", or names one of the tools.', param="tool_choice")
    return Tools([] if choice == "none" else offered, "*" if choice == "required" else "")
