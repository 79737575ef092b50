"""The tasks of the bench of edits: their tests tell an edited function from the unedited one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.chat import edits_judge
from bench.chat.edits_tasks import PYTHON, Given, given, tasks


def of_python(names: set[str]) -> list[Given]:
    """The tasks whose functions are in Python itself: they need no download."""
    found = [given(task, Path()) for task in tasks() if task.package == PYTHON and task.name in names]
    return [one for one in found if one]


def test_there_are_enough_tasks_of_many_kinds_in_two_parts() -> None:
    named = [task.name for task in tasks()]
    assert len(named) == len(set(named)) >= 60
    parts = Counter(task.part for task in tasks())
    assert min(parts.values()) >= 30
    assert len({task.kind for task in tasks()}) >= 8


@pytest.mark.parametrize("name", ["escape-none", "range-one-line", "quotes-types", "netloc-constant"])
def test_a_task_fails_unedited_and_passes_with_a_right_edit(name: str) -> None:
    for one in of_python({name}):
        assert edits_judge.verdict(one, one.code)
        assert not edits_judge.verdict(one, one.solved())
        assert not edits_judge.added_errors(one, one.solved())


def test_a_diagnostic_names_the_line_of_the_bug() -> None:
    for one in of_python({"version-undefined"}):
        line = int(one.diagnostics[0].removeprefix("line ").partition(":")[0])
        assert "string[:3]" in one.text.splitlines()[line - 1]


def test_an_edit_that_adds_a_parse_error_is_found() -> None:
    for one in of_python({"escape-none"}):
        assert edits_judge.added_errors(one, one.code.replace("(s, quote", "(s quote"))
        assert not edits_judge.added_errors(one, one.code)
