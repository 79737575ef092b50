"""Installed packages: found by their files, indexed when they are asked about, told by signature and docstring."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexer_support import HERE, write_tree

from indexer.environment import asked_packages, packages_named, python_packages, script_package, site_packages
from indexer.index import Index
from indexer.interfaces import interface
from indexer.packages import Packages
from indexer.scan import Workload
from lsp.chat.context import gather
from lsp.chat.library import Library, Place

SITE = ".venv/lib/python3.11/site-packages"
CLIENT = '''"""Talks to the post office."""

from parcel._wire import send


class Client(Base):
    """A connection to a post office.

    Close it when done.
    """

    address: str
    retries = 3
    _secret = 1

    def __init__(self, address: str) -> None:
        self.address = address

    @property
    def is_open(self) -> bool:
        """Whether letters can be sent."""
        return bool(self.address)

    def post_letter(
        self,
        text: str,
        stamp: int = 1,  # euros
    ) -> Receipt:
        """Post a letter, and wait for its receipt.

        Raises:
            LostError: it was lost.
        """
        body = text.encode()
        return self._wire.send(body)

    def _hidden(self):
        """Nobody's business."""


def frank_envelope(envelope, *, value=0):
    """Print postage on an envelope."""
    ink = envelope.ink
    def inner(): ...
    return ink - value
'''
WORKSPACE = {
    ".venv/pyvenv.cfg": "home = /usr\n",
    f"{SITE}/parcel/__init__.py": "from parcel.client import Client\n",
    f"{SITE}/parcel/client.py": CLIENT,
    f"{SITE}/parcel/client.pyi": "class Client:\n    def post_letter(self, text: str) -> Receipt: ...\n",
    f"{SITE}/parcel/tests/test_client.py": "def post_letter_test():\n    pass\n",
    f"{SITE}/parcel-2.1.dist-info/METADATA": "Name: parcel\nVersion: 2.1\n",
    f"{SITE}/parcel-2.1.dist-info/RECORD": "parcel/__init__.py,,\nparcel/client.py,,\n",
    f"{SITE}/yam.py": 'def load_tubers(text):\n    """Read tubers from a text."""\n    return text\n',
    f"{SITE}/PyYam-6.0.dist-info/top_level.txt": "yam\n",
    f"{SITE}/broken-1.dist-info/RECORD": "\0\0,,,\n/etc/passwd,,\n../../x,,\n",
    f"{SITE}/nonsense.dist-info/METADATA": "\xff",
    "node_modules/boxes/package.json": json.dumps({"name": "boxes", "version": "3.0.1", "types": "index.d.ts"}),
    "node_modules/boxes/index.d.ts": "/** Wrap a present in paper. */\nexport declare function wrapPresent("
    "present: Present,\n  paper: string\n): Box;\n",
    "node_modules/boxes/node_modules/inner/index.d.ts": "export declare function innerThing(): void;\n",
    "node_modules/plain/package.json": "{",
    "node_modules/@types/plain/index.d.ts": "/** Make a thing plain. */\nexport declare function simplify(): void;\n",
    "app/main.py": "from parcel import Client\nimport yam\n\n\ndef start(address):\n    return Client(address)\n",
    "app/ui.ts": "import { wrapPresent } from 'boxes'\nimport { x } from './local'\n",
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return write_tree(tmp_path / "work", WORKSPACE)


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    kept = Packages(tmp_path / "packages", HERE)
    yield kept
    kept.close()


@pytest.fixture
def library(workspace: Path, tmp_path: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setattr("lsp.chat.library._PACKAGE_SECONDS", 60)
    monkeypatch.setattr("lsp.chat.library._GLANCE_SECONDS", 60)
    index = Index(workspace, tmp_path / "index")
    index.scan(HERE)
    yield Library(index, workspace, packages=packages)
    index.close()


def offered(library: Library, question: str, place: Place | None = None) -> list[str]:
    return [f"{hit.path.removeprefix(SITE + '/')} {hit.symbol}" for hit in library.packages_for(question, place)]


# -- what is installed -------------------------------------------------------------------------------------------------


def test_packages_are_known_by_both_their_names(workspace: Path) -> None:
    [site] = site_packages(workspace)
    found = python_packages(site)
    assert {name: (one.name, one.distribution, one.version, one.paths) for name, one in found.items()} == {
        "parcel": ("parcel", "parcel", "2.1", ("parcel",)),
        "yam": ("yam", "PyYam", "6.0", ("yam.py",)),
        "pyyam": ("yam", "PyYam", "6.0", ("yam.py",)),
    }
    boxes = script_package(workspace, "boxes")
    assert boxes and (boxes.version, boxes.paths) == ("3.0.1", ("boxes",))
    plain = script_package(workspace, "plain")
    assert plain and plain.paths == ("@types/plain",)
    assert script_package(workspace, "../app") is None
    assert script_package(workspace, "missing") is None


def test_the_workspaces_own_environment_comes_first(workspace: Path, tmp_path: Path) -> None:
    active = tmp_path / "active/lib/python3.12/site-packages"
    active.mkdir(parents=True)
    variables = {"VIRTUAL_ENV": str(tmp_path / "active")}
    assert site_packages(workspace, variables) == [workspace / SITE]
    shutil.rmtree(workspace / ".venv")
    assert site_packages(workspace, variables) == [active]
    assert site_packages(workspace, {"CONDA_PREFIX": str(tmp_path / "gone")}) == []


def test_a_question_is_about_what_it_names_or_what_is_imported_from_it(library: Library) -> None:
    assert library.index
    files = library.index.imports()

    def asked(question: str) -> list[str]:
        return [name for name, _ in asked_packages(question, files)]

    assert asked("how does parcel send a letter?") == ["parcel"]
    assert asked("what does Client take?") == ["parcel"]
    assert asked("how do I call wrapPresent?") == ["boxes"]
    assert asked("is it rich, or are there requests?") == []
    assert asked("what does `requests` do? and rich.print?") == ["requests", "rich"]
    assert asked("你好，Client 怎么用？") == ["parcel"]
    assert asked("") == []


# -- what is told of them ----------------------------------------------------------------------------------------------


def test_an_interface_has_signatures_and_docstrings_and_no_bodies() -> None:
    taken = interface(CLIENT, "python")
    texts = {chunk.symbol: chunk.text for chunk in taken.chunks}
    assert list(texts) == [
        "", "Client", "Client.__init__", "Client.is_open", "Client.post_letter", "frank_envelope",
    ]  # fmt: skip
    assert texts["Client.post_letter"].startswith("    def post_letter(\n        self,")
    assert texts["Client.post_letter"].endswith('LostError: it was lost.\n        """')
    assert texts["Client.is_open"].startswith("    @property\n")
    assert "    address: str\n    retries = 3\n" in texts["Client"]
    assert "    def post_letter(" in texts["Client"]
    assert not any(word in text for text in texts.values() for word in ("encode", "_hidden", "_secret", "ink = "))
    rows = CLIENT.split("\n")
    for chunk in taken.chunks:
        if chunk.kind != "class":
            assert chunk.text == "\n".join(rows[chunk.start_line - 1 : chunk.end_line])


def test_a_package_is_indexed_when_a_question_names_it(library: Library, packages: Packages, tmp_path: Path) -> None:
    assert not (tmp_path / "packages").exists()
    assert offered(library, "how does parcel post a letter?")[0] == "parcel/client.py Client.post_letter"
    assert "parcel/client.py frank_envelope" in offered(library, "print postage with `parcel`")[:2]
    assert "yam" not in " ".join(path.name.lower() for path in (tmp_path / "packages").iterdir())
    assert offered(library, "read tubers with yam")[0] == "yam.py load_tubers"
    assert offered(library, "how is paper given to wrapPresent?") == ["node_modules/boxes/index.d.ts wrapPresent"]
    assert offered(library, "how is the weather?") == []
    kept = list((tmp_path / "packages").rglob("*"))
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "packages", *kept] if path.suffix != ".lock")


def test_stubs_and_tests_of_a_package_are_not_told_twice(library: Library) -> None:
    found = offered(library, "`parcel` post_letter")
    assert found.count("parcel/client.py Client.post_letter") == 1
    assert not [one for one in found if ".pyi" in one or "tests" in one]


def test_the_file_at_hand_tells_which_packages_count(library: Library) -> None:
    place = Place("scratch.py", "import parcel\n\nparcel.frank_envelope(e)\n")
    assert offered(library, "what can `frank_envelope` do?") == []
    assert offered(library, "what can `frank_envelope` do?", place)[:1] == ["parcel/client.py frank_envelope"]
    assert offered(library, "what is wrong here?", place) == []
    selected = Place(place.path, place.text, 3, 3)
    assert offered(library, "what does this do?", selected)[0] == "parcel/client.py frank_envelope"


def test_chat_answers_from_packages_and_can_cite_them(library: Library) -> None:
    gathered = gather("How do I post a letter with the parcel library?", library, None, 3000)
    first = gathered.sources[0]
    assert (first.path, first.symbol) == (f"{SITE}/parcel/client.py", "Client.post_letter")
    lines = (library.text(first.path) or "").split("\n")
    assert first.text.split("\n") == lines[first.start_line - 1 : first.end_line]
    assert library.line_count(first.path) == CLIENT.count("\n")


def test_what_is_installed_again_is_indexed_again(library: Library, workspace: Path) -> None:
    assert offered(library, "how does parcel post a letter?")
    site = workspace / SITE
    (site / "parcel/client.py").write_text('def mail_letter():\n    """Post a letter."""\n')
    (site / "parcel/client.pyi").unlink()
    (site / "parcel-2.1.dist-info").rename(site / "parcel-2.2.dist-info")
    assert offered(library, "how does parcel post a letter?")[0] == "parcel/client.py mail_letter"


def test_an_environment_that_vanishes_takes_its_packages_along(library: Library, workspace: Path) -> None:
    [first, *_] = library.packages_for("how does parcel post a letter?")
    shutil.rmtree(workspace / ".venv")
    assert library.packages_for("how does parcel post a letter?") == []
    assert library.line_count(first.path) == 0


def test_the_package_that_the_workspace_makes_is_not_offered(library: Library, workspace: Path) -> None:
    write_tree(workspace, {"src/parcel/__init__.py": "def own():\n    pass\n"})
    assert library.index
    library.index.scan(HERE)
    assert offered(library, "how does parcel post a letter?") == []


def test_indexes_are_shared_and_kept(workspace: Path, packages: Packages, tmp_path: Path) -> None:
    wanted = packages_named([("parcel", "python")], workspace)
    [index] = packages.ready(wanted, 60)
    other = Packages(tmp_path / "packages", Workload(cancelled=lambda: True))
    [same] = other.ready(wanted, 0)
    assert same.totals().chunks == index.totals().chunks > 0
    other.close()


def test_what_takes_long_goes_on_for_the_next_question(workspace: Path, packages: Packages) -> None:
    wanted = packages_named([("parcel", "python")], workspace)
    assert packages.ready(wanted, 0) == []
    assert packages.ready(wanted, 60)


def test_the_indexes_used_longest_ago_make_room(workspace: Path, tmp_path: Path) -> None:
    kept = Packages(tmp_path / "packages", HERE, most_bytes=1)
    parcel, yam = packages_named([("parcel", "python"), ("yam", "python")], workspace)
    assert kept.ready([parcel], 60)
    kept.close()
    kept = Packages(tmp_path / "packages", HERE, most_bytes=1)
    assert kept.ready([yam], 60)
    assert [path.name for path in (tmp_path / "packages").iterdir()] == [yam.key]
    kept.close()
