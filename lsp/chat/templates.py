"""From a conversation's turns to a prompt, by the chat template of the model's own file.

The template never sees what users and models wrote: it is given placeholders, and the text that it makes is split at
them. So what stands between the messages is the template's (``Control``: special tokens count), the messages are plain
text, and a history's prompt begins with the same tokens whatever the later turns say.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

from lsp.engine.protocol import ChatFacts, Control, Segment, Special, Text
from lsp.errors import MidlineError

Role = Literal["system", "user", "assistant"]

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
_PLACEHOLDER = re.compile(r"MidlineMessage(\d+)Text")


@dataclass(frozen=True)
class Turn:
    """A message as the model reads it."""

    role: Role
    text: str


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

    Raises:
        MidlineError: the file has no template, and its vocabulary none of the known formats' tokens.
    """

    def __init__(self, facts: ChatFacts, model: str) -> None:
        self._facts = facts
        self._model = model
        self._source = facts.template or _fallback(facts)
        if not self._source:
            raise MidlineError(
                f"The model {model} ({facts.architecture}) can't chat: its file has no chat template.",
                "Set `model.chat` to an instruct model.",
            )
        if len(self._source) > MAX_TEMPLATE_CHARS:
            raise self._refused(f"it is longer than {MAX_TEMPLATE_CHARS:,} characters")
        self._merges_system = False

    def prompt(self, turns: Sequence[Turn], now: datetime) -> ChatPrompt:
        """The prompt for the next answer. Takes a tenth of a second, or ``RENDER_SECONDS`` at worst: call in a thread.

        Args:
            turns: a system message maybe, then a user's and an assistant's by turns, the last one a user's.
            now: the time that the template is told; the same one for all of a conversation.

        Raises:
            MidlineError: the template fails, or doesn't hold the messages.
        """
        has_system = bool(turns) and turns[0].role == "system"
        if has_system and not self._merges_system:
            try:
                return self._prompt(turns, now)
            except MidlineError:
                # Templates of models that know no system message refuse it or leave it out.
                merged = self._prompt(_without_system(turns), now)
                self._merges_system = True
                return merged
        return self._prompt(_without_system(turns) if has_system else turns, now)

    def _prompt(self, turns: Sequence[Turn], now: datetime) -> ChatPrompt:
        try:
            roles = tuple(turn.role for turn in turns)
            text = _rendered(self._source, roles, self._facts.bos, self._facts.eos, now)
        except ValueError as error:
            raise self._refused(str(error)) from error
        pieces = _PLACEHOLDER.split(text)
        if [int(number) for number in pieces[1::2]] != list(range(len(turns))):
            raise self._refused("it doesn't hold each message once, in order")
        segments: list[Segment] = []
        if self._facts.adds_bos and not text.startswith(self._facts.bos):
            segments.append(Special("bos"))
        for i, piece in enumerate(pieces):
            content = Text(turns[int(piece)].text) if i % 2 else Control(piece)
            if content.text:
                segments.append(content)
        return ChatPrompt(segments, text.rstrip().endswith("<think>"))

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


@lru_cache(maxsize=64)
def _rendered(template: str, roles: tuple[Role, ...], bos: str, eos: str, now: datetime) -> str:
    """What the template makes of messages of these roles.

    Raises:
        ValueError: nothing; the text is the reason, a clause.
    """
    messages = [{"role": role, "content": f"MidlineMessage{i}Text"} for i, role in enumerate(roles)]
    variables = {"messages": messages, "bos_token": bos, "eos_token": eos, "add_generation_prompt": True}
    asked = {
        "template": template,
        "variables": variables | {"tools": None, "documents": None},
        "now": now.isoformat(),
    }
    # -P: a file named like a module of ours in the current folder must not be imported.
    command = [sys.executable, "-P", "-m", "lsp.chat.rendering"]
    try:
        child = subprocess.run(
            command, input=json.dumps(asked).encode(), capture_output=True, timeout=RENDER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"it isn't done after {RENDER_SECONDS:g} s") from error
    except OSError as error:
        raise ValueError(f"no process can be started for it: {error.strerror or error}") from error
    if child.returncode < 0:
        raise ValueError("it takes more time or memory than is allowed")
    if child.returncode:
        said = child.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(said[-1].rstrip(".") if said else "it fails, and doesn't say why")
    return str(json.loads(child.stdout))
