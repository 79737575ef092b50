"""Hunks: carried out, they give exactly the new text, whatever the texts and the units positions are counted in."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from edit_support import applied
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from lsp.chat.editing.hunks import Hunk, apply_hunks, hunks_between, keeping_lines
from lsp.chat.editing.target import MAX_CHARS, Target
from lsp.chat.editing.workspace_edit import Abilities, Change
from lsp.documents import Document, split_lines
from lsp.errors import MidlineError

LINE = st.sampled_from(["", "a", "b", "  return x", "täg 🙂 = 1", "\u2028\f", "名 = 2  "])
BREAK = st.sampled_from(["\n", "\r\n", "\n", "\r"])
TEXTS = st.lists(st.tuples(LINE, BREAK), max_size=8).flatmap(
    lambda lines: st.builds(lambda last: "".join(line + end for line, end in lines) + last, LINE)
)


@given(TEXTS, TEXTS)
def test_carried_out_they_give_the_new_text(old: str, new: str) -> None:
    hunks = hunks_between(old, new)
    assert apply_hunks(old, hunks) == new
    starts = {sum(map(len, split_lines(old)[:i])) for i in range(len(split_lines(old)) + 1)}
    assert all(hunk.start in starts and hunk.end in starts for hunk in hunks)
    assert all(old[hunk.start : hunk.end] == hunk.old for hunk in hunks)
    assert all(this.end < following.start for this, following in pairwise(hunks))


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_a_client_gets_the_same_in_its_units(above: str, old: str, new: str, encoding: str) -> None:
    if above and not above.endswith("\n"):
        above += "\n"
    document = Document("file:///a.py", above + old, 3, "python", encoding)
    change = Change(document, hunks_between(old, new, len(above)), "Edit", "")
    edit = change.as_edit(Abilities(versions=True))
    assert edit.document_changes is not None
    (one,) = edit.document_changes
    assert isinstance(one, types.TextDocumentEdit)
    edits = [
        {"range": _as_dict(each.range), "newText": each.new_text} for each in one.edits if hasattr(each, "new_text")
    ]
    assert applied(above + old, edits, encoding) == above + new
    hunks = [hunk | {"range": _as_dict(hunk["range"])} for hunk in change.hunks_as_dicts()]
    assert applied(above + old, hunks, encoding) == above + new


def _as_dict(one: types.Range) -> dict[str, dict[str, int]]:
    ends = {"start": one.start, "end": one.end}
    return {name: {"line": end.line, "character": end.character} for name, end in ends.items()}


@given(TEXTS, TEXTS)
def test_space_at_the_end_of_lines_is_left_alone(old: str, new: str) -> None:
    kept = keeping_lines(old, new)
    assert [line.rstrip() for line in split_lines(kept)] == [line.rstrip() for line in split_lines(new)]
    assert [line.endswith(("\n", "\r")) for line in split_lines(kept)] == [
        line.endswith(("\n", "\r")) for line in split_lines(new)
    ]
    if "\r" not in old.replace("\r\n", "\n"):
        stripped = "\n".join(line.rstrip() for line in split_lines(old))
        assert hunks_between(old, keeping_lines(old, stripped)) == []


def test_only_what_differs_is_touched() -> None:
    old = "def f(a):\n    b = a\n    return b\n"
    assert hunks_between(old, old.replace("b = a", "b = a + 1"), 10) == [Hunk(20, 30, "    b = a\n", "    b = a + 1\n")]


# -- the lines that are edited --------------------------------------------------------------------------------------

TEXT = "import os\n\n\ndef f(a):\n    return a\n\n\ndef g():\n    return 2\n"


def document(text: str, version: int = 1) -> Document:
    return Document("file:///w/a.py", text, version, "python")


def selection(first: int, last: int, character: int = 0) -> types.Range:
    return types.Range(types.Position(first, 0), types.Position(last, character))


def lines_of(*ends: int) -> Target:
    return Target.of(document(TEXT), selection(*ends))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ends", "lines"),
    [
        ((4, 4, 0), (4, 5)),  # nothing selected: the definition
        ((1, 1, 0), (2, 2)),  # none there
        ((4, 4, 7), (5, 5)),  # a part of a line
        ((2, 6, 0), (4, 5)),  # empty lines at the ends
        ((3, 5, 0), (4, 5)),  # whole lines
        ((3, 99, 0), (4, 9)),  # beyond the end
    ],
)
def test_selections_are_widened_to_whole_lines(ends: tuple[int, int, int], lines: tuple[int, int]) -> None:
    target = lines_of(*ends)
    assert (target.start_line, target.end_line) == lines


def test_in_a_long_definition_the_lines_around_do() -> None:
    long = "def f():\n" + "    x = 1\n" * 200 + "\n\ny = 1\n"
    at = selection(100, 100)
    near, whole = Target.of(document(long), at, near=True), Target.of(document(long), at)
    assert (near.start_line, near.end_line) == (86, 116)
    assert (whole.start_line, whole.end_line) == (1, 201)
    assert Target.of(document(long), selection(2, 2), near=True).start_line == 1


def test_no_selection_is_the_whole_document() -> None:
    target = Target.of(document(TEXT), None)
    assert (target.start_line, target.end_line) == (1, 9)
    assert Target.of(document(""), None).old == ""


def test_a_selection_that_no_model_rewrites() -> None:
    with pytest.raises(MidlineError, match="too long"):
        Target.of(document("x = 1\n" * (MAX_CHARS // 5)), None)


@pytest.mark.parametrize(
    ("now", "edited"),
    [
        (TEXT, TEXT.replace("return a", "return -a")),
        (TEXT.replace("return 2", "return 3"), TEXT.replace("return 2", "return 3").replace("return a", "return -a")),
        (f"x = 1\n{TEXT}", f"x = 1\n{TEXT}".replace("return a", "return -a")),
        (TEXT.replace("import os\n", ""), TEXT.replace("import os\n", "").replace("return a", "return -a")),
    ],
)
def test_lines_are_found_again_where_what_is_above_or_below_is_as_it_was(now: str, edited: str) -> None:
    hunks = lines_of(3, 5).hunks("def f(a):\n    return -a\n", document(now, 2))
    assert apply_hunks(now, hunks) == edited


@pytest.mark.parametrize(
    "now",
    [
        TEXT.replace("return a", "return b"),
        TEXT.replace("def f", "def h"),
        f"x = 1\n{TEXT}y = 2\n",
        "",
        TEXT.replace("def f(a):\n", ""),
    ],
)
def test_what_has_changed_is_not_touched(now: str) -> None:
    with pytest.raises(MidlineError, match="changed meanwhile"):
        lines_of(3, 5).hunks("def f(a):\n    return -a\n", document(now, 2))


def test_a_closed_document_is_not_touched() -> None:
    with pytest.raises(MidlineError, match="closed"):
        lines_of(3, 5).hunks("x", None)


# -- what clients take -------------------------------------------------------------------------------------------------

HUNKS = [Hunk(0, 10, "import os\n", "import re\n")]


def test_edits_as_far_as_the_client_takes_them() -> None:
    change = Change(document(TEXT, 4), HUNKS, "Edit: re", "a.py")
    plain = change.as_edit(Abilities())
    assert plain.document_changes is None
    assert plain.changes == {"file:///w/a.py": [types.TextEdit(selection(0, 1), "import re\n")]}
    versioned = change.as_edit(Abilities(versions=True))
    assert versioned.change_annotations is None
    full = change.as_edit(Abilities(versions=True, confirmation=True))
    assert full.change_annotations == {"midline": types.ChangeAnnotation("Edit: re", True, "a.py")}
    assert full.document_changes is not None
    (one,) = full.document_changes
    assert isinstance(one, types.TextDocumentEdit)
    assert one.text_document.version == 4
    assert isinstance(one.edits[0], types.AnnotatedTextEdit)


def test_a_file_that_is_created() -> None:
    change = Change(document("").sibling("file:///w/b.py"), [Hunk(0, 0, "", "x\n")], "Write tests", "", creates=True)
    edit = change.as_edit(Abilities(versions=True, confirmation=True, creation=True))
    assert edit.document_changes is not None
    created, written = edit.document_changes
    assert isinstance(created, types.CreateFile)
    assert isinstance(written, types.TextDocumentEdit)
    assert (created.uri, written.text_document.version, created.annotation_id) == ("file:///w/b.py", None, "midline")


def test_abilities_are_what_is_announced() -> None:
    full = types.WorkspaceEditClientCapabilities(
        document_changes=True,
        resource_operations=[types.ResourceOperationKind.Create],
        change_annotation_support=types.ChangeAnnotationsSupportOptions(),
    )

    def able(edit: types.WorkspaceEditClientCapabilities | None) -> Abilities:
        workspace = types.WorkspaceClientCapabilities(apply_edit=True, workspace_edit=edit)
        return Abilities.of(types.ClientCapabilities(workspace=workspace))

    assert able(full) == Abilities(True, True, True, True)
    assert able(None) == Abilities(applies=True)
    assert able(types.WorkspaceEditClientCapabilities()) == Abilities(applies=True)
    assert Abilities.of(types.ClientCapabilities()) == Abilities()
    assert replace(able(full), versions=False) != Abilities()
