"""Conversations on disk: one SQLite file of the user's for all workspaces; several servers may have it open at once.

Each call opens the file, does its work in one transaction, and closes it: nothing is held that another server, a crash
or an upgrade could take away. A file that is damaged, or of a newer midline, is set aside, and a new one begun.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from indexer.store import is_damage
from lsp.errors import MidlineError
from lsp.paths import data_dir, private_dir

FILE_NAME = "conversations.sqlite3"
TITLE_CHARS = 60
_MAX_TITLE_CHARS = 200

_BUSY_SECONDS = 10.0
_VERSION = 1
_SCHEMA = (
    """
create table if not exists conversation (
    id text primary key, workspace text not null, title text not null, created text not null, changed text not null
) without rowid
""",
    "create index if not exists conversation_workspace on conversation (workspace, changed)",
    """
create table if not exists message (
    id integer primary key, conversation text not null references conversation on delete cascade, role text not null,
    text text not null, prompt text not null, reasoning text not null, details text not null, created text not null
)
""",
    "create index if not exists message_conversation on message (conversation, id)",
)


@dataclass(frozen=True)
class Conversation:
    """A conversation, without what was said. Times are ISO 8601 in UTC."""

    id: str
    workspace: str
    title: str
    created: str
    changed: str
    messages: int = 0

    @property
    def began(self) -> datetime:
        """When it was created: what its prompts say the time is, so that they stay as they are."""
        return datetime.fromisoformat(self.created)

    def as_dict(self) -> dict[str, Any]:
        """As the wire has it."""
        return {
            "id": self.id,
            "title": self.title,
            "created": self.created,
            "changed": self.changed,
            "messages": self.messages,
        }


@dataclass(frozen=True)
class Message:
    """What somebody said.

    Args:
        role: who.
        text: what is shown.
        prompt: what the model reads of it, the same in each later turn: a question with its context, an answer as it
            was generated.
        reasoning: what the model thought before an answer; no later prompt holds it.
        details: ``citations``, ``context``, ``usage`` and what else an answer is shown with.
        created: ISO 8601 in UTC.
    """

    role: Literal["user", "assistant"]
    text: str
    prompt: str
    reasoning: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    created: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As the wire has it: without the prompt, which holds the context at length."""
        shown = {"role": self.role, "text": self.text, "reasoning": self.reasoning, "created": self.created}
        return shown | self.details


class Conversations:
    """The conversations of this user. Safe to use from several threads and processes.

    Args:
        path: the file; None is the usual one.
        warn: told when a file had to be set aside, and of what could not be kept.

    Raises (any method):
        MidlineError: the file can't be used.
    """

    def __init__(self, path: Path | None = None, warn: Callable[[str], None] = lambda _: None) -> None:
        self.path = path or data_dir() / FILE_NAME
        self.warn = warn

    def begin(self, workspace: Path | None, first_message: str) -> Conversation:
        """A new conversation in a workspace, named after the message that it begins with."""
        now = _now()
        made = Conversation(uuid.uuid4().hex, _workspace(workspace), title_of(first_message), now, now)
        with self._transaction() as connection:
            values = (made.id, made.workspace, made.title, made.created, made.changed)
            connection.execute("insert into conversation values (?, ?, ?, ?, ?)", values)
        return made

    def of(self, workspace: Path | None) -> list[Conversation]:
        """A workspace's conversations, the latest first."""
        query = f"{_SELECT} where workspace = ? order by changed desc, id"
        with self._transaction() as connection:
            return [Conversation(*row) for row in connection.execute(query, (_workspace(workspace),))]

    def get(self, conversation: str) -> Conversation:
        """A conversation by its id.

        Raises:
            MidlineError: there is none.
        """
        with self._transaction() as connection:
            return _found(connection, conversation)

    def messages(self, conversation: str) -> list[Message]:
        """What was said in it, oldest first.

        Raises:
            MidlineError: there is no such conversation.
        """
        query = "select role, text, prompt, reasoning, details, created from message where conversation = ? order by id"
        with self._transaction() as connection:
            _found(connection, conversation)
            rows = connection.execute(query, (conversation,)).fetchall()
        return [
            Message(role, text, prompt, reasoning, _details(details), created)
            for role, text, prompt, reasoning, details, created in rows
        ]

    def add(self, conversation: str, *messages: Message) -> None:
        """Append what was said.

        Raises:
            MidlineError: there is no such conversation (any more).
        """
        now = _now()
        query = (
            "insert into message (conversation, role, text, prompt, reasoning, details, created) "
            "values (?, ?, ?, ?, ?, ?, ?)"
        )
        with self._transaction() as connection:
            _found(connection, conversation)
            for one in messages:
                details = json.dumps(one.details, ensure_ascii=False)
                values = (conversation, one.role, one.text, one.prompt, one.reasoning, details, one.created or now)
                connection.execute(query, tuple(map(_storable, values)))
            connection.execute("update conversation set changed = ? where id = ?", (now, conversation))

    def rename(self, conversation: str, title: str) -> Conversation:
        """Give it another title.

        Raises:
            MidlineError: there is no such conversation, or the title is empty.
        """
        title = _storable(" ".join(title.split())[:_MAX_TITLE_CHARS])
        if not title:
            raise MidlineError("A conversation's title can't be empty.", "Give it some words.")
        with self._transaction() as connection:
            _found(connection, conversation)
            connection.execute("update conversation set title = ? where id = ?", (title, conversation))
            return _found(connection, conversation)

    def delete(self, conversation: str) -> None:
        """Remove it with all that was said in it.

        Raises:
            MidlineError: there is no such conversation.
        """
        with self._transaction() as connection:
            _found(connection, conversation)
            connection.execute("delete from conversation where id = ?", (conversation,))

    def export(self, conversation: str) -> str:
        """It as Markdown.

        Raises:
            MidlineError: there is no such conversation.
        """
        return markdown(self.get(conversation), self.messages(conversation))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is committed in the end, to a file that is of use."""
        try:
            private_dir(self.path.parent)
            connection = self._opened()
            with closing(connection), connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise MidlineError(
                f"The conversations in {self.path} can't be used: {error}.", "Make room on the disk, or try again."
            ) from error

    def _opened(self) -> sqlite3.Connection:
        """A connection; a file that is of no use is set aside first."""
        connection, problem = self._connected()
        if not problem:
            return connection
        connection.close()
        lock = FileLock(self.path.with_name(self.path.name + ".lock"), timeout=_BUSY_SECONDS, mode=0o600)
        with lock:
            connection, problem = self._connected()
            if not problem:
                return connection  # another server has set it aside meanwhile
            connection.close()
            self._set_aside(problem)
            connection, problem = self._connected()
        if problem:
            connection.close()
            raise OSError(problem)
        return connection

    def _connected(self) -> tuple[sqlite3.Connection, str]:
        """A connection, and what makes the file useless to us, if anything does."""
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        try:
            return connection, _prepare(connection)
        except sqlite3.DatabaseError as error:
            # A stamped file without its tables is damaged too, though SQLite finds nothing wrong with it.
            if is_damage(error) or "no such table" in str(error):
                return connection, f"is damaged ({error})"
            connection.close()
            raise

    def _set_aside(self, problem: str) -> None:
        aside = self.path.with_name(f"{self.path.name}.{datetime.now():%Y%m%d-%H%M%S-%f}")
        for suffix in ("", "-wal", "-shm"):
            found = self.path.with_name(self.path.name + suffix)
            if found.exists():
                found.replace(aside.with_name(aside.name + suffix))
        self.warn(f"{self.path} {problem}: it is kept as {aside.name}, and new conversations go into a new file.")


_SELECT = (
    "select id, workspace, title, created, changed, "
    "(select count(*) from message where message.conversation = conversation.id) from conversation"
)


def title_of(message: str) -> str:
    """A title for the conversation that begins with ``message``: its first words, on one line."""
    words = " ".join(message.split())
    if len(words) <= TITLE_CHARS:
        return _storable(words) or "(empty)"
    cut = words[: TITLE_CHARS - 1]
    return _storable(cut[: cut.rfind(" ")] if " " in cut[TITLE_CHARS // 2 :] else cut).rstrip() + "…"


def markdown(conversation: Conversation, messages: Sequence[Message]) -> str:
    """A conversation as a Markdown document; reasoning stands folded away from the answers."""
    parts = [f"# {conversation.title}"]
    for one in messages:
        parts.append(f"## {'You' if one.role == 'user' else 'midline'}")
        if one.reasoning:
            parts.append(f"<details><summary>Reasoning</summary>\n\n{one.reasoning.strip()}\n\n</details>")
        parts.append(_with_lower_headings(one.text.strip()) or "*(nothing)*")
        if sources := one.details.get("citations"):
            places = (f"- `{c['path']}:{c['start_line']}-{c['end_line']}`" for c in sources)
            parts.append("Sources:\n\n" + "\n".join(places))
    return "\n\n".join(parts) + "\n"


_FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)


def _with_lower_headings(text: str) -> str:
    """A message's own headings below those that the export sets; code is left alone."""
    lines, fenced = [], False
    for line in text.split("\n"):
        fenced ^= bool(_FENCE.match(line))
        heading = not fenced and re.match(r"#{1,4} ", line)
        lines.append(f"##{line}" if heading else line)
    return "\n".join(lines)


def _prepare(connection: sqlite3.Connection) -> str:
    """Make the tables where they are missing; returns what makes the file useless to us, if anything does."""
    version = connection.execute("pragma user_version").fetchone()[0]
    if version > _VERSION:
        return "is of a newer midline"
    if version < _VERSION:
        connection.execute("pragma journal_mode = wal")
        with connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"pragma user_version = {_VERSION}")
    connection.execute("pragma foreign_keys = on")
    connection.execute("select count(*) from conversation, message where message.id < 0").fetchone()
    return ""


def _found(connection: sqlite3.Connection, conversation: str) -> Conversation:
    row = connection.execute(f"{_SELECT} where id = ?", (_storable(conversation),)).fetchone()
    if row is None:
        raise MidlineError(f"There is no conversation {conversation!r}.", "It may have been deleted: list them anew.")
    return Conversation(*row)


def _details(packed: str) -> dict[str, Any]:
    found = json.loads(packed)
    return found if isinstance(found, dict) else {}


def _workspace(folder: Path | None) -> str:
    return _storable(os.path.realpath(folder)) if folder else ""


def _storable(text: str) -> str:
    """Without lone surrogates, which SQLite can't take."""
    return text.encode("utf-8", "replace").decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
