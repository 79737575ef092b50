"""Where requests of either API are carried out: a chat, a raw continuation, or a gap filled in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from lsp.api.infilling import Infilling
from lsp.api.models import Models, Served, split_name
from lsp.api.refused import RefusedError
from lsp.api.shapes import Chosen
from lsp.api.stops import Stops, read_stops
from lsp.api.toolcalls import Called, ToolCalls
from lsp.api.workspaces import Workspace, Workspaces, footnotes
from lsp.chat.sources import Source
from lsp.chat.templates import Turn
from lsp.chat.thinking import Kind, Thinking
from lsp.completion.prompt import CHARS_PER_TOKEN, Base
from lsp.engine.client import EngineClient, Generation
from lsp.engine.protocol import MAX_TEMPERATURE, MAX_TOKENS, Control, Sampling, Segment, Special, Text, Usage

# Of the context, an answer of unstated length may take so much.
_ANSWER_SHARE = 0.25
# And no answer is cut shorter than this for a prompt that seems too long: the engine knows its length.
_LEAST_ANSWER = 64
# No text has more on average; code has 3 to 4.
_MOST_CHARS_PER_TOKEN = 8
_HERMES = "<tool_call>"
WORKSPACE_HEADER = "x-midline-workspace"
"""Names the folder that a request is about."""
PATH_HEADER = "x-midline-path"
"""Names the file that a gap is in."""


@dataclass(frozen=True)
class Piece:
    """Some text of an answer, or of the reasoning before it."""

    text: str
    kind: Kind = "answer"


@dataclass(frozen=True)
class End:
    """The end of an answer: the model ended it (``stop``), it became too long, or it asks for tools."""

    reason: Literal["stop", "length", "tool_calls"]
    usage: Usage


Event: TypeAlias = Piece | Called | End
Events: TypeAlias = AsyncGenerator[Event, None]


def joined(events: Iterable[Event], kind: Kind) -> str:
    """All of an answer's text, or of its reasoning."""
    return "".join(event.text for event in events if isinstance(event, Piece) and event.kind == kind)


@dataclass(frozen=True)
class Wish:
    """How an answer is to be.

    Args:
        tokens: it ends behind so many; None: as midline chooses.
        stops: it ends before any of these texts.
        sampling: how its tokens are chosen; None: greedily.
    """

    tokens: int | None = None
    stops: tuple[str, ...] = ()
    sampling: Sampling | None = None

    @classmethod
    def of(cls, tokens: int | None, stop: str | Sequence[str] | None, chosen: Chosen) -> Wish:
        """As a request has it; -1 and -2, which llama.cpp and Ollama take for no limit, are none.

        Raises:
            RefusedError: there is no such limit.
        """
        if tokens is not None and tokens < 1 and tokens not in (-1, -2):
            raise RefusedError(f"max_tokens is {tokens}; allowed: a whole number from 1.", param="max_tokens")
        sampling = None
        if chosen.temperature and chosen.temperature > 0:
            top_p = 1.0 if chosen.top_p is None else chosen.top_p
            # Some clients send -1 for any seed.
            seed = chosen.seed if chosen.seed is not None and chosen.seed >= 0 else None
            sampling = Sampling(min(chosen.temperature, MAX_TEMPERATURE), min(max(top_p, 0.0), 1.0), seed)
        return cls(tokens if tokens and tokens > 0 else None, read_stops(stop), sampling)


@dataclass(frozen=True)
class Tools:
    """What the model may call.

    Args:
        offered: as OpenAI's API describes them.
        must: the name of the one that it has to call; ``*`` for any.
    """

    offered: list[dict[str, Any]] = field(default_factory=list)
    must: str = ""

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [one["function"]["name"] for one in self.offered]


@dataclass(frozen=True)
class Gap:
    """What is to be filled in.

    Args:
        prefix, suffix: the text before it, and behind it.
        path: of the file, in the workspace; empty where it isn't known.
        raw: whether to take whatever the model writes, instead of completing as in the editor.
    """

    prefix: str
    suffix: str
    path: str = ""
    raw: bool = False


class Desk:
    """Carries out requests.

    Args:
        models: what answers.
        workspaces: what questions may be about.
    """

    def __init__(self, models: Models, workspaces: Workspaces) -> None:
        self.models = models
        self._workspaces = workspaces
        self._infilling: dict[tuple[Served, Workspace | None], Infilling] = {}

    async def named(self, name: str, headers: Mapping[str, str]) -> tuple[Served, Workspace | None]:
        """The model that a request names, and the workspace, behind the model's name or in a header.

        Raises:
            RefusedError: there is no such model, or the workspace isn't open to requests.
            MidlineError: the workspace has no index.
        """
        model, folder = split_name(name)
        return self.models.named(model), await self._workspaces.named(folder or headers.get(WORKSPACE_HEADER, ""))

    async def chat(
        self, model: Served, turns: Sequence[Turn], wish: Wish, tools: Tools, workspace: Workspace | None
    ) -> Events:
        """Answer a chat; where its last turn is the assistant's, that is gone on with.

        Raises:
            MidlineError: it can't be answered.
        """
        engine = await model.engine()
        _refuse_too_long(sum(len(turn.text) for turn in turns), engine.state.n_ctx)
        asked = list(turns)
        written = asked.pop().text if len(asked) > 1 and asked[-1].role == "assistant" and not asked[-1].calls else ""
        sources: Sequence[Source] = ()
        if workspace:
            asked, sources = await workspace.told(asked, engine.state)
        prompt = await model.prompt(asked, tools.offered)
        forced = await self._forced(model, tools)
        begun: list[Segment] = [Text(written)] if written else [Control(forced)] if forced else []
        thinking = Thinking(prompt.thinking and not begun)
        calls = ToolCalls(tools.names, forced)
        events = self._generate(model, engine, [*prompt.segments, *begun], wish, thinking, calls)
        return _with_footnotes(events, sources) if sources else events

    async def _forced(self, model: Served, tools: Tools) -> str:
        """How an answer begins that has to call a tool."""
        if not tools.must:
            return ""
        if _HERMES not in (await model.template()).source:
            raise RefusedError(
                f"The model {model.name} can't be made to call a tool: only templates with {_HERMES} are known to.",
                'Ask with tool_choice "auto".',
                param="tool_choice",
            )
        begin = f'{_HERMES}\n{{"name": "'
        return begin if tools.must == "*" else f'{begin}{tools.must}", "arguments": '

    async def continued(self, model: Served, prompt: str, wish: Wish) -> Events:
        """Go on with a text as it is: special tokens that it spells count, and no template is around it.

        Raises:
            MidlineError: it can't be continued.
        """
        engine = await model.engine()
        bos = (await engine.describe()).bos
        begin: list[Segment] = [] if bos and prompt.startswith(bos) else [Special("bos")]
        return self._generate(model, engine, [*begin, Control(prompt)], wish)

    async def filled(self, model: Served, gap: Gap, wish: Wish, workspace: Workspace | None) -> Events:
        """Fill in a gap.

        Raises:
            MidlineError: it can't be filled in.
        """
        engine = await model.engine()
        facts = engine.state.model
        if facts is not None and not facts.fim:
            raise RefusedError(
                f"The model {model.name} does not support insert: it has no fill-in-the-middle tokens.",
                "Ask without suffix, or set `model.completion` to one that can.",
                param="suffix",
            )
        if gap.raw:
            segments = Base(gap.prefix, gap.suffix).segments("", facts.layout if facts else "psm")
            return self._generate(model, engine, segments, wish)
        infilling = self._infilling.get((model, workspace))
        if infilling is None or infilling.engine is not engine:
            infilling = self._infilling[model, workspace] = Infilling(engine, model.name, workspace)
        return self._fill(model, infilling, gap, wish)

    async def _fill(self, model: Served, infilling: Infilling, gap: Gap, wish: Wish) -> Events:
        async with model.slots.taken(gap.prefix) as slot:
            made = await infilling.fill(slot.key, gap.prefix, gap.suffix, gap.path, wish.tokens)
        stops = Stops(wish.stops)
        if text := stops.feed(made.text) + stops.finish():
            yield Piece(text)
        yield End("stop", made.usage)

    async def _generate(
        self,
        model: Served,
        engine: EngineClient,
        segments: list[Segment],
        wish: Wish,
        thinking: Thinking | None = None,
        calls: ToolCalls | None = None,
    ) -> Events:
        whole = "".join(segment.text for segment in segments if not isinstance(segment, Special))
        _refuse_too_long(len(whole), engine.state.n_ctx)
        async with model.slots.taken(whole) as slot:
            generation = engine.generate(
                slot.key,
                segments,
                max_tokens=_most_tokens(wish.tokens, whole, engine.state.n_ctx),
                priority="guest",
                sampling=wish.sampling,
            )
            try:
                async for event in _read(generation, Stops(wish.stops), thinking, calls or ToolCalls(())):
                    yield event
            finally:
                generation.cancel()


async def _with_footnotes(events: Events, sources: Sequence[Source]) -> Events:
    """An answer, and where the sources are that it cites."""
    text = ""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece) and event.kind == "answer":
                text += event.text
            if isinstance(event, End) and (notes := footnotes(text, sources)):
                yield Piece(notes)
            yield event


def _refuse_too_long(chars: int, n_ctx: int) -> None:
    """Refuse what can't fit, without having the engine count: while it does, it computes nothing else."""
    if chars > n_ctx * _MOST_CHARS_PER_TOKEN:
        raise RefusedError(
            f"The prompt of {chars:,} characters doesn't fit into a context of {n_ctx:,} tokens.",
            "Send less, or set a larger `model.n_ctx`.",
            code="context_length_exceeded",
            param="messages",
        )


def _most_tokens(wanted: int | None, prompt: str, n_ctx: int) -> int:
    """How long an answer may become: what was asked for, as far as the context seems to have room for it."""
    plain = sum(map(str.isascii, prompt)) if not prompt.isascii() else len(prompt)
    taken = int(plain / CHARS_PER_TOKEN) + len(prompt) - plain
    room = max(_LEAST_ANSWER, n_ctx - taken - _LEAST_ANSWER)
    return max(1, min(int(n_ctx * _ANSWER_SHARE) if wanted is None else wanted, room, MAX_TOKENS))


async def _read(generation: Generation, stops: Stops, thinking: Thinking | None, calls: ToolCalls) -> Events:
    """What comes of a generation, to its end; ``thinking``: what tells reasoning apart, if there may be any."""
    called = False

    def answered(text: str) -> Iterator[Event]:
        for one in calls.feed(text):
            yield Piece(one) if isinstance(one, str) else one

    def told(pieces: Iterable[tuple[Kind, str]]) -> Iterator[Event]:
        for kind, text in pieces:
            if kind == "reasoning":
                yield Piece(text, kind)
            else:
                yield from answered(stops.feed(text))

    async for token in generation:
        if stops.met:
            generation.cancel()
            continue
        for event in told(thinking.feed(token.text) if thinking else [("answer", token.text)]):
            called = called or isinstance(event, Called)
            yield event
    rest = [*told(thinking.finish() if thinking else ()), *answered(stops.finish())]
    for event in [*rest, *(Piece(one) if isinstance(one, str) else one for one in calls.finish())]:
        called = called or isinstance(event, Called)
        yield event
    whole = generation.reason != "length" or stops.met
    yield End("tool_calls" if called and whole else "stop" if whole else "length", generation.usage)
