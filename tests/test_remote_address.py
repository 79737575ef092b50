"""Which hosts a remote engine may be at, and where its key comes from."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.choice import chat_config, engine_config
from lsp.configuration import load
from lsp.engine.remote.address import find_address, is_local, parse
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.key import find_key
from lsp.engine.remote.server import harmless
from lsp.errors import MidlineError
from lsp.models.fim import TEXTS


def resolving(monkeypatch: pytest.MonkeyPatch, *ips: str) -> None:
    """Every name has these addresses."""

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        try:
            found = [str(ipaddress.ip_address(host))]
        except ValueError:
            found = list(ips)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://192.168.1.20:8080/v1/", "http://192.168.1.20:8080"),
        ("https://10.0.0.5", "https://10.0.0.5:443"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        ("http://[fd00::5]", "http://[fd00::5]:80"),
    ],
)
async def test_local_addresses_are_spoken_to(url: str, base: str) -> None:
    address = await find_address(url, ())
    assert address.base_url == base and address.path == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8",
        "https://[2001:4860:4860::8888]/v1",
        "http://[::ffff:8.8.8.8]",
        "http://100.64.0.1",
        "http://0.0.0.0",
    ],
)
async def test_others_are_not(url: str) -> None:
    with pytest.raises(MidlineError, match="outside of the local network") as raised:
        await find_address(url, ())
    assert "remote.allowed_hosts" in raised.value.cure


async def test_a_name_is_judged_by_all_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "192.168.1.20", "93.184.216.34")
    with pytest.raises(MidlineError, match=r"93\.184\.216\.34"):
        await find_address("https://box.example.org", ())


async def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "192.168.1.20")
    address = await find_address("https://box.lan:8443/llm", ())
    assert address.base_url == "https://192.168.1.20:8443"
    assert address.authority == "box.lan:8443" and address.path == "/llm"


async def test_a_host_that_is_named_may_be_anywhere_but_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "93.184.216.34")
    assert (await find_address("https://Models.example.org", ("models.example.org",))).base_url.startswith(
        "https://models"
    )
    with pytest.raises(MidlineError, match="without encryption"):
        await find_address("http://models.example.org", ("models.example.org",))
    with pytest.raises(MidlineError, match="outside"):
        await find_address("https://models.example.org", ("example.org",))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "box",
        "box:8080",
        "ftp://box",
        "file:///etc/passwd",
        "http://",
        "http://box:99999",
        "http://[::1",
        "http://a b/",
    ],
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(MidlineError, match="is not an address"):
        parse(url)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(MidlineError, match="password") as raised:
        parse("http://me:hunter2@box")
    assert "hunter2" not in str(raised.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    try:
        address = parse(url)
    except MidlineError:
        return
    assert address.scheme in ("http", "https") and address.host and 0 < address.port < 65536


@given(st.ip_addresses())
def test_no_address_of_the_internet_is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_global:
        assert not is_local(str(address))


@given(st.lists(st.sampled_from([*TEXTS, "<", "|", "fim", " ", "é"]), max_size=8).map("".join))
def test_no_text_spells_a_models_token(text: str) -> None:
    assert not any(mark in harmless(text) for mark in TEXTS)


async def test_the_key_is_the_environments_before_the_keyrings(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class Kept(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return "from the keyring" if (service, username) == ("midline", "http://box:80") else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

        def delete_password(self, service: str, username: str) -> None: ...

    before = keyring.get_keyring()
    keyring.set_keyring(Kept())
    try:
        assert await find_key("BOX_KEY", "http://box:80") == "from the keyring"
        assert await find_key("BOX_KEY", "http://other") == ""
        monkeypatch.setenv("BOX_KEY", " from the environment\n")
        assert await find_key("BOX_KEY", "http://box:80") == "from the environment"
    finally:
        keyring.set_keyring(before)


async def test_without_the_package_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert await find_key("BOX_KEY", "http://box") == ""


def test_a_workspace_cant_choose_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    workspace = tmp_path / "w"
    workspace.mkdir()
    (workspace / "midline.toml").write_text(
        '[engine]\nremote = "http://evil"\n[remote]\nallowed_hosts = ["evil"]\nkey_variable = "AWS_SECRET"\n'
        'ca_bundle = "evil.pem"\nmodel = "m"\nchat = "m"\napi = "openai"\nfallback = false\n'
    )
    settings, problems = load(workspace)
    assert settings.engine.remote == "" and settings.remote == load()[0].remote
    assert len(problems) == 8 and all("can't be set by a workspace" in problem for problem in problems)


def test_who_has_a_server_need_not_have_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    settings, problems = load(
        client={"engine": {"remote": "http://box"}, "remote": {"model": "coder", "chat": "talker"}}
    )
    assert not problems
    completes, chats = engine_config(settings), chat_config(settings)
    assert isinstance(completes, RemoteConfig) and isinstance(chats, RemoteConfig)
    assert (completes.model, completes.infills, completes.fallback) == ("coder", True, None)
    assert (chats.model, chats.infills) == ("talker", False)
    assert "isn't installed" in completes.missing
