"""What chat may read: the workspace's files by their paths, documents, and installed packages; secrets painted over.

What lies outside of the workspace goes by its absolute path. Of HTML and PDF documents, the text is what was extracted,
and lines are those of that text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from indexer.chunk import Definition, Import, Outline, split_lines
from indexer.documents import is_document, is_extracted
from indexer.embedding.embedder import TextReranker
from indexer.environment import Package, asked_packages, imported_packages, packages_named
from indexer.index import Index
from indexer.languages import language_of
from indexer.outline import outline, parse
from indexer.packages import Packages
from indexer.search import Hit
from indexer.secrets import is_secret_file, redact
from lsp.errors import MidlineError

_MAX_FILE_BYTES = 2_000_000
_PACKAGE_SECONDS = 1.0
_GLANCE_SECONDS = 0.2  # for packages that a question may not be about
_MOST_PACKAGES = 4
_MOST_SELECTED = 1_000  # characters


@dataclass(frozen=True)
class Place:
    """Where the user is.

    Args:
        path: of the file, relative to the workspace where it lies in it.
        text: what the editor has of it.
        start_line, end_line: the selection, from 1, the last line included; both 0 for the file as a whole.
    """

    path: str
    text: str
    start_line: int = 0
    end_line: int = 0


class Library:
    """The files of a workspace, and the user's documents.

    Args:
        index: knows the former; None where there is no index.
        workspace: the folder; None where there is none.
        is_private: which files are never shown to a model.
        documents: the indexes of folders of documents.
        packages: those of installed packages; None where they don't count.
    """

    def __init__(
        self,
        index: Index | None,
        workspace: Path | None,
        is_private: Callable[[Path], bool] = lambda path: False,
        documents: Sequence[Index] = (),
        packages: Packages | None = None,
    ) -> None:
        self.index = index
        self.workspace = workspace
        self._is_private = is_private
        self._documents = documents
        self._packages = packages

    def paths(self) -> list[str]:
        """All files of the index, by their paths in the workspace."""
        return sorted(self.index.view().by_path) if self.index else []

    def documents(self) -> list[str]:
        """All documents: those of the workspace, and those in the folders that the user names."""
        own = {path for path in self.paths() if is_document(path)}
        named = {self._shown(folder, path) for folder in self._documents for path in folder.view().by_path}
        return sorted(own | {path for path in named if not self._is_hidden(path)})

    def text(self, path: str) -> str | None:
        """A file's text, unsaved before saved; None where it isn't there or may not be read."""
        taken = self._taken(path)
        return taken[1] if taken else self._from_disk(path)

    def outline(self, path: str) -> tuple[Outline, str] | None:
        """A file taken apart, and its text; None where it isn't there or may not be read."""
        taken = self._taken(path)
        if taken:
            return taken
        text = self._from_disk(path)
        return (outline(text, language_of(path)), text) if text is not None else None

    def _taken(self, path: str) -> tuple[Outline, str] | None:
        """What an index has of a file; of HTML and PDF, a folder of documents has more than the workspace."""
        own = self.index.outline(path) if self.index else None
        return self._document(path) or own if is_extracted(path) or not own else own

    def _document(self, path: str) -> tuple[Outline, str] | None:
        found = self._holder(path)
        return found[0].outline(found[1]) if found else None

    def _holder(self, path: str) -> tuple[Index, str] | None:
        """The index of the folder that a document is in, and its path there."""
        if not self._documents or self._is_hidden(path):
            return None
        file = self._absolute(path)
        for folder in self._documents:
            if file.is_relative_to(folder.workspace):
                inside = file.relative_to(folder.workspace).as_posix()
                if inside in folder.view().by_path:
                    return folder, inside
        return None

    def _absolute(self, path: str) -> Path:
        return (self.workspace or Path("/")) / path

    def _shown(self, folder: Index, path: str) -> str:
        """The path of a file of a folder's index, as it is shown: within the workspace if it lies there."""
        file = folder.workspace / path
        inside = self.workspace is not None and file.is_relative_to(self.workspace)
        return file.relative_to(self.workspace or file).as_posix() if inside else str(file)

    def _is_hidden(self, path: str) -> bool:
        return self._is_private(self._absolute(path))

    def line_count(self, path: str) -> int:
        """How many lines a file has; 0 where it isn't there."""
        text = self.text(path)
        if not text:
            return 0
        return len(split_lines(text)) - text.endswith("\n")

    def _from_disk(self, path: str) -> str | None:
        """A file that the index doesn't hold, as long as it is a text inside the workspace, or of a package."""
        if self.workspace is None or not path or "\0" in path:
            return None
        try:
            file = (self.workspace / path).resolve()
            inside = file.is_relative_to(self.workspace.resolve()) or (self._packages and self._packages.holds(file))
            if not inside or self._is_private(file) or is_secret_file(path) or not file.is_file():
                return None
            if file.stat().st_size > _MAX_FILE_BYTES:
                return None
            data = file.read_bytes()
            return None if b"\0" in data else redact(data.decode("utf-8-sig"))[0]
        except (OSError, ValueError):
            return None

    def definitions(self, name: str, most: int = 16) -> list[tuple[str, Definition]]:
        """Who defines a name (``run``, ``Session.run``), with the paths."""
        if self.index is None:
            return []
        scope, _, last = name.replace("::", ".").rpartition(".")
        view = self.index.view()
        files = [file for file, _, _ in view.store.defining([last], most)] + list(view.overlays)
        found = []
        for file in dict.fromkeys(files):
            try:
                taken, _ = view.outline(file)
            except KeyError:
                continue
            found += [
                (view.files[file].path, one)
                for one in taken.definitions
                if one.name == last and (not scope or f".{one.scope}".endswith(f".{scope}"))
            ]
        return found[:most]

    def known(self, names: Iterable[str]) -> set[str]:
        """Which of these identifiers some file defines."""
        return self.index.known_names(names) if self.index else set()

    def search(self, question: str, count: int, reranker: TextReranker | None = None) -> list[Hit]:
        """What of the workspace and of the documents answers a question, best first."""
        indexes = [*filter(None, [self.index]), *self._documents]
        if not indexes:
            return []
        first, *others = indexes
        if first is self.index and not others:
            return first.search(question, count, reranker=reranker)
        # Some may be in two indexes.
        found = first.search_beside(others, question, 2 * count, reranker=reranker)
        hits = [
            replace(hit, path=self._shown(index, hit.path)) for index, hit in found if self._counts(index, hit.path)
        ]
        return hits[:count]

    def _counts(self, index: Index, path: str) -> bool:
        """Whether a hit is to be shown: what two indexes have is the workspace's, but for HTML and PDF documents."""
        if index is self.index:
            return not (is_extracted(path) and self._holder(path))
        shown = self._shown(index, path)
        own = self.index.view().by_path if self.index else {}
        return (shown not in own or is_extracted(shown)) and not self._is_hidden(shown)

    def headings_at(self, path: str, line: int) -> tuple[str, int]:
        """The section of a document that a line is in, and its page; empty and 0 where there is no such thing."""
        taken = self._taken(path) if is_document(path) else None
        around = [one for one in taken[0].chunks if one.start_line <= line <= one.end_line] if taken else []
        if not around:
            return "", 0
        return around[-1].symbol if around[-1].kind == "section" else "", around[-1].page

    def packages_for(self, question: str, place: Place | None = None, count: int = 6) -> list[Hit]:
        """What the installed packages that a question is about offer for it, best first.

        It is about those that it, or the selection, names, or something imported from them; where there are none, about
        what the file at hand imports, if that offers something of a name in the question. A package that nobody asked
        about before is indexed first: for a second at most, then it goes on for the next question.
        """
        if self._packages is None or self.workspace is None:
            return []
        imports = self.index.imports() if self.index else []
        at_hand = _imports_of(place) if place else []
        if place and place.start_line:
            selected = lines_of(place.text, place.start_line, place.end_line)
            question = f"{question}\n{selected[:_MOST_SELECTED]}"
        named = packages_named(asked_packages(question, [*imports, *at_hand]), self.workspace)
        wanted = named or packages_named(imported_packages(at_hand), self.workspace)
        wanted = [package for package in wanted if not self._is_own(package)][:_MOST_PACKAGES]
        found = self._packages.search(wanted, question, count, _PACKAGE_SECONDS if named else _GLANCE_SECONDS)
        if not named:
            found = [(index, hit) for index, hit in found if hit.reason.startswith("defines ")]
        return [replace(hit, path=self._shown(index, hit.path)) for index, hit in found]

    def _is_own(self, package: Package) -> bool:
        """Whether the workspace is where the package is made."""
        paths = self.index.view().by_path if self.index else {}
        modules = (f"{package.name}.py", f"{package.name}/__init__.py")
        return any(module in paths or f"src/{module}" in paths for module in modules)

    def place_at(self, file: Path, text: str, start_line: int = 0, end_line: int = 0) -> Place:
        """A place in a file, its secrets painted over.

        Raises:
            MidlineError: the file is private.
        """
        if self._is_private(file):
            raise MidlineError(f"privacy.exclude names {file}.", "Ask about another file, or change that setting.")
        inside = self.workspace is not None and file.is_relative_to(self.workspace)
        path = file.relative_to(self.workspace or file).as_posix() if inside else str(file)
        return Place(path, redact(text)[0], start_line, end_line)


def _imports_of(place: Place) -> list[tuple[str, str, tuple[Import, ...]]]:
    language = language_of(place.path)
    return [(place.path, language, parse(place.text, language).imports)]


def lines_of(text: str, start: int, end: int) -> str:
    """Some lines of a text, from 1, the last one included."""
    return "\n".join(split_lines(text)[start - 1 : end])


def enclosing(taken: Outline, start: int, end: int) -> Definition | None:
    """The smallest definition that holds these lines."""
    around = [one for one in taken.definitions if one.line <= start and end <= one.end_line]
    return min(around, key=lambda one: one.end_line - one.line, default=None)


def qualified(one: Definition) -> str:
    """A definition's name with what encloses it."""
    return f"{one.scope}.{one.name}".lstrip(".")


def stem(path: str) -> str:
    """A file's name without folders."""
    return PurePosixPath(path).name
