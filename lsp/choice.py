"""Which engine the settings ask for."""

from __future__ import annotations

import contextlib

from lsp.engine.config import EngineConfig
from lsp.errors import MidlineError
from lsp.models import catalogue, store
from lsp.settings import Settings


def engine_config(settings: Settings) -> EngineConfig:
    """The engine that ``settings`` ask for.

    Raises:
        MidlineError: its model isn't installed, is damaged, or can't fill in the middle.
    """
    model = store.find(settings.model.completion, settings.model.folders)
    if model.info.fim is None:
        able = ", ".join(entry.name for entry in catalogue.CATALOGUE)
        raise MidlineError(
            f"The model {model.name} ({model.info.architecture}) can't complete code: "
            "its vocabulary has no fill-in-the-middle tokens.",
            f"Set `model.completion` to one that can: {able}.",
        )
    return _config(model, settings)


def chat_config(settings: Settings) -> EngineConfig:
    """The engine that chats: the one that completes, unless ``model.chat`` names another model.

    Raises:
        MidlineError: its model isn't installed, or is damaged.
    """
    return _config(store.find(settings.model.chat or settings.model.completion, settings.model.folders), settings)


def _config(model: store.InstalledModel, settings: Settings) -> EngineConfig:
    engine = settings.engine
    return EngineConfig(
        model=str(model.path),
        n_ctx=settings.model.n_ctx,
        threads=0 if engine.threads == "auto" else engine.threads,
        gpu_layers=-1 if engine.gpu_layers == "auto" else engine.gpu_layers,
        idle_seconds=engine.idle_minutes * 60,
        unload_seconds=engine.unload_minutes * 60,
        beside=_beside(model, settings),
    )


def _beside(model: store.InstalledModel, settings: Settings) -> tuple[str, ...]:
    """The other models that are to have room beside ``model``; one that can't be found takes none."""
    others = []
    for name in (settings.model.completion, settings.model.chat):
        with contextlib.suppress(MidlineError):
            others.append(str(store.find(name, settings.model.folders).path) if name else "")
    return tuple(sorted({path for path in others if path} - {str(model.path)}))
