"""The scheduler against the model from scratch: whatever is typed, cancelled, forked or evicted in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fake_llama import expected_branches, tokenize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scheduler_support import Rig

from lsp.engine.config import Adapter
from lsp.engine.prompt import compile_prompt
from lsp.engine.protocol import Done, Failed, Priority

KEYS = ("one", "two", "three")
SNIPPET = st.sampled_from(["a", "abc", "cd", " ", "\n  ", "f()", "中", "é", "gh", "."]) | st.sampled_from(
    ["abcdefgh" * 3, "f(a).\n" * 5]
)


@dataclass(frozen=True)
class Edit:
    """What happens to a text before the next request."""

    key: str
    kind: Literal["type", "delete", "jump", "paste"]
    where: float
    text: str


@dataclass(frozen=True)
class Ask:
    """Complete, or warm up, at the cursor."""

    key: str
    max_tokens: int
    branches: int
    priority: Priority
    heal: bool
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True)
class CancelIt:
    """End the n-th open request, or a branch of it."""

    which: int
    branch: int | None


@dataclass(frozen=True)
class Steps:
    """Let the scheduler work."""

    count: int


@dataclass(frozen=True)
class Meanwhile:
    """Something that happens while the n-th next batch is being computed."""

    batch: int
    applied: int
    what: Ask | CancelIt


KEY = st.sampled_from(KEYS)
ADAPTERS = st.sampled_from([(), (), (Adapter("a.gguf"),), (Adapter("a.gguf", 0.5), Adapter("b.gguf"))])
ASK = st.builds(
    Ask,
    KEY,
    max_tokens=st.sampled_from([1, 4, 4, 8]),
    branches=st.sampled_from([1, 1, 1, 2, 3]),
    priority=st.sampled_from(["completion", "completion", "chat"]),
    heal=st.sampled_from([True, True, False]),
    adapters=ADAPTERS,
)
WARM = st.builds(
    Ask,
    KEY,
    max_tokens=st.sampled_from([0, 0, 3]),
    branches=st.just(1),
    priority=st.sampled_from(["anchor", "warm"]),
    heal=st.just(False),
    adapters=ADAPTERS,
)
CANCEL = st.builds(CancelIt, which=st.integers(0, 5), branch=st.sampled_from([None, None, 0, 1, 2]))
ACTION = st.one_of(
    st.builds(
        Edit,
        KEY,
        kind=st.sampled_from(["type", "type", "delete", "jump", "paste"]),
        where=st.floats(0, 1),
        text=SNIPPET,
    ),
    ASK,
    WARM,
    CANCEL,
    st.builds(Steps, st.integers(1, 6)),
    st.builds(Meanwhile, batch=st.integers(0, 3), applied=st.integers(0, 64), what=st.one_of(ASK, CANCEL)),
    st.sampled_from(KEYS),  # closed
)


@dataclass
class Buffer:
    """A text being edited; its prompt stands on what is before the cursor's line."""

    text: str = "f(abc).\n  gh()\n" * 4
    cursor: int = 60

    def apply(self, edit: Edit) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        if edit.kind == "jump":
            self.cursor = int(edit.where * len(self.text))
        elif edit.kind == "delete":
            before = before[: len(before) - int(edit.where * 4)]
            self.text, self.cursor = before + after, len(before)
        else:
            added = edit.text * (1 if edit.kind == "type" else 3)
            self.text, self.cursor = (before + added + after)[:200], min(len(before + added), 200)


@dataclass
class Player:
    """Plays actions on a rig."""

    rig: Rig
    buffers: dict[str, Buffer] = field(default_factory=lambda: {key: Buffer() for key in KEYS})
    cancelled: dict[int, set[int | None]] = field(default_factory=dict)
    later: list[Meanwhile] = field(default_factory=list)
    batches: int = 0

    def play(self, action: object) -> None:
        if isinstance(action, Edit):
            self.buffers[action.key].apply(action)
        elif isinstance(action, Ask):
            buffer = self.buffers[action.key]
            typed = buffer.text[: buffer.cursor]
            base, newline, middle = typed.rpartition("\n")
            self.rig.submit(
                middle,
                action.key,
                base=base + newline,
                max_tokens=action.max_tokens,
                branches=action.branches,
                priority=action.priority,
                heal=action.heal,
                adapters=action.adapters,
            )
        elif isinstance(action, CancelIt):
            if action.which < len(self.rig.open):
                request_id = self.rig.open[action.which]
                self.cancelled.setdefault(request_id, set()).add(action.branch)
                self.rig.cancel(request_id, action.branch)
        elif isinstance(action, Steps):
            for _ in range(action.count):
                if self.rig.open:
                    self.rig.step()
        elif isinstance(action, Meanwhile):
            self.later.append(Meanwhile(self.batches + action.batch, action.applied, action.what))
        else:
            self.rig.forget(str(action))

    def on_decode(self) -> None:
        now = [meanwhile for meanwhile in self.later if meanwhile.batch == self.batches]
        self.batches += 1
        for meanwhile in now:
            self.rig.llama.applied = lambda size, most=meanwhile.applied: min(size, most)
            self.play(meanwhile.what)


def check_against_scratch(player: Player) -> None:
    rig = player.rig
    for request_id, request in rig.requests.items():
        last, texts = rig.told[request_id][-1], rig.texts(request_id)
        cancelled = player.cancelled.get(request_id, set())
        length = len(compile_prompt(request.prompt, rig.llama.vocabulary, tokenize, request.heal).tokens)
        if isinstance(last, Failed):
            assert length + request.max_tokens * request.branches > rig.llama.n_ctx
            continue
        assert isinstance(last, Done)
        expected, counts = zip(*expected_branches(request), strict=True)
        whole = last.reason != "cancelled" and not cancelled
        for branch, text in texts.items():
            assert expected[branch].startswith(text)
            # Alternatives end early where the request was paused.
            if branch and last.usage.tokens_generated < sum(counts):
                continue
            if whole or (last.reason != "cancelled" and branch not in cancelled):
                assert text == expected[branch]
        if last.reason == "cancelled":
            # What is less urgent ends early where a request takes over what it computed, or needs its cells.
            assert None in cancelled or request.priority != "completion"
        elif 0 not in cancelled:
            usage = last.usage
            of_prompt = usage.tokens_evaluated - usage.why.get("paused", 0)
            assert of_prompt + usage.tokens_reused == length
            assert of_prompt >= 1
        assert last.usage.tokens_generated <= request.max_tokens * request.branches


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(ACTION, min_size=20, max_size=60),
    st.sampled_from([80, 160, 2000]),
    st.sampled_from([3, 5, 16]),
    st.booleans(),
)
def test_every_answer_is_as_from_scratch(actions: list[object], n_ctx: int, n_seq: int, cuttable: bool) -> None:
    rig = Rig(n_ctx, n_seq, cuttable)
    player = Player(rig)
    rig.llama.on_decode = player.on_decode
    for action in actions:
        player.play(action)
    rig.run()
    rig.check_ends()
    rig.check_cache()
    check_against_scratch(player)
