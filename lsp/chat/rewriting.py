"""Lines of a document rewritten by the model: asked for, taken from its answer, checked, asked for once more.

Nothing here changes a document: what comes back is what the lines would become.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lsp.chat.answer import Engine
from lsp.chat.code_checks import elided, new_error, prose, same_code, same_program
from lsp.chat.code_writing import OnText, Writer, Written
from lsp.chat.history import estimated_tokens
from lsp.chat.passages import Passage
from lsp.chat.python_names import undefined
from lsp.chat.python_repairs import renamed, repaired
from lsp.chat.rewriting_prompts import OPENING, complaint, question
from lsp.chat.sources import Source
from lsp.chat.templates import ChatTemplate, Turn
from lsp.chat.wishes import missing, renames
from lsp.engine.protocol import Usage
from lsp.errors import MidlineError

MAX_INSTRUCTION_CHARS = 8_000
# Where an answer repeats the code, so many of the places where the model was least sure of that are tried otherwise.
OTHER_WAYS = 3
_OPENING_TOKENS = sum(estimated_tokens(turn.text) for turn in OPENING)
_SPARE_TOKENS = 96
# An edit may make code longer by so much.
_GROWTH, _GROWTH_TOKENS = 1.5, 160

# What an edit may be about besides the program itself.
_OF_WORDS = re.compile(r"doc|comment|typo|spelling|wording|format|indent|whitespace|blank|line", re.IGNORECASE)

# What a command asks for; the user's own words follow.
COMMANDS = {
    "edit": "",
    "fix": "Fix the problem in this code.",
    "document": "Add documentation to this code, as it is usual in its language. Leave the code itself as it is.",
    "types": "Add type hints to the parameters and the return value. Leave everything else as it is.",
    "tests": "Write tests for this code.",
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
    first = await attempt(turns)
    if first.problem and first.problem.unchanged:
        for begun in _least_sure(first.written, task.language, OTHER_WAYS):
            if not (await attempt(turns, begun=begun, otherwise=True)).problem:
                break
    elif first.problem:
        told = complaint(first.problem.told)
        await attempt([*turns, Turn("assistant", first.written.said), Turn("user", told)])
    best = min(tried, key=lambda one: one.badness)
    if best.problem and best.problem.fatal:
        raise MidlineError(best.problem.message, best.problem.cure)
    reason = best.problem.message if best.problem else ""
    return Rewritten(best.text, len(tried), writer.usage, _ms(writer.usage, began), reason)


@dataclass(frozen=True)
class _Asked:
    """A task as the model reads it."""

    passage: Passage
    question: str
    max_tokens: int


@dataclass(frozen=True)
class _Problem:
    """What is wrong with an answer.

    Args:
        message, cure: as the user is told.
        told: as the model is.
        fatal: whether it can't be used at all.
        unchanged: whether it is just what was there.
    """

    message: str
    told: str
    cure: str = "Say it in other words."
    fatal: bool = True
    unchanged: bool = False


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
    text = question(passage.code, task.language, _instruction(task))
    size = estimated_tokens(passage.code)
    needed = round(size * _GROWTH) + _GROWTH_TOKENS
    room = n_ctx - _OPENING_TOKENS - estimated_tokens(text) - _SPARE_TOKENS
    if needed > min(room, max_tokens):
        lines = task.end_line - task.start_line + 1
        raise MidlineError(
            f"The {lines:,} lines are too long to be rewritten: about {size:,} tokens, "
            f"of {int(min(room, max_tokens) / _GROWTH):,} that the model has for them.",
            "Select less, or set a larger `model.n_ctx`.",
        )
    return _Asked(passage, text, needed)


def _instruction(task: Task) -> str:
    parts = [COMMANDS[task.command], task.instruction.strip(), *task.diagnostics]
    return "\n".join(part for part in parts if part)


def _least_sure(written: Written, language: str, most: int) -> list[str]:
    """How the code goes up to the places where the model was least sure of the next token, the least sure first."""
    code, words = written.code, prose(written.code, language)
    places = [(sure, start) for start, sure in written.pieces if not any(start in one for one in words)]
    return [code[:start] for _, start in sorted(places) if start < len(code)][:most]


def _judged(task: Task, asked: _Asked, written: Written) -> _Candidate:
    """An answer with its slips repaired, and what is wrong with it then."""
    code, old = written.code, asked.passage.code
    if task.language == "python":
        code = renamed(repaired(old, code, task.instruction), renames(task.instruction, old))
    text = asked.passage.as_here(code)
    return _Candidate(written, text, _problem(task, asked, written, code, text))


def _problem(task: Task, asked: _Asked, written: Written, code: str, text: str) -> _Problem | None:
    """What is wrong with what the lines become, the worst first."""
    old = asked.passage.code
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
            unchanged=True,
        )
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
        if names := undefined(asked.passage.code, document, first, first + code.count("\n")):
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
