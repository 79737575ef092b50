"""From a conversation's turns to a prompt, by the chat template of the model's own file.

The template never sees what users and models wrote: it is given placeholders, and the text that it makes is split at
them. So what stands between the messages is the template's (``Control``: special tokens count), the messages are plain
text, and a history's prompt begins with the same tokens whatever the later turns say. Tools and calls of them it has to
see, since it writes them as it likes: there, placeholders stand for what spells a special token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from lsp.chat.renderer import Renderer
from lsp.engine.protocol import ChatFacts, Control, Segment, Special, Text
from lsp.errors import MidlineError

Role = Literal["system", "user", "assistant", "tool"]

MAX_TEMPLATE_CHARS = 256 * 1024
RENDER_SECONDS = 30.0

# Jinja takes a line break at the very end of a template for the editor's.
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant{{ '\n' }}"
)
_LLAMA_3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>{{ '\n\n' }}"
)
_GEMMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else 'user' }}\n"
    "{{ message.content }}<end_of_turn>\n{% endfor %}<start_of_turn>model{{ '\n' }}"
)
# For files without a template: by the tokens that their vocabulary has for it, since one architecture (llama) serves
# models of all three.
_FALLBACKS = (
    (("<|im_start|>", "<|im_end|>"), _CHATML),
    (("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), _LLAMA_3),
    (("<start_of_turn>", "<end_of_turn>"), _GEMMA),
)
_PLACEHOLDER = re.compile(r"Midline(Message|Control)(\d+)Text")


@dataclass(frozen=True)
class Turn:
    """A message as the model reads it.

    Args:
        role: who says it; ``tool``: what a tool that was called gave back.
        text: what is said.
        calls: the tools that the assistant calls, each with ``name`` and ``arguments``, of any JSON.
    """

    role: Role
    text: str
    calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class ChatPrompt:
    """What to have the engine continue.

    Args:
        segments: the prompt.
        thinking: whether the template has begun the answer with ``<think>``: what comes first is reasoning.
    """

    segments: list[Segment]
    thinking: bool


class ChatTemplate:
    """How one model is chatted with.

    Args:
        facts: what its file says.
        model: its name, for messages.
        renderer: renders it; None: a new one for each prompt.

    Raises:
        MidlineError: the file has no template, and its vocabulary none of the known formats' tokens.
    """

    def __init__(self, facts: ChatFacts, model: str, renderer: Renderer | None = None) -> None:
        self._facts = facts
        self._model = model
        self._renderer = renderer
        self._source = facts.template or _fallback(facts)
        if not self._source:
            raise MidlineError(
                f"The model {model} ({facts.architecture}) can't chat: its file has no chat template.",
                "Set `model.chat` to an instruct model.",
            )
        if len(self._source) > MAX_TEMPLATE_CHARS:
            raise self._refused(f"it is longer than {MAX_TEMPLATE_CHARS:,} characters")
        self._merges_system = False

    @property
    def source(self) -> str:
        """The template itself, in Jinja."""
        return self._source

    @property
    def knows_tools(self) -> bool:
        """Whether it says how tools are offered to the model."""
        return re.search(r"\btools\b", self._source) is not None

    def prompt(self, turns: Sequence[Turn], now: datetime, tools: Sequence[Mapping[str, Any]] = ()) -> ChatPrompt:
        """The prompt for the next answer. Takes a tenth of a second, or ``RENDER_SECONDS`` at worst: call in a thread.

        Args:
            turns: a system message maybe, then a user's and an assistant's by turns, the last one a user's or a tool's.
            now: the time that the template is told; the same one for all of a conversation.
            tools: what the model may call, each as OpenAI's API describes it.

        Raises:
            MidlineError: the template fails, or doesn't hold the messages.
        """
        has_system = bool(turns) and turns[0].role == "system"
        if has_system and not self._merges_system:
            try:
                return self._prompt(turns, now, tools)
            except MidlineError:
                # Templates of models that know no system message refuse it or leave it out.
                merged = self._prompt(_without_system(turns), now, tools)
                self._merges_system = True
                return merged
        return self._prompt(_without_system(turns) if has_system else turns, now, tools)

    def _prompt(self, turns: Sequence[Turn], now: datetime, tools: Sequence[Mapping[str, Any]]) -> ChatPrompt:
        # Of a call without words, templates ask whether there are any.
        shown = [i for i, turn in enumerate(turns) if turn.text or not turn.calls]
        messages = [_message(turn, f"MidlineMessage{i}Text" if i in shown else "") for i, turn in enumerate(turns)]
        given, masked = self._mask(json.dumps({"messages": messages, "tools": list(tools) or None}))
        try:
            text = _rendered(self._renderer, self._source, given, self._facts.bos, self._facts.eos, now)
        except ValueError as error:
            raise self._refused(str(error)) from error
        between, kinds, numbers = (_PLACEHOLDER.split(text)[start::3] for start in range(3))
        places = {
            kind: [int(number) for of, number in zip(kinds, numbers, strict=True) if of == kind] for kind in kinds
        }
        # Of what is masked, a template may leave out or repeat some; only a tool that spells placeholders has others.
        if places.get("Message", []) != shown or max(places.get("Control", []), default=-1) >= len(masked):
            raise self._refused("it doesn't hold each message once, in order")
        segments: list[Segment] = [Control(between[0])]
        for kind, number, after in zip(kinds, map(int, numbers), between[1:], strict=True):
            segments += [Text(turns[number].text if kind == "Message" else masked[number]), Control(after)]
        if self._facts.adds_bos and not text.startswith(self._facts.bos):
            segments.insert(0, Special("bos"))
        filled = [segment for segment in segments if isinstance(segment, Special) or segment.text]
        return ChatPrompt(filled, text.rstrip().endswith("<think>"))

    def _mask(self, given: str) -> tuple[str, list[str]]:
        """JSON with placeholders for what spells a special token, and what they stand for."""
        controls = [json.dumps(text)[1:-1] for text in self._facts.controls if text]
        if not any(control in given for control in controls):
            return given, []
        found: list[str] = []

        def put_away(match: re.Match[str]) -> str:
            found.append(json.loads(f'"{match[0]}"'))
            return f"MidlineControl{len(found) - 1}Text"

        longest_first = sorted(controls, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), put_away, given), found

    def _refused(self, reason: str) -> MidlineError:
        return MidlineError(
            f"The chat template of {self._model} can't be used: {reason}.", "Set `model.chat` to another model."
        )


def _fallback(facts: ChatFacts) -> str:
    known = (template for tokens, template in _FALLBACKS if set(tokens) <= set(facts.controls))
    return next(known, "")


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    system, first, *rest = turns
    return [Turn(first.role, f"{system.text}\n\n{first.text}"), *rest]


def _message(turn: Turn, text: str) -> dict[str, Any]:
    """A turn as templates are given it."""
    message: dict[str, Any] = {"role": turn.role, "content": text}
    if turn.calls:
        message["tool_calls"] = [{"type": "function", "function": call} for call in turn.calls]
    return message


@lru_cache(maxsize=64)
def _rendered(renderer: Renderer | None, template: str, given: str, bos: str, eos: str, now: datetime) -> str:
    """What the template makes of ``given``, messages and tools as JSON.

    Raises:
        ValueError: nothing; the text is the reason, a clause.
    """
    variables = {"bos_token": bos, "eos_token": eos, "add_generation_prompt": True, "documents": None}
    asked = {"template": template, "variables": json.loads(given) | variables, "now": now.isoformat()}
    if renderer:
        return renderer.render(asked, RENDER_SECONDS)
    with Renderer() as once:
        return once.render(asked, RENDER_SECONDS)
