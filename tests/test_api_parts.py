"""What the API is made of: the token's file, stops, calls of tools, sequences, names of hosts."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from api_support import install_tiny
from hypothesis import given
from hypothesis import strategies as st

from lsp.api import command
from lsp.api.guard import Hosts
from lsp.api.models import split_name
from lsp.api.refused import RefusedError
from lsp.api.slots import Slots
from lsp.api.stops import Stops, read_stops
from lsp.api.token import read_token, token_file
from lsp.api.toolcalls import Called, ToolCalls
from lsp.cli import main
from lsp.errors import MidlineError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))


# -- the token -----------------------------------------------------------------------------------------------------


def test_the_token_is_made_once_for_this_user_alone() -> None:
    token = read_token()
    assert len(token) >= 43
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file().parent.stat().st_mode) == 0o700
    assert read_token() == token
    assert read_token(anew=True) not in ("", token)
    assert [file.name for file in token_file().parent.iterdir()] == ["api-token"]


@pytest.mark.parametrize("content", ["", "short", "two words of some length", "x" * 20 + "\x00"])
def test_a_damaged_token_is_no_token(content: str) -> None:
    read_token()
    token_file().write_text(content)
    with pytest.raises(MidlineError, match="damaged") as error:
        read_token()
    assert "--new-token" in error.value.cure
    assert read_token(anew=True)


def test_a_token_that_others_can_read_is_refused() -> None:
    read_token()
    token_file().chmod(0o644)
    with pytest.raises(MidlineError, match="Others can read"):
        read_token()


def test_a_link_or_a_pipe_in_the_tokens_place_is_not_followed(tmp_path: Path) -> None:
    read_token()
    token_file().unlink()
    token_file().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MidlineError):
        read_token()
    token_file().unlink()
    os.mkfifo(token_file())
    with pytest.raises(MidlineError, match="not a file"):
        read_token()


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "here", "abroad"),
    [
        ("127.0.0.1", True, True),
        ("127.0.0.1:6435", True, True),
        ("LOCALHOST:1", True, True),
        ("[::1]:6435", True, True),
        ("[::1]", True, True),
        ("box.lan:6435", True, True),
        ("192.168.1.5:6435", False, True),
        ("evil.example", False, False),
        ("localhost.evil.example", False, False),
        ("127.0.0.1.evil.example:6435", False, False),
        ("localhost:evil", False, False),
        ("[::1]evil", False, False),
        ("", False, False),
        ("127.1", False, False),
        ("user@localhost", False, False),
        ("localhost, evil.example", False, False),
    ],
)
def test_hosts(header: str, here: bool, abroad: bool) -> None:
    assert Hosts(["box.lan"]).allow(header) is here
    assert Hosts(["box.lan"], loopback_only=False).allow(header) is abroad


def test_a_workspace_may_follow_the_models_name() -> None:
    assert split_name("qwen") == ("qwen", "")
    assert split_name("qwen@/home/a b/@x") == ("qwen", "/home/a b/@x")
    assert split_name("qwen@latest") == ("qwen@latest", "")


# -- stops ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.text("ab.", max_size=3), max_size=12), st.lists(st.text("ab.", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_the_first_stop_however_it_comes(pieces: list[str], texts: list[str]) -> None:
    stops = Stops(texts)
    shown = "".join([*map(stops.feed, pieces), stops.finish()])
    whole = "".join(pieces)
    # The stop that is complete first ends it.
    ends = sorted((at + len(text), at) for text in texts if (at := whole.find(text)) >= 0)
    assert stops.met == bool(ends)
    assert shown == (whole[: ends[0][1]] if ends else whole)


def test_what_can_not_begin_a_stop_is_shown_at_once() -> None:
    stops = Stops(["\n\n", "END"])
    assert [stops.feed(text) for text in ("a", "\n", "b", "E", "N", "x", "EN", "D!", "more")] == [
        "a", "", "\nb", "", "", "ENx", "", "", "",
    ]  # fmt: skip
    assert stops.met


def test_stops_of_requests() -> None:
    assert read_stops(None) == read_stops([]) == read_stops("") == ()
    assert read_stops("a") == ("a",)
    assert read_stops(["a", "", "a", "b"]) == ("a", "b")
    for wrong in (list(map(str, range(99))), ["x" * 2_000]):
        with pytest.raises(RefusedError, match="stop may name"):
            read_stops(wrong)


# -- calls of tools ------------------------------------------------------------------------------------------------


def read(text: str, size: int = 1, names: tuple[str, ...] = ("look", "go"), written: str = "") -> list[Any]:
    """What comes of an answer in pieces of ``size``, neighbouring texts joined."""
    calls = ToolCalls(names, written)
    found: list[Any] = []
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    for one in [*(one for piece in pieces for one in calls.feed(piece)), *calls.finish()]:
        if isinstance(one, str) and found and isinstance(found[-1], str):
            found[-1] += one
        else:
            found.append(one)
    return found


LOOK = '<tool_call>\n{"name": "look", "arguments": {"at": "a < b"}}\n</tool_call>'
CALLED = Called("look", {"at": "a < b"})


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("just text, a < b", ["just text, a < b"]),
        (LOOK, [CALLED]),
        (f"I will look.\n{LOOK}\n{LOOK}", ["I will look.", CALLED, CALLED]),
        (LOOK.removesuffix("</tool_call>"), [CALLED]),
        ('<tool_call>{"name": "any", "arguments": "{\\"a\\": 1}"}</tool_call>', [Called("any", {"a": 1})]),
        ("<tool_call>look!</tool_call>", ["<tool_call>look!</tool_call>"]),
        ("<tool_call>", ["<tool_call>"]),
        ("a <tool", ["a <tool"]),
        ('{"name": "look", "parameters": {}}', [Called("look", {})]),
        ('```json\n[{"name": "look", "arguments": {}}, {"name": "go"}]\n```', [Called("look", {}), Called("go", {})]),
        ('<tools>\n{"name": "look", "arguments": {}}\n</tools>', [Called("look", {})]),
        ('{"name": "look", "arguments": {}}\n{"name": "go"}', [Called("look", {}), Called("go", {})]),
        ('{"name": "other", "arguments": {}}', ['{"name": "other", "arguments": {}}']),
        ("```json\n{}\n```", ["```json\n{}\n```"]),
        ("[1] is a source", ["[1] is a source"]),
        (
            "<tool_call>\n<function=go>\n<parameter=far>\n3\n</parameter>\n<parameter=to>\nthe\nend\n</parameter>\n"
            "</function>\n</tool_call>",
            [Called("go", {"far": 3, "to": "the\nend"})],
        ),
    ],
)
def test_calls_are_told_from_text(text: str, found: list[Any], size: int) -> None:
    assert read(text, size) == found


def test_without_tools_all_is_text() -> None:
    assert read(LOOK, 3, names=()) == [LOOK]


def test_a_call_may_have_been_begun_by_the_prompt() -> None:
    begun = '<tool_call>\n{"name": "look", "arguments": '
    assert read('{"at": 1}}\n</tool_call>', 2, written=begun) == [Called("look", {"at": 1})]


def test_text_before_a_call_is_shown_as_it_comes() -> None:
    calls = ToolCalls(["look"])
    assert list(calls.feed("Let me see")) == ["Let me see"]
    assert list(calls.feed(" <tool_cal")) == []
    assert list(calls.feed("m>")) == [" <tool_calm>"]


@given(st.text('<tool_call>{}"name:[]`json\n ', max_size=60), st.integers(1, 5))
def test_no_answer_is_lost_or_fails(text: str, size: int) -> None:
    found = read(text, size)
    assert "".join(found).split() == text.split() or any(isinstance(one, Called) for one in found)


# -- sequences -----------------------------------------------------------------------------------------------------


async def test_a_conversation_gets_the_sequence_that_holds_it() -> None:
    slots = Slots(running=2)

    async def key(text: str) -> str:
        async with slots.taken(text) as slot:
            return slot.key

    one, other = await key("system: be brief. user: a"), await key("# a.py\ndef f():")
    assert one != other
    assert await key("system: be brief. user: a. assistant: b. user: c") == one
    assert await key("# a.py\ndef f():\n    return 1") == other
    third = await key("something else")
    assert third not in (one, other)
    assert await key("yet another") == one  # used least recently


async def test_so_many_run_so_many_wait_and_the_rest_is_refused() -> None:
    slots = Slots(running=1, waiting=1)
    begun: list[int] = []
    end = asyncio.Event()

    async def run(number: int) -> None:
        async with slots.taken("x"):
            begun.append(number)
            await end.wait()

    first = asyncio.create_task(run(1))
    await asyncio.sleep(0)
    second = asyncio.create_task(run(2))
    await asyncio.sleep(0)
    with pytest.raises(RefusedError) as error:
        await run(3)
    assert (error.value.status, bool(error.value.retry_after)) == (429, True)
    second.cancel()
    await asyncio.sleep(0)
    fourth = asyncio.create_task(run(4))
    await asyncio.sleep(0)
    assert begun == [1]
    end.set()
    await asyncio.gather(first, fourth)
    assert begun == [1, 4]


# -- the command ---------------------------------------------------------------------------------------------------


def test_what_keeps_the_command_from_serving_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve-api", "--json"]) == 1
    assert "model" in json.loads(capsys.readouterr().out)["error"]
    install_tiny(tmp_path)
    config = tmp_path / "home" / "config"
    config.mkdir()
    (config / "midline.toml").write_text('[model]\ncompletion = "tiny"\n')
    assert main(["serve-api", "--workspace", str(tmp_path / "nowhere")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve-api", "--port", str(taken.getsockname()[1])]) == 1
    assert "Can't listen on 127.0.0.1" in capsys.readouterr().err
    assert main(["serve-api", "--host", "no.such.host.invalid", "--port", "0"]) == 1
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(["serve-api"]) == 1
    assert "pip install 'midline[api]'" in capsys.readouterr().err
    for wrong in ("x", "-1", "70000"):
        with pytest.raises(SystemExit, match="2"):
            main(["serve-api", "--port", wrong])
