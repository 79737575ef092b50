"""Which API a server speaks, and how its model infills: found out by asking, once for each connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from lsp.completion.layout import LAYOUTS, Parts
from lsp.completion.selftest import GAPS, Gap
from lsp.engine.remote.address import UnreachableError, find_address
from lsp.engine.remote.config import RemoteConfig
from lsp.engine.remote.key import find_key
from lsp.engine.remote.llama_server import LlamaServer
from lsp.engine.remote.ollama import Ollama
from lsp.engine.remote.openai import OpenAi
from lsp.engine.remote.server import Facts, Outcome, Server, Task, Way, WrongModelError
from lsp.engine.remote.wire import RefusedError, Wire
from lsp.errors import MidlineError

# Most specific first: llama-server and Ollama speak OpenAI's API, too.
_APIS: dict[str, Callable[[Wire, str, int], Server]] = {"llama-server": LlamaServer, "ollama": Ollama, "openai": OpenAi}
# Gaps that only what stands behind them tells, and of three so many that must be filled.
_GAPS = [gap for gap in GAPS if gap.answer in ("stream", "person", "BankAccount")]
_ENOUGH = 2
# Nothing that another API's path would do better.
_FINAL = {301, 302, 303, 307, 308, 401, 403}


@dataclass(frozen=True)
class Found:
    """A server that answers.

    Args:
        wire: to it.
        server: what speaks its API.
        facts: what it says of itself.
        way: how it infills; None where that isn't asked of it.
    """

    wire: Wire
    server: Server
    facts: Facts
    way: Way | None


async def find_server(config: RemoteConfig) -> Found:
    """The server of ``config``, tried.

    Raises:
        MidlineError: it can't be used; `UnreachableError`: it is away.
    """
    address = await find_address(config.url, config.allowed_hosts)
    wire = Wire(address, await find_key(config.key_variable, address.origin), config.ca_bundle)
    try:
        server, facts = await _speaking(config, wire)
        return Found(wire, server, facts, await way_to_infill(server, facts, wire) if config.infills else None)
    except BaseException:
        await wire.close()
        raise


async def _speaking(config: RemoteConfig, wire: Wire) -> tuple[Server, Facts]:
    apis: list[str] = [config.api] if config.api != "auto" else [*_APIS]
    for api in apis[:-1]:
        server = _APIS[api](wire, config.model, config.n_ctx)
        try:
            return server, await server.facts()
        except (UnreachableError, WrongModelError):  # it would be the same by another API
            raise
        except RefusedError as refusal:
            if refusal.status in _FINAL:
                raise
        except MidlineError:
            continue
    last = _APIS[apis[-1]](wire, config.model, config.n_ctx)
    return last, await last.facts()


async def way_to_infill(server: Server, facts: Facts, wire: Wire) -> Way:
    """The first of the plausible ways by which the model fills gaps.

    Raises:
        MidlineError: there is none; `UnreachableError`: the server is away.
    """
    reason = "nothing tells how"
    for way in facts.ways:
        try:
            filled = [await fills(server, way, gap) for gap in _GAPS]
        except RefusedError as error:  # it doesn't know this way
            reason = error.message.removeprefix(wire.address.origin).strip(" .")
            continue
        if sum(filled) >= _ENOUGH:
            return way
        reason = "the self-test's gaps stay unfilled"
    raise MidlineError(
        f"{facts.model} at {wire.address.origin} can't fill in the middle: {reason}.",
        "Have the server load a model that was trained for it, such as Qwen2.5-Coder; chat works with any.",
    )


async def fills(server: Server, way: Way, gap: Gap) -> bool:
    """Whether the model writes what a gap wants."""
    prompt = LAYOUTS[way.layout].write(Parts(gap.above, gap.after, gap.before))
    task = Task(prompt, max_tokens=len(gap.answer), heal=True, way=way)
    written = ""
    async with aclosing(server.stream(task, Outcome())) as pieces:
        async for piece in pieces:
            written += piece.text
            if not gap.answer.startswith(written):
                break
    return written.startswith(gap.answer)
