"""What is wrong with what a model made of some lines: what can't be used at all, and what may not be what was asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lsp.chat.editing.code_checks import changed_lines, elided, new_error, same_code, same_program
from lsp.chat.editing.passages import Passage
from lsp.chat.editing.python_names import newly_undefined, undefined
from lsp.chat.editing.python_repairs import guarded, loses_definition
from lsp.chat.editing.wishes import missing

# What an edit may be about besides the program itself.
_OF_WORDS = re.compile(
    r"doc|comment|typo|spelling|wording|format|indent|whitespace|blank line|line break", re.IGNORECASE
)

# What may make code shorter, and by how much it may become shorter without.
_OF_LESS = re.compile(
    r"remov|delet|drop|instead|replac|\buse\b|simplif|convert|inline|comprehension|short|without|refactor|clean|merge"
    r"|rewrite|extract|move|strip|split|combine|turn",
    re.IGNORECASE,
)
_LOST_LINES = 2


@dataclass(frozen=True)
class Problem:
    """What is wrong with an answer.

    Args:
        message, cure: as the user is told.
        told: as the model is.
        fatal: whether it can't be used at all.
        kind: ``unchanged`` where it is just what was there, ``lost`` where the definition isn't in it, ``guard`` where
            a condition on a parameter isn't.
    """

    message: str
    told: str
    cure: str = "Say it in other words."
    fatal: bool = True
    kind: Literal["", "unchanged", "lost", "guard"] = ""


@dataclass(frozen=True)
class Wish:
    """What lines are to become.

    Args:
        passage: the lines.
        language: theirs.
        instruction: the user's words.
        documents: whether nothing but documentation may be added.
        complained: whether a tool complains of the lines.
    """

    passage: Passage
    language: str
    instruction: str
    documents: bool = False
    complained: bool = False


def problem_of_tests(code: str, language: str) -> Problem | None:
    """What is wrong with new tests."""
    if not code.strip():
        return Problem("The model wrote no test that can be used.", "There is no test of it.", "Select one function.")
    if found := new_error("", code, language):
        return Problem(f"The tests that the model wrote don't parse: {found[1].strip()[:80]}", "It doesn't parse.")
    return None


def problem_of(wish: Wish, code: str) -> Problem | None:
    """What is wrong with the code that lines become, the worst first; None where nothing is found.

    Args:
        wish: what they are to become.
        code: what they would, without their common indentation.
    """
    old = wish.passage.code
    if wish.documents and not same_program(old, code, wish.language):
        return Problem("The model changed more than the documentation.", "Leave the code as it is.")
    if not code.strip():
        return Problem("The model wrote no code.", "There is no code.")
    wants_words = wish.documents or _OF_WORDS.search(wish.instruction)
    if same_code(old, code) or (not wants_words and same_program(old, code, wish.language)):
        return Problem(
            "The model changed nothing.",
            "Nothing has changed. Carry out the instruction.",
            "Say it in other words, or select just the lines to change.",
            kind="unchanged",
        )
    if wish.language == "python" and loses_definition(old, code):
        told = "The definition itself is missing. Write all of the code."
        return Problem("The model left the definition out.", told, "Select less.", kind="lost")
    if left_out := elided(old, code):
        told = f"`{left_out}` stands for code that was left out. Write all of it."
        return Problem(f"The model left code out: {left_out!r}.", told, "Select less.")
    passage = wish.passage
    document = passage.document(passage.as_here(code))
    if found := new_error(passage.document(passage.text), document, wish.language):
        line, at = found[0], found[1].strip()
        return Problem(
            f"What the model wrote doesn't parse: line {line}: {at[:80]}", f"There is a syntax error at `{at}`."
        )
    return _doubt(wish, code, document)


def _doubt(wish: Wish, code: str, document: str) -> Problem | None:
    """What may be wrong with code that can be used."""
    if lacking := missing(wish.instruction, wish.passage.code, code, wish.language):
        return Problem(lacking, lacking, fatal=False)
    went, came = changed_lines(wish.passage.code, code)
    if went - came >= _LOST_LINES and not _OF_LESS.search(wish.instruction):
        told = f"It has {went - came} lines less."
        return Problem(told, f"{told} Keep what isn't to be changed.", fatal=False)
    if wish.language == "python" and not guarded(wish.instruction, wish.passage.code, code):
        told = "The condition that was asked for is missing."
        return Problem(told, told, fatal=False, kind="guard")
    if wish.language == "python":
        text = wish.passage.as_here(code)
        first = wish.passage.before.count("\n") + 1
        # What a tool complains of may be one of those that nobody defined before.
        complained = undefined(document, first, first + text.count("\n")) if wish.complained else []
        if names := complained or newly_undefined(wish.passage, code):
            told = f"`{names[0]}` is not defined."
            return Problem(told, told, fatal=False)
    return None
