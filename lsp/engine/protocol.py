"""What clients and the engine say to each other: one JSON object a line over a user-private socket.

A prompt is a list of segments, so that the engine needs to know no prompt layout and text can never be mistaken
for a special token: ``Special`` names a token of the model's vocabulary, ``Text`` is tokenised as plain text. What a
chat template writes between the messages is ``Control``: the only text whose special tokens count.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import msgspec

from lsp.engine.config import MAX_ADAPTERS, Adapter, EngineConfig
from lsp.errors import MidlineError
from lsp.models.fim import LayoutName, Mark

# One line holds one message; a prompt is bounded by the context, so a longer line is not one of ours.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
# What is beyond these isn't meant, and would keep the engine busy for minutes.
MAX_TOKENS = 65_536
MAX_BRANCHES = 16
MAX_TEMPERATURE = 5.0

StateName = Literal["starting", "ready", "busy", "restarting", "failed", "disabled"]
SpecialName = Mark
# From first served to last: what a user waits for, what a user watches, preparation of what they will wait for, what
# other programs ask (lsp/api), and preparation of what may be wanted.
Priority = Literal["completion", "chat", "anchor", "guest", "warm"]
# Why a prompt's token was computed: the key had no sequence yet; it had one, which was evicted; the prompt differs
# from it before its last special token (another base); or only behind that (typing).
Why = Literal["first_use", "evicted", "base_changed", "typed", "paused"]


class Open(msgspec.Struct, tag="open", frozen=True):
    """A connection's first message: which model all that follows is about.

    Args:
        config: the model, and how it is to be run.
        load: whether to load it where it isn't; else the engine says how it is, and hangs up.
    """

    config: EngineConfig
    load: bool = True


class Special(msgspec.Struct, tag="special", frozen=True):
    """A token that the model's vocabulary names; left out of the prompt when the vocabulary lacks it."""

    name: SpecialName


class Text(msgspec.Struct, tag="text", frozen=True):
    """Plain text; nothing in it becomes a special token."""

    text: str


class Control(msgspec.Struct, tag="control", frozen=True):
    """Text of the model's own chat template: special tokens that it spells are those tokens. Never a user's text."""

    text: str


Segment = Special | Text | Control


class Sampling(msgspec.Struct, frozen=True):
    """How tokens are drawn at random: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        temperature: what logits are divided by; the greater, the more even the odds.
        top_p: only the likeliest tokens are drawn from that have so much of the probability together.
        seed: the same seed draws the same tokens from the same logits; None: any.
    """

    temperature: Annotated[float, msgspec.Meta(gt=0, le=MAX_TEMPERATURE)]
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Generate(msgspec.Struct, tag="generate"):
    """Continue ``prompt``.

    Args:
        id: chosen by the client, unique on its connection.
        key: names the KV sequence; requests with one key reuse each other's common prefix.
        prompt: the segments in order.
        max_tokens: how many tokens to generate at most; 0 computes the prompt and stops (a warm-up).
        heal: take back the prompt's last token and make the first generated ones spell its text again.
        branches: how many alternatives, which differ in their first token.
        priority: a request of a higher priority goes first, and interrupts a batch of lower ones.
        movable: what the sequence holds of the prompt may be moved to where it stands now, as when a conversation's
            oldest turns go. It keeps a memory of them, so that the answer may differ from one computed from scratch.
        adapters: what the model's weights are changed by for this request.
        sampling: how tokens are drawn, of one branch; None: the likeliest is taken.
    """

    id: int
    key: str
    prompt: list[Segment]
    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
    heal: bool = True
    branches: Annotated[int, msgspec.Meta(ge=1, le=MAX_BRANCHES)] = 1
    priority: Priority = "completion"
    movable: bool = False
    adapters: Annotated[tuple[Adapter, ...], msgspec.Meta(max_length=MAX_ADAPTERS)] = ()
    sampling: Sampling | None = None


class Cancel(msgspec.Struct, tag="cancel"):
    """Stop request ``id``, which ends with ``Done(reason="cancelled")``; or only one of its branches."""

    id: int
    branch: int | None = None


class Forget(msgspec.Struct, tag="forget"):
    """Sequences whose key starts with ``key`` are no longer needed; ``erase``: their snapshots are to go, too."""

    key: str
    erase: bool = False


class Recall(msgspec.Struct, tag="recall"):
    """Ask what the sequences whose key starts with ``key`` hold; answered with ``Recalled``."""

    id: int
    key: str


class Describe(msgspec.Struct, tag="describe"):
    """Ask how the model is chatted with; answered with ``Described``."""

    id: int


class Ask(msgspec.Struct, tag="ask"):
    """Ask for a ``State`` now."""


ClientMessage = Open | Generate | Cancel | Forget | Recall | Describe | Ask


class Token(msgspec.Struct, tag="token"):
    """The next piece of a branch.

    Args:
        id: the request.
        branch: 0 is the likeliest alternative.
        text: whole characters only; the healed part is not repeated.
        logprob: natural logarithm of the token's probability among those allowed at this place.
        eog: the probability that the model gave to ending here instead.
    """

    id: int
    branch: int
    text: str
    logprob: float
    eog: float


class Usage(msgspec.Struct, frozen=True):
    """What a request cost; counts are tokens, times are milliseconds in the engine."""

    tokens_evaluated: int = 0
    tokens_reused: int = 0
    tokens_generated: int = 0
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    first_token_ms: float = 0.0
    generate_ms: float = 0.0
    why: dict[Why, int] = {}


class Done(msgspec.Struct, tag="done"):
    """A request's end; no ``Token`` of it follows."""

    id: int
    reason: Literal["eog", "length", "cancelled"]
    usage: Usage


class Failed(msgspec.Struct, tag="failed"):
    """A request that could not be carried out."""

    id: int
    message: str
    cure: str = ""


class Recalled(msgspec.Struct, tag="recalled"):
    """The prompts that sequences hold, by key, in segments; with what was generated behind them."""

    id: int
    prompts: dict[str, list[Segment]]


class ChatFacts(msgspec.Struct, frozen=True):
    """How the loaded model is chatted with, as its file says.

    Args:
        template: the chat template, in Jinja; empty where the file has none.
        architecture: as GGUF names it.
        bos: the text of the token that begins a text; empty where the vocabulary has none.
        eos: of the one that ends it.
        adds_bos: whether a prompt begins with ``bos``, whatever the template says.
        controls: the texts of the control tokens, at most some hundreds.
    """

    template: str = ""
    architecture: str = ""
    bos: str = ""
    eos: str = ""
    adds_bos: bool = False
    controls: tuple[str, ...] = ()


class Described(msgspec.Struct, tag="described"):
    """The answer to ``Describe``; without facts while no model is loaded."""

    id: int
    facts: ChatFacts | None


class ModelFacts(msgspec.Struct, frozen=True):
    """What the loaded model is; the last fields say what its vocabulary has.

    ``layout`` is the order of an infilling prompt (`lsp.models.fim`), the likeliest of ``layouts`` where its name and
    vocabulary leave doubt whether and how it infills.
    """

    name: str
    path: str
    description: str
    parameters: int
    n_ctx_train: int
    fim: bool
    layout: LayoutName
    separator: bool
    repository: bool
    bos: bool
    layouts: tuple[LayoutName, ...] = ()


class State(msgspec.Struct, tag="state"):
    """How the engine is; sent on connecting, on each change, and when asked.

    ``remote`` is the address of the server that answers; empty: this machine does.
    """

    state: StateName
    detail: str = ""
    cure: str = ""
    progress: float = 0.0
    model: ModelFacts | None = None
    pid: int = 0
    n_ctx: int = 0
    cells_used: int = 0
    sequences: int = 0
    gpu_layers: int = 0
    gpu_reason: str = ""
    threads: int = 0
    rss_bytes: int = 0
    tokens_prewarmed: int = 0
    tokens_restored: int = 0
    prefill_per_second: float = 0.0
    backend: str = ""
    remote: str = ""


EngineMessage = Token | Done | Failed | Recalled | Described | State

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_engine_decoder: msgspec.json.Decoder[EngineMessage] = msgspec.json.Decoder(EngineMessage)


def encode(message: ClientMessage | EngineMessage) -> bytes:
    """One message as a line."""
    return _encoder.encode(message) + b"\n"


async def read_line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, or None at the end of the stream or after a line too long to be ours."""
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError):  # ValueError: longer than the reader's limit
        return None
    return line if line.endswith(b"\n") else None


def decode_client(line: bytes) -> ClientMessage:
    """Raises ``MidlineError`` where the line is not a message of a client."""
    try:
        return _client_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MidlineError(f"Not a message to the engine: {error}.") from error


def decode_engine(line: bytes) -> EngineMessage:
    """Raises ``MidlineError`` where the line is not a message of the engine."""
    try:
        return _engine_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MidlineError(f"Not a message of the engine: {error}.") from error
