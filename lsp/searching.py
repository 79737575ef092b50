"""``midline index`` and ``midline search``: the workspace's index from the terminal."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.syntax import Syntax
from rich.text import Text

from indexer.embedding import reranker
from indexer.files import explain
from indexer.index import Index
from indexer.languages import language_of
from indexer.scan import Progress, Workload
from indexer.search import Hit
from lsp.chat.library import Library
from lsp.configuration import load
from lsp.errors import MidlineError
from lsp.indexing import file_rules, open_index, why_not_indexed, workers
from lsp.knowledge import documents_around, open_documents
from lsp.privacy import Privacy
from lsp.settings import Settings

_SHOWN_LINES = 6
# How long a workspace that nobody has indexed is waited for; what is indexed by then counts.
INDEXING_SECONDS = 30.0


def index_command(folder: Path, *, rebuild: bool, as_json: bool) -> int:
    """Bring the index of a folder up to date and say what it holds; returns the exit code.

    Raises:
        MidlineError: the folder can't be indexed, or not made anew now.
    """
    workspace, settings = _workspace(folder)
    began = time.perf_counter()
    with opened_index(workspace, settings) as index:
        if rebuild and not index.writable:
            raise MidlineError(
                "The index can't be made anew while another process keeps it fresh.", "Close the editor first."
            )
        if not index.writable:
            print("midline: another process keeps this index fresh; here is what it holds.", file=sys.stderr)
        changed = scan(index, settings, rebuild=rebuild)
        totals = index.totals()
    with opened_documents(workspace, settings, rebuild=rebuild) as documents:
        held = [folder.totals() for folder in documents]
        left_out = [
            {"path": str(folder.workspace / one.path), "reason": one.reason}
            for folder in documents
            for one in folder.left_out()
        ]
    seconds = time.perf_counter() - began
    if as_json:
        told: dict[str, object] = {"seconds": round(seconds, 3), "changed": changed}
        if documents:
            told["documents"] = sum(one.files for one in held)
            told["left_out"] = left_out
        print(json.dumps(asdict(totals) | told))
        return 0
    print(
        f"{totals.files:,} files in {totals.chunks:,} chunks ({decimal(totals.bytes)} on disk); "
        f"{changed:,} had changed; {totals.skipped:,} kept out; {seconds:.1f} s"
    )
    for language, count in totals.languages.items():
        print(f"  {language:20} {count:>8,}")
    for kept, one in zip(documents, held, strict=True):
        print(f"{one.files:,} documents in {one.chunks:,} chunks ({decimal(one.bytes)} on disk): {kept.workspace}")
    for out in left_out:
        print(f"midline: {out['path']} is left out: {out['reason']}", file=sys.stderr)
    return 0


def explain_command(folder: Path, file: Path, *, as_json: bool) -> int:
    """Say why a file is in the index or not, and what of it is painted over; returns the exit code.

    Raises:
        MidlineError: the file lies elsewhere.
    """
    workspace, settings = _workspace(folder)
    absolute = file.absolute()
    kept = documents_around(absolute, workspace, settings)
    folder, rules = kept or (workspace, file_rules(settings))
    if not absolute.is_relative_to(folder):
        raise MidlineError(f"{file} is not in {workspace}.", "Name the folder it belongs to as well.")
    found = explain(folder, absolute.relative_to(folder).as_posix(), rules)
    if as_json:
        print(json.dumps(asdict(found)))
        return 0
    print(f"{found.path}: {'in' if found.included else 'out'}: {found.reason}")
    if found.included:
        print(f"  {found.language}, {found.encoding}, {decimal(found.size)}")
    for finding in found.findings:
        print(f"  line {finding.line}: {finding.kind}, not kept")
    return 0


def search_command(query: str, folder: Path, count: int, *, as_json: bool) -> int:
    """Search a folder, indexing first what has changed; returns the exit code.

    Raises:
        MidlineError: the folder can't be indexed.
    """
    workspace, settings = _workspace(folder)
    privacy, _ = Privacy.of(settings.privacy.exclude, workspace)
    with opened_index(workspace, settings) as index, opened_documents(workspace, settings) as documents:
        scan(index, settings)
        index.rank()
        hits = Library(index, workspace, privacy.covers, documents).search(query, count, reranker())
    if as_json:
        print(json.dumps([asdict(hit) for hit in hits]))
    elif hits:
        console = Console(highlight=False, soft_wrap=True)
        for hit in hits:
            _print(console, hit)
    else:
        print("midline: nothing was found", file=sys.stderr)
    return 0


def _workspace(folder: Path) -> tuple[Path, Settings]:
    workspace = folder.absolute()
    if not workspace.is_dir():
        raise MidlineError(f"There is no folder {folder}.", "Name the folder to index.")
    settings, problems = load(workspace)
    for problem in problems:
        print(f"midline: {problem}", file=sys.stderr)
    return workspace, settings


@contextmanager
def opened_index(workspace: Path, settings: Settings) -> Iterator[Index]:
    """The index, closed afterwards.

    Raises:
        MidlineError: it can't be kept.
    """
    index = open_index(workspace, settings)
    try:
        yield index
    except sqlite3.Error as error:
        raise MidlineError(f"The index can't be written: {error}.", "Make room on the disk.") from error
    finally:
        index.close()


@contextmanager
def opened_documents(
    workspace: Path, settings: Settings, *, rebuild: bool = False, seconds: float = math.inf
) -> Iterator[list[Index]]:
    """The indexes of the folders of documents, up to date, closed afterwards; what is wrong with them is said."""
    indexes, problems = open_documents(workspace, settings)
    try:
        for problem in problems:
            print(f"midline: {problem}", file=sys.stderr)
        for index in indexes:
            try:
                scan(index, settings, rebuild=rebuild, seconds=seconds)
            except (OSError, sqlite3.Error) as error:
                print(f"midline: the documents in {index.workspace} can't be indexed: {error}", file=sys.stderr)
        yield indexes
    finally:
        for index in indexes:
            index.close()


@contextmanager
def workspace_index(workspace: Path, settings: Settings, *, ranked: bool = False) -> Iterator[Index | None]:
    """A workspace's index, up to date, and for searches ranked; None where it has none or, which is said, can't."""
    if why_not_indexed(workspace, settings):
        yield None
        return
    with ExitStack() as stack:
        try:
            index = stack.enter_context(opened_index(workspace, settings))
            scan(index, settings, seconds=INDEXING_SECONDS)
            if ranked:
                index.rank()
        except (MidlineError, OSError, sqlite3.Error) as error:
            yield None
            # Where the command fails too, that may be for the same reason, and is enough to be told.
            print(f"midline: no context from the workspace: {error}", file=sys.stderr)
            return
        yield index


def scan(index: Index, settings: Settings, *, rebuild: bool = False, seconds: float = math.inf) -> int:
    """Bring the index up to date, with a bar on stderr; for so many seconds at the most. How many files had changed."""
    deadline = time.monotonic() + seconds
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("indexing", total=None)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        load = Workload(workers(settings, leave=0), progress=show, cancelled=lambda: time.monotonic() > deadline)
        return index.scan(load, rebuild=rebuild)


def _print(console: Console, hit: Hit) -> None:
    place, lines = f"{hit.path}:{hit.start_line}", f"-{hit.end_line}"
    if hit.page:
        place, lines = hit.path, f", page {hit.page}"
    console.print(Text.assemble((place, "bold"), f"{lines}  {hit.symbol}  ", (f"({hit.reason})", "dim")))
    shown = hit.text.splitlines()
    language = "text" if hit.page else language_of(hit.path)
    console.print(Syntax("\n".join(shown[:_SHOWN_LINES]), language, background_color="default"))
    if len(shown) > _SHOWN_LINES:
        console.print(Text("    …", "dim"))
    console.print()
