"""The routes of the API, and its process: a table of contents."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from indexer.embedding import default_embedder
from lsp.api.desk import Desk
from lsp.api.embeddings import Embeddings
from lsp.api.guard import Guard, Hosts
from lsp.api.models import Models
from lsp.api.ollama import OllamaApi
from lsp.api.openai import OpenAiApi
from lsp.api.refused import RefusedError
from lsp.api.workspaces import Workspaces
from lsp.errors import MidlineError

# A thousand clients at once need as many files, and some systems give a process 256.
_FILES = 4_096
_GRACE_SECONDS = 2


def application(models: Models, workspaces: Workspaces, token: str, hosts: Hosts) -> ASGIApp:
    """The API as an ASGI application.

    Args:
        models: what answers.
        workspaces: what questions may be about.
        token: what clients have to show.
        hosts: the names under which they may ask.
    """
    desk = Desk(models, workspaces)
    embeddings = Embeddings(default_embedder())
    openai, ollama = OpenAiApi(desk, embeddings), OllamaApi(desk, embeddings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await models.close()
            await workspaces.close()

    routes = [
        Route("/v1/models", openai.models),
        Route("/v1/models/{name:path}", openai.model),
        Route("/v1/chat/completions", openai.chat, methods=["POST"]),
        Route("/v1/completions", openai.completions, methods=["POST"]),
        Route("/v1/fim/completions", openai.fim, methods=["POST"]),
        Route("/v1/embeddings", openai.embeddings, methods=["POST"]),
        Route("/api/version", ollama.version),
        Route("/api/tags", ollama.tags),
        Route("/api/ps", ollama.running),
        Route("/api/show", ollama.show, methods=["POST"]),
        Route("/api/chat", ollama.chat, methods=["POST"]),
        Route("/api/generate", ollama.generate, methods=["POST"]),
        Route("/api/embed", ollama.embed, methods=["POST"]),
        Route("/api/embeddings", ollama.old_embeddings, methods=["POST"]),
    ]
    handlers = {MidlineError: _on_refusal, HTTPException: _on_unknown, Exception: _on_failure}
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan), token, hosts)  # type: ignore[arg-type]


async def _on_refusal(request: Request, error: MidlineError) -> Response:
    return RefusedError.of(error).response(request.url.path)


async def _on_unknown(request: Request, error: HTTPException) -> Response:
    said = f"There is no {request.method} {request.url.path[:200]}."
    return RefusedError(said, "docs/api.md lists what there is.", status=error.status_code).response(request.url.path)


async def _on_failure(request: Request, error: Exception) -> Response:
    return RefusedError("midline failed; its log says how.", status=500).response(request.url.path)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: on any that is free.

    Raises:
        MidlineError: it can't.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2_048)
        # asyncio does so only for sockets that it made: without it, each second piece of a stream waits 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MidlineError(
            f"Can't listen on {host}, port {port}: {reason}.", "Give another --host or --port."
        ) from error


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until the process is told to end."""
    _raise_file_limit()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ws="none",
        lifespan="on",
    )
    with contextlib.suppress(KeyboardInterrupt):  # how it is usually ended
        uvicorn.Server(config).run(sockets=[listening])


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
