"""Who may ask: the right host, no web page, the token, and not too many at once. Looked at before a body is read."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from lsp.api.refused import RefusedError

# Requests under way, those included that wait. Each may hold a body.
MOST_REQUESTS = 64
RETRY_SECONDS = 2


@dataclass(frozen=True)
class Hosts:
    """The names under which the API may be asked for.

    A web page may have its own name point to this machine (DNS rebinding); then its requests come with that name. An
    address in numbers can't be made to point elsewhere.

    Args:
        names: allowed besides ``localhost``, in lower case.
        loopback_only: whether addresses must be those of this machine itself.
    """

    names: Collection[str] = ()
    loopback_only: bool = True

    def allow(self, header: str) -> bool:
        """Whether a ``Host`` header, with its port or without, is one of them."""
        name = _without_port(header.lower())
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return address.is_loopback or not self.loopback_only


def _without_port(header: str) -> str:
    if header.startswith("["):
        name, bracket, port = header.partition("]")
        return name + bracket if not port or (port[0] == ":" and port[1:].isdigit()) else ""
    name, colon, port = header.partition(":")
    return name if not colon or port.isdigit() else ""


class Guard:
    """ASGI middleware that lets those through who may ask.

    Args:
        app: what they ask.
        token: what they have to show.
        hosts: the names under which they may ask.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Hosts) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = hosts
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        if refusal := self._refusal(scope["headers"]):
            await refusal.response(scope["path"])(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1

    def _refusal(self, headers: Collection[tuple[bytes, bytes]]) -> RefusedError | None:
        given = [(name.lower(), value.decode("latin-1").strip()) for name, value in headers]
        hosts = [value for name, value in given if name == b"host"]
        if len(hosts) != 1 or not self._hosts.allow(hosts[0]):
            return RefusedError(
                "This host name is not allowed.", "Ask for 127.0.0.1, or start with --allow-host NAME.", status=403
            )
        if any(name == b"origin" for name, _ in given):
            return RefusedError(
                "Web pages may not ask here.", "Ask from a program, without an Origin header.", status=403
            )
        tokens = [value for name, value in given if name == b"authorization"]
        if len(tokens) != 1 or not self._is_right(tokens[0]):
            cure = "Send the header `Authorization: Bearer TOKEN`; `midline serve-api` says where the token is."
            return RefusedError("The token is missing or wrong.", cure, status=401, code="invalid_api_key")
        if self._open >= MOST_REQUESTS:
            return RefusedError("Too many requests at once.", "Try again soon.", status=503, retry_after=RETRY_SECONDS)
        return None

    def _is_right(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        right = hmac.compare_digest(token.strip().encode(), self._token)
        return right and scheme.lower() == "bearer"
