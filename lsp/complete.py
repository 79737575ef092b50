"""``midline complete``: one completion in the terminal, by the same way as an editor's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from indexer.index import Index
from lsp.choice import engine_config
from lsp.completion.completer import Completer
from lsp.completion.completion import Completion
from lsp.completion.context import WorkspaceContext
from lsp.completion.recent import RecentEdits
from lsp.completion.stats import CompletionStats
from lsp.documents import Cursor, Document, cursor_from_file
from lsp.engine.connect import Config, engine_for, model_name, place_of
from lsp.engine.protocol import State
from lsp.errors import MidlineError
from lsp.privacy import Privacy
from lsp.searching import workspace_index
from lsp.settings import Settings
from lsp.terminal import settings_for, tell

_LINES_AROUND = 6
_PIECES = 8


def complete_command(path: Path, line: int, column: int | None, workspace: Path, n: int, as_json: bool) -> int:
    """Complete at a place (counted from 1, in characters) and print the suggestion; returns the exit code.

    Raises:
        MidlineError: the place doesn't exist or is private, or the model can't be run.
    """
    cursor = cursor_from_file(path, line, column)
    settings, privacy = settings_for(workspace)
    if cursor.path and privacy.covers(cursor.path):
        raise MidlineError(f"privacy.exclude names {path}: the model never sees it.", "Complete in another file.")
    config = engine_config(settings)
    with workspace_index(workspace.absolute(), settings) as index:
        context = _context(cursor, workspace.absolute(), index, privacy) if index else None
        completion, place = asyncio.run(_complete(cursor, settings, config, n, context))
    if as_json:
        document = Document(cursor.uri, cursor.text)
        print(json.dumps(completion.as_dict(document.position_at)))
    else:
        _print(completion, cursor, place)
    return 0


def _context(cursor: Cursor, workspace: Path, index: Index, privacy: Privacy) -> WorkspaceContext:
    recent = RecentEdits()
    recent.opened(Document(cursor.uri, cursor.text, None, cursor.language))
    return WorkspaceContext(recent, lambda: index, workspace, privacy.covers)


async def _complete(
    cursor: Cursor, settings: Settings, config: Config, n: int, context: WorkspaceContext | None
) -> tuple[Completion, str]:
    """A completion, and where the model that made it is."""
    with Console(stderr=True).status("starting the engine …") as status:

        def show(state: State) -> None:
            if state.state == "starting":
                status.update(f"loading the model … {state.progress:.0%}")

        engine = engine_for(config, show, tell)
        engine.start()
        try:
            await engine.ready()
            status.update("completing …")
            known = context.known_names if context else set
            completer = Completer(engine, model_name(engine), CompletionStats(), context, known=known)
            options = settings.completion
            completion = await completer.complete(
                cursor,
                max_tokens=options.max_tokens,
                # Who asks for several wants to choose, however unsure the model is of them.
                min_confidence=options.min_confidence if n == 1 else 0.0,
                alternatives=n,
                patient=True,
            )
            return completion, place_of(engine)
        finally:
            await engine.close()


def _print(completion: Completion, cursor: Cursor, place: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    before = cursor.prefix.splitlines(keepends=True)[-_LINES_AROUND:]
    after = cursor.suffix.splitlines(keepends=True)[: _LINES_AROUND + 1]
    console.print(
        Text.assemble(
            ("".join(before), "dim"),
            (completion.text, "bold green"),
            (cursor.rest_of_line + "".join(after).rstrip(), "dim"),
        )
    )
    console.print()
    if not completion.text:
        console.print(f"No suggestion: {completion.reason}.")
    for number, alternative in enumerate(completion.alternatives, 2):
        console.print(Text.assemble((f"{number}. ", "dim"), (alternative, "green")))
    usage, ms = completion.usage, completion.ms
    console.print(f"model       {completion.model}, {place}")
    console.print(
        f"tokens      {usage.tokens_evaluated} evaluated, {usage.tokens_reused} reused, "
        f"{usage.tokens_generated} generated"
    )
    console.print(f"time        {ms['total'] / 1000:.2f} s in all, {ms['first_token'] / 1000:.2f} s to the first token")
    console.print(f"confidence  {completion.confidence:.2f}")
    console.print(f"mode        {completion.mode}")
    for piece in completion.context[:_PIECES]:
        place = f"{piece['path']}:{piece['start_line']}"
        console.print(Text.assemble("context     ", place, (f"  {piece['symbol']}  ({piece['reason']})", "dim")))
    if len(completion.context) > _PIECES:
        console.print(f"            … and {len(completion.context) - _PIECES} more")
    if completion.filters:
        console.print(f"filters     {', '.join(completion.filters)}")
