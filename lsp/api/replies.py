"""An answer on its way to a client, whole or in pieces; it ends when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from lsp.api.desk import Event, Events
from lsp.api.refused import RefusedError
from lsp.errors import MidlineError

logger = logging.getLogger(__name__)

# As long as nothing is sent, a failure has an HTTP status of its own. But some clients give up without a first byte:
# Cline's, of Ollama's API, after 30 s.
FIRST_BYTE_SECONDS = 10.0


class Writer(Protocol):
    """How one API has an answer told."""

    @property
    def media_type(self) -> str:
        """Of a stream."""
        ...

    def whole(self, events: Sequence[Event]) -> dict[str, Any]:
        """All of an answer at once."""
        ...

    def begin(self, *, waiting: bool) -> bytes:
        """What a stream begins with; ``waiting``: without its first event."""
        ...

    def piece(self, event: Event) -> bytes:
        """An event of a stream."""
        ...

    def failure(self, refusal: RefusedError) -> bytes:
        """That a stream goes no further."""
        ...


class Reply(Response):
    """Tells what comes of a request.

    Args:
        starting: gives what comes, once it has begun.
        writer: writes it.
        stream: piece by piece.
    """

    def __init__(self, starting: Coroutine[Any, Any, Events], writer: Writer, *, stream: bool) -> None:
        super().__init__(media_type=writer.media_type if stream else "application/json")
        self._starting = starting
        self._writer = writer
        self._stream = stream
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless the client leaves."""
        serving = asyncio.ensure_future(self._serve(scope, receive, send))
        leaving = asyncio.ensure_future(_left(receive))
        ended = False
        try:
            await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            ended = not serving.done()
        leaving.cancel()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):  # OSError: nobody is left to send to
            await serving
        self._starting.close()  # for who left before it had begun
        if ended:
            await self._fail(RefusedError("The API is being closed.", status=503), scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(await self._starting) as events:
                if self._stream:
                    await self._send_stream(events, send)
                else:
                    whole = self._writer.whole([event async for event in events])
                    await JSONResponse(whole)(scope, receive, send)
        except MidlineError as error:
            refusal = RefusedError.of(error)
        except OSError:
            raise
        except Exception:
            logger.exception("a request failed")
            refusal = RefusedError("midline failed; its log says how.", status=500)
        else:
            return
        await self._fail(refusal, scope, receive, send)

    async def _fail(self, refusal: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
        if self._begun:
            await self._send(send, self._writer.failure(refusal), last=True)
        else:
            await refusal.response(scope["path"])(scope, receive, send)

    async def _send_stream(self, events: Events, send: Send) -> None:
        first = asyncio.ensure_future(anext(events))
        try:
            await asyncio.wait({first}, timeout=FIRST_BYTE_SECONDS)
            if not first.done():
                await self._begin(send, waiting=True)
            event = await first
        finally:
            first.cancel()
            await asyncio.wait({first})
        await self._begin(send)
        await self._send(send, self._writer.piece(event))
        async for event in events:
            await self._send(send, self._writer.piece(event))
        await self._send(send, b"", last=True)

    async def _begin(self, send: Send, *, waiting: bool = False) -> None:
        if not self._begun:
            self._begun = True
            headers = [(b"content-type", self.media_type.encode()), (b"cache-control", b"no-cache")]  # type: ignore[union-attr]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send(send, self._writer.begin(waiting=waiting))

    async def _send(self, send: Send, data: bytes, *, last: bool = False) -> None:
        if data or last:
            await send({"type": "http.response.body", "body": data, "more_body": not last})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def as_json(value: object) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(value)
