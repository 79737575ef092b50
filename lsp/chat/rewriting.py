"""Lines of a document rewritten by the model: asked for, taken from its answer, checked, asked for once more.

Nothing here changes a document: what comes back is what the lines would become.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, Literal

from indexer.languages import language_of
from lsp.chat.annotating import type_hints, with_known_types
from lsp.chat.answer import Engine
from lsp.chat.code_checks import elided, new_error, prose, same_code, same_program
from lsp.chat.code_writing import OnText, Writer, Written
from lsp.chat.documenting import Form, documentation
from lsp.chat.history import estimated_tokens
from lsp.chat.passages import Passage
from lsp.chat.python_names import undefined
from lsp.chat.python_repairs import header, loses_definition, renamed, repaired
from lsp.chat.rewriting_prompts import OPENING, complaint, fenced, question
from lsp.chat.sources import Source
from lsp.chat.templates import ChatTemplate, Turn
from lsp.chat.testing import tests_of
from lsp.chat.wishes import missing, renames
from lsp.documents import split_lines
from lsp.engine.protocol import Usage
from lsp.errors import MidlineError

MAX_INSTRUCTION_CHARS = 8_000
# Where an answer repeats the code, so many of the places where the model was least sure of that are tried otherwise.
OTHER_WAYS = 3
_OPENING_TOKENS = sum(estimated_tokens(turn.text) for turn in OPENING)
_SPARE_TOKENS = 96
# An edit may make code longer by so much.
_GROWTH, _GROWTH_TOKENS = 1.5, 160
_TEST_TOKENS = 400

# What an edit may be about besides the program itself.
_OF_WORDS = re.compile(r"doc|comment|typo|spelling|wording|format|indent|whitespace|blank|line", re.IGNORECASE)

_LINE = re.compile(r"line (\d+):\s*")
_UNDEFINED = re.compile(
    r"(?:undefined|undeclared|unresolved|not defined|cannot find|unknown)[^`'\"]*[`'\"](\w+)[`'\"]"
    r"|[`'\"](\w+)[`'\"][^`'\"]*(?:not defined|undefined)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z_]\w+")

# What a command asks for; the user's own words follow.
COMMANDS = {
    "edit": "",
    "fix": "Fix the problem in this code.",
    "document": "Document this code, as it is usual in its language, in one to five lines.",
    "types": "Add type hints to the parameters and the return value. Leave everything else as it is.",
    "tests": "Write short tests for this code.",
}


@dataclass(frozen=True)
class Task:
    """What is to be rewritten.

    Args:
        command: one of ``COMMANDS``.
        instruction: the user's words; may be empty but for ``edit``.
        language: LSP's identifier.
        path: of the file, as it is shown.
        text: the whole document as the editor has it.
        start_line, end_line: the lines to rewrite, from 1, the last one included.
        diagnostics: what tools say of them, ``line 12: message``.
        sources: what else the model should know.
    """

    command: str
    instruction: str
    language: str
    path: str
    text: str
    start_line: int
    end_line: int
    diagnostics: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass
class Rewritten:
    """What came of a task.

    Args:
        text: what the lines become, line ends and indentation as in the document; of ``tests``, the new test code.
        attempts: how often the model was asked.
        usage: what all attempts cost, in tokens.
        ms: milliseconds by phase: ``prefill``, ``first_token``, ``generate``, ``total``.
        reason: empty where all is as asked; else what may be missing, a sentence.
    """

    text: str
    attempts: int = 1
    usage: Usage = field(default_factory=Usage)
    ms: dict[str, float] = field(default_factory=dict)
    reason: str = ""


OnAttempt = Callable[[int], None]


async def rewrite(
    engine: Engine,
    template: ChatTemplate,
    task: Task,
    *,
    max_tokens: int = 2048,
    on_text: OnText = lambda text: None,
    on_attempt: OnAttempt = lambda number: None,
) -> Rewritten:
    """Have lines rewritten.

    Args:
        engine: runs the model.
        template: how it is chatted with.
        task: what is to be done.
        max_tokens: the most that an answer may be, whatever the size of the lines.
        on_text: told of each piece of code as it comes.
        on_attempt: told that an attempt begins, with its number, from 1: what came before is void.

    Raises:
        MidlineError: it can't be done, or what the model wrote can't be used; the message says why.
        asyncio.CancelledError: the caller was cancelled.
    """
    began = time.perf_counter()
    state = await engine.ready()
    asked = _asked(task, state.n_ctx, max_tokens)
    writer = Writer(engine, template, task.language)
    tried: list[_Candidate] = []

    async def attempt(turns: list[Turn], **options: Any) -> _Candidate:
        on_attempt(len(tried) + 1)
        written = await writer.write(turns, asked.passage.code, asked.max_tokens, on_text, **options)
        tried.append(_judged(task, asked, written))
        return tried[-1]

    turns = [*OPENING, Turn("user", asked.question)]
    first = await attempt(turns, begun=asked.form.begun, ended=asked.form.ended)
    if first.problem and asked.form.begun:
        # Nothing that it could be told would help: with the second best word it may.
        await attempt(turns, begun=asked.form.begun, ended=asked.form.ended, otherwise=True)
    elif first.problem and first.problem.kind == "unchanged":
        for begun, sure in _least_sure(first.written, task.language, OTHER_WAYS):
            await attempt(turns, begun=begun, sure=sure, otherwise=True)
    elif first.problem and first.problem.kind == "lost":
        await attempt(turns, begun=f"{first.written.code}\n\n\n{header(asked.passage.code)}")
    elif first.problem:
        told = complaint(first.problem.told)
        await attempt([*turns, Turn("assistant", first.written.said), Turn("user", told)])
    best = min(tried, key=lambda one: (one.badness, -one.written.likelihood))
    if best.problem and best.problem.fatal:
        told = first.problem or best.problem
        raise MidlineError(told.message, told.cure)
    reason = best.problem.message if best.problem else ""
    return Rewritten(best.text, len(tried), writer.usage, _ms(writer.usage, began), reason)


@dataclass(frozen=True)
class _Asked:
    """A task as the model reads it."""

    passage: Passage
    question: str
    max_tokens: int
    form: Form


@dataclass(frozen=True)
class _Problem:
    """What is wrong with an answer.

    Args:
        message, cure: as the user is told.
        told: as the model is.
        fatal: whether it can't be used at all.
        kind: ``unchanged`` where it is just what was there, ``lost`` where the definition isn't in it.
    """

    message: str
    told: str
    cure: str = "Say it in other words."
    fatal: bool = True
    kind: Literal["", "unchanged", "lost"] = ""


@dataclass(frozen=True)
class _Candidate:
    """An answer, what the lines become with it, and what is wrong with that."""

    written: Written
    text: str
    problem: _Problem | None

    @property
    def badness(self) -> int:
        """0 for one without a problem, 2 for one that can't be used."""
        return 0 if self.problem is None else 1 + self.problem.fatal


def _asked(task: Task, n_ctx: int, max_tokens: int) -> _Asked:
    """Raises ``MidlineError``: it can't be asked."""
    if task.command not in COMMANDS:
        raise MidlineError(f"There is no command {task.command!r}.", f"There are {', '.join(COMMANDS)}.")
    if task.command == "edit" and not task.instruction.strip():
        raise MidlineError("The instruction is empty.", "Say what is to be changed.")
    if len(task.instruction) > MAX_INSTRUCTION_CHARS:
        raise MidlineError(
            f"The instruction has {len(task.instruction):,} characters.",
            f"Say it in {MAX_INSTRUCTION_CHARS:,} at the most.",
        )
    passage = Passage.of(task.text, task.start_line, task.end_line)
    text = question(passage.code, task.language, _instruction(task), _around(task.sources))
    form = _form(task, passage)
    size = estimated_tokens(passage.code)
    needed = _TEST_TOKENS if task.command == "tests" else round(size * _GROWTH) + _GROWTH_TOKENS
    room = n_ctx - _OPENING_TOKENS - estimated_tokens(text) - estimated_tokens(form.begun) - _SPARE_TOKENS
    if needed > min(room, max_tokens):
        raise MidlineError(
            f"The {passage.lines:,} lines are too long to be rewritten: about {size:,} tokens, "
            f"of {max(0, int((min(room, max_tokens) - _GROWTH_TOKENS) / _GROWTH)):,} that the model has for them.",
            "Select less, or set a larger `model.n_ctx`.",
        )
    return _Asked(passage, text, needed, form)


def _form(task: Task, passage: Passage) -> Form:
    """How the answer is begun, and what becomes of it; nothing special but for some commands."""
    known: Form | None = None
    if task.command == "document":
        known = documentation(passage.code, task.language)
    elif task.command == "types" and task.language == "python":
        known = type_hints(passage.code)
    elif task.command == "tests" and task.language == "python":
        known = tests_of(task.text, task.path, task.start_line, task.end_line)
    return known or Form()


def _around(sources: tuple[Source, ...]) -> str:
    """What the model reads of the sources, before the code."""
    shown = "\n\n".join(fenced(source.text.strip("\n"), language_of(source.path)) for source in sources)
    return f"Defined elsewhere, not to be repeated:\n{shown}" if shown else ""


def _instruction(task: Task) -> str:
    found = [_explained(diagnostic, task.text) for diagnostic in task.diagnostics]
    return "\n".join(part for part in [COMMANDS[task.command], task.instruction.strip(), *found] if part)


def _explained(diagnostic: str, text: str) -> str:
    """A diagnostic with the line that it is about in the place of its number, and the name that may be meant."""
    place = _LINE.match(diagnostic)
    lines = split_lines(text)
    if place and 0 < int(place[1]) <= len(lines):
        diagnostic = f"{diagnostic[place.end() :].rstrip('.')}, in the line `{lines[int(place[1]) - 1].strip()}`."
    if found := _UNDEFINED.search(diagnostic):
        name = found[1] or found[2]
        meant = get_close_matches(name, sorted(set(_WORD.findall(text)) - {name}), 1)
        diagnostic += f" Is `{meant[0]}` meant?" if meant else ""
    return diagnostic


def _least_sure(written: Written, language: str, most: int) -> list[tuple[str, float]]:
    """How the code goes up to the places where the model was least sure of the next token, the least sure first.

    With each, the log-likelihood of the code up to there.
    """
    code, words = written.code, prose(written.code, language)
    likelihoods = accumulate((sure for _, sure in written.pieces), initial=0.0)
    places = [
        (sure, start, before)
        for (start, sure), before in zip(written.pieces, likelihoods, strict=False)
        if start < len(code) and not any(start in one for one in words)
    ]
    return [(code[:start], before) for _, start, before in sorted(places)[:most]]


def _judged(task: Task, asked: _Asked, written: Written) -> _Candidate:
    """An answer with its slips repaired, and what is wrong with it then."""
    code, old = asked.form.fitted(written.code), asked.passage.code
    if task.command == "tests":
        return _Candidate(written, code.rstrip() + "\n" if code.strip() else "", _problem_of_tests(task, code))
    if task.language == "python":
        code = renamed(repaired(old, code, task.instruction), renames(task.instruction, old))
        code = _with_known_types(task, asked, code)
    text = asked.passage.as_here(code)
    return _Candidate(written, text, _problem(task, asked, written, code, text))


def _with_known_types(task: Task, asked: _Asked, code: str) -> str:
    """Code whose new type hints name nothing that isn't there."""
    document = asked.passage.document(asked.passage.as_here(code))
    first = asked.passage.before.count("\n") + 1
    unknown = undefined(asked.passage.code, document, first, first + code.count("\n"))
    return with_known_types(code, unknown)


def _problem_of_tests(task: Task, code: str) -> _Problem | None:
    if not code.strip():
        return _Problem("The model wrote no test that can be used.", "There is no test of it.", "Select one function.")
    if found := new_error("", code, task.language):
        return _Problem(f"The tests that the model wrote don't parse: {found[1].strip()[:80]}", "It doesn't parse.")
    return None


def _problem(task: Task, asked: _Asked, written: Written, code: str, text: str) -> _Problem | None:
    """What is wrong with what the lines become, the worst first."""
    old = asked.passage.code
    if task.command == "document" and not same_program(old, code, task.language):
        return _Problem("The model changed more than the documentation.", "Leave the code as it is.")
    if written.reason in ("length", "repetition"):
        return _Problem("The model didn't come to an end.", "The code doesn't end.", "Select less.")
    if not code.strip():
        return _Problem("The model wrote no code.", "There is no code.")
    wants_words = task.command == "document" or _OF_WORDS.search(task.instruction)
    if same_code(old, code) or (not wants_words and same_program(old, code, task.language)):
        return _Problem(
            "The model changed nothing.",
            "Nothing has changed. Carry out the instruction.",
            "Say it in other words, or select just the lines to change.",
            kind="unchanged",
        )
    if task.language == "python" and loses_definition(old, code):
        told = "The definition itself is missing. Write all of the code."
        return _Problem("The model left the definition out.", told, "Select less.", kind="lost")
    if left_out := elided(old, code):
        told = f"`{left_out}` stands for code that was left out. Write all of it."
        return _Problem(f"The model left code out: {left_out!r}.", told, "Select less.")
    document = asked.passage.document(text)
    if found := new_error(task.text, document, task.language):
        line, at = found[0], found[1].strip()
        return _Problem(
            f"What the model wrote doesn't parse: line {line}: {at[:80]}", f"There is a syntax error at `{at}`."
        )
    return _doubt(task, asked, code, document)


def _doubt(task: Task, asked: _Asked, code: str, document: str) -> _Problem | None:
    """What may be wrong with code that can be used."""
    if lacking := missing(task.instruction, asked.passage.code, code, task.language):
        return _Problem(lacking, lacking, fatal=False)
    if task.language == "python":
        first = asked.passage.before.count("\n") + 1
        old = "" if task.diagnostics else asked.passage.code  # what a tool complains of may be one of those
        if names := undefined(old, document, first, first + code.count("\n")):
            told = f"`{names[0]}` is not defined."
            return _Problem(told, told, fatal=False)
    return None


def _ms(usage: Usage, began: float) -> dict[str, float]:
    return {
        "prefill": round(usage.queue_ms + usage.prefill_ms, 1),
        "first_token": round(usage.first_token_ms, 1),
        "generate": round(usage.generate_ms, 1),
        "total": round((time.perf_counter() - began) * 1000, 1),
    }
