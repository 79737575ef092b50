"""What the model wrote, kept, so that all that comes after it can be tuned without it.

Generation is greedy, and stopping early only truncates: one long recording of a prompt serves each later run whose
prompt is the same, whatever its stop rules, filters and thresholds are.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal

import msgspec

from bench.common import bench_home, engine_config, running_engine
from lsp.engine.client import EngineClient, Generation
from lsp.engine.protocol import Done, ModelFacts, Priority, Segment, State, Token, Usage
from lsp.errors import MidlineError
from lsp.models.catalogue import DEFAULT_MODEL

# What the machine is said to be, so that prompts have the same size wherever they are made.
PREFILL_PER_SECOND = 100.0
N_CTX = 16_384

Piece = tuple[str, float, float]
"""A token's text, its logprob, and the probability of ending in its place."""


class NotRecordedError(MidlineError):
    """A prompt isn't recorded, and the model may not be asked."""


class Stream(msgspec.Struct, frozen=True):
    """What the model wrote behind one prompt, in one or more branches; ``ended`` says why no more is there."""

    key: str
    ended: Literal["eog", "length"]
    branches: list[list[Piece]]


class Recordings:
    """Streams in a folder: one JSON document a line, the latest of a key counts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "streams.jsonl"
        decoder = msgspec.json.Decoder(Stream)
        lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        self._streams = {stream.key: stream for stream in map(decoder.decode, lines)}

    def find(self, key: str) -> Stream | None:
        """The stream of a key, if there is one."""
        return self._streams.get(key)

    def add(self, stream: Stream) -> None:
        """Keep a stream, on the disk too."""
        self._streams[stream.key] = stream
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(stream) + b"\n")


class Model:
    """The default model's engine, started at the first question; leave it by ``close``.

    Args:
        allowed: whether there may be an engine at all.
    """

    def __init__(self, *, allowed: bool = True) -> None:
        self.asked = 0
        self._allowed = allowed
        self._stack = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._client: EngineClient | None = None

    async def write(self, sequence: str, prompt: Sequence[Segment], tokens: int, heal: bool, branches: int) -> Stream:
        """``tokens`` tokens of each branch, or fewer where the model ends; the stream's key is left empty.

        Raises:
            MidlineError: the engine can't, or may not be asked.
        """
        client = await self._running()
        self.asked += 1
        generation = client.generate(sequence, prompt, max_tokens=tokens, heal=heal, branches=branches)
        written: list[list[Piece]] = [[] for _ in range(branches)]
        async for token in generation:
            written[token.branch].append((token.text, token.logprob, token.eog))
        return Stream("", "eog" if generation.reason == "eog" else "length", written)

    async def close(self) -> None:
        """End the engine, if there is one."""
        await self._stack.aclose()

    async def _running(self) -> EngineClient:
        async with self._starting:
            if self._client is None:
                if not self._allowed:
                    raise NotRecordedError("This prompt isn't recorded, and the model may not be asked.")
                config = engine_config(self._stack.enter_context(bench_home()))
                config = msgspec.structs.replace(config, n_ctx=N_CTX)
                self._client = await self._stack.enter_async_context(running_engine(config))
            return self._client


class RecordedEngine:
    """Has the surface of ``EngineClient``; answers from recordings, and asks the model for those that are missing.

    Args:
        recordings: where streams are kept.
        model: what is asked.
        length: tokens to record of a prompt at first; more are recorded once a reader goes on that far.
    """

    def __init__(self, recordings: Recordings, model: Model, length: int) -> None:
        facts = ModelFacts(
            DEFAULT_MODEL.name, "", "", DEFAULT_MODEL.parameters, 32_768, True, "psm", separator=True, repository=True,
            bos=False,
        )  # fmt: skip
        self.state = State("ready", model=facts, n_ctx=N_CTX, threads=1, prefill_per_second=PREFILL_PER_SECOND)
        self.raw = ""
        """What the model wrote last, as far as it was recorded."""
        self._recordings = recordings
        self._model = model
        self._length = length

    def of_length(self, length: int) -> RecordedEngine:
        """The same with another length to record at first."""
        return RecordedEngine(self._recordings, self._model, length)

    async def ready(self) -> State:
        """It always is."""
        return self.state

    async def ask(self) -> State:
        """Its state."""
        return self.state

    def forget(self, key: str) -> None:
        """There is nothing to forget."""

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        """There is nothing from earlier."""
        return {}

    def generate(
        self,
        key: str,
        prompt: Sequence[Segment],
        *,
        max_tokens: int,
        heal: bool = True,
        branches: int = 1,
        priority: Priority = "completion",
    ) -> Generation:
        """A generation as ``EngineClient`` has it; the KV sequence's ``key`` matters to what is recorded anew only."""

        async def stream(tokens: int) -> Stream:
            return await self._stream(key, list(prompt), tokens, heal, branches)

        return Replayed(stream, min(self._length, max_tokens), max_tokens)

    async def _stream(self, sequence: str, prompt: list[Segment], tokens: int, heal: bool, branches: int) -> Stream:
        identity = msgspec.json.encode((prompt, heal, branches, DEFAULT_MODEL.sha256))
        key = hashlib.sha256(identity).hexdigest()[:32]
        found = self._recordings.find(key)
        if found is None or (found.ended == "length" and len(found.branches[0]) < tokens):
            written = await self._model.write(sequence, prompt, tokens, heal, branches)
            found = msgspec.structs.replace(written, key=key)
            self._recordings.add(found)
        self.raw = "".join(text for text, _, _ in found.branches[0])
        return found


class Replayed(Generation):
    """A generation that was recorded, or is when it is read.

    Args:
        stream: gives so many tokens of it, or more, or all there are.
        first: how many to ask for at first.
        most: after so many it ends.
    """

    def __init__(self, stream: Callable[[int], Awaitable[Stream]], first: int, most: int) -> None:
        super().__init__(0, lambda _: None)
        self._stream = stream
        self._first = first
        self._most = most
        self._stopped: set[int] = set()
        self._cancelled = False

    def cancel(self, branch: int | None = None) -> None:
        """Stop, or stop one branch."""
        if branch is None:
            self._cancelled = True
        else:
            self._stopped.add(branch)

    async def __aiter__(self) -> AsyncIterator[Token]:
        sent = 0
        wanted = self._first
        ended = False
        while not ended and sent < self._most:
            stream = await self._stream(wanted)
            tokens = _in_turn(stream)
            ahead = [pair for pair in tokens if sent <= pair[0] < self._most]
            for number, token in ahead:
                if self._cancelled or len(self._stopped) == len(stream.branches):
                    self._end("cancelled", sent)
                    return
                sent = max(sent, number + 1)
                if token.branch not in self._stopped:
                    yield token
            ended = stream.ended == "eog" or not ahead
            wanted = self._most
        reason: Literal["eog", "length"] = "eog" if ended else "length"
        self._end("cancelled" if self._cancelled else reason, sent)

    def _end(self, reason: Literal["eog", "length", "cancelled"], sent: int) -> None:
        self.reason = reason
        self.put(Done(0, reason, Usage(tokens_generated=sent)))


def _in_turn(stream: Stream) -> list[tuple[int, Token]]:
    """The branches' tokens as an engine sends them, with each one's number within its branch."""
    turns = zip_longest(*([Token(0, i, *piece) for piece in pieces] for i, pieces in enumerate(stream.branches)))
    return list(chain.from_iterable([(n, token) for token in turn if token] for n, turn in enumerate(turns)))
