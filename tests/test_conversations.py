"""Conversations on disk: what was said is there again, whoever else writes, and whatever becomes of the file."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.chat.conversations import TITLE_CHARS, Conversations, Message, title_of
from lsp.errors import MidlineError

HERE, THERE = Path("/workspace/here"), Path("/workspace/there")
ANSWER = Message(
    "assistant", "42", "42 [7]", "let me see", {"citations": [{"path": "a.py", "start_line": 1, "end_line": 2}]}
)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, told: list[str]) -> Conversations:
    return Conversations(tmp_path / "data" / "c.sqlite3", told.append)


def ask(kept: Conversations, text: str, workspace: Path | None = HERE) -> str:
    conversation = kept.begin(workspace, text)
    kept.add(conversation.id, Message("user", text, f"[1] context\n{text}"), ANSWER)
    return conversation.id


def test_what_was_said_is_there_again_in_order(kept: Conversations) -> None:
    one = ask(kept, "why?")
    kept.add(one, Message("user", "and?\0 中 \ud800", "and?"))
    again = Conversations(kept.path).messages(one)
    assert [message.text for message in again] == ["why?", "42", "and?\0 中 ?"]
    assert [message.prompt for message in again] == ["[1] context\nwhy?", "42 [7]", "and?"]
    assert (again[1].reasoning, again[1].details) == (ANSWER.reasoning, ANSWER.details)
    assert kept.get(one).messages == 3


def test_each_workspace_has_its_own_the_latest_first(kept: Conversations) -> None:
    first, second, other, nowhere = ask(kept, "a"), ask(kept, "b"), ask(kept, "c", THERE), ask(kept, "d", None)
    assert [one.id for one in kept.of(HERE)] == [second, first]
    kept.add(first, Message("user", "more", "more"))
    assert [(one.id, one.messages) for one in kept.of(HERE)] == [(first, 3), (second, 2)]
    assert [one.id for one in kept.of(THERE)] == [other]
    assert [one.id for one in kept.of(None)] == [nowhere]


def test_renamed_and_deleted(kept: Conversations) -> None:
    one, other = ask(kept, "a"), ask(kept, "b")
    assert kept.rename(one, "  a\nbetter   title ").title == "a better title"
    with pytest.raises(MidlineError, match="empty"):
        kept.rename(one, " \n")
    kept.delete(one)
    assert [left.id for left in kept.of(HERE)] == [other]
    uses: list[Callable[[], object]] = [
        lambda: kept.get(one),
        lambda: kept.messages(one),
        lambda: kept.add(one, ANSWER),
        lambda: kept.rename(one, "x"),
        lambda: kept.delete(one),
        lambda: kept.export("\ud800"),
    ]
    for use in uses:
        with pytest.raises(MidlineError, match="no conversation"):
            use()
    with closing(sqlite3.connect(kept.path)) as connection:
        assert connection.execute("select count(*) from message").fetchone() == (2,)


def test_exported_as_markdown(kept: Conversations) -> None:
    one = kept.begin(HERE, "What is it?").id
    kept.add(
        one,
        Message("user", "What is it?", "long"),
        Message("assistant", "# It\n```sh\n# 42\n```", "", "hm", ANSWER.details),
    )
    assert kept.export(one) == (
        "# What is it?\n\n## You\n\nWhat is it?\n\n## midline\n\n"
        "<details><summary>Reasoning</summary>\n\nhm\n\n</details>\n\n"
        "### It\n```sh\n# 42\n```\n\nSources:\n\n- `a.py:1-2`\n"
    )


def test_only_the_user_can_read_them(kept: Conversations) -> None:
    ask(kept, "secret")
    files = list(kept.path.parent.iterdir())
    assert kept.path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


def damage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def tear(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:3000] = b"\xff" * 2900
    path.write_bytes(data)


def age(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma user_version = 99")


def replace_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop table message")


@pytest.mark.parametrize(
    ("spoil", "reason"), [(damage, "damaged"), (tear, "damaged"), (age, "newer"), (replace_tables, "damaged")]
)
def test_a_file_that_is_of_no_use_is_kept_aside(
    kept: Conversations, told: list[str], spoil: Callable[[Path], None], reason: str
) -> None:
    ask(kept, "before")
    spoil(kept.path)
    content = kept.path.read_bytes()
    after = ask(kept, "after")
    assert [one.id for one in kept.of(HERE)] == [after]
    assert len(told) == 1
    assert reason in told[0]
    (aside,) = (file for file in kept.path.parent.iterdir() if file.suffix.startswith(".20"))
    assert aside.name in told[0]
    assert aside.read_bytes() == content


def test_a_folder_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MidlineError, match="file"):
        Conversations(tmp_path / "file" / "c.sqlite3").of(HERE)
    (tmp_path / "c.sqlite3").mkdir()
    with pytest.raises(MidlineError, match=r"c\.sqlite3 can't be used"):
        Conversations(tmp_path / "c.sqlite3").of(HERE)


def chatter(path: Path, name: str) -> None:
    kept = Conversations(path)
    one = kept.begin(HERE, name).id
    for i in range(10):
        kept.add(one, Message("user", f"{name} {i}", ""))


def test_several_servers_at_once_lose_nothing(kept: Conversations) -> None:
    processes = [multiprocessing.Process(target=chatter, args=(kept.path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = {one.title: [message.text for message in kept.messages(one.id)] for one in kept.of(HERE)}
    assert found == {name: [f"{name} {i}" for i in range(10)] for name in "abc"}


@settings(deadline=None)
@given(st.text())
def test_a_title_is_one_short_line(text: str) -> None:
    title = title_of(text)
    assert 0 < len(title) <= TITLE_CHARS
    assert title == " ".join(title.split())
    if len(" ".join(text.split())) > TITLE_CHARS:
        assert title.endswith("…")
