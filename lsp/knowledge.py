"""What is known besides the workspace: the documents that ``index.documents`` names, and installed packages."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.documents import is_document
from indexer.files import FileRules, Skipped
from indexer.index import Index, folder_of
from indexer.packages import Packages
from indexer.scan import Workload
from lsp import paths
from lsp.errors import MidlineError
from lsp.settings import Settings

_SHOWN = 3
_SPECIAL = re.compile(r"([\\*?\[\]!# ])")  # what a pattern of .gitignore doesn't mean as it stands
_ESCAPED = r"\\\1"


@dataclass(frozen=True)
class Root:
    """A folder of documents; of ``names``, if there are any, only these files in it."""

    folder: Path
    names: tuple[str, ...] = ()

    def rules(self, settings: Settings) -> FileRules:
        """What counts in it."""
        options = settings.index
        only = ("/*", *(f"!/{_SPECIAL.sub(_ESCAPED, name)}" for name in self.names)) if self.names else ()
        exclude = (*only, *options.exclude, *settings.privacy.exclude)
        return FileRules(exclude, options.max_document_kib, "documents")


def roots(named: Iterable[str], workspace: Path) -> tuple[list[Root], list[str]]:
    """The folders that ``index.documents`` means, each once, and one message for each entry that is wrong.

    Args:
        named: folders and files; what is relative must lie in the workspace, links resolved.
        workspace: the folder that is open.
    """
    folders: set[Path] = set()
    files: set[Path] = set()
    problems: list[str] = []
    for entry in named:
        try:
            place = _place(entry, workspace)
        except MidlineError as error:
            problems.append(f"index.documents: {error}")
            continue
        (folders if place.is_dir() else files).add(place)
    outer = sorted(folder for folder in folders if not folders & set(folder.parents))
    by_folder: dict[Path, list[str]] = {}
    for file in sorted(file for file in files if not folders & set(file.parents)):
        by_folder.setdefault(file.parent, []).append(file.name)
    found = [Root(folder) for folder in outer] + [Root(folder, tuple(names)) for folder, names in by_folder.items()]
    return found, list(dict.fromkeys(problems))


def _place(entry: str, workspace: Path) -> Path:
    """The real path of an entry.

    Raises:
        MidlineError: there is none, or it is not to be indexed.
    """
    try:
        given = Path(entry).expanduser()
        place = (workspace / given).resolve(strict=True)
        there = place.is_dir() or place.is_file()
        home = Path.home()
    except (OSError, RuntimeError, ValueError) as error:  # gone, a loop of links, no such user, a NUL
        raise MidlineError(f"there is no {entry}.", "Name a folder or a file that exists.") from error
    if not there:
        raise MidlineError(f"{entry} is neither a folder nor a file.")
    if not given.is_absolute() and not place.is_relative_to(workspace.resolve()):
        raise MidlineError(
            f"{entry} leads out of the workspace.", "Name it by its absolute path, in your own settings."
        )
    if place in (home, *home.parents):
        raise MidlineError(f"{entry} is no folder of documents.", "Name a folder in it.")
    return place


def open_documents(workspace: Path, settings: Settings) -> tuple[list[Index], list[str]]:
    """An index of each folder of documents, still to be scanned, and what is wrong with the setting.

    Indexes are shared by all workspaces that name a folder with the same rules.
    """
    found, problems = roots(settings.index.documents, workspace)
    indexes: list[Index] = []
    for root in found:
        rules = root.rules(settings)
        folder = folder_of(paths.cache_dir() / "documents", root.folder)
        mark = hashlib.blake2b(repr(rules).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
        try:
            paths.private_dir(folder.parent)
            indexes.append(Index(root.folder, folder.with_name(f"{folder.name}-{mark}"), rules))
        except (MidlineError, OSError, sqlite3.Error) as error:
            problems.append(f"the documents in {root.folder} can't be indexed: {error}")
    return indexes, problems


def open_packages(settings: Settings) -> Packages | None:
    """The indexes of installed packages, if the settings want them; they are shared by all workspaces."""
    if not (settings.index.enabled and settings.index.dependencies):
        return None
    return Packages(paths.cache_dir() / "packages", Workload(workers=1, niceness=5))


@contextmanager
def opened_packages(settings: Settings) -> Iterator[Packages | None]:
    """The same, closed afterwards."""
    packages = open_packages(settings)
    try:
        yield packages
    finally:
        if packages:
            packages.close()


def documents_around(file: Path, workspace: Path, settings: Settings) -> tuple[Path, FileRules] | None:
    """The folder of documents that a file belongs to, and its rules; None for a file of the workspace's own."""
    if is_document(file.name):
        for root in roots(settings.index.documents, workspace)[0]:
            if file.resolve().is_relative_to(root.folder):
                return root.folder, root.rules(settings)
    return None


def left_out(index: Index, known: Sequence[Skipped] = ()) -> str:
    """A sentence on the documents of an index that can't be read, those that are known apart; empty for none."""
    news = [one for one in index.left_out() if one not in known]
    if not news:
        return ""
    shown = "; ".join(f"{index.workspace / one.path}: {one.reason}" for one in news[:_SHOWN])
    more = f"; and {len(news) - _SHOWN} more (`midline index` lists them)" if len(news) > _SHOWN else ""
    return f"{len(news)} document{'s are' if len(news) > 1 else ' is'} left out: {shown}{more}."
