"""``midline ask``: a question in the terminal, answered by the same way as an editor's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from lsp.chat.answer import Answer
from lsp.chat.conversations import Conversations
from lsp.chat.desk import Desk
from lsp.chat.library import Library, Place
from lsp.chat.thinking import Kind
from lsp.choice import chat_config
from lsp.documents import cursor_from_file
from lsp.engine.connect import Config, engine_for, model_name
from lsp.engine.protocol import State
from lsp.errors import MidlineError
from lsp.knowledge import opened_packages
from lsp.searching import INDEXING_SECONDS, opened_documents, workspace_index
from lsp.settings import Settings
from lsp.terminal import settings_for, tell

MAX_PIPED_BYTES = 4_000_000
_LINES = re.compile(r"(.+):(\d{1,9})(?:-(\d{1,9}))?$", re.DOTALL)


def ask_command(question: str, file: str | None, workspace: Path, *, go_on: bool = False, as_json: bool = False) -> int:
    """Answer a question and print it; returns the exit code.

    Args:
        question: what is asked; what is piped in follows it.
        file: ``FILE``, ``FILE:A`` or ``FILE:A-B``: what it is about.
        workspace: the folder whose settings and code count.
        go_on: go on with the workspace's latest conversation.
        as_json: print one JSON document.

    Raises:
        MidlineError: there is no such place, or the model can't be run, or the answer failed.
    """
    message = _with_piped(question)
    workspace = workspace.absolute()
    settings, privacy = settings_for(workspace)
    config = chat_config(settings)
    kept = Conversations(warn=tell)
    conversation = next((one.id for one in kept.of(workspace)), "") if go_on else ""
    with (
        workspace_index(workspace, settings, ranked=True) as index,
        opened_documents(workspace, settings, seconds=INDEXING_SECONDS) as documents,
        opened_packages(settings) as packages,
    ):
        library = Library(index, workspace, privacy.covers, documents, packages)
        place = _place(file, library) if file else None
        printer = _Printer(quiet=as_json)
        answer = asyncio.run(_ask(message, library, place, workspace, conversation, kept, settings, config, printer))
    if as_json:
        print(json.dumps(answer.as_dict()))
    else:
        printer.end(answer)
    return 0


async def _ask(
    message: str,
    library: Library,
    place: Place | None,
    workspace: Path,
    conversation: str,
    kept: Conversations,
    settings: Settings,
    config: Config,
    printer: _Printer,
) -> Answer:
    engine = engine_for(config, printer.on_state, tell)
    engine.start()
    try:
        with printer:
            await engine.ready()
            return await Desk(engine, model_name(engine), kept).ask(
                message,
                library,
                settings.chat,
                conversation=conversation,
                workspace=workspace,
                place=place,
                on_text=printer.on_text,
            )
    finally:
        await engine.close()


class _Printer:
    """Shows an answer while it comes: Markdown in a terminal, plain text elsewhere, nothing where it is quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(highlight=False)
        self._fancy = self._console.is_terminal and not quiet
        self._status = Console(stderr=True).status("starting the engine …")
        self._live: Live | None = None
        self._pending = ""
        self._any = False

    def __enter__(self) -> _Printer:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()
        if self._live:
            self._live.update(_markdown(self._pending), refresh=True)
            self._live.stop()
        elif self._any:
            print(flush=True)

    def on_state(self, state: State) -> None:
        """The engine's state changed."""
        if state.state == "starting":
            self._status.update(f"loading the model … {state.progress:.0%}")
        elif not self._any:
            self._status.update("reading …")

    def on_text(self, kind: Kind, text: str) -> None:
        """A piece came."""
        if kind == "reasoning":
            self._status.update("thinking …")
            return
        if not self._any:
            text = text.lstrip()
            if not text:
                return
            self._any = True
            self._status.stop()
            if self._fancy:
                self._live = Live(console=self._console, refresh_per_second=8, vertical_overflow="ellipsis")
                self._live.start()
        if self._quiet:
            return
        if self._live is None:
            print(text, end="", flush=True)
            return
        self._pending += text
        done = finished_blocks(self._pending)
        if done:
            self._live.console.print(_markdown(self._pending[:done]))
            self._pending = self._pending[done:]
        self._live.update(_markdown(self._pending))

    def end(self, answer: Answer) -> None:
        """Print what stands below an answer; where the output goes elsewhere, it is the answer alone."""
        if not answer.text:
            tell("the model has said nothing")
        note = Console(stderr=True, highlight=False, soft_wrap=True)
        console = self._console if self._fancy else note
        for one in answer.citations:
            console.print(Text(f"  {one['path']}:{one['start_line']}-{one['end_line']}", "cyan"))
        if answer.removed:
            note.print(Text(f"{answer.removed} of its citations name no place that there is: they don't count.", "dim"))
        if answer.reason in ("length", "repetition"):
            reason = "it reached chat.answer_tokens" if answer.reason == "length" else "it began to repeat itself"
            note.print(Text(f"The answer was cut: {reason}.", "dim"))
        usage, ms = answer.usage, answer.ms
        note.print(
            Text(
                f"{answer.model}: {usage.tokens_evaluated} tokens read, {usage.tokens_reused} reused, "
                f"{usage.tokens_generated} written, {ms['first_token'] / 1000:.1f} s to the first, "
                f"{ms['total'] / 1000:.1f} s in all",
                "dim",
            )
        )


def _markdown(text: str) -> Markdown:
    return Markdown(text, code_theme="ansi_dark")  # the terminal's own colours, whatever its background


def finished_blocks(text: str) -> int:
    """How many characters at the beginning are Markdown blocks that nothing behind them will change."""
    fenced, done, position = False, 0, 0
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        position += len(line)
        if not fenced and not line.strip() and line.endswith("\n"):
            done = position
    return done


def _place(given: str, library: Library) -> Place:
    """What ``--file`` names.

    Raises:
        MidlineError: there is no such file, or it has no such lines.
    """
    found = None if Path(given).exists() else _LINES.fullmatch(given)
    path = Path(found[1] if found else given).absolute()
    if not found:
        return library.place_at(path, cursor_from_file(path, 1, None).text)
    start, end = int(found[2]), int(found[3] or found[2])
    if end < start:
        raise MidlineError(f"Line {end} stands before line {start}.", "Write FILE:FIRST-LAST.")
    cursor_from_file(path, end, None)
    return library.place_at(path, cursor_from_file(path, start, None).text, start, end)


def _with_piped(question: str) -> str:
    """The question, and what is piped into the command."""
    try:
        kind = stat.S_IFMT(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):  # there is no stdin
        return question
    if kind not in (stat.S_IFIFO, stat.S_IFREG):
        return question
    data = sys.stdin.buffer.read(MAX_PIPED_BYTES + 1)
    if len(data) > MAX_PIPED_BYTES:
        raise MidlineError(
            f"More than {MAX_PIPED_BYTES // 1_000_000} MB are piped in.", "Pipe in the part that matters."
        )
    piped = data.decode("utf-8", "replace").strip("\n")
    if not piped.strip():
        return question
    fence = "```"
    while fence in piped:
        fence += "`"
    return f"{question}\n\n{fence}\n{piped}\n{fence}" if question.strip() else piped
