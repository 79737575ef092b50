"""What the index's tests share: records made by hand, trees of files, and what a view holds."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.chunk import Chunk, Definition, Outline
from indexer.digest import Record
from indexer.embedding import StaticEmbedder, default_embedder
from indexer.index import Index
from indexer.packing import pack
from indexer.rows import rows_of
from indexer.scan import Workload
from indexer.store import Change, content_key
from indexer.view import View

HERE = Workload(workers=0)
SHOP = {
    "app/session.py": 'def send_request(url):\n    """Send a request to a server."""\n    return connect(url)\n',
    "app/store.py": """import app.session


class Store:
    def save(self, row):
        self.check(row)
        written = self.write(row)
        return written
""",
    "README.md": "# Shop\n\nHow to sell things.\n",
}
"""A small workspace."""


@contextmanager
def indexed(workspace: Path, folder: Path) -> Iterator[Index]:
    """A workspace's index, scanned in this process, and closed in the end."""
    opened = Index(workspace, folder)
    opened.scan(HERE)
    yield opened
    opened.close()


def found(index: Index, query: str) -> list[str]:
    return [hit.path for hit in index.search(query)]


def holdings(workspace: Path, folder: Path) -> dict[str, list[str]]:
    """What an index holds as whoever opens it finds it."""
    opened = Index(workspace, folder)
    try:
        return held(opened.view())
    finally:
        opened.close()


def record(path: str, texts: Sequence[str]) -> Record:
    """A file of one function per text, each on a line of its own."""
    chunks = tuple(
        Chunk(line, line, "function", f"f{line}", f"def f{line}()", "", text + "\n")
        for line, text in enumerate(texts, 1)
    )
    defined = tuple(
        Definition(chunk.symbol, "function", "", chunk.signature, chunk.start_line, chunk.end_line) for chunk in chunks
    )
    rows = rows_of(path, chunks, default_embedder())
    return Record("".join(chunk.text for chunk in chunks), Outline("python", chunks, defined), rows)


def change(path: str, texts: Sequence[str], maker: str) -> Change:
    """What stores such a file."""
    made = record(path, texts)
    key = content_key(path, made.text.encode(), maker)
    return Change(path, len(made.text), 1, "python", key, pack(made))


def held(view: View) -> dict[str, list[str]]:
    """The texts of the chunks that count in a view, by path, as its arrays and outlines tell."""
    found: dict[str, list[str]] = {}
    for part, dead in zip(view.segments, view.dead, strict=True):
        for row in range(len(part)):
            if not dead[row]:
                file = int(part.files[row])
                outline, _ = view.outline(file)
                chunk = outline.chunks[int(part.numbers[row])]
                assert part.symbol(row) == chunk.symbol
                found.setdefault(view.files[file].path, []).append(chunk.text.rstrip("\n"))
    return found


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write files by their paths in ``root``, and return it."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return root


class CrashingEmbedder(StaticEmbedder):
    """Ends its process, as a grammar does that crashes, at a file named ``bad.py``."""

    def embed_chunks(self, path: str, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        if path.endswith("bad.py"):
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().embed_chunks(path, chunks)


def crashing_embedder() -> CrashingEmbedder:
    """Makes one; at the top of a module, so that worker processes can call it."""
    return CrashingEmbedder()


class NextEmbedder(StaticEmbedder):
    """The same under another name, as the next version has one."""

    name = "next"


def next_embedder() -> NextEmbedder:
    """Makes one."""
    return NextEmbedder()


def embedder_of_this_process() -> StaticEmbedder:
    """Makes one here, and ends any worker process that asks for one."""
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    return StaticEmbedder()
