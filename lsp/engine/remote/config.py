"""Which remote engine is asked for."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from lsp.engine.config import EngineConfig

Api = Literal["auto", "llama-server", "ollama", "openai"]


class RemoteConfig(msgspec.Struct, frozen=True):
    """A model on another machine.

    Args:
        url: the server's address.
        api: what it speaks; ``auto``: that is asked.
        model: by its name there; empty: the one that it serves.
        infills: whether the model must fill in the middle.
        key_variable: the environment's variable with the API key.
        allowed_hosts: hosts that may be spoken to, wherever they are.
        ca_bundle: a PEM file of authorities to trust instead of the usual ones; empty: those.
        n_ctx: tokens of the context, where the server doesn't tell; 0: a small number is assumed.
        fallback: the local engine that answers while the server is away; None: nothing does.
        missing: why there is none, where one is wanted.
    """

    url: str
    api: Api = "auto"
    model: str = ""
    infills: bool = True
    key_variable: str = "MIDLINE_REMOTE_KEY"
    allowed_hosts: tuple[str, ...] = ()
    ca_bundle: str = ""
    n_ctx: int = 0
    fallback: EngineConfig | None = None
    missing: str = ""

    @property
    def name(self) -> str:
        """Of the model, as far as it is known before the server was asked."""
        return self.model or self.host

    @property
    def host(self) -> str:
        """The server's, for messages; never what may be secret in an address."""
        try:
            return urlsplit(self.url).hostname or "?"
        except ValueError:
            return "?"
