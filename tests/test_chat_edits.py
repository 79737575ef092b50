"""Edits without a model's whims: what is asked, what is proposed, what is refused, what changes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from chat_support import CHATML, FakeEngine
from edit_support import applied
from indexer_support import write_tree
from lsprotocol import types

from lsp.chat.editing import edits as edits_module
from lsp.chat.editing.edits import EditParams, Edits, Proposal
from lsp.chat.editing.rewriting import Rewritten, Task
from lsp.chat.editing.workspace_edit import Abilities
from lsp.chat.library import Library
from lsp.chat.model import ChatModel, Chosen
from lsp.chat.requests import plain, read_params
from lsp.chat.templates import ChatTemplate
from lsp.documents import Document
from lsp.engine.client import EngineClient
from lsp.engine.protocol import Usage
from lsp.errors import MidlineError
from lsp.settings import Settings

TEXT = "RATE = 1.2\n\n\ndef price_of(item):\n    return item * RATE\n\n\ndef other():\n    return 1\n"
BETTER = "def price_of(amount):\n    return amount * RATE\n"
FULL = Abilities(versions=True, confirmation=True, creation=True, applies=True)


class Host:
    """The session, as far as edits see it."""

    search_index = None
    engine = None

    def __init__(self, workspace: Path | None) -> None:
        self.settings = Settings()
        self.workspace = workspace

    def is_private(self, path: Path) -> bool:
        return path.name.startswith("secret")

    def library(self) -> Library:
        return Library(None, self.workspace, self.is_private)


class Model(ChatModel):
    """A model that writes what it is told to."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine

    async def chosen(self) -> Chosen:
        return Chosen(cast("EngineClient", self.engine), "tiny")

    async def template(self, model: Chosen) -> ChatTemplate:
        return ChatTemplate(CHATML, "tiny")


class Writer:
    """Stands for `lsp.chat.editing.rewriting.rewrite`: writes what it is told to, once it may."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.tasks: list[Task] = []
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def __call__(
        self,
        engine: Any,
        template: ChatTemplate,
        task: Task,
        *,
        on_text: Callable[[str], None],
        on_attempt: Callable[[int], None],
    ) -> Rewritten:
        self.tasks.append(task)
        on_attempt(1)
        self.begun.set()
        await self.go_on.wait()
        text = self.answers.pop(0)
        on_text(text)
        return Rewritten(text, 1, Usage(7, 5, 3), {"prefill": 1.0, "first_token": 1.0, "generate": 1.0, "total": 2.0})

    def hold(self) -> None:
        """Wait, from now on, until `go_on` is set."""
        self.begun.clear()
        self.go_on.clear()


class Desk:
    """An editor with one folder open."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.root = root
        self.engine = FakeEngine()
        self.writer = writer
        self.edits = Edits(Host(root), Model(self.engine))
        self.edits.able = FULL
        self.documents: dict[str, Document] = {}
        self.told: list[dict[str, Any]] = []

    def open(self, path: str, text: str, version: int = 1) -> str:
        uri = path if ":" in path else (self.root / path).as_uri()
        self.documents[uri] = Document(uri, text, version, None, "utf-16")
        return uri

    async def propose(self, uri: str, line: int = 4, **params: Any) -> Proposal:
        here = {"line": line, "character": 0}
        wanted = {"textDocument": {"uri": uri}, "selection": {"start": here, "end": here}, "message": "Improve it."}
        asked = read_params(EditParams, wanted | params)
        return await self.edits.propose(asked, self.documents.get, self.told.append)

    async def answer(self, uri: str, **params: Any) -> dict[str, Any]:
        proposal = await self.propose(uri, **params)
        found = proposal.as_dict(self.edits.able)
        return found | {"hunks": [hunk | {"range": _as_dict(hunk["range"])} for hunk in found["hunks"]]}

    async def refused(self, uri: str, **params: Any) -> str:
        with pytest.raises(MidlineError) as error:
            await self.propose(uri, **params)
        return str(error.value)


def _as_dict(one: types.Range) -> dict[str, dict[str, int]]:
    ends = {"start": one.start, "end": one.end}
    return {name: {"line": end.line, "character": end.character} for name, end in ends.items()}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    root = write_tree(tmp_path / "workspace", {"shop/prices.py": TEXT})

    def make(*answers: str) -> Desk:
        writer = Writer(*answers)
        monkeypatch.setattr(edits_module, "rewrite", writer)
        return Desk(root, writer)

    return make


async def test_a_proposal(make: Callable[..., Desk]) -> None:
    desk = make(BETTER)
    uri = desk.open("shop/prices.py", TEXT, 5)
    answer = await desk.answer(
        uri,
        diagnostics=[
            {"range": _as_dict(types.Range(types.Position(4, 0), types.Position(4, 1))), "message": "what is\nRATE?"}
        ],
    )
    assert applied(TEXT, answer["hunks"]) == TEXT.replace("item", "amount")
    assert {name: answer[name] for name in ("uri", "version", "command", "model", "attempts")} == {
        "uri": uri,
        "version": 5,
        "command": "edit",
        "model": "tiny",
        "attempts": 1,
    }
    annotation = answer["edit"].change_annotations["midline"]
    assert (annotation.label, annotation.needs_confirmation) == ("Edit: Improve it.", True)
    assert "shop/prices.py" in annotation.description
    (task,) = desk.writer.tasks
    assert (task.command, task.instruction, task.language) == ("edit", "Improve it.", "python")
    assert (task.path, task.text, task.start_line, task.end_line) == ("shop/prices.py", TEXT, 4, 5)
    assert task.diagnostics == ("line 5: what is RATE?",)
    assert desk.told == [{"kind": "attempt", "number": 1}, {"kind": "edit", "text": BETTER}]
    assert (answer["tokens_evaluated"], answer["tokens_reused"], answer["tokens_generated"]) == (7, 5, 3)
    assert set(answer["ms"]) == {"context", "prefill", "first_token", "generate", "total"}
    assert desk.edits.counts == {"requests": 1, "proposed": 1, "applied": 0, "refused": 0, "cancelled": 0}


async def test_what_cannot_be_edited(make: Callable[..., Desk]) -> None:
    desk = make()
    uri = desk.open("shop/prices.py", TEXT, 5)
    private, binary = desk.open("secret.py", "x = 1\n"), desk.open("b.py", "x = '\0'\n")
    long = desk.open("long.py", "x = 1\n" * 200_000)
    oversized = desk.open("oversized.py", "x = 1\n" * 400_000)
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 200_000, "character": 0}}
    refused = [
        ((uri, {"command": "dance"}), "dance"),
        ((uri, {"textDocument": {"uri": uri, "version": 4}}), "changed"),
        ((private, {}), "privacy.exclude"),
        ((binary, {}), "binary"),
        ((oversized, {}), "too large"),
        ((long, {"selection": whole}), "too long"),
        (("file:///never/opened.py", {}), "not opened"),
    ]
    for (where, params), says in refused:
        assert says in await desk.refused(where, **params)
    assert not desk.writer.tasks
    assert desk.edits.counts["refused"] == len(refused)


async def test_nothing_is_proposed_where_nothing_differs(make: Callable[..., Desk]) -> None:
    desk = make("def price_of(item):  \r\n    return item * RATE\r\n")
    assert "changed nothing" in await desk.refused(desk.open("shop/prices.py", TEXT))


async def test_an_untitled_document_is_edited_but_not_tested(make: Callable[..., Desk]) -> None:
    desk = make(BETTER)
    uri = desk.open("untitled:Untitled-1", TEXT)
    selected = {"start": {"line": 3, "character": 0}, "end": {"line": 5, "character": 0}}
    answer = await desk.answer(uri, selection=selected)
    assert applied(TEXT, answer["hunks"]) == TEXT.replace("item", "amount")
    assert "Only files in" in await desk.refused(uri, command="tests")


async def test_text_that_changed_meanwhile(make: Callable[..., Desk]) -> None:
    desk = make(BETTER, BETTER)
    uri = desk.open("shop/prices.py", TEXT)
    desk.writer.hold()
    task = asyncio.create_task(desk.answer(uri))
    await desk.writer.begun.wait()
    desk.open("shop/prices.py", f"import os\n{TEXT}", 2)
    desk.writer.go_on.set()
    answer = await task
    assert answer["version"] == 2
    assert applied(f"import os\n{TEXT}", answer["hunks"]) == f"import os\n{TEXT}".replace("item", "amount")

    desk.writer.hold()
    task = asyncio.create_task(desk.answer(uri, line=5))
    await desk.writer.begun.wait()
    desk.open("shop/prices.py", TEXT.replace("item * RATE", "item"), 3)
    desk.writer.go_on.set()
    with pytest.raises(MidlineError, match="changed meanwhile"):
        await task


async def test_a_second_edit_of_a_document_is_refused_until_the_first_ends(make: Callable[..., Desk]) -> None:
    desk = make(BETTER, BETTER)
    uri = desk.open("shop/prices.py", TEXT)
    desk.writer.hold()
    task = asyncio.create_task(desk.propose(uri))
    await desk.writer.begun.wait()
    assert "already" in await desk.refused(uri)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.edits.counts == {"requests": 2, "proposed": 0, "applied": 0, "refused": 1, "cancelled": 1}
    desk.writer.go_on.set()
    await desk.propose(uri)


async def test_cancelled_before_the_model_is_there(make: Callable[..., Desk]) -> None:
    desk = make(BETTER)
    uri = desk.open("shop/prices.py", TEXT)
    desk.engine.is_ready.clear()
    task = asyncio.create_task(desk.propose(uri))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    desk.engine.is_ready.set()
    await desk.propose(uri)


# -- tests go to another file ------------------------------------------------------------------------------------------

TESTS = "from shop.prices import price_of\n\n\ndef test_price_of():\n    assert price_of(10) == 12.0\n"


async def test_tests_are_created(make: Callable[..., Desk]) -> None:
    desk = make(TESTS)
    uri = desk.open("shop/prices.py", TEXT)
    answer = await desk.answer(uri, command="tests", message="")
    assert answer["uri"] == (desk.root / "tests/test_prices.py").as_uri()
    assert answer["version"] is None
    created, written = answer["edit"].document_changes
    assert isinstance(created, types.CreateFile)
    assert written.edits[0].new_text == applied("", answer["hunks"])
    assert "def test_price_of" in written.edits[0].new_text
    desk.edits.able = Abilities(versions=True, applies=True)
    assert "Create it" in await desk.refused(uri, command="tests")


async def test_tests_are_added(make: Callable[..., Desk]) -> None:
    old = "import pytest\n\n\ndef test_rate():\n    pass\n"
    desk = make(TESTS, TESTS)
    desk.edits.able = Abilities()
    uri = desk.open("shop/prices.py", TEXT)
    write_tree(desk.root, {"tests/test_prices.py": old})
    answer = await desk.answer(uri, command="tests")
    after = applied(old, answer["hunks"])
    assert after.startswith("import pytest\nfrom shop.prices import price_of\n\n\ndef test_rate():\n    pass\n\n\n")
    assert "def test_price_of" in after
    # what is open counts
    open_one = desk.open("tests/test_prices.py", "import pytest\n", 9)
    answer = await desk.answer(uri, command="tests")
    assert (answer["uri"], answer["version"]) == (open_one, 9)
    assert applied("import pytest\n", answer["hunks"]).count("import pytest") == 1


async def test_what_gets_no_tests(make: Callable[..., Desk]) -> None:
    desk = make()
    assert "holds tests" in await desk.refused(desk.open("tests/test_a.py", TEXT), command="tests")
    assert "open folder" in await desk.refused(desk.open("file:///elsewhere/a.py", TEXT), command="tests")


def test_wrong_parameters_are_named() -> None:
    for params in ({}, {"textDocument": "x"}, {"textDocument": {"uri": "u"}, "selection": {"start": 1}}):
        with pytest.raises(Exception, match=r"midline: .*\$?"):
            read_params(EditParams, params)
    assert plain(None) is None
