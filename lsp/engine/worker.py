"""One model at work: its thread, its requests, its snapshots, and its memory, which is given back when it has rest."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil

from lsp.engine import snapshots
from lsp.engine.config import EngineConfig
from lsp.engine.devices import machine
from lsp.engine.llama import Llama, backend_features, in_memory, llama_build
from lsp.engine.loading import loading
from lsp.engine.offload import Placement, choose_threads, place, with_step_down
from lsp.engine.planning.memory import SEQUENCES
from lsp.engine.protocol import ChatFacts, Done, EngineMessage, Failed, Generate, Recalled, State, Usage
from lsp.engine.scheduler import Scheduler
from lsp.engine.snapshots import Snapshots
from lsp.engine.turn import Turn
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

# What memory is free is known while no other model is on its way in.
_ONE_AT_A_TIME = threading.Lock()
CRASHED = 70
# What may be saved at the end is saved within so long.
STOP_SECONDS = 10.0

Emit = Callable[[EngineMessage], None]


@dataclass(frozen=True)
class _Loaded:
    """A model in memory."""

    llama: Llama
    scheduler: Scheduler
    snapshots: Snapshots | None
    placement: Placement
    threads: int


class Worker:
    """A model, loaded in a thread of its own; all methods are the event loop's.

    Args:
        config: what to run.
        turn: whose it is to compute, among the models of this process.
        on_state: called with each change of its state.
    """

    def __init__(self, config: EngineConfig, turn: Turn, on_state: Callable[[State], None]) -> None:
        self.config = config
        self.clients: set[int] = set()
        self._turn = turn
        self._on_state = on_state
        self._loop = asyncio.get_running_loop()
        self._state = State("starting", "loading the model", pid=os.getpid(), backend=backend_features())
        self._loaded: _Loaded | None = None
        self._waiting: list[tuple[int, Generate, Emit]] = []  # for the model to be loaded
        self.chat_facts: ChatFacts | None = None  # how it is chatted with; not before it was loaded for the first time
        self._asleep = False
        self._stopped = False
        self._rest: asyncio.TimerHandle | None = None
        self._thread = self._start(None)

    # -- requests --------------------------------------------------------------------------------------------------

    def submit(self, client: int, request: Generate, emit: Emit) -> None:
        """Take a request; where the model isn't in memory, once it is."""
        if self._state.state == "failed":
            emit(
                Failed(
                    request.id, f"The engine is not ready: {self._state.detail.removesuffix('.')}.", self._state.cure
                )
            )
            return
        if self._loaded:
            self._loaded.scheduler.submit(client, request, partial(self._soon, emit))
        else:
            self._waiting.append((client, request, emit))
            self._wake()
        self._rest_later()

    def cancel(self, client: int, request_id: int, branch: int | None) -> None:
        """End a request or one of its branches."""
        if self._loaded:
            self._loaded.scheduler.cancel(client, request_id, branch)
            return
        for entry in [entry for entry in self._waiting if (entry[0], entry[1].id) == (client, request_id)]:
            if branch is None:
                self._waiting.remove(entry)
                entry[2](Done(request_id, "cancelled", Usage()))

    def forget(self, key: str, *, erase: bool) -> None:
        """Give back sequences, and their snapshots if they are to be erased."""
        then = partial(_erase, key) if erase else None
        if self._loaded:
            self._loaded.scheduler.forget(key, then)
        elif then:
            then()

    def recall(self, request_id: int, key: str, emit: Emit) -> None:
        """Tell what sequences hold; nothing while the model isn't in memory."""
        if self._loaded:
            self._loaded.scheduler.recall(request_id, key, partial(self._soon, emit))
        else:
            emit(Recalled(request_id, {}))

    def leave(self, client: int) -> None:
        """A client has gone, and its requests with it."""
        self.clients.discard(client)
        self._waiting = [entry for entry in self._waiting if entry[0] != client]
        if self._loaded:
            self._loaded.scheduler.cancel_all(client)

    # -- memory ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Give the memory back for good; ``join`` waits until that is done."""
        self._stopped = True
        if self._rest:
            self._rest.cancel()
        self._release()

    def join(self) -> None:
        """Wait for the thread's end, not for ever."""
        self._thread.join(STOP_SECONDS)

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._update(state="starting", detail="loading the model again", progress=0.0)
            self._thread = self._start(self._thread)

    def _rest_later(self) -> None:
        if self._rest:
            self._rest.cancel()
        if self.config.unload_seconds:
            self._rest = self._loop.call_later(self.config.unload_seconds, self._fall_asleep)

    def _fall_asleep(self) -> None:
        """Unload the model, unless it is at work."""
        if not self._loaded or self._loaded.scheduler.has_requests:
            self._rest_later()
            return
        self._asleep = True
        self._release()
        minutes = self.config.unload_seconds / 60
        detail = f"unloaded after {minutes:g} minutes without a request; the next one loads it again"
        self._update(state="ready", detail=detail)

    def _release(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded:
            loaded.scheduler.stop()

    # -- the model's thread ----------------------------------------------------------------------------------------

    def _start(self, before: threading.Thread | None) -> threading.Thread:
        thread = threading.Thread(target=self._own_model, args=(before,), name="model", daemon=True)
        thread.start()
        return thread

    def _own_model(self, before: threading.Thread | None) -> None:
        """Load the model and run its scheduler; a failure to load is told, a crash ends the process.

        Args:
            before: the thread that had the model last, and may still be saving.
        """
        if before:
            before.join()
        try:
            loaded = self._load()
        except MidlineError as error:
            logger.error("%s", error)
            self._soon(self._fail, error)
            return
        except BaseException:
            logger.exception("loading the model crashed")
            os._exit(CRASHED)
        self._soon(self._take, loaded)
        try:
            loaded.scheduler.loop()
            if loaded.snapshots:
                loaded.snapshots.save_all()
            loaded.llama.close()
        except BaseException:
            logger.exception("the scheduler crashed")
            os._exit(CRASHED)

    def _load(self) -> _Loaded:
        config = self.config
        path = Path(config.model)
        threads = choose_threads(config.threads)
        load = partial(Llama, path, n_seq=SEQUENCES, threads=threads, progress=self._on_progress(), log=_log_llama)
        with _ONE_AT_A_TIME, loading(path):
            placement = place(config, machine(), in_memory())
            logger.info("%s", placement.reason)
            llama, placement = with_step_down(placement, load)
        scheduler = Scheduler(llama, llama.n_seq, self._on_busy, self._on_idle, self._turn)
        saved = None
        if llama.saves_all:  # what can't be cut afterwards is of use only at its very end: not worth its bytes
            saved = Snapshots(llama, scheduler.ledger, _identity(path, placement))
            saved.restore()
        return _Loaded(llama, scheduler, saved, placement, threads)

    def _on_idle(self) -> bool:
        saved = self._loaded.snapshots if self._loaded else None
        return saved.save_one() if saved else False

    def _on_progress(self) -> Callable[[float], None]:
        told = 0.0

        def tell(share: float) -> None:
            nonlocal told
            if share >= told + 0.05:
                told = share
                self._soon(partial(self._update, progress=round(share, 2)))

        return tell

    def _on_busy(self, busy: bool) -> None:
        self._soon(partial(self._update, state="busy" if busy else "ready"))

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have the event loop call something; nothing where it has closed, and nobody is left to hear it."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            logger.debug("the loop has closed")

    # -- what becomes of it, in the event loop ---------------------------------------------------------------------

    def _take(self, loaded: _Loaded) -> None:
        self._loaded = loaded
        if self._stopped:  # nobody waited for it
            self._release()
            return
        self.chat_facts = loaded.llama.chat_facts
        self._update(
            state="ready",
            detail="",
            progress=1.0,
            model=msgspec.structs.replace(loaded.llama.facts, name=self.config.name),
            n_ctx=loaded.llama.n_ctx,
            gpu_layers=loaded.placement.gpu_layers,
            gpu_reason=loaded.placement.reason,
            threads=loaded.threads,
        )
        waiting, self._waiting = self._waiting, []
        for client, request, emit in waiting:
            self.submit(client, request, emit)
        self._rest_later()

    def _fail(self, error: MidlineError) -> None:
        self._update(state="failed", detail=error.message, cure=error.cure)
        waiting, self._waiting = self._waiting, []
        for client, request, emit in waiting:
            self.submit(client, request, emit)  # refuses it

    def _update(self, **changes: object) -> None:
        if self._stopped or (self._asleep and "detail" not in changes):  # what the scheduler said last
            return
        self._state = msgspec.structs.replace(self._state, **changes)
        self._on_state(self.state)

    @property
    def state(self) -> State:
        """How it is now."""
        loaded = self._loaded
        scheduler = loaded.scheduler if loaded else None
        return msgspec.structs.replace(
            self._state,
            rss_bytes=psutil.Process().memory_info().rss,
            cells_used=scheduler.ledger.cells_used if scheduler else 0,
            sequences=len(scheduler.ledger) if scheduler else 0,
            tokens_prewarmed=scheduler.tokens_prewarmed if scheduler else 0,
            tokens_restored=loaded.snapshots.tokens_restored if loaded and loaded.snapshots else 0,
            prefill_per_second=round(scheduler.prefill_per_second, 1) if scheduler else 0.0,
        )


def _identity(path: Path, placement: Placement) -> str:
    """All that the numbers in a KV snapshot depend on."""
    status = path.stat()
    kv = "" if placement.kv_type == "f16" else f" {placement.kv_type}"
    return f"{path} {status.st_size} {status.st_mtime_ns} {llama_build()}{kv}"


def _log_llama(level: int, line: str) -> None:
    # llama.cpp's levels: 1 debug, 2 info, 3 warning, 4 error. Its information is of use to its developers only.
    logger.log({3: logging.WARNING, 4: logging.ERROR}.get(level, logging.DEBUG), "llama.cpp: %s", line)


def _erase(key: str) -> None:
    """A folder that is read-only must not end the thread that runs the model: the client tells of it."""
    try:
        snapshots.erase(key)
    except MidlineError as error:
        logger.warning("%s", error)
