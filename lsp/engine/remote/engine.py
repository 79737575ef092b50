"""A remote engine with the surface of `lsp.engine.client.EngineClient`; the local one in its place while it is away.

Requests go to whichever answers now; `State.remote` says which that is. What differs between them (the layout of
prompts, the chat template) is part of the state and of `describe`, so callers ask for it each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from lsp.completion.prompt import CHARS_PER_TOKEN
from lsp.engine.client import EngineClient, Generation
from lsp.engine.protocol import (
    Cancel,
    ChatFacts,
    ClientMessage,
    Done,
    Failed,
    Generate,
    ModelFacts,
    Priority,
    Segment,
    State,
    Text,
)
from lsp.engine.remote.address import UnreachableError
from lsp.engine.remote.branches import Branches
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.discovery import Found, find_server
from lsp.engine.remote.server import is_for_roles
from lsp.engine.requestlog import RequestLog
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

# How soon to look again for a server that is away; then twice as long each time, up to the second.
RETRY_SECONDS = (5.0, 60.0)
# And for one that is there and refuses: trying it costs it a few generations.
REFUSED_SECONDS = 600.0
# What the local engine is still answering when the server is back may end there.
_GRACE_SECONDS = 30.0
# A prompt of fewer tokens says little about the server's speed.
_TELLING_TOKENS = 128


@dataclass
class _Running:
    request: Generate
    generation: Generation
    branches: Branches
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class RemoteEngine:
    """Keeps in touch with the server of ``config``.

    Args:
        config: where it is, and what answers in its place.
        on_state: called with each change of the state.
        on_notice: called when the local engine takes over, and when the server is back.
    """

    def __init__(
        self,
        config: RemoteConfig,
        on_state: Callable[[State], None] = lambda _: None,
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.state = State("starting", f"asking {config.host}")
        self._on_state = on_state
        self._on_notice = on_notice
        self._away = ""  # why the local engine answers, once that was told
        self._log = RequestLog.from_environment()
        self._changed = asyncio.Event()
        self._ids = itertools.count(1)
        self._found: Found | None = None
        self._local: EngineClient | None = None
        self._lost = asyncio.Event()
        self._running: dict[int, _Running] = {}
        self._watching: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._prewarmed = 0

    def start(self) -> None:
        """Look for the server in the background, now and whenever it was lost."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """End all requests and connections."""
        tasks = [self._watching, *self._leaving, *(running.task for running in self._running.values())]
        for task in filter(None, tasks):
            task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
        await self._let_go()
        if self._local:
            await self._local.close()

    async def ready(self) -> State:
        """Wait until the server, or the local engine in its place, can take requests.

        Raises:
            MidlineError: neither can.
        """
        while self.state.state not in ("ready", "busy"):
            if self.state.state == "failed":
                raise MidlineError(self.state.detail, self.state.cure)
            await self._changed.wait()
        return self.state

    def generate(
        self,
        key: str,
        prompt: Sequence[Segment],
        *,
        max_tokens: int,
        heal: bool = True,
        branches: int = 1,
        priority: Priority = "completion",
        movable: bool = False,
    ) -> Generation:
        """Ask for a generation; see ``protocol.Generate``. Which sequence to go on with is the server's to find."""
        if self._found is None and self._local and not is_for_roles(prompt):
            return self._local.generate(
                key, prompt, max_tokens=max_tokens, heal=heal, branches=branches, priority=priority, movable=movable
            )
        request = Generate(next(self._ids), key, _sendable(prompt), max_tokens, heal, branches, priority, movable)
        generation = Generation(request.id, self._send)
        self._log.sent(request)
        if self._found is None:
            self._end(generation, Failed(request.id, f"The engine is away: {self.state.detail}", self.state.cure))
            return generation
        if self._found.facts.slots == 1 and priority in ("completion", "chat"):
            self._make_room()
        running = _Running(request, generation, Branches(self._found, request, generation.put))
        self._running[request.id] = running
        running.task = asyncio.get_running_loop().create_task(self._run(running))
        return generation

    def forget(self, key: str, *, erase: bool = False) -> None:
        """The server drops what it needs no more by itself; the local engine is told."""
        if self._local:
            self._local.forget(key, erase=erase)

    async def recall(self, key: str) -> dict[str, list[Segment]]:
        """What the local engine holds, where it answers; a server doesn't tell."""
        return await self._local.recall(key) if self._local and not self._found else {}

    async def describe(self) -> ChatFacts:
        """How the model that answers now is chatted with.

        Raises:
            MidlineError: none does.
        """
        if self._found:
            return self._found.facts.chat
        if self._local:
            return await self._local.describe()
        raise MidlineError(f"The engine is away: {self.state.detail}", self.state.cure)

    async def ask(self) -> State:
        """The state as it is now."""
        if self._local and not self._found:
            self._follow(await self._local.ask())
        return self.state

    # -- one request -----------------------------------------------------------------------------------------------

    async def _run(self, running: _Running) -> None:
        request, branches = running.request, running.branches
        try:
            reason = await branches.run()
            usage = branches.usage()
            self._measure(request, branches)
            self._end(running.generation, Done(request.id, reason, usage))
        except asyncio.CancelledError:
            self._end(running.generation, Done(request.id, "cancelled", branches.usage()))
        except MidlineError as error:
            self._end(running.generation, Failed(request.id, error.message, error.cure))
            if isinstance(error, UnreachableError) and self._found is branches.found:
                self._lost.set()
        except Exception:  # a fault of ours must not leave a caller waiting for ever
            logger.exception("a request to the remote engine failed")
            self._end(running.generation, Failed(request.id, "The request to the remote engine failed; see the log."))
        finally:
            self._running.pop(request.id, None)

    def _end(self, generation: Generation, message: Done | Failed) -> None:
        self._log.ended(message)
        generation.put(message)

    def _send(self, message: ClientMessage) -> None:
        running = self._running.get(message.id) if isinstance(message, Cancel) else None
        if running is None or not isinstance(message, Cancel):
            return
        if message.branch is not None:
            running.branches.cancel(message.branch)
        elif running.task:
            running.task.cancel()

    def _make_room(self) -> None:
        """A server that computes one request at a time must not make users wait for what is only prepared."""
        for running in self._running.values():
            if running.request.priority in ("anchor", "warm") and running.task:
                running.task.cancel()

    def _measure(self, request: Generate, branches: Branches) -> None:
        usage, speed = branches.usage(), self.state.prefill_per_second
        if request.max_tokens == 0:
            self._prewarmed += usage.tokens_evaluated
        if usage.tokens_evaluated >= _TELLING_TOKENS and usage.prefill_ms > 0:
            speed = usage.tokens_evaluated / usage.prefill_ms * 1000
        elif request.max_tokens == 0 and not usage.tokens_evaluated:
            # The server doesn't tell what it computed. What is prepared is mostly new to it; where it isn't, this is
            # too much: so it falls at once, and rises slowly.
            length = sum(len(segment.text) for segment in request.prompt if isinstance(segment, Text))
            if length >= _TELLING_TOKENS * CHARS_PER_TOKEN and usage.prefill_ms > 0:
                seen = length / CHARS_PER_TOKEN / usage.prefill_ms * 1000
                speed = min(seen, 2 * speed) if speed else seen
        if self._found:
            self.state = replace(self.state, prefill_per_second=round(speed, 1), tokens_prewarmed=self._prewarmed)

    # -- the server, there and away --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        wait = RETRY_SECONDS[0]
        while True:
            try:
                found = await find_server(self.config)
            except MidlineError as error:
                self._fall_back(error)
                is_away = isinstance(error, UnreachableError)
                await asyncio.sleep(wait if is_away else REFUSED_SECONDS)
                wait = min(2 * wait, RETRY_SECONDS[1])
                continue
            except Exception:  # a fault of ours: the local engine answers, and the log tells
                logger.exception("the remote engine can't be asked")
                self._fall_back(MidlineError("The remote engine can't be asked; see the log."))
                return
            wait = RETRY_SECONDS[0]
            self._use(found)
            await self._lost.wait()
            self._lost.clear()
            await self._let_go()
            self._start_local()

    def _use(self, found: Found) -> None:
        self._found = found
        local, self._local = self._local, None
        if local:
            task = asyncio.get_running_loop().create_task(_leave(local))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        facts, origin = found.facts, found.wire.address.origin
        way = f", {found.way}" if found.way else ""
        if self._away:
            self._away = ""
            self._on_notice(f"{origin} is back: {facts.model} answers there.")
        self._set_state(
            State(
                "ready",
                model=ModelFacts(
                    name=facts.model,
                    path="",
                    description=f"{facts.model} at {origin}",
                    parameters=0,
                    n_ctx_train=facts.n_ctx,
                    fim=found.way is not None,
                    layout=found.way.layout if found.way else "psm",
                    separator=found.way is not None and "separator" in found.way.marks,
                    repository=found.way is not None and "repository" in found.way.marks,
                    bos=False,
                ),
                n_ctx=facts.n_ctx,
                gpu_reason=f"it runs at {origin} ({facts.api}{way})",
                backend=facts.api,
                remote=origin,
                tokens_prewarmed=self._prewarmed,
            )
        )

    def _fall_back(self, error: MidlineError) -> None:
        if self.config.fallback is None:
            missing = f" No local model answers instead: {self.config.missing}" if self.config.missing else ""
            self._set_state(State("failed", f"{error.message}{missing}", error.cure))
            return
        self._start_local()
        assert self._local is not None
        if not self._away:
            self._on_notice(f"{error.message} The local model answers until it is back. {error.cure}".strip())
        self._away = error.message
        self._follow(self._local.state)

    def _start_local(self) -> None:
        if self.config.fallback and self._local is None:
            self._local = EngineClient(self.config.fallback, self._follow)
            self._local.start()
            self._set_state(self._local.state)
        elif self.config.fallback is None:
            self._set_state(State("restarting", f"asking {self.config.host} again"))

    def _follow(self, state: State) -> None:
        """The local engine's state has changed."""
        if self._found is None:
            self._set_state(replace(state, detail=state.detail or self._away))

    async def _let_go(self) -> None:
        found, self._found = self._found, None
        if found:
            for running in [*self._running.values()]:
                if running.task and running.branches.found is found:
                    running.task.cancel()
            await found.wire.close()

    def _set_state(self, state: State) -> None:
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._on_state(state)


def _sendable(prompt: Sequence[Segment]) -> list[Segment]:
    """``prompt`` without halves of characters, which editors may send and JSON can't."""
    return [
        Text(segment.text.encode("utf-8", "replace").decode()) if isinstance(segment, Text) else segment
        for segment in prompt
    ]


async def _leave(local: EngineClient) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(_GRACE_SECONDS)
    await local.close()
