"""A completion is shown what it is about to use, within its budget, and nothing that is in sight already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from indexer_support import write_tree

from indexer.index import Index
from indexer.scan import Workload

SESSIONS = '''
"""Sessions."""
from .adapters import BaseAdapter


class Session(BaseSession):
    """Keeps cookies."""

    def request(self, method: str, url: str, *, timeout: float = 3.0, **options: object) -> "Response":
        """Send a request."""
        return self.adapter.deliver(method, url, timeout)

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        self.adapters[prefix] = adapter

    def _private(self) -> None: ...


class BaseSession:
    def inherited(self, depth: int) -> None: ...
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
TYPESCRIPT = """export class QueryClient extends Base {
  fetchQuery(key: string, options: Options): Promise<void> { return run(key); }
  private hidden(): void {}
}
export function hashKey(key: string, salt = 1): string { return key; }
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = {
        "app/__init__.py": "",
        "app/sessions.py": SESSIONS,
        "app/helpers.py": HELPERS,
        "app/main.py": MAIN,
        "web/client.ts": TYPESCRIPT,
        "web/page.ts": "import { QueryClient, hashKey } from './client';\n\nconst client = new QueryClient();\n",
        "notes.txt": "nothing to see\n",
    }
    opened = Index(write_tree(tmp_path / "w", files), tmp_path / "index")
    opened.scan(Workload(workers=1))
    yield opened
    opened.close()


def test_methods_of_what_stands_before_the_dot_are_shown(index: Index) -> None:
    prefix = "from .sessions import Session\n\n\ndef main(url):\n    session = Session()\n    session."
    pieces = index.context_for("app/main.py", prefix, "\n", 400)
    texts = [piece.text for piece in pieces]
    assert "Session.request(method, url, timeout, **options)\n" in texts
    assert {piece.reason for piece in pieces if piece.symbol == "Session.mount"} == {"what stands before the dot"}
