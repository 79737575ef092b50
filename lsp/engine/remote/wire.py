"""HTTP to one server, by one address: bounded in time and size, no redirects, and the key never in a message."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from lsp.engine.remote.address import Address, UnreachableError
from lsp.errors import MidlineError

T = TypeVar("T")

CONNECT_SECONDS = 3.0
# What is asked before the model is: it tells what it serves at once, or loads a model first.
ASK_SECONDS = 10.0
# A reader of a stream waits so long for its next line: a long prompt is read before the first one comes.
STREAM_SECONDS = 120.0
# A whole generation.
MOST_SECONDS = 900.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
# llama.cpp's server closes connections that rest for 5 s, maybe just when the next request is sent.
_REST_SECONDS = 2.0
_SHOWN_CHARS = 200


class RefusedError(MidlineError):
    """The server is there and won't do what was asked.

    Args:
        status: HTTP's.
    """

    def __init__(self, message: str, cure: str, status: int) -> None:
        super().__init__(message, cure)
        self.status = status


class Wire:
    """Requests to one server.

    Args:
        address: where it is.
        key: the API key; empty: none is sent.
        ca_bundle: a PEM file of authorities to trust instead of the usual ones.

    Raises:
        MidlineError: the bundle can't be read.
    """

    def __init__(self, address: Address, key: str = "", ca_bundle: str = "") -> None:
        self.address = address
        self._key = key
        headers = {"Host": address.authority, "Accept-Encoding": "identity", "User-Agent": "midline"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        try:
            self._client = httpx.AsyncClient(
                base_url=address.base_url + address.path,
                headers=headers,
                verify=_trust(ca_bundle) if address.scheme == "https" else False,
                # A proxy is for the world outside; what is here is reached directly.
                trust_env=not address.ip,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=64, keepalive_expiry=_REST_SECONDS),
                timeout=httpx.Timeout(ASK_SECONDS, connect=CONNECT_SECONDS),
            )
        except (ValueError, httpx.HTTPError, httpx.InvalidURL) as error:  # of a key with a line break, of proxies
            raise MidlineError(
                "The connection to engine.remote can't be made: its key or a proxy's address is not well-formed.",
                "Check the key's variable, and HTTPS_PROXY.",
            ) from error

    @property
    def is_readable(self) -> bool:
        """Whether others on the way could read what is sent."""
        address = self.address
        return address.scheme == "http" and not (address.ip and ipaddress.ip_address(address.ip).is_loopback)

    async def close(self) -> None:
        """End all requests."""
        await self._client.aclose()

    async def ask(self, path: str, answer: type[T], body: object = None) -> T:
        """One question: GET, or POST with a body.

        Raises:
            UnreachableError: the server is away, or not ready yet.
            RefusedError: it won't.
            MidlineError: the answer isn't one.
        """
        async with self._sent(path, body, ASK_SECONDS, ASK_SECONDS) as response:
            data = await self._read(response, MAX_ANSWER_BYTES)
        return self.decode(data, answer)

    async def stream(self, path: str, body: object) -> AsyncGenerator[bytes, None]:
        """The lines of an answer while they come; leaving the iteration closes the request, which stops the model.

        Raises:
            as ``ask``.
        """
        async with self._sent(path, body, STREAM_SECONDS, MOST_SECONDS) as response:
            held, total = b"", 0
            async for data in response.aiter_raw():
                total += len(data)
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield line.strip()
                if len(held) > MAX_LINE_BYTES or total > MAX_STREAM_BYTES:
                    raise self.garbage("more than an answer can be")
            if held.strip():
                yield held.strip()

    def decode(self, data: bytes, answer: type[T]) -> T:
        """``data`` as JSON of a type.

        Raises:
            MidlineError: it isn't.
        """
        try:
            return msgspec.json.decode(data, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.garbage("something that is not an answer of its API") from error

    def quoted(self, text: str) -> str:
        """What a server says, to be shown: one line, short, without the key."""
        text = text.replace(self._key, "***") if self._key else text
        text = "".join(char if char.isprintable() else " " for char in text[: 4 * _SHOWN_CHARS])
        return " ".join(text.split())[:_SHOWN_CHARS]

    @contextlib.asynccontextmanager
    async def _sent(
        self, path: str, body: object, read_seconds: float, seconds: float
    ) -> AsyncIterator[httpx.Response]:
        address = self.address
        request = self._client.build_request(
            "GET" if body is None else "POST",
            path,
            content=None if body is None else msgspec.json.encode(body),
            headers={} if body is None else {"Content-Type": "application/json"},
            timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS, pool=None),
            # The certificate is the name's, though the connection goes to the address.
            extensions={"sni_hostname": address.host} if address.ip and address.scheme == "https" else None,
        )
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.send(request, stream=True)
                try:
                    await self._check(response)
                    yield response
                finally:
                    await response.aclose()
        except (httpx.TimeoutException, TimeoutError) as error:
            raise self._away("does not answer") from error
        except httpx.ConnectError as error:
            raise self._unconnected(error) from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise self._away("closed the connection, or doesn't speak HTTP") from error

    async def _check(self, response: httpx.Response) -> None:
        status, origin = response.status_code, self.address.origin
        if status == httpx.codes.OK:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self.garbage("a compressed answer that nobody asked for")
            return
        if response.is_redirect:
            raise RefusedError(
                f"{origin} sends requests elsewhere, to {self._host_of(response)}; midline doesn't follow.",
                "If that is your server, set `engine.remote` to its own address.",
                status,
            )
        said = self.quoted(_reason((await self._read(response, MAX_ANSWER_BYTES)).decode("utf-8", "replace")))
        if status in (401, 403):
            raise RefusedError(
                f"{origin} refuses the API key{'' if self._key else ': it got none'}.",
                "Put the right one into the variable that `remote.key_variable` names, or into the keyring.",
                status,
            )
        if status in (429, 502, 503, 504):
            raise self._away(f"is not ready ({status} {said})")
        raise RefusedError(f"{origin} answered {status}: {said or 'nothing'}.", "", status)

    async def _read(self, response: httpx.Response, most: int) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > most:
                raise self.garbage("more than an answer can be")
        return bytes(data)

    def _host_of(self, response: httpx.Response) -> str:
        try:
            return self.quoted(httpx.URL(response.headers.get("Location", "")).host) or "another path"
        except httpx.InvalidURL:
            return "no address"

    def _unconnected(self, error: httpx.ConnectError) -> MidlineError:
        cause: BaseException | None = error
        while cause:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return MidlineError(
                    f"The certificate of {self.address.origin} isn't trusted: {self.quoted(cause.verify_message)}.",
                    "Set `remote.ca_bundle` to a PEM file with the authority that signed it.",
                )
            cause = cause.__cause__ or cause.__context__
        return self._away("can't be reached")

    def failed(self, said: object) -> RefusedError:
        """For an error that a stream tells of."""
        told = said.get("message", said) if isinstance(said, dict) else said
        return RefusedError(f"{self.address.origin} failed: {self.quoted(str(told))}.", "", httpx.codes.OK)

    def broken(self) -> MidlineError:
        """For a stream that ended before its last message."""
        return self._away("closed the connection in the middle of an answer")

    def _away(self, what: str) -> UnreachableError:
        return UnreachableError(f"The server at {self.address.origin} {what}.", "Start it, or correct `engine.remote`.")

    def garbage(self, what: str) -> MidlineError:
        """For what is no answer."""
        return MidlineError(
            f"{self.address.origin} sent {what}.", "Check that `engine.remote` is a server of models, and `remote.api`."
        )


def _trust(ca_bundle: str) -> ssl.SSLContext | bool:
    if not ca_bundle:
        return True
    try:
        return ssl.create_default_context(cafile=str(Path(ca_bundle).expanduser()))
    except (OSError, ssl.SSLError) as error:
        raise MidlineError(
            f"remote.ca_bundle can't be read: {getattr(error, 'strerror', None) or error}.", "It must be a PEM file."
        ) from error


def _reason(body: str) -> str:
    """What an error's body says: ``{"error": {"message": …}}``, ``{"error": …}``, ``{"detail": …}`` or the text."""
    try:
        said: Any = msgspec.json.decode(body.encode())
    except (msgspec.MsgspecError, RecursionError):
        return body
    for name in ("error", "message", "detail"):
        said = said.get(name, said) if isinstance(said, dict) else said
    return said if isinstance(said, str) else body
