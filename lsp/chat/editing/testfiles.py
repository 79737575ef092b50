"""Where the tests of a file belong, by the conventions of its workspace, and how new ones are added to a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from indexer.outline import outline
from indexer.query import is_test
from lsp.chat.editing.code_checks import new_error
from lsp.chat.editing.hunks import Hunk, hunks_between
from lsp.chat.editing.workspace_edit import Abilities
from lsp.chat.library import Library
from lsp.chat.requests import Opened
from lsp.completion.sources import TEST_NAME, TEST_NAMES, counterpart_of
from lsp.documents import Document, cursor_from_file, split_lines, with_plain_breaks
from lsp.errors import MidlineError

# Where there is nothing to go by: the name, and the folder ("." is the source's own).
_USUAL = {
    ".go": ("{}_test", "."),
    ".js": ("{}.test", "."),
    ".jsx": ("{}.test", "."),
    ".ts": ("{}.test", "."),
    ".tsx": ("{}.test", "."),
    ".rb": ("{}_spec", "spec"),
    ".java": ("{}Test", "."),
    ".kt": ("{}Test", "."),
}
_OTHERWISE = ("test_{}", "tests")
# Tests that are looked at for the workspace's habits.
_ASKED = 40


@dataclass
class TestFile:
    """The file that the tests of another one go to.

    Args:
        document: as it was last looked at; one that isn't open has no version.
        is_new: whether there is no such file yet.
    """

    __test__ = False

    document: Document
    is_new: bool

    @classmethod
    def of(cls, path: str, source: Document, library: Library, opened: Opened, able: Abilities) -> TestFile:
        """The test file of a document. Reads the index and the disk.

        Args:
            path: of the document, in the workspace.
            source: the document.
            library: the workspace.
            opened: gives the document of a URI, if the editor has it open.
            able: what the client can.

        Raises:
            MidlineError: there can't be one, or it may not be read, or the client can't create it.
        """
        root = library.workspace
        if root is None or source.fs_path is None or not source.fs_path.is_relative_to(root):
            raise MidlineError("Only files in the open folder get tests.", "Save the file in the folder, or open its.")
        if is_test_file(path):
            raise MidlineError(f"{path} holds tests itself.", "Ask in the file that is to be tested.")
        file = root / file_of_tests(path, library.paths())
        library.place_at(file, "")  # raises where it is private
        document = source.sibling(file.as_uri())
        found = cls(document, is_new=opened(document.uri) is None and not file.exists())
        if found.is_new and not able.creation:
            raise MidlineError(
                f"There is no {file.relative_to(root)} yet, and this editor lets no server create files.",
                "Create it, and ask again.",
            )
        found.look(opened)
        return found

    def look(self, opened: Opened) -> None:
        """Take it as it is now.

        Raises:
            MidlineError: it can't be read, or isn't text.
        """
        here, file = opened(self.document.uri), self.document.fs_path
        assert file is not None
        if here and (here.binary or here.oversized):
            raise MidlineError(f"{file} is too large, or binary.", "Move it away.")
        if here:
            self.document, self.is_new = here, False
        elif not self.is_new:
            self.document = self.document.sibling(self.document.uri, cursor_from_file(file, 1, None).text)

    def with_more(self, code: str, opened: Opened) -> list[Hunk]:
        """What changes where new tests are added to the file as it is now.

        Raises:
            MidlineError: it can't be read any more, or wouldn't parse with them.
        """
        self.look(opened)
        text, language = self.document.source, self.document.language
        after = with_tests(text, code, language)
        if found := new_error(text, after, language):
            raise MidlineError(f"With these tests, the file wouldn't parse: line {found[0]}.", "Ask again.")
        return hunks_between(text, after)


def is_test_file(path: str) -> bool:
    """Whether a file holds tests, by its name."""
    return TEST_NAME.search(PurePosixPath(path).stem) is not None


def file_of_tests(path: str, paths: Iterable[str]) -> str:
    """The path of the file that a file's tests are in, or belong in.

    Args:
        path: of the file, relative to the workspace.
        paths: all files of the workspace.
    """
    known = list(paths)
    tests = [one for one in known if is_test(one)]
    found, reason = counterpart_of(path, tests)
    if reason == "its test":
        return found
    pure = PurePosixPath(path)
    name, folder = _habit(pure, known) or _USUAL.get(pure.suffix, _OTHERWISE)
    place = pure.parent if folder == "." else PurePosixPath(folder)
    return (place / f"{name.format(pure.stem)}{pure.suffix}").as_posix()


def _habit(pure: PurePosixPath, known: list[str]) -> tuple[str, str] | None:
    """What most tests of the same kind of file do: their names' pattern, and the folder that it gives for this file."""
    sources = [one for one in known if not is_test(one)]
    tests = [one for one in known if is_test_file(one) and one.endswith(pure.suffix)]
    nearest = sorted(tests, key=lambda one: -len(set(PurePosixPath(one).parts) & set(pure.parts)))[:_ASKED]
    habits: Counter[tuple[str, str]] = Counter()
    for one in nearest:
        test = PurePosixPath(one)
        stem = TEST_NAME.sub("", test.stem)
        source, _ = counterpart_of(one, sources)
        folder = _folder_for(pure.parent, PurePosixPath(source).parent, test.parent) if source else str(test.parent)
        habits.update((name, folder) for name in TEST_NAMES if name.format(stem) == test.stem)
    return habits.most_common(1)[0][0] if habits else None


def _folder_for(folder: PurePosixPath, source: PurePosixPath, test: PurePosixPath) -> str:
    """The folder of the tests of what is in ``folder``, if those of what is in ``source`` are in ``test``."""
    if test.is_relative_to(source) and source.parts:  # beside it, or in a folder below
        return str(folder / test.relative_to(source))
    if test == source:
        return str(folder)
    differing = [pair for pair in zip(source.parts, test.parts, strict=False) if pair[0] != pair[1]]
    if len(source.parts) == len(test.parts) and len(differing) == 1:  # src/main/java/… and src/test/java/…
        (old, new), *_ = differing
        return str(PurePosixPath(*(new if part == old else part for part in folder.parts)))
    return str(test)


def with_tests(text: str, code: str, language: str) -> str:
    """A file of tests with more of them: behind those that it has, imports with the imports.

    Args:
        text: of the file; empty for a new one.
        code: the new tests, with their imports.
        language: of both.
    """
    if not text.strip():
        return code.strip("\n") + "\n"
    newline = "\r\n" if "\r\n" in text else "\n"
    imports, rest = _split_imports(with_plain_breaks(code), language)
    lines = split_lines(text)
    present = {line.strip() for line in lines}
    added = [line + newline for line in imports if line not in present]
    places = [one.line for one in outline(text, language).imports if lines[one.line - 1][:1].strip()]
    at = _end_of_statement(lines, max(places)) if places else 0
    whole = "".join([*lines[:at], *added, *lines[at:]]).rstrip()
    gap = newline * (3 if language == "python" else 2)
    return whole + gap + rest.strip("\n").replace("\n", newline) + newline


def _split_imports(code: str, language: str) -> tuple[list[str], str]:
    """The imports of one line at the top level of some code, and the rest of it."""
    lines = code.split("\n")
    taken = [
        one.line - 1
        for one in outline(code, language).imports
        if lines[one.line - 1][:1].strip() and _end_of_statement(lines, one.line) == one.line
    ]
    rest = "\n".join(line for i, line in enumerate(lines) if i not in taken)
    return [lines[i].strip() for i in sorted(set(taken))], rest


def _end_of_statement(lines: list[str], first: int) -> int:
    """The line, from 1, in which the brackets that a line opens are closed."""
    depth, at = 0, first - 1
    while at < len(lines):
        depth += sum(map(lines[at].count, "([{")) - sum(map(lines[at].count, ")]}"))
        at += 1
        if depth <= 0:
            break
    return at
