"""The real engine without its process: a scheduler driven step by step, and the same model computing from scratch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lsp.engine.batching import PREFILL_BATCH
from lsp.engine.config import Adapter
from lsp.engine.llama import Entry, Llama
from lsp.engine.offload import Placement
from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import Done, EngineMessage, Failed, Generate, Priority, Segment, Special, Text, Token
from lsp.engine.run import Run
from lsp.engine.sampling import Logits, best
from lsp.engine.scheduler import Scheduler

OWNER = "editor"


class PokedLlama(Llama):
    """A model during whose ``poke_at``-th operation ``poke`` is called, as another thread would come in between."""

    _flag = False
    poke_at = 0
    poke: Callable[[], object] = staticmethod(lambda: None)

    def decode(self, entries: Sequence[Entry]) -> None:
        shares = Counter(entry.seq for entry in entries)
        # Otherwise llama.cpp computes it in parts, and a sliding window may lose cells that the first part still needs.
        assert self.cuttable or len(set(shares.values())) == 1, shares
        super().decode(entries)

    @property
    def abort(self) -> bool:
        """Read by llama.cpp between two operations."""
        if self.poke_at:
            self.poke_at -= 1
            if not self.poke_at:
                self.poke()
        return self._flag

    @abort.setter
    def abort(self, value: bool) -> None:
        self._flag = value


def load(path: Path, *, n_ctx: int, n_seq: int) -> PokedLlama:
    """A model on one thread that says nothing."""
    return PokedLlama(
        path,
        Placement(n_ctx),
        n_seq=n_seq,
        n_batch=PREFILL_BATCH,
        threads=1,
        progress=lambda _: None,
        log=lambda _level, _line: None,
    )


class Rig:
    """A scheduler with all that its clients were told, and the answers from scratch to compare with.

    Args:
        path: the model.
        n_ctx: cells of its context.
        n_seq: sequences of its context.
        tolerance: logits this far apart are equal but for rounding, which differs with the sizes of batches.
    """

    def __init__(self, path: Path, *, n_ctx: int, n_seq: int, tolerance: float) -> None:
        self.llama = load(path, n_ctx=n_ctx, n_seq=n_seq)
        self.scheduler = Scheduler(self.llama, n_seq)
        self._scratch = load(path, n_ctx=n_ctx, n_seq=1)
        self._tolerance = tolerance
        self._eog = np.array(sorted(self.llama.vocabulary.eog), dtype=np.int64)
        self.requests: dict[int, Generate] = {}
        self.told: dict[int, list[EngineMessage]] = {}
        self.compared = 0  # tokens

    def close(self) -> None:
        self.llama.close()
        self._scratch.close()

    # -- requests --------------------------------------------------------------------------------------------------

    def submit(
        self,
        prompt: list[Segment],
        key: str = "file",
        *,
        max_tokens: int = 6,
        branches: int = 1,
        priority: Priority = "completion",
        movable: bool = False,
        adapters: tuple[Adapter, ...] = (),
    ) -> int:
        request_id = len(self.requests)
        request = Generate(request_id, key, prompt, max_tokens, True, branches, priority, movable, adapters)
        self.requests[request_id] = request
        told = self.told[request_id] = []
        self.scheduler.submit(OWNER, request, told.append)
        return request_id

    def cancel(self, request_id: int) -> None:
        self.scheduler.cancel(OWNER, request_id)

    def interrupt(self, operation: int, action: Callable[[], object]) -> None:
        """Let ``action`` come in at the given operation from now on, in the middle of a batch."""
        self.llama.poke_at, self.llama.poke = operation, action

    def run(self) -> None:
        """Until every request has ended."""
        steps = 0
        while any(not told or isinstance(told[-1], Token) for told in self.told.values()):
            assert self.scheduler.step()
            steps += 1
            assert steps < 2000, "the scheduler doesn't get on"
        self.llama.poke_at = 0

    def run_one(self, prompt: list[Segment], key: str = "file", **options: object) -> int:
        """Run one request to its end."""
        request_id = self.submit(prompt, key, **options)  # type: ignore[arg-type]
        self.run()
        return request_id

    def complete(self, prompt: list[Segment], key: str = "file", **options: object) -> Done:
        """Run one request to its end, and compare it."""
        request_id = self.run_one(prompt, key, **options)
        self.check(request_id)
        return self.done(request_id)

    def done(self, request_id: int) -> Done:
        """How a request ended."""
        done = self.told[request_id][-1]
        assert isinstance(done, Done), done
        return done

    def texts(self, request_id: int) -> list[str]:
        """What the first branch was told, token by token."""
        return [m.text for m in self.told[request_id] if isinstance(m, Token) and m.branch == 0]

    def evaluated(self, prompt: list[Segment], **options: object) -> int:
        """How many tokens of the prompt one request computes."""
        return self.complete(prompt, **options).usage.tokens_evaluated  # type: ignore[arg-type]

    # -- the answers from scratch ----------------------------------------------------------------------------------

    def check(self, request_id: int) -> None:
        """What a request was told is what a fresh context says, as far as that is clear; nothing came after its end."""
        told = self.told[request_id]
        assert [isinstance(m, Done | Failed) for m in told] == [False] * (len(told) - 1) + [True]
        assert not isinstance(told[-1], Failed), told[-1]
        request = self.requests[request_id]
        self._scratch.load_adapters(request.adapters)
        self._scratch.use_adapters(request.adapters)
        prompt = compile_prompt(request.prompt, self.llama.vocabulary, self.llama.tokenize, request.heal)
        branches = [[m for m in told if isinstance(m, Token) and m.branch == i] for i in range(request.branches)]
        if not branches[0]:
            return
        choices = best(self._compute(prompt.tokens, 0), self._eog, self._allowed(prompt.heal), request.branches + 1)
        gaps = np.diff([-choice.logprob for choice in choices])
        if gaps.size and gaps.min() < 2 * self._tolerance:
            return  # which branch is which is not clear
        ended = isinstance(told[-1], Done) and told[-1].reason == "eog"
        for branch, (choice, messages) in enumerate(zip(choices, branches, strict=False)):
            if branch:
                self._compute(prompt.tokens, 0)
            self._compare(prompt.tokens, prompt.heal, choice.token, choice.logprob, messages, ended and branch == 0)

    def _compare(
        self, prompt: list[int], heal: bytes, token: int, logprob: float, messages: Sequence[Token], ended: bool
    ) -> None:
        """Follow one branch up to its end, or to the first place where the two best tokens are nearly equal."""
        run, length = Run(0, 0, [], heal), len(prompt)
        for i, message in enumerate(messages):
            assert token not in self.llama.vocabulary.eog, "the generation should have ended"
            text = run.take(token, self.llama.vocabulary.pieces[token])
            assert (i, message.text) == (i, text)
            assert abs(message.logprob - logprob) < 2 * self._tolerance, (i, message.logprob, logprob)
            self.compared += 1
            if i + 1 == len(messages) and not ended:
                return
            logits = self._compute([token], length)
            length += 1
            choices = best(logits, self._eog, self._allowed(run.heal), 2)
            token, logprob = choices[0].token, choices[0].logprob
            if len(choices) > 1 and logprob - choices[1].logprob < 2 * self._tolerance:
                return
        assert not ended or token in self.llama.vocabulary.eog, "the generation should have gone on"

    def _allowed(self, heal: bytes) -> np.ndarray | None:
        return self.llama.vocabulary.spelling(heal) if heal else None

    def _compute(self, tokens: Sequence[int], position: int) -> Logits:
        """Logits behind ``tokens``, the first of which stands at ``position``; at 0 they are all there is."""
        if position == 0:
            self._scratch.cut(0, 0)
        for start in range(0, len(tokens), PREFILL_BATCH):
            part = tokens[start : start + PREFILL_BATCH]
            entries = [Entry(token, position + start + i, 0, i == len(part) - 1) for i, token in enumerate(part)]
            self._scratch.decode(entries)
        return self._scratch.logits((len(tokens) - 1) % PREFILL_BATCH).copy()


def psm(prefix: str, suffix: str, middle: str) -> list[Segment]:
    return [
        Special("bos"),
        Special("prefix"),
        Text(prefix),
        Special("suffix"),
        Text(suffix),
        Special("middle"),
        Text(middle),
    ]


def spm(prefix: str, suffix: str, middle: str) -> list[Segment]:
    return [Special("bos"), Special("suffix"), Text(suffix), Special("prefix"), Text(prefix + middle)]
