"""What all servers have in common, whatever API they speak."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lsp.completion.layout import LAYOUTS, Parts
from lsp.engine.protocol import ChatFacts, Control, Segment, Special, Text
from lsp.engine.remote.wire import Wire
from lsp.errors import MidlineError
from lsp.models.fim import FAMILIES, TEXTS, Family, LayoutName, Mark

# Where a server doesn't say how long its context is: what Ollama and others give a model by default.
ASSUMED_CONTEXT = 4096
MAX_CONTEXT = 1 << 20
# Another seed for each alternative, at a temperature that brings other words and no nonsense.
TEMPERATURE = 0.8

# What makes messages of a prompt again, for servers that render the model's template themselves: the roles are
# ``Control``, which is never a user's text.
ROLES = ChatFacts(
    template="{% for message in messages %}<midline:{{ message.role }}>{{ message.content }}{% endfor %}"
    "<midline:assistant>"
)
_ROLE = re.compile(r"<midline:(system|user|assistant)>")


@dataclass(frozen=True)
class Way:
    """How gaps are put to a model.

    Args:
        layout: the order of the parts.
        marks: the texts of its special tokens; none: the server puts the parts together, given prefix and suffix.
    """

    layout: LayoutName
    marks: Mapping[Mark, str] = field(default_factory=dict)

    def read(self, prompt: Sequence[Segment]) -> Parts:
        """The parts of a prompt.

        Raises:
            MidlineError: it has another layout, of an engine that answered before.
        """
        if parts := LAYOUTS[self.layout].read(prompt):
            return parts
        raise MidlineError("Another engine answers now than when this was asked.", "Ask again.")

    def __str__(self) -> str:
        return f"layout {self.layout}" if self.marks else "the server's own layout"


@dataclass(frozen=True)
class Facts:
    """What a server says of itself.

    Args:
        api: what it speaks, for messages.
        model: what it serves, by its own name for it.
        n_ctx: tokens that a prompt and its answer may have.
        slots: how many requests it computes at once.
        ways: the plausible ways to infill, the likeliest first.
        chat: how a prompt for chat is to be made.
    """

    api: str
    model: str
    n_ctx: int
    slots: int
    ways: tuple[Way, ...]
    chat: ChatFacts


@dataclass(frozen=True)
class Task:
    """What a server is asked to continue.

    Args:
        prompt: its segments.
        max_tokens: at most; 0: the prompt is read, in advance.
        heal: whether the last token before the end may be chosen anew.
        seed: 0 for the likeliest tokens, another number for an alternative.
        way: how a gap is put; None: the prompt is a chat's.
    """

    prompt: Sequence[Segment]
    max_tokens: int
    heal: bool = False
    seed: int = 0
    way: Way | None = None


@dataclass(frozen=True)
class Piece:
    """The next text of an answer; the numbers as in `protocol.Token`."""

    text: str
    logprob: float = 0.0
    eog: float = 0.0


@dataclass
class Outcome:
    """How an answer ended and what it cost, as far as the server tells; filled while it streams.

    Args:
        reason: ``eog`` or ``length``.
        evaluated: tokens of the prompt that were computed.
        reused: those that the server had.
        prefill_ms: how long it computed.
    """

    reason: str = ""
    evaluated: int = 0
    reused: int = 0
    prefill_ms: float = 0.0


class Server(Protocol):
    """One API of one server."""

    async def facts(self) -> Facts:
        """What it is.

        Raises:
            MidlineError: it is none of this kind, or hasn't the model; `address.UnreachableError`: it is away.
        """
        ...

    def stream(self, task: Task, outcome: Outcome) -> AsyncGenerator[Piece, None]:
        """Have it continue a prompt. Closing the iteration stops it.

        Raises:
            MidlineError: it won't; `address.UnreachableError`: it is away.
        """
        ...


def messages_of(prompt: Sequence[Segment]) -> list[dict[str, str]]:
    """The messages that a prompt by ``ROLES`` consists of; the last is the assistant's where its answer is begun.

    Raises:
        MidlineError: it was made for another engine, which answered before.
    """
    messages: list[dict[str, str]] = []
    for segment in prompt:
        if isinstance(segment, Control):
            roles = _ROLE.findall(segment.text)
            messages += [{"role": role, "content": ""} for role in roles]
            if not roles:
                messages.clear()
                break
        elif isinstance(segment, Text) and messages:
            messages[-1]["content"] += segment.text
    if not messages:
        raise MidlineError("Another engine answers now than when this was asked.", "Ask again.")
    if not messages[-1]["content"]:
        messages.pop()
    return messages


def is_for_roles(prompt: Sequence[Segment]) -> bool:
    """Whether a prompt was made by ``ROLES``."""
    return any(isinstance(segment, Control) and _ROLE.search(segment.text) for segment in prompt)


def written(prompt: Sequence[Segment], marks: Mapping[Mark, str]) -> str:
    """A prompt as one text, for servers that read special tokens in texts; none is read in what is the user's."""
    return "".join(
        marks.get(segment.name, "") if isinstance(segment, Special) else harmless(segment.text) for segment in prompt
    )


def harmless(text: str) -> str:
    """``text`` where no infilling token is spelled any more: a space stands behind the first character of each."""
    return _MARK.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


_MARK = re.compile("|".join(re.escape(text.lstrip("▁")) for text in sorted(TEXTS, key=len, reverse=True)))


def spelled_families() -> list[Family]:
    """The families whose tokens stand in a text as they are: SentencePiece's (``▁<PRE>``) don't, nor their spaces."""
    return [family for family in FAMILIES if not any(text.startswith("▁") for text in family.marks.values())]


def context_of(told: object, asked: int = 0) -> int:
    """A context's length as a server tells it, if that can be; else ``asked``, else a small one."""
    if isinstance(told, int) and not isinstance(told, bool) and told > 0:
        return min(told, MAX_CONTEXT)
    return asked or ASSUMED_CONTEXT


class WrongModelError(MidlineError):
    """The server has another model than the one that is wanted."""


def chosen_model(asked: str, served: Iterable[str], wire: Wire) -> str:
    """The model to ask for, of those that are ``served``.

    Raises:
        WrongModelError: the one that is asked for isn't there, or there are several and none is asked for.
    """
    names = [name for name in dict.fromkeys(served) if name]
    shown = wire.quoted(", ".join(names[:12])) or "nothing"
    if not asked:
        if len(names) == 1:
            return names[0]
        raise WrongModelError(
            f"{wire.address.origin} serves {'several models' if names else 'no model'}.",
            f"Set `remote.model` to one of: {shown}." if names else "Have it load one.",
        )
    for wanted in (asked, f"{asked}:latest"):
        if wanted in names:
            return wanted
    raise WrongModelError(
        f"{wire.address.origin} doesn't serve {asked}.", f"Set `remote.model` to what it serves: {shown}."
    )


def check_model(asked: str, told: object, wire: Wire) -> None:
    """See that an answer is from the model that was asked.

    Raises:
        WrongModelError: the server says that it is from another.
    """
    if not isinstance(told, str) or not told or _plain(told) == _plain(asked):
        return
    raise WrongModelError(
        f"{wire.address.origin} was asked for {asked} and answered with {wire.quoted(told)}.",
        "Set `remote.model` to the model that it serves.",
    )


def _plain(name: str) -> str:
    """A model's name without its folder, its ending and its default tag, as servers shorten it in answers."""
    return name.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".gguf").removesuffix(":latest")
