"""Documents as knowledge: Markdown, HTML and PDF are found by section and page, and none that is broken does harm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documents_support import write_bomb, write_pdf
from hypothesis import given
from hypothesis import strategies as st
from indexer_support import HERE, SHOP, write_tree
from test_indexer_keeper import until

import indexer
from indexer.documents import document_outline, extracted
from indexer.files import FileRules
from indexer.index import Index
from indexer.keeper import Keeper
from indexer.scan import Workload
from indexer.webpage import markdown_of
from lsp.chat.context import gather
from lsp.chat.library import Library
from lsp.chat.sources import question_with
from lsp.configuration import load
from lsp.knowledge import left_out, open_documents, roots

ODD = {"__pycache__", "embedding", "queries", "glossary_zh.txt"}
RULES = FileRules((), 32 * 1024, "documents")
GUIDE = """# Guide

How the warehouse works, in short.

## Returns

A parcel that comes back is weighed at the dock.
It is then put on the shelf of returned parcels,
where it stays for a fortnight.
After that it is auctioned.
The auction takes place on Mondays.
Nobody who works here may bid.

## Lights

The lamps are dimmed at night.
They are bright in the morning.
"""
PAGE = """<html><head><title>Handbook</title><style>p { color: red }</style></head><body>
<nav><a href="/">Home</a> <a href="/x">Elsewhere</a></nav>
<h1>Handbook<a class="headerlink" href="#h">¶</a></h1><p>For   drivers &amp; others.</p>
<script>var hidden = "<h2>No heading</h2>";</script>
<h2>Refuelling</h2><p>Only diesel at <code>pump(3)</code>.</p><ul><li><p>before</p></li><li>after</li></ul>
<pre><code># not a heading
pump.start()</code></pre></body></html>"""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = write_tree(tmp_path / "notes", {"guide.md": GUIDE, "web/handbook.html": PAGE, "code.py": "x = 1\n"})
    pages = ["Forklifts lift.", "The crane is oiled on Fridays.", "Ropes are counted.", "Hooks are polished."]
    write_pdf(folder / "machines.pdf", pages, {2: ("Cranes", 0), 3: ("Ropes", 1)})
    return folder


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Real code, so that documents have to hold their own among it: some of midline's."""
    folder = tmp_path_factory.mktemp("code")
    workspace = write_tree(folder / "shop", SHOP)
    shutil.copytree(
        Path(indexer.__file__).parent, workspace / "indexer", ignore=lambda _, names: ODD.intersection(names)
    )
    own = Index(workspace, folder / "index")
    own.scan(HERE)
    yield own
    own.close()


@pytest.fixture
def library(code: Index, documents: Path, tmp_path: Path) -> Iterator[Library]:
    notes = Index(documents, tmp_path / "notes-index", RULES)
    notes.scan(HERE)
    yield Library(code, code.workspace, lambda path: path.name == "private.md", [notes])
    notes.close()


def rescan(library: Library) -> None:
    for folder in library._documents:
        folder.scan(HERE)


# -- what is taken of them ---------------------------------------------------------------------------------------------


def test_documents_are_found_by_section_and_page(library: Library, documents: Path) -> None:
    def first(question: str) -> tuple[str, str, int]:
        hit = library.search(question, 3)[0]
        return Path(hit.path).name, hit.section, hit.page

    assert first("parcel weighed dock shelf") == ("guide.md", "Guide > Returns", 0)
    assert first("crane oiled Fridays") == ("machines.pdf", "Cranes", 2)
    assert first("polished hooks") == ("machines.pdf", "Cranes > Ropes", 4)
    assert first("refuelling with diesel") == ("handbook.html", "Handbook > Refuelling", 0)
    assert first("send a request to a server")[0] == "session.py"
    own = {str(documents / name) for name in ("guide.md", "web/handbook.html", "machines.pdf")}
    assert set(library.documents()) == own | {"README.md"}


def test_documents_do_not_crowd_code_out(library: Library, documents: Path) -> None:
    many = {
        f"many/{i}.md": f"# The watcher, part {i}\n\nThe watcher tells what changed on disk, {i}.\n" for i in range(20)
    }
    write_tree(documents, many)
    rescan(library)
    places = [hit.path.startswith(str(documents)) for hit in library.search("watcher tells what changed on disk", 15)]
    assert len(places) == 15
    assert all(sum(places[i : i + 5]) <= 2 for i in range(11))
    assert sum(places[:5]) == 2


def test_their_lines_are_those_of_the_text_that_chat_reads(library: Library, documents: Path) -> None:
    for hit in library.search("crane ropes diesel parcels", 20):
        lines = (library.text(hit.path) or "").split("\n")
        assert hit.text in "\n".join(lines[hit.start_line - 1 : hit.end_line])
        assert hit.end_line <= library.line_count(hit.path)
    handbook = library.text(str(documents / "web/handbook.html")) or ""
    assert handbook.startswith("# Handbook\n\nFor drivers & others.\n\n## Refuelling\n")
    assert "```\n# not a heading\npump.start()\n```" in handbook
    assert "hidden" not in handbook and "Elsewhere" not in handbook and "color" not in handbook


def test_chat_is_told_the_page_and_cites_it(library: Library, documents: Path) -> None:
    found = gather("when is the crane oiled?", library, None, 3000).sources
    crane = next(source for source in found if source.page)
    assert (crane.section, crane.page) == ("Cranes", 2)
    assert f"[{crane.number}] {documents / 'machines.pdf'}, page 2 Cranes\n" in question_with(found, "when?")
    place = {"path": str(documents / "machines.pdf"), "start_line": crane.start_line, "end_line": crane.end_line}
    assert crane.place == place | {"section": "Cranes", "page": 2}
    assert crane.as_dict().items() >= crane.place.items()
    assert type(crane).of(crane.as_dict()).place == crane.place


def test_what_is_private_or_gone_is_not_read(library: Library, documents: Path) -> None:
    write_tree(documents, {"private.md": "# Salaries\n\nEverybody earns a salary of gold.\n"})
    rescan(library)
    private = str(documents / "private.md")
    assert private not in library.documents()
    assert library.text(private) is None
    assert private not in [hit.path for hit in library.search("salary of gold", 20)]
    (documents / "machines.pdf").unlink()
    rescan(library)
    assert library.line_count(str(documents / "machines.pdf")) == 0


def test_what_the_workspace_has_itself_is_found_once(tmp_path: Path) -> None:
    workspace = write_tree(tmp_path / "shop", SHOP | {"docs/guide.md": GUIDE, "docs/page.html": PAGE})
    own = Index(workspace, tmp_path / "index")
    folder = Index(workspace / "docs", tmp_path / "docs-index", RULES)
    for index in (own, folder):
        index.scan(HERE)
    library = Library(own, workspace, documents=[folder])
    paths = [hit.path for hit in library.search("parcel weighed dock shelf", 50) if "Returns" in hit.section]
    assert paths == ["docs/guide.md"]
    hits = [hit for hit in library.search("refuelling with diesel", 50) if hit.path == "docs/page.html"]
    assert {hit.section for hit in hits} <= {"Handbook", "Handbook > Refuelling"}
    assert "<p>" not in (library.text("docs/page.html") or "")
    own.close()
    folder.close()


@given(st.text(st.sampled_from("<>/ph1reul&;#-!b \nx\"'="), max_size=200))
def test_any_page_gives_text_without_harm(page: str) -> None:
    text = markdown_of(f"<p>first</p>{page}")
    assert "first" in text
    chunks = document_outline(text, "html").chunks
    assert all(1 <= chunk.start_line <= chunk.end_line <= len(text.split("\n")) for chunk in chunks)


def test_text_does_not_become_a_heading() -> None:
    assert markdown_of("<p># five</p><p>- six</p>") == "\\# five\n\n\\- six\n"
    assert markdown_of("<title>A</title><p>b</p>") == "# A\n\nb\n"


# -- what can't be read ------------------------------------------------------------------------------------------------


def made_empty(file: Path) -> None:
    file.write_bytes(b"")


def made_of_noise(file: Path) -> None:
    file.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 50)


def made_encrypted(file: Path) -> None:
    write_pdf(file, ["Nobody shall know."], key="open")


def made_of_images(file: Path) -> None:
    write_pdf(file, ["", "", ""])


def made_a_bomb(file: Path) -> None:
    write_bomb(file, 200_000_000)


def cut_short(file: Path) -> None:
    whole = write_pdf(file, ["One.", "Two."]).read_bytes()
    file.write_bytes(whole[:600])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (made_empty, "it is no PDF, whatever"),
        (made_of_noise, "it is no PDF that can be read"),
        (made_encrypted, "it is encrypted"),
        (made_of_images, "its pages are images"),
        (made_a_bomb, "its pages can't be read|it has no text"),
        (cut_short, "it is no PDF that can be read"),
    ],
)
def test_a_pdf_that_cannot_be_read_is_left_out_with_the_reason(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.pdf"
    make(file)
    with pytest.raises(ValueError, match=reason):
        extracted(file.name, file.read_bytes())


def test_what_is_left_out_is_told_until_it_is_mended(documents: Path, tmp_path: Path) -> None:
    reason = "it is no PDF, whatever its name says"
    (documents / "bad.pdf").write_bytes(b"")
    index = Index(documents, tmp_path / "index", RULES)
    index.scan(HERE)
    [out] = index.left_out()
    assert (out.path, out.reason) == ("bad.pdf", reason)
    assert index.totals().files == 3
    message = left_out(index)
    assert message.startswith("1 document is left out: ") and reason in message
    assert left_out(index, [out]) == ""
    write_pdf(documents / "bad.pdf", ["It is mended."])
    index.update(["bad.pdf"], HERE)
    assert not index.left_out()
    index.close()


def test_reading_is_limited_in_time_and_pages(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (documents / "machines.pdf").read_bytes()
    monkeypatch.setattr("indexer.documents.DEADLINE_SECONDS", 0.01)
    with pytest.raises(ValueError, match="takes more than"):
        extracted("machines.pdf", data)
    from indexer import pdf

    monkeypatch.setattr(pdf, "_MOST_PAGES", 2)
    *_, last = pdf.parts(data)
    assert last == (4, "", "(The pages from 3 to 4 of this document are not indexed.)")


def test_what_is_too_large_or_empty_is_left_out(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "notes", {"big.html": "<p>word</p>" * 1000, "void.html": "<script>1</script>"})
    index = Index(folder, tmp_path / "index", FileRules((), 2, "documents"))
    index.scan(HERE)
    assert [(one.path, one.reason) for one in index.left_out()] == [
        ("big.html", "its 10 KiB are more than index.max_document_kib = 2"),
        ("void.html", "it has no text but scripts and the like"),
    ]
    index.close()


def test_links_that_lead_in_circles_are_not_followed(documents: Path, tmp_path: Path) -> None:
    (documents / "web/up").symlink_to(documents)
    (documents / "self.md").symlink_to(documents / "self.md")
    index = Index(documents, tmp_path / "index", RULES)
    index.scan(HERE)
    assert index.totals().files == 3
    index.close()


# -- which folders -----------------------------------------------------------------------------------------------------


def test_folders_are_taken_once_and_wrong_ones_are_named(documents: Path, tmp_path: Path) -> None:
    workspace = write_tree(tmp_path / "shop", SHOP | {"docs/a.md": "# A\n"})
    (workspace / "loop").symlink_to(workspace / "loop")
    (workspace / "way-out").symlink_to(documents)
    named = ["docs", "docs/", str(workspace / "docs"), "docs/a.md", str(documents / "guide.md"), "README.md"]
    found, problems = roots(named, workspace)
    assert [(root.folder, root.names) for root in found] == [
        (workspace / "docs", ()),
        (documents, ("guide.md",)),
        (workspace, ("README.md",)),
    ]
    assert not problems
    found, problems = roots(["gone", "loop", "way-out", "~", "/", "a\0b"], workspace)
    assert not found
    assert [problem.removeprefix("index.documents: ").partition(".")[0] for problem in problems] == [
        "there is no gone",
        "there is no loop",
        "way-out leads out of the workspace",
        "~ is no folder of documents",
        "/ is no folder of documents",
        "there is no a\0b",
    ]


def test_a_single_file_is_read_without_its_neighbours(documents: Path, tmp_path: Path, empty_home: Path) -> None:
    odd = write_tree(documents, {"[a] b!.md": "# Odd\n\nAn odd name.\n", "c.md": "# C\n\nAnother.\n"}) / "[a] b!.md"
    [index], problems = open_documents(tmp_path, load(None, {"index.documents": [str(odd)]})[0])
    index.scan(HERE)
    assert not problems
    assert list(index.view().by_path) == ["[a] b!.md"]
    index.close()


def test_a_workspace_cannot_name_what_lies_outside(tmp_path: Path, empty_home: Path) -> None:
    (tmp_path / "midline.toml").write_text('[index]\ndocuments = ["docs", "~/notes", "/etc", "../x", "a/../../b"]\n')
    settings, problems = load(tmp_path, {"index": {"documents": ["~/mine"]}})
    assert settings.index.documents == ("docs", "~/mine")
    assert len(problems) == 1
    assert "can only name what lies in the workspace" in problems[0]


# -- kept fresh --------------------------------------------------------------------------------------------------------


def test_what_changes_on_the_disk_is_known_without_being_asked(documents: Path, tmp_path: Path) -> None:
    told: list[str] = []
    index = Index(documents, tmp_path / "index", RULES)
    kept = Keeper(index, Workload(workers=1), lambda freshness: told.append(left_out(index)))
    kept.start()
    until(lambda: kept.freshness.state == "ready")

    def found(question: str) -> list[str]:
        return [hit.path for hit in index.search(question) if "words" in hit.reason]

    write_tree(documents, {"new/zebra.md": "# Zebras\n\nZebras graze behind the hall.\n"})
    until(lambda: found("zebras") == ["new/zebra.md"])
    write_pdf(documents / "machines.pdf", ["Walruses swim in the basin."])
    until(lambda: found("walruses") == ["machines.pdf"])
    (documents / "new/zebra.md").unlink()
    until(lambda: not found("zebras"))
    (documents / "machines.pdf").write_bytes(b"nothing")
    until(lambda: told and "machines.pdf: it is no PDF" in told[-1])
    kept.stop()


def test_the_terminal_shows_section_and_page(documents: Path, tmp_path: Path, empty_home: Path) -> None:
    workspace = write_tree(tmp_path / "shop", SHOP)
    config = empty_home / "config/midline.toml"
    config.write_text(f'[index]\ndocuments = ["{documents}", "/nowhere/at/all"]\n')
    (documents / "bad.pdf").write_text("no")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lsp.cli", *arguments],
            cwd=workspace,
            capture_output=True,
            text=True,
            env=os.environ,
            check=True,
        )

    shown = run("search", "polished hooks", "-k", "1")
    assert f"{documents / 'machines.pdf'}, page 4  Cranes > Ropes" in shown.stdout
    assert shown.stderr.count("there is no /nowhere/at/all") == 1
    [hit] = json.loads(run("search", "--json", "parcel auctioned fortnight", "-k", "1").stdout)
    assert (hit["section"], hit["page"], hit["start_line"]) == ("Guide > Returns", 0, 5)
    told = json.loads(run("index", "--json").stdout)
    assert told["documents"] == 3
    assert told["left_out"] == [{"path": str(documents / "bad.pdf"), "reason": "it is no PDF, whatever its name says"}]
    why = run("index", "--explain", str(documents / "bad.pdf")).stdout
    assert "out: it is no PDF, whatever its name says" in why
