"""``midline doctor``: checks all that a completion needs, from Python to the model's answer, with cures."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.filesize import decimal

from lsp import paths
from lsp.choice import engine_config, local_config
from lsp.completion import selftest
from lsp.completion.completer import Completer
from lsp.completion.stats import CompletionStats
from lsp.configuration import load
from lsp.documents import Cursor
from lsp.engine.client import log_path
from lsp.engine.connect import engine_for
from lsp.engine.offload import choose_threads
from lsp.engine.protocol import State
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.discovery import find_server
from lsp.errors import MidlineError
from lsp.machine import backend, this_machine
from lsp.models import store
from lsp.plan import plan_for
from lsp.settings import Settings

_FREE_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``cure`` says what to do where it isn't ``ok``."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


def doctor_command(as_json: bool) -> int:
    """Check everything and print what was found; returns 0 where all is well, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    settings, problems = load(Path.cwd())
    checks: list[Check] = []
    with Console(stderr=True).status("checking …") as status:
        for name, check in _checks(settings, problems):
            status.update(f"checking {name} …")
            result = _run(name, check)
            checks.append(result)
            if not as_json:
                console.print(f"[{'green' if result.ok else 'bold red'}]{'✓' if result.ok else '✗'}[/] ", end="")
                console.print(f"{result.name}: {result.detail}", markup=False)
                if not result.ok and result.cure:
                    console.print(f"    → {result.cure}", markup=False)
    ok = all(check.ok for check in checks)
    if as_json:
        print(json.dumps({"ok": ok, "checks": [asdict(check) for check in checks]}))
    return 0 if ok else 1


def _checks(settings: Settings, problems: list[str]) -> Iterator[tuple[str, Callable[[], Check]]]:
    yield "python", _python
    yield "settings", lambda: _settings(problems)
    yield "folders", _folders
    yield "disk", _disk
    yield "backend", _backend
    yield "threads", lambda: _threads(settings)
    if not settings.engine.remote or settings.remote.fallback:
        yield "model", lambda: _model(settings)
        yield "memory", lambda: _memory(settings)
    if settings.engine.remote:
        yield "remote", lambda: asyncio.run(_remote(settings))
    yield "fim", lambda: asyncio.run(_infill(settings))
    yield "editors", _editors


def _run(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except MidlineError as error:
        return Check(name, False, error.message, error.cure)
    except OSError as error:
        return Check(name, False, str(error), "Check the permissions of what it names.")


def _python() -> Check:
    version = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    return Check("python", sys.version_info >= (3, 11), version, "midline needs Python 3.11 or later.")


def _settings(problems: list[str]) -> Check:
    if problems:
        return Check("settings", False, " ".join(problems), "Correct or remove these; docs/settings.md lists all.")
    return Check("settings", True, "no problems")


def _folders() -> Check:
    folders = [paths.data_dir(), paths.cache_dir(), paths.runtime_dir()]
    for folder in folders:
        paths.private_dir(folder)
        if not os.access(folder, os.W_OK):
            cure = "Change its permissions, or set MIDLINE_HOME to a folder that you can write to."
            return Check("folders", False, f"can't write to {folder}", cure)
    return Check("folders", True, ", ".join(map(str, folders)))


def _disk() -> Check:
    folder = paths.private_dir(paths.data_dir())
    free = shutil.disk_usage(folder).free
    cure = f"Free at least {decimal(_FREE_DISK_BYTES)}, or set MIDLINE_HOME to a folder on another disk."
    return Check("disk", free >= _FREE_DISK_BYTES, f"{decimal(free)} free at {folder}", cure)


def _backend() -> Check:
    found = backend()
    gpus = ", ".join(f"{gpu.name} ({decimal(gpu.free_bytes)} free)" for gpu in found.gpus)
    offload = f"GPU offload to {gpus}" if gpus else "GPU offload, but no GPU" if found.offload else "CPU only"
    return Check("backend", True, f"{offload}; {found.features}")


def _threads(settings: Settings) -> Check:
    wanted = settings.engine.threads
    threads = choose_threads(0 if wanted == "auto" else wanted)
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    cure = f'Set `engine.threads` to "auto": more threads than cores ({cores}) slow each other down.'
    return Check("threads", threads <= cores, f"{threads} of {cores} physical cores, waiting passively", cure)


def _model(settings: Settings) -> Check:
    model = store.find(settings.model.completion)
    if model.sha256:
        store.verify(model.name)
    local_config(settings)
    info = model.info
    hashed = f"sha256 {model.sha256} verified" if model.sha256 else "used in place, no hash to compare with"
    return Check("model", True, f"{model.name}, {info.architecture} {info.quantization}, {model.path}, {hashed}")


def _memory(settings: Settings) -> Check:
    made = plan_for(settings, this_machine())
    cure = "Close other programs, set a smaller `model.n_ctx`, or use a smaller model (`midline plan` says what fits)."
    return Check("memory", made.fits, " ".join(made.steps), cure)


async def _remote(settings: Settings) -> Check:
    """Ask the server what it is, and try whether it infills."""
    config = engine_config(settings)
    assert isinstance(config, RemoteConfig)
    found = await find_server(config)
    await found.wire.close()
    facts = found.facts
    warning = "; without encryption: who is on that network can read your code" if found.wire.is_readable else ""
    where = f"{facts.api} at {found.wire.address.origin}"
    return Check("remote", True, f"{where}: {facts.model}, {facts.n_ctx} tokens, {found.way}{warning}")


async def _infill(settings: Settings) -> Check:
    """Fill in a gap whose answer any code model knows."""
    head, tail = "def add(a, b):\n    return a", "\n\n\nprint(add(1, 2))\n"
    cursor = Cursor("midline:doctor", None, "python", None, head + tail, len(head))
    engine = engine_for(engine_config(settings))
    engine.start()
    try:
        state: State = await engine.ready()
        name = state.model.name if state.model else ""
        tested = await selftest.try_once(engine, state.model, "chat") if state.model else None
        result = await Completer(engine, name, CompletionStats()).complete(cursor, max_tokens=8)
    finally:
        engine.forget(cursor.uri)
        await engine.close()
    asked = "asked to complete `return a` in add(a, b), the model wrote"
    detail = f"{asked} {result.text!r} in {result.ms['total']:.0f} ms; {tested}; {state.gpu_reason}"
    cure = "The model's file may be damaged or not made for infilling: use another, `midline model recommend`."
    ok = "+ b" in result.text and tested is not None and tested.infills
    return Check("fim", ok, detail, cure if not result.reason else f"{cure} Log: {log_path()}")


def _editors() -> Check:
    found = []
    for program, name in (("nvim", "Neovim"), ("code", "VS Code"), ("codium", "VSCodium"), ("hx", "Helix")):
        if path := shutil.which(program):
            found.append(f"{name} {_version(path)}".strip())
    server = shutil.which("midline") or "not on PATH: give editors its full path"
    return Check("editors", True, f"{', '.join(found) or 'none found on PATH'}; midline is {server}")


def _version(program: str) -> str:
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return output.splitlines()[0].removeprefix("NVIM ").removeprefix("helix ") if output else ""
