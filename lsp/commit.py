"""``midline commit-message``: what is staged, as a message for ``git commit -F -``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from rich.console import Console

from lsp.chat.commit import CommitMessage, commit_message
from lsp.chat.staged import Staged, staged
from lsp.chat.templates import ChatTemplate
from lsp.choice import chat_config
from lsp.engine.connect import Config, engine_for, model_name
from lsp.engine.protocol import State
from lsp.settings import Settings
from lsp.terminal import settings_for, tell

_SHOWN_CHARS = 60


def commit_command(workspace: Path, *, as_json: bool = False) -> int:
    """Print a message for what is staged; returns the exit code. Nothing is printed before all of it is there.

    Args:
        workspace: a folder of the repository, whose settings count.
        as_json: print one JSON document.

    Raises:
        MidlineError: nothing is staged, there is no repository, or the model can't be run.
    """
    workspace = workspace.absolute()
    settings, privacy = settings_for(workspace)
    what = staged(workspace, privacy.covers)
    message = asyncio.run(_write(what, settings, chat_config(settings)))
    print(json.dumps(message.as_dict()) if as_json else message.text)
    return 0


async def _write(what: Staged, settings: Settings, config: Config) -> CommitMessage:
    # A spinner shows in terminals only: whoever pipes gets the message and nothing else.
    with Console(stderr=True).status("starting the engine …") as status:
        written = ""

        def follow(state: State) -> None:
            if state.state == "starting":
                status.update(f"loading the model … {state.progress:.0%}")
            elif not written:
                status.update("reading what is staged …")

        def show(text: str) -> None:
            nonlocal written
            written += text
            status.update(" ".join(written.split())[-_SHOWN_CHARS:])

        engine = engine_for(config, follow, tell)
        engine.start()
        try:
            await engine.ready()
            name = model_name(engine)
            template = ChatTemplate(await engine.describe(), name)
            return await commit_message(engine, template, name, what, settings.chat, show)
        finally:
            await engine.close()
