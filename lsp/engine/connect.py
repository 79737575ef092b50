"""The engine that a configuration asks for: one of this machine's, or a server's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Union

from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import State
from lsp.engine.remote.config import RemoteConfig

if TYPE_CHECKING:
    from lsp.engine.remote.engine import RemoteEngine

Config = EngineConfig | RemoteConfig
Engine = Union[EngineClient, "RemoteEngine"]


def engine_for(
    config: Config,
    on_state: Callable[[State], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Engine:
    """A client of the engine that ``config`` asks for; to be started.

    Args:
        config: which engine.
        on_state: called with each change of its state.
        on_notice: called where another one answers than was asked for, and when that is over.
    """
    if isinstance(config, RemoteConfig):
        from lsp.engine.remote.engine import RemoteEngine  # with it HTTP is loaded, which others start faster without

        return RemoteEngine(config, on_state, on_notice)
    return EngineClient(config, on_state)


def model_name(engine: Engine) -> str:
    """The model that answers, as users see it; a server's is known once it is ready."""
    if isinstance(engine.config, RemoteConfig) and engine.state.model:
        return engine.state.model.name
    return engine.config.name


def place_of(engine: Engine) -> str:
    """Where the model that answers is: a server's address, or a file."""
    state = engine.state
    return state.remote or (state.model.path if state.model else "")
