"""A scheduler over the stand-in for llama.cpp, driven step by step."""

from __future__ import annotations

from fake_llama import FakeLlama, expected_texts

from lsp.engine.config import Adapter
from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Priority, Special, Text, Token
from lsp.engine.scheduler import Scheduler

OWNER = "editor"
LONG = "f(abc).gh" * 40  # 240 tokens


class Rig:
    """A scheduler driven step by step, with all that its clients were told."""

    def __init__(self, n_ctx: int = 400, n_seq: int = 4, cuttable: bool = True) -> None:
        self.llama = FakeLlama(n_ctx, n_seq, cuttable)
        self.busy: list[bool] = []
        self.scheduler = Scheduler(self.llama, n_seq, self.busy.append)  # type: ignore[arg-type]
        self.requests: dict[int, Generate] = {}
        self.told: dict[int, list[EngineMessage]] = {}
        self._notes = 0

    def submit(
        self,
        text: str,
        key: str = "file",
        *,
        base: str = "",
        max_tokens: int = 6,
        branches: int = 1,
        priority: Priority = "completion",
        heal: bool = True,
        adapters: tuple[Adapter, ...] = (),
    ) -> int:
        request_id = len(self.requests)
        prompt = [Special("prefix"), Text(base), Special("suffix"), Special("middle"), Text(text)]
        request = Generate(request_id, key, prompt, max_tokens, heal, branches, priority, adapters=adapters)
        self.requests[request_id] = request
        told = self.told[request_id] = []
        self.scheduler.submit(OWNER, request, told.append)
        return request_id

    def cancel(self, request_id: int, branch: int | None = None) -> None:
        self.scheduler.cancel(OWNER, request_id, branch)

    def forget(self, prefix: str) -> None:
        self.scheduler.forget(prefix)
        self._notes += 1

    @property
    def open(self) -> list[int]:
        """Requests that haven't ended."""
        return [i for i, told in self.told.items() if not told or isinstance(told[-1], Token)]

    def step(self) -> None:
        assert self.scheduler.step()
        self._notes = 0

    def run(self) -> None:
        """Until there is nothing to do."""
        steps = 0
        while self.open or self._notes:
            self.step()
            steps += 1
            assert steps < 2000, "the scheduler doesn't get on"

    def complete(self, text: str, key: str = "file", **options: object) -> Done:
        request_id = self.submit(text, key, **options)  # type: ignore[arg-type]
        self.run()
        assert self.texts(request_id) == dict(enumerate(expected_texts(self.requests[request_id])))
        return self.done(request_id)

    def texts(self, request_id: int) -> dict[int, str]:
        """What came, by branch."""
        texts = {0: ""}
        for message in self.told[request_id]:
            if isinstance(message, Token):
                texts[message.branch] = texts.get(message.branch, "") + message.text
        return texts

    def done(self, request_id: int) -> Done:
        last = self.told[request_id][-1]
        assert isinstance(last, Done)
        return last

    def failed(self, request_id: int) -> Failed:
        last = self.told[request_id][-1]
        assert isinstance(last, Failed)
        return last

    def check_ends(self) -> None:
        """Each request ended exactly once, and was told nothing afterwards."""
        for request_id, told in self.told.items():
            assert [isinstance(m, Done | Failed) for m in told] == [False] * (len(told) - 1) + [True]
            assert {m.id for m in told if isinstance(m, Token | Done | Failed)} == {request_id}

    def check_cache(self) -> None:
        """What the ledger says is what the cache holds; nothing is active any more."""
        ledger = self.scheduler.ledger
        held = {seq: tokens for seq in self.llama.sequences if (tokens := self.llama.tokens(seq))}
        for seq, tokens in held.items():
            assert ledger.tokens(seq) == tokens
        assert ledger.cells_used == self.llama.cells_used
        idle = [held.seq for held in ledger.idle()]
        assert len(idle) == len(ledger)
        assert held.keys() <= set(idle)
