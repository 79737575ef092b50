"""What chat may read of the workspace: files by their paths, taken apart, with secrets painted over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer.chunk import Definition, Outline, split_lines
from indexer.index import Index
from indexer.languages import language_of
from indexer.outline import outline
from indexer.search import Hit
from indexer.secrets import is_secret_file, redact
from lsp.errors import MidlineError

_MAX_FILE_BYTES = 2_000_000


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
    """The files of a workspace.

    Args:
        index: knows them; None where there is no index.
        workspace: the folder; None where there is none.
        is_private: which files are never shown to a model.
    """

    def __init__(
        self, index: Index | None, workspace: Path | None, is_private: Callable[[Path], bool] = lambda path: False
    ) -> None:
        self.index = index
        self.workspace = workspace
        self._is_private = is_private

    def paths(self) -> list[str]:
        """All files of the index, by their paths in the workspace."""
        return sorted(self.index.view().by_path) if self.index else []

    def text(self, path: str) -> str | None:
        """A file's text, unsaved before saved; None where it isn't there or may not be read."""
        taken = self.index.outline(path) if self.index else None
        return taken[1] if taken else self._from_disk(path)

    def outline(self, path: str) -> tuple[Outline, str] | None:
        """A file taken apart, and its text; None where it isn't there or may not be read."""
        taken = self.index.outline(path) if self.index else None
        if taken:
            return taken
        text = self._from_disk(path)
        return (outline(text, language_of(path)), text) if text is not None else None

    def line_count(self, path: str) -> int:
        """How many lines a file has; 0 where it isn't there."""
        text = self.text(path)
        if not text:
            return 0
        return len(split_lines(text)) - text.endswith("\n")

    def _from_disk(self, path: str) -> str | None:
        """A file that the index doesn't hold, as long as it is a text inside the workspace."""
        if self.workspace is None or not path or "\0" in path:
            return None
        try:
            file = (self.workspace / path).resolve()
            inside = file.is_relative_to(self.workspace.resolve())
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

    def search(self, question: str, count: int) -> list[Hit]:
        """What of the workspace answers a question, best first."""
        return self.index.search(question, count) if self.index else []

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
