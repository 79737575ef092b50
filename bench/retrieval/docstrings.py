"""Questions that authors answered in advance: a docstring's first sentence, whose function is wanted without it."""

from __future__ import annotations

import ast
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.retrieval.questions import Place, Question
from bench.train_embedder.pairs import first_sentence

_WORDS = re.compile(r"[^\W\d_]{2,}")
_LEAST, _MOST = 4, 40  # words of a question
_TESTS = re.compile(r"(^|/)(tests?|testing)(/|$)|(^|/)test_")
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def stripped_copy(source: Path, target: Path) -> None:
    """Copy a package's Python files without the docstrings of classes and functions; every line keeps its number."""
    shutil.rmtree(target, ignore_errors=True)
    for file in source.rglob("*.py"):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(without_docstrings(file.read_text("utf-8", "replace")), "utf-8")


def without_docstrings(text: str) -> str:
    """A Python file whose docstrings of classes and functions are empty, with as many line ends in them."""
    data = text.encode()
    lines = data.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for _, node in reversed(list(_documented(text))):
        said = node.body[0]
        first = starts[said.lineno - 1] + said.col_offset
        end = starts[(said.end_lineno or said.lineno) - 1] + (said.end_col_offset or 0)
        data = data[:first] + b'"""' + b"\n" * data[first:end].count(b"\n") + b'"""' + data[end:]
    return data.decode()


def questions(source: Path, most: int = 250, seed: int = 0) -> list[Question]:
    """At most ``most`` questions on a package's functions, a sample.

    Left out are sentences that are said twice, that also stand in the code without its docstrings (the answer's own or
    another's), and those of tests.
    """
    found: list[Question] = []
    left = []
    for file in sorted(source.rglob("*.py")):
        path = file.relative_to(source).as_posix()
        text = file.read_text("utf-8", "replace")
        left.append(" ".join(without_docstrings(text).split()))
        if not _TESTS.search(path):
            found += [Question(sentence, (place,)) for sentence, place in _asked(text, path)]
    times = Counter(question.text for question in found)
    code = "\n".join(left)
    once = [question for question in found if times[question.text] == 1 and question.text not in code]
    return random.Random(seed).sample(once, min(most, len(once)))


def _asked(text: str, path: str) -> Iterator[tuple[str, Place]]:
    for outer, node in _documented(text):
        if isinstance(node, ast.ClassDef) or isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        sentence = first_sentence(ast.get_docstring(node) or "")
        if _LEAST <= len(_WORDS.findall(sentence)) <= _MOST:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield sentence, Place(path, first, node.end_lineno or node.lineno)


def _documented(text: str) -> list[tuple[ast.AST, _Documented]]:
    """What has a docstring, with what encloses it, in the file's order."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    found: list[tuple[ast.AST, _Documented]] = []
    todo: list[tuple[ast.AST, ast.AST]] = [(tree, child) for child in ast.iter_child_nodes(tree)]
    while todo:
        outer, node = todo.pop()
        documented = isinstance(node, _Documented)
        if documented and ast.get_docstring(node, clean=False) is not None:
            found.append((outer, node))
        todo += [(node if documented else outer, child) for child in ast.iter_child_nodes(node)]
    return sorted(found, key=lambda pair: pair[1].body[0].lineno)
