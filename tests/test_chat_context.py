"""What a question is answered from: pieces of real files, with their very lines, as many as there is room for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexer_support import write_tree

from indexer.index import Index
from lsp.chat.context import gather
from lsp.chat.library import Library, Place
from lsp.chat.mentions import mentioned
from lsp.chat.sources import Source
from lsp.errors import MidlineError

CACHE = '''"""Keeps answers."""

from shop.prices import price_of


class Cache:
    """Forgets what is oldest."""

    def __init__(self, size):
        self.size = size
        self.entries = {}

    def evict(self):
        """Drop the oldest entry."""
        oldest = next(iter(self.entries))
        del self.entries[oldest]

    def total(self):
        return sum(price_of(item) for item in self.entries)
'''
FILES = {
    "shop/cache.py": CACHE,
    "shop/prices.py": 'RATE = 1.2\n\n\ndef price_of(item):\n    """Tax included."""\n    return item * RATE\n',
    "shop/orders.py": "def place_order(basket):\n    return [item for item in basket if item.in_stock]\n",
    "shop/sub/orders.py": "def cancel_order(order):\n    order.cancelled = True\n",
    "docs/guide.md": "# Guide\n\nHow to order things.\n\n## Refunds\n\nMoney comes back within a week.\n",
    "big.py": "\n".join(f"def step_{i}(value):\n    return value + {i}\n" for i in range(300)),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("chat") / "workspace", FILES)


@pytest.fixture(scope="module")
def library(workspace: Path) -> Iterator[Library]:
    index = Index(workspace, workspace.parent / "index")
    index.scan()
    index.rank()
    yield Library(index, workspace, lambda path: path.name == "private.py")
    index.close()


def check(sources: tuple[Source, ...], library: Library, chars: int) -> None:
    """Numbers count from one, lines exist and are the file's, and all together keep to the room."""
    assert [source.number for source in sources] == list(range(1, len(sources) + 1))
    assert sum(len(source.text) for source in sources) <= chars
    for source in sources:
        lines = (library.text(source.path) or "").split("\n")
        assert 1 <= source.start_line <= source.end_line <= len(lines)
        assert source.text.split("\n")[0] == lines[source.start_line - 1]


def found(question: str, library: Library, place: Place | None = None, chars: int = 3000) -> list[str]:
    sources = gather(question, library, place, chars).sources
    check(sources, library, chars)
    return [f"{s.path}:{s.start_line}-{s.end_line} {s.symbol}".strip() for s in sources]


# -- what is found ------------------------------------------------------------------------------------------------


def test_a_question_finds_its_function(library: Library) -> None:
    assert any(
        one.startswith("shop/cache.py") and "evict" in one
        for one in found("where is the oldest entry dropped?", library)[:2]
    )
    assert found("what does the Cache do", library)[0].startswith("shop/cache.py:6-7 Cache")
    assert "price_of" in found("how is price_of computed?", library)[0]


def test_what_needs_no_context_gets_none(library: Library) -> None:
    gathered = gather("hello there", library, None, 3000)
    assert gathered.sources == ()
    assert "needs nothing" in gathered.reason


def test_a_selection_brings_what_is_around_it_and_what_it_uses(library: Library) -> None:
    place = Place("shop/cache.py", CACHE, 19, 19)
    sources = gather("what does this do?", library, place, 3000).sources
    assert [(s.path, s.symbol, s.reason) for s in sources[:3]] == [
        ("shop/cache.py", "", "selection"),
        ("shop/cache.py", "Cache.total", "around the selection"),
        ("shop/prices.py", "price_of", "defines a name in the selection"),
    ]
    assert sources[0].text == "        return sum(price_of(item) for item in self.entries)"
    check(sources, library, 3000)


def test_unsaved_text_counts(library: Library) -> None:
    place = Place("shop/cache.py", "x = 1\n" + CACHE, 20, 20)
    sources = gather("what does this do?", library, place, 3000).sources
    assert "price_of" in sources[0].text
    assert all(source.reason != "around the selection" for source in sources)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 4000),
    st.sampled_from(["@shop/ how?", "where is the cache", "@big.py add 7", "@Cache", "@docs/guide.md"]),
)
def test_the_room_is_kept_to(library: Library, chars: int, question: str) -> None:
    check(gather(question, library, Place("shop/cache.py", CACHE), chars).sources, library, chars)


def test_without_an_index_there_is_the_file_alone(workspace: Path) -> None:
    library = Library(None, workspace)
    assert found("where is the cache evicted", library) == []
    assert "no index" in gather("where is the cache evicted", library, None, 3000).reason
    assert found("what is this?", library, Place("shop/cache.py", CACHE, 6, 9)) == [
        "shop/cache.py:6-9",
        "shop/cache.py:6-19 Cache",
    ]
    assert found("@shop/prices.py ?", library) == ["shop/prices.py:1-6"]


def test_each_hit_has_its_share_of_the_room(tmp_path: Path) -> None:
    lines = "".join(f"    total = total + price_{i}\n" for i in range(30))
    body = f'(basket):\n    """Sum the prices of a basket."""\n{lines}    return total\n'
    index = Index(write_tree(tmp_path / "w", {f"m{i}.py": f"def sum_{i}{body}" for i in range(7)}), tmp_path / "index")
    index.scan()
    try:
        library = Library(index, index.workspace)
        sources = gather("where are the prices of a basket summed?", library, None, 1000).sources
        check(sources, library, 1000)
        assert 2 <= len(sources) <= 5
        assert all("Sum the prices" in source.text for source in sources)
        sizes = [len(source.text) for source in sources]
        assert max(sizes) <= 1000 // len(sources)
        assert max(sizes) - min(sizes) < 40
    finally:
        index.close()


def test_what_makes_a_question_of_it_is_not_looked_for(tmp_path: Path) -> None:
    files = {
        "flight.py": "class Flight:\n    def done(self):\n        return self.landed\n",
        "prompt.py": 'def heal(tokens):\n    """Token healing: take the last one back."""\n    return tokens[:-1]\n',
    }
    index = Index(write_tree(tmp_path / "workspace", files), tmp_path / "index")
    index.scan()
    try:
        best = gather("how is token healing done?", Library(index, index.workspace), None, 3000).sources[0]
        assert best.symbol == "heal"
        named = gather("what is Flight.done?", Library(index, index.workspace), None, 3000).sources[0]
        assert named.path == "flight.py"
    finally:
        index.close()


# -- mentions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("@a/b.py and @Cache.evict, @docs/ (@diff)?", ["a/b.py", "Cache.evict", "docs/", "diff"]),
        ("@x @x.", ["x"]),
        ("me@example.com `@dataclass` ``` @a ``` http://x/@y @ @@z", []),
        ("```\n@unclosed", []),
        ("看@shop/cache.py。", []),
        ("看 @shop/cache.py。@配置", ["shop/cache.py", "配置"]),
    ],
)
def test_mentions_are_read(message: str, names: list[str]) -> None:
    assert mentioned(message) == names


def test_mentioned_files_folders_and_symbols(library: Library) -> None:
    assert found("explain @shop/prices.py", library) == ["shop/prices.py:1-6"]
    assert found("explain @./cache.py", library) == ["shop/cache.py:1-19"]
    assert found("explain @guide.md", library) == ["docs/guide.md:1-7"]
    assert found("explain @Cache.evict", library) == ["shop/cache.py:13-16 Cache.evict"]
    assert found("explain @place_order and @cancel_order", library) == [
        "shop/orders.py:1-2 place_order",
        "shop/sub/orders.py:1-2 cancel_order",
    ]
    assert {one.split("/")[0] for one in found("what is in @shop/", library)} == {"shop"}
    assert all(one.startswith("shop/sub/") for one in found("what is in @sub ?", library))
    assert found("how do refunds work? @docs", library)[0].startswith("docs/guide.md:")
    (best, *_) = gather("what does step_123 add @big.py", library, None, 3000).sources
    assert "def step_123(" in best.text


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("@cahce.py", "@shop/cache.py"),
        ("@Cache.evct", "@Cache.evict"),
        ("@shpo/", "@shop/"),
        ("@price_off", "@price_of"),
        ("@dif", "@diff"),
        ("@doc", "@docs"),
        ("@orders.py", "@shop/orders.py or @shop/sub/orders.py"),
        ("@zzzzqqq", "Name a file"),
        ("@../secret.py", "backticks"),
        ("@/etc/passwd", "Name a file"),
    ],
)
def test_an_unknown_mention_offers_what_is_like_it(library: Library, message: str, says: str) -> None:
    with pytest.raises(MidlineError) as error:
        gather(f"what is {message} ?", library, None, 3000)
    assert says in error.value.cure


def test_documents_are_mentioned_where_there_are_none(workspace: Path) -> None:
    with pytest.raises(MidlineError, match="no documents") as error:
        gather("@docs how?", Library(None, workspace), None, 3000)
    assert "index.documents" in error.value.cure


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from(["a/", "@", "`", "x.", "谢谢", "Ab", "is ", "@a/b.c ", "```\n", "who calls ", "调用", "a_", "\n"])
)
def test_whatever_is_pasted_is_read_in_time(library: Library, piece: str) -> None:
    try:
        gather(piece * (200_000 // len(piece)), library, None, 3000)
    except MidlineError as error:
        assert "There is no" in str(error) or "may be one of" in str(error)


def test_private_and_secret_files_are_not_read(workspace: Path) -> None:
    library = Library(None, workspace, lambda path: path.name == "private.py")
    write_tree(workspace, {"private.py": "x = 1\n", ".env": "KEY=1\n", "nul.bin": "a\0b"})
    (workspace / "link.py").symlink_to("/etc/hostname")
    try:
        for path in ("private.py", ".env", "nul.bin", "link.py", "../index", "", "shop", "a\0b"):
            assert library.text(path) is None
            assert library.line_count(path) == 0
        with pytest.raises(MidlineError, match=r"privacy\.exclude"):
            library.place_at(workspace / "private.py", "x")
    finally:
        for name in ("private.py", ".env", "nul.bin", "link.py"):
            (workspace / name).unlink()


def test_secrets_are_painted_over(workspace: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    place = Library(None, workspace).place_at(workspace / "a.py", f'TOKEN = "{token}"\n')
    assert token not in place.text


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_what_is_not_committed(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(write_tree(tmp_path / "tree", FILES), folder)
    library = Library(None, folder)
    with pytest.raises(MidlineError, match="git can't tell"):
        gather("@diff", library, None, 3000)
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    with pytest.raises(MidlineError, match="nothing has changed"):
        gather("review @diff", library, None, 3000)
    git(folder, "config", "diff.external", "touch hacked")
    git(folder, "config", "core.fsmonitor", "touch hacked; false")
    (folder / "shop" / "cache.py").write_text(CACHE.replace("oldest = next", "eldest = next"))
    (source,) = gather("review @diff", library, None, 3000).sources
    assert (source.path, source.reason) == ("shop/cache.py", "@diff")
    assert source.start_line <= 15 <= source.end_line <= 19
    assert "+        eldest = next(iter(self.entries))" in source.text
    assert not (folder / "hacked").exists()
