"""A completion is shown what it is about to use, within its budget, and nothing that is in sight already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indexer_support import write_tree

from indexer.candidates import LONGEST, arguments, short_signature
from indexer.candidates import offer as offer_of
from indexer.context import Piece
from indexer.index import Index
from indexer.languages import language_of
from indexer.outline import outline
from indexer.receivers import read
from indexer.scan import Workload

SESSIONS = '''
"""Sessions."""
from .adapters import BaseAdapter


class BaseSession:
    def inherited(self, depth: int) -> None: ...


class Session(BaseSession):
    """Keeps cookies."""

    def request(self, method: str, url: str, *, timeout: float = 3.0, **options: object) -> "Response":
        """Send a request."""
        return self.adapter.deliver(method, url, timeout)

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        self.adapters[prefix] = adapter

    def _private(self) -> None: ...
'''
HELPERS = """
def sanitize_header(name: str, value: bytes = b"") -> bytes:
    return value.strip()


def unrelated_thing(x):
    return x
"""
MAIN = """from . import helpers
from .sessions import Session


def main(url):
    session = Session()
    session.request("GET", url)
"""
POOL = """
def fill_pool(pool, hosts):
    for host in hosts:
        connection = pool.acquire(host, retries=3)
        connection.verify_certificate(host)
        pool.release(connection)
"""
TYPESCRIPT = """export class QueryClient extends Base {
  fetchQuery(key: string, options: Options): Promise<void> { return run(key); }
  private hidden(): void {}
}
export function hashKey(key: string, salt = 1): string { return key; }
"""
PAGE = "import { QueryClient, hashKey } from './client';\n\nconst client = new QueryClient();\nclient."
SECRET = "AKIA" + "IOSFODNN7EXAMPLQ"
FILES = {
    "app/__init__.py": "",
    "app/sessions.py": SESSIONS,
    "app/helpers.py": HELPERS,
    "app/main.py": MAIN,
    "app/pool.py": POOL,
    "app/keys.py": f'def upload_report(token="{SECRET}"):\n    return token\n',
    "web/client.ts": TYPESCRIPT,
    "web/page.ts": PAGE,
    "notes.txt": "nothing to see\n",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    root = tmp_path_factory.mktemp("context")
    opened = Index(write_tree(root / "w", FILES), root / "index")
    opened.scan(Workload(workers=1))
    yield opened
    opened.close()


def texts(pieces: list[Piece]) -> list[str]:
    return [piece.text.rstrip("\n") for piece in pieces]


def test_methods_of_what_stands_before_the_dot_are_shown_and_why(index: Index) -> None:
    prefix = "from .sessions import Session\n\n\ndef main(url):\n    thing = Session()\n    thing."
    pieces = index.context_for("app/main.py", prefix, "\n", 500)
    by_symbol = {piece.symbol: piece for piece in pieces}
    assert by_symbol["Session.request"].text == "Session.request(method, url, timeout, **options)\n"
    assert by_symbol["Session.request"].path == "app/sessions.py"
    assert SESSIONS.splitlines()[by_symbol["Session.request"].start_line - 1].lstrip().startswith("def request")
    # A base class's methods are its own too.
    for symbol in ("Session.mount", "BaseSession.inherited"):
        assert by_symbol[symbol].reason == "what stands before the dot"


def test_what_a_module_before_the_dot_defines_is_shown(index: Index) -> None:
    pieces = index.context_for("app/main.py", "from . import helpers\n\nclean = helpers.", "", 200)
    found = {piece.symbol: piece for piece in pieces}
    assert found["sanitize_header"].text == "sanitize_header(name, value)\n"
    assert found["sanitize_header"].reason == "what stands before the dot"


def test_imported_names_come_before_others(index: Index) -> None:
    pieces = index.context_for("app/main.py", "from . import helpers\nfrom .sessions import Session\n\n\n", "", 120)
    assert any(text.startswith("class Session(BaseSession): request, mount") for text in texts(pieces))
    assert "imported here" in {piece.reason for piece in pieces}


def test_similar_code_of_other_files_is_shown(index: Index) -> None:
    prefix = (
        "def drain(pool, hosts):\n    for host in hosts:\n        connection = pool.acquire(host, retries=3)\n        "
    )
    windows = [one for one in index.context_for("app/main.py", prefix, "", 2_000) if one.reason == "similar code"]
    window = max(windows, key=lambda one: one.score)
    assert window.path == "app/pool.py"
    assert "connection.verify_certificate(host)" in window.text
    lines = POOL.splitlines(keepends=True)
    assert window.text == "".join(lines[window.start_line - 1 : window.end_line])


def test_what_is_in_sight_is_left_out(index: Index) -> None:
    """Neither the lines around the cursor, nor a copy of them elsewhere, take room."""
    pieces = index.context_for("app/pool.py", POOL, "", 3_000)
    assert not [piece for piece in pieces if piece.path == "app/pool.py"]
    copied = index.context_for("app/main.py", POOL, "", 3_000)
    assert not [piece for piece in copied if piece.reason == "similar code" and "acquire" in piece.text]


def test_typescript_is_served_as_python_is(index: Index) -> None:
    pieces = index.context_for("web/page.ts", PAGE, "", 400)
    assert "QueryClient.fetchQuery(key, options)" in texts(pieces)
    assert "hashKey(key, salt)" in texts(pieces)


def test_unsaved_text_counts_and_secrets_do_not_come_out(index: Index) -> None:
    index.overlay("app/helpers.py", HELPERS + "\n\ndef brand_new_helper(amount, currency):\n    return amount\n")
    pieces = index.context_for("app/main.py", "from . import helpers\n\nhelpers.", "", 400)
    index.overlay("app/helpers.py", None)
    assert "brand_new_helper(amount, currency)" in texts(pieces)
    keys = index.context_for("app/main.py", "from .keys import upload_report\n\nupload_report(token=", "", 3_000)
    assert any("upload_report" in piece.text for piece in keys)
    assert not any(SECRET in piece.text for piece in keys)


def test_nothing_for_what_the_index_does_not_know(index: Index, tmp_path: Path) -> None:
    assert index.context_for("app/unknown.py", "import os\n", "", 3_000) == []
    assert index.context_for("app/main.py", MAIN, "", 0) == []
    empty = Index(write_tree(tmp_path / "w", {}), tmp_path / "index")
    assert empty.context_for("app/main.py", MAIN, "", 3_000) == []
    empty.close()


code = st.text(st.sampled_from("abS_.:()[]{}<>=,\"'#\n\r\t \f0é文\\@&*"), max_size=200)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FILES)), code, code, st.integers(0, 2_000))
def test_any_text_gives_pieces_within_the_budget_in_order_and_always_the_same(
    index: Index, path: str, prefix: str, suffix: str, budget: int
) -> None:
    pieces = index.context_for(path, prefix + FILES[path], suffix, budget)
    assert sum(len(piece.text) for piece in pieces) <= budget
    assert pieces == sorted(pieces, key=lambda piece: (piece.path, piece.start_line, piece.end_line))
    assert len({(piece.path, piece.text) for piece in pieces}) == len(pieces)
    assert all(piece.reason and 0 < piece.start_line <= piece.end_line for piece in pieces)
    assert index.context_for(path, prefix + FILES[path], suffix, budget) == pieces


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", "def f(a: int, *rest, b: dict[str, int] = {}, **kw): pass", "f(a, *rest, b, **kw)"),
        ("a.py", "class A:\n    def __init__(self, x, y=1): pass", "A(x, y)"),
        ("a.ts", "function f(a: Map<string, number>, b?: string): void {}", "f(a, b)"),
        ("a.go", "package p\nfunc Dial(network, address string) error { return nil }", "Dial(network, address)"),
        ("A.java", "class A { int add(List<String> names, int count) { return 0; } }", "A.add(names, count)"),
        ("a.c", "int add(const char *name, size_t count) { return 0; }", "add(name, count)"),
        ("a.rs", "impl A { fn add(&mut self, name: &str) -> u8 { 0 } }", "A.add(name)"),
        ("a.py", "def f(" + ", ".join(f"parameter_{n}" for n in range(40)) + "): pass", ""),
    ],
)
def test_signatures_in_short(name: str, text: str, expected: str) -> None:
    language = language_of(name)
    taken = outline(text, language)
    shown = offer_of(language, taken.definitions, taken.imports, [(1, 9)])
    (one,) = [found for found in taken.definitions if found.kind in ("function", "method")]
    short = short_signature(one, shown)
    assert short == expected or (not expected and len(short) <= LONGEST)
    assert "self" not in arguments(one, language)


@pytest.mark.parametrize(
    ("prefix", "name", "classes"),
    [
        ("client = http.Client(timeout=3)\nclient.", "client", ("Client",)),
        ("def f(client: Optional['Client'] = None):\n    client.", "client", ("Client",)),
        ("with Pool(4) as workers:\n    workers.", "workers", ("Pool",)),
        (
            "class A(Base, mixins.Mixin):\n    def f(self):\n        x = 1\n        self.",
            "self",
            ("A", "Base", "Mixin"),
        ),
        ("class A:\n    x = 1\n\ndef f(self):\n    self.", "self", ()),
        ("this.client = new HttpClient<Foo>(url);\nthis.client.", "client", ("HttpClient",)),
        ("HttpClient client = make();\nclient.", "client", ("HttpClient",)),
        ("client := &http.Client{}\nclient.", "client", ("Client",)),
        ("let client = Client::new();\nclient.", "client", ("Client",)),
        ("http_client.", "http_client", ("HttpClient",)),
        ("client = Client()\nprint(client)\n", "", ()),
    ],
)
def test_receivers(prefix: str, name: str, classes: tuple[str, ...]) -> None:
    found = read(prefix)
    assert found.at_cursor == name
    assert found.classes(name) == classes
