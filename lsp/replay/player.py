"""Plays keystrokes in an editor, at the speed at which people type, and writes down what each key cost.

What a key cost is read from ``midline/status`` just before the next one. Where the key's request was answered, the
answer's own count stands in ``last_completion``. Requests that the next key cancelled are in the totals only, once the
engine has stopped them, a little after the key that cancelled them: what a total has grown by beyond the answered
request is booked on the request cancelled last. So no token is left out, and none is counted twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsp.replay.editor import Ask, Editor
from lsp.replay.keystrokes import KEYS, Event, Keystrokes, Kind


@dataclass
class Stroke:
    """A keystroke and what it cost.

    Args:
        number: from 1.
        kind: what was typed.
        after: what came before it besides keys: ``jump``, ``switch``, ``open``, … or nothing.
        path: the file.
        line: where the cursor is then, from 1.
        column: likewise, in code points.
        answered: whether the answer came before the next key.
        cached: whether it was what was left of an earlier suggestion.
        hit: whether the suggestion on the screen began with what was typed next; None where that was a mistake.
        right: whether its first line was what was typed next.
        tokens_evaluated: prompt tokens computed on the critical path of its request.
        tokens_prewarmed: prompt tokens computed in the background until the next key.
        first_token_ms: from the request's arrival in the server to the first token; None where it was cancelled.
        total_ms: from sending the request to having the answer, likewise.
        why: why the tokens of an answered request were computed.
        screen: the suggestion on the screen when the next key came.
        kept: whether it had been there before the key, and was typed along.
        ahead: what was typed next, in this stint; empty where the key was a mistake.
    """

    number: int
    kind: Kind
    after: str
    path: Path
    line: int
    column: int
    answered: bool = False
    cached: bool = False
    hit: bool | None = None
    right: bool | None = None
    tokens_evaluated: int = 0
    tokens_prewarmed: int = 0
    tokens_reused: int = 0
    first_token_ms: float | None = None
    total_ms: float | None = None
    why: dict[str, int] = field(default_factory=dict)
    screen: str = field(default="", repr=False)
    kept: bool = False
    ahead: str = field(default="", repr=False)


@dataclass
class Recording:
    """All strokes, and the server's status before and after."""

    strokes: list[Stroke]
    before: dict[str, Any]
    after: dict[str, Any]
    seconds: float
    accepted: int = 0
    characters_accepted: int = 0
    characters_typed: int = 0


class Player:
    """Plays into ``editor``.

    Args:
        editor: where to.
        initial: the files' texts before the first event.
        speed: how many times faster than a person; 0: each key waits for the last one's answer and for nothing else.
        on_stroke: called after each keystroke.
        accepts: whether suggestions are ever accepted; otherwise each text is typed to its end, whatever is suggested.
    """

    def __init__(
        self,
        editor: Editor,
        initial: dict[Path, str],
        speed: float,
        on_stroke: Callable[[Stroke], None] = lambda _: None,
        *,
        accepts: bool = True,
    ) -> None:
        self._accepts = accepts
        self._editor = editor
        self._initial = initial
        self._speed = speed
        self._on_stroke = on_stroke
        self._ask: Ask | None = None
        self._screen = ""
        self._kept = False
        self._cancelled: Stroke | None = None
        self._telling: list[asyncio.Task[None]] = []

    async def play(self, typing: Keystrokes, most: int) -> Recording:
        """Play until ``typing`` ends or ``most`` keystrokes were made.

        Raises:
            MidlineError: the server has gone.
        """
        began = time.monotonic()
        before = await self._editor.status()
        recording = Recording([], before, before, 0.0)
        after = ""
        event: Event | None = next(typing, None)
        while event:
            self._show(event)
            if event.kind in KEYS:
                stroke = self._stroke(event, len(recording.strokes) + 1, after)
                after = ""
                recording.strokes.append(stroke)
                self._count(recording, event)
                await self._wait(event.pause)
                recording.after = await self._read(recording.after, stroke)
                stroke.hit, stroke.right = _judge(self._screen, event.ahead)
                stroke.screen, stroke.kept, stroke.ahead = self._screen, self._kept, event.ahead
                self._on_stroke(stroke)
                if len(recording.strokes) >= most:
                    break
            else:
                after = after if event.kind in ("step", "trim") and after else event.kind
                await self._wait(event.pause)
            try:
                event = typing.send(self._screen if self._accepts else "")
            except StopIteration:
                event = None
        if self._ask:
            await self._ask.task
        await asyncio.sleep(0.5)  # until requests cancelled last have stopped
        if recording.strokes:
            recording.after = await self._read(recording.after, recording.strokes[-1])
        recording.seconds = time.monotonic() - began
        return recording

    def _show(self, event: Event) -> None:
        """Do what the event says, and say it to the server in an editor's order."""
        editor = self._editor
        if not editor.is_open(event.path):
            editor.open(event.path, self._initial[event.path])
        if event.edits:
            editor.edit(event.path, event.edits)
        self._follow(event)
        if self._ask and not self._ask.task.done():
            editor.cancel(self._ask)
        self._ask = None
        if event.kind in KEYS:
            self._ask = editor.ask(event.path, event.cursor)
        elif event.kind not in ("trim", "reload"):
            editor.move(event.path, event.cursor)

    def _follow(self, event: Event) -> None:
        """A suggestion stays on the screen while what is typed is what it says."""
        typed = event.edits[0].text if len(event.edits) == 1 else ""
        kept = event.kind in ("char", "enter", "tab") and typed and self._screen.startswith(typed)
        self._screen = self._screen[len(typed) :] if kept else ""
        self._kept = bool(self._screen)

    def _stroke(self, event: Event, number: int, after: str) -> Stroke:
        line, column = self._editor.place(event.path, event.cursor)
        return Stroke(number, event.kind, after, event.path, line, column)

    def _count(self, recording: Recording, event: Event) -> None:
        if event.kind == "accept":
            recording.accepted += 1
            recording.characters_accepted += len(event.edits[0].text)
            self._telling.append(asyncio.get_running_loop().create_task(self._editor.accepted()))
        elif event.kind in ("char", "enter", "tab", "over"):
            recording.characters_typed += len(event.edits[-1].text)

    async def _wait(self, pause: float) -> None:
        """The pause until the next event; the answer is on the screen from when it comes."""
        asking = self._ask.task if self._ask else None
        if self._speed == 0:
            if asking:
                await asking
        elif asking and not asking.done():
            began = time.monotonic()
            await asyncio.wait({asking}, timeout=pause / self._speed)
            self._take()
            await asyncio.sleep(max(0.0, pause / self._speed - (time.monotonic() - began)))
        else:
            await asyncio.sleep(pause / self._speed)
        self._take()

    def _take(self) -> None:
        if self._ask and (answer := self._ask.answer) and answer.text != self._screen:
            self._screen, self._kept = answer.text, False

    async def _read(self, last: dict[str, Any], stroke: Stroke) -> dict[str, Any]:
        """Book what the totals have grown by since ``last``; returns the status as it is now."""
        while True:
            answered = self._ask.answer if self._ask else None
            status = await self._editor.status()
            # An answer that came just now may be in the status, or not: ask again.
            if answered or not (self._ask and self._ask.answer):
                break
        now, then = status["completion"], last["completion"]
        grown = now["tokens_evaluated"] - then["tokens_evaluated"]
        stroke.tokens_prewarmed += now["tokens_prewarmed"] - then["tokens_prewarmed"]
        completion = status["last_completion"]
        # Where the server refused without asking the engine, the last completion is an older one.
        if answered and not stroke.answered and completion != last["last_completion"]:
            stroke.answered = True
            stroke.tokens_evaluated += completion["tokens_evaluated"]
            stroke.tokens_reused = completion["tokens_reused"]
            stroke.cached = completion["cached"]
            stroke.first_token_ms = completion["ms"].get("context", 0.0) + completion["ms"].get("first_token", 0.0)
            stroke.total_ms = answered.ms
            stroke.why = completion.get("why", {})
            grown -= completion["tokens_evaluated"]
        (self._cancelled or stroke).tokens_evaluated += grown
        self._cancelled = None if stroke.answered else stroke
        return status


def _judge(screen: str, ahead: str) -> tuple[bool | None, bool | None]:
    """Whether what is on the screen begins with the next key, and whether its first line is right."""
    if not ahead:
        return None, None
    return bool(screen) and screen[0] == ahead[0], bool(screen.strip()) and ahead.startswith(screen.split("\n")[0])
