"""Which engine the settings ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from lsp.engine.config import Adapter, EngineConfig
from lsp.engine.connect import Config
from lsp.engine.remote.config import RemoteConfig
from lsp.errors import MidlineError
from lsp.models import adapters, store
from lsp.settings import Settings


def engine_config(settings: Settings) -> Config:
    """The engine that ``settings`` ask for: a remote one, or this machine's.

    Raises:
        MidlineError: its model isn't installed, is damaged, or can't fill in the middle; or an adapter doesn't fit.
    """
    if settings.engine.remote:
        return _remote(settings, settings.remote.model, local_config, infills=True)
    return local_config(settings)


def chat_config(settings: Settings) -> Config:
    """The engine that chats: the one that completes, unless another model is named for it.

    Raises:
        MidlineError: its model isn't installed, or is damaged.
    """
    if settings.engine.remote:
        return _remote(settings, settings.remote.chat or settings.remote.model, local_chat_config, infills=False)
    return local_chat_config(settings)


def local_config(settings: Settings) -> EngineConfig:
    """This machine's engine that completes.

    Raises:
        MidlineError: as ``engine_config``.
    """
    model = store.find(settings.model.completion, settings.model.folders)
    if model.info.fim is None:
        raise MidlineError(
            f"The model {model.name} ({model.info.architecture}) can't complete code: "
            "its vocabulary has no fill-in-the-middle tokens.",
            "Set `model.completion` to one that can: midline model recommend.",
        )
    return _config(model, settings)


def local_chat_config(settings: Settings) -> EngineConfig:
    """This machine's engine that chats: the one that completes, unless ``model.chat`` names another model.

    Raises:
        MidlineError: as ``chat_config``.
    """
    config = _config(store.find(settings.model.chat or settings.model.completion, settings.model.folders), settings)
    # The same model as completes is one with it, however it is named.
    return msgspec.structs.replace(config, purpose="chat") if config.beside else config


def _config(model: store.InstalledModel, settings: Settings) -> EngineConfig:
    engine = settings.engine
    return EngineConfig(
        model=str(model.path),
        n_ctx=settings.model.n_ctx,
        threads=0 if engine.threads == "auto" else engine.threads,
        gpu_layers=-1 if engine.gpu_layers == "auto" else engine.gpu_layers,
        kv_type="" if settings.model.kv_type == "auto" else settings.model.kv_type,
        flash_attention=engine.flash_attention,
        gpu_reserve=-1 if engine.gpu_reserve_mib == "auto" else engine.gpu_reserve_mib << 20,
        idle_seconds=engine.idle_minutes * 60,
        unload_seconds=engine.unload_minutes * 60,
        beside=_beside(model, settings),
        adapters=_adapters(model, settings),
        called=model.name,
    )


def _remote(
    settings: Settings, model: str, local: Callable[[Settings], EngineConfig], *, infills: bool
) -> RemoteConfig:
    remote = settings.remote
    fallback, missing = None, ""
    if remote.fallback:
        try:
            fallback = local(settings)
        except MidlineError as error:  # who has a server need not have a model, too
            missing = str(error)
    return RemoteConfig(
        url=settings.engine.remote,
        api=remote.api,
        model=model,
        infills=infills,
        key_variable=remote.key_variable,
        allowed_hosts=remote.allowed_hosts,
        ca_bundle=remote.ca_bundle,
        n_ctx=settings.model.n_ctx,
        fallback=fallback,
        missing=missing,
    )


def _adapters(model: store.InstalledModel, settings: Settings) -> tuple[Adapter, ...]:
    """What changes ``model``: adapters are for the one that completes, and for chat where that is the same."""
    named = settings.model.adapters
    if not named or store.find(settings.model.completion, settings.model.folders).path != model.path:
        return ()
    return adapters.resolve(named, model.path)


def _beside(model: store.InstalledModel, settings: Settings) -> tuple[str, ...]:
    """The other models that are to have room beside ``model``; one that can't be found takes none."""
    others = []
    for name in (settings.model.completion, settings.model.chat):
        with contextlib.suppress(MidlineError):
            others.append(str(store.find(name, settings.model.folders).path) if name else "")
    return tuple(sorted({path for path in others if path} - {str(model.path)}))
