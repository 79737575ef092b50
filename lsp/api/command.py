"""``midline serve-api``: other programs are answered until it is interrupted."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lsp.api.token import read_token, token_file
from lsp.configuration import load
from lsp.errors import MidlineError
from lsp.terminal import tell

DEFAULT_PORT = 6435
"""MIDL on a telephone's keys."""


def serve_api_command(
    host: str,
    port: int,
    *,
    workspaces: Sequence[Path] = (),
    allowed_hosts: Sequence[str] = (),
    new_token: bool = False,
    as_json: bool = False,
) -> int:
    """Serve the API; returns the exit code.

    Args:
        host: the address to listen at.
        port: the port; 0 for any.
        workspaces: the folders that requests may be about.
        allowed_hosts: names under which clients may ask, besides addresses and ``localhost``.
        new_token: replace the token, which ends the access of all who have the old one.
        as_json: say where it listens in one JSON document.

    Raises:
        MidlineError: a package, a model or a folder is missing, or the address can't be had.
    """
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise MidlineError(
            "The packages for serving an API are not installed.", "Install them: pip install 'midline[api]'."
        )
    # They exist only with the extra.
    from lsp.api.guard import Hosts
    from lsp.api.models import Models
    from lsp.api.server import application, listen, serve
    from lsp.api.workspaces import Workspaces

    settings, problems = load()
    for problem in problems:
        tell(problem)
    models = Models(settings)
    opened = Workspaces([folder.absolute() for folder in workspaces])
    token = read_token(anew=new_token)
    listening = listen(host, port)
    loopback = _is_loopback(listening.getsockname()[0])
    names = [name.lower() for name in [host, *allowed_hosts]]
    _announce(listening.getsockname(), models.names, loopback=loopback, as_json=as_json)
    serve(application(models, opened, token, Hosts(names, loopback)), listening)
    return 0


def _announce(address: tuple[str, int], models: Sequence[str], *, loopback: bool, as_json: bool) -> None:
    host, port = address[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if as_json:
        print(json.dumps({"url": url, "token_file": str(token_file()), "models": list(models)}), flush=True)
    else:
        print(f"OpenAI's API  {url}/v1")
        print(f"Ollama's API  {url}")
        print(f"token         in {token_file()}")
        print(f"models        {', '.join(models)}", flush=True)
    if not loopback:
        tell("other machines can reach this. The token and all texts travel unencrypted: see docs/api.md.")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
