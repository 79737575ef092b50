"""Lines of a document rewritten by the model: asked for, taken from its answer, checked, asked for once more.

Nothing here changes a document: what comes back is what the lines would become.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from indexer.outline import outline
from lsp.chat.answer import Engine
from lsp.chat.editing.annotating import type_hints, with_known_types
from lsp.chat.editing.checks import Problem, Wish, problem_of, problem_of_tests
from lsp.chat.editing.code_checks import changed_lines, prose
from lsp.chat.editing.code_writing import OnText, Writer, Written
from lsp.chat.editing.documenting import Form, documentation
from lsp.chat.editing.passages import Passage, Surroundings
from lsp.chat.editing.prompts import OPENING, complaint, explained, question, shown_around
from lsp.chat.editing.python_names import newly_undefined
from lsp.chat.editing.python_repairs import header, renamed, repaired, up_to_guard
from lsp.chat.editing.testing import tests_of
from lsp.chat.editing.wishes import renames
from lsp.chat.history import estimated_tokens
from lsp.chat.library import enclosing
from lsp.chat.sources import Source
from lsp.chat.templates import ChatTemplate, Turn
from lsp.engine.protocol import Usage
from lsp.errors import MidlineError

MAX_INSTRUCTION_CHARS = 8_000
# Where an answer repeats the code, so many of the places where the model was least sure of that are tried otherwise.
OTHER_WAYS = 3
_OPENING_TOKENS = sum(estimated_tokens(turn.text) for turn in OPENING)
_SPARE_TOKENS = 96
# A definition of so many lines is shown around lines of it that are to be rewritten.
_MOST_AROUND = 40
# An edit may make code longer by so much.
_GROWTH, _GROWTH_TOKENS = 1.5, 160
_TEST_TOKENS = 400

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
    elif first.problem and first.problem.kind == "guard":
        await attempt(turns, begun=up_to_guard(asked.passage.code))
    elif first.problem and asked.has_room_for_two:
        told = complaint(first.problem.told)
        await attempt([*turns, Turn("assistant", first.written.said), Turn("user", told)])
    best = min(tried, key=lambda one: one.badness)
    if best.problem and best.problem.fatal:
        worst = first.problem or best.problem
        raise MidlineError(worst.message, worst.cure)
    reason = best.problem.message if best.problem else ""
    return Rewritten(best.text, len(tried), writer.usage, _ms(writer.usage, began), reason)


@dataclass(frozen=True)
class _Asked:
    """A task as the model reads it."""

    wish: Wish
    question: str
    max_tokens: int
    form: Form
    surroundings: Surroundings
    has_room_for_two: bool
    """Whether the model can read an answer and write another."""

    @property
    def passage(self) -> Passage:
        """The lines."""
        return self.wish.passage


@dataclass(frozen=True)
class _Candidate:
    """An answer, what the lines become with it, what is wrong with that, and how many lines it changes."""

    written: Written
    text: str
    problem: Problem | None
    changed: int = 0

    @property
    def badness(self) -> tuple[int, float]:
        """Whether there is a problem, and how bad; then how unlikely the answer is, and how much it changes."""
        return 0 if self.problem is None else 1 + self.problem.fatal, self.changed - self.written.likelihood


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
    surroundings = _surroundings(task)
    around = shown_around(task.sources, surroundings.with_lines(passage), task.language)
    text = question(passage.code, task.language, _instruction(task), around)
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
    wish = Wish(passage, task.language, task.instruction, task.command == "document", bool(task.diagnostics))
    return _Asked(wish, text, needed, form, surroundings, 2 * needed <= room)


def _surroundings(task: Task) -> Surroundings:
    """What is around lines within a definition, as far as it is short; else nothing."""
    if task.command == "tests":
        return Surroundings()
    taken = outline(task.text, task.language)
    if any(task.start_line <= one.line and one.end_line <= task.end_line for one in taken.definitions):
        return Surroundings()
    around = enclosing(taken, task.start_line, task.end_line)
    if around is None or around.end_line - around.line >= _MOST_AROUND:
        return Surroundings()
    return Surroundings.of(task.text, around.line, task.start_line, task.end_line, around.end_line)


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


def _instruction(task: Task) -> str:
    found = [explained(diagnostic, task.text) for diagnostic in task.diagnostics]
    return "\n".join(part for part in [COMMANDS[task.command], task.instruction.strip(), *found] if part)


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
    code, old = written.code, asked.passage.code
    if code.startswith(asked.form.begun):
        code = asked.form.fitted(code)
    if task.command == "tests":
        return _Candidate(written, f"{code.rstrip()}\n" if code.strip() else "", problem_of_tests(code, task.language))
    if written.reason in ("length", "repetition"):
        return _Candidate(
            written, "", Problem("The model didn't come to an end.", "The code doesn't end.", "Select less.")
        )
    code = asked.surroundings.cut_from(code)
    if task.language == "python":
        code = renamed(repaired(old, code, task.instruction), renames(task.instruction, old))
        code = with_known_types(code, newly_undefined(asked.passage, code))
    if asked.surroundings.repeated_in(code):
        problem: Problem | None = Problem(
            "The model rewrote what is around the lines.",
            "Write only the code, nothing around it.",
            "Select all of it.",
        )
    else:
        problem = problem_of(asked.wish, code)
    return _Candidate(written, asked.passage.as_here(code), problem, sum(changed_lines(old, code)))


def _ms(usage: Usage, began: float) -> dict[str, float]:
    return {
        "prefill": round(usage.queue_ms + usage.prefill_ms, 1),
        "first_token": round(usage.first_token_ms, 1),
        "generate": round(usage.generate_ms, 1),
        "total": round((time.perf_counter() - began) * 1000, 1),
    }
