"""Lines of a document rewritten by the model: asked for, taken from its answer, checked, asked for once more.

Nothing here changes a document: what comes back is what the lines would become.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from lsp.chat.answer import Engine, looping
from lsp.chat.code_answers import Block, code_in
from lsp.chat.code_checks import elided, new_error, same_code
from lsp.chat.history import estimated_tokens
from lsp.chat.passages import Passage
from lsp.chat.rewriting_prompts import OPENING, complaint, fence_for, question
from lsp.chat.sources import Source
from lsp.chat.templates import ChatTemplate, Turn
from lsp.chat.thinking import Thinking
from lsp.engine.protocol import Text, Usage
from lsp.errors import MidlineError

SEQUENCE = "edit"
"""The key of the KV sequence of all edits: each goes on from what they open with."""

ATTEMPTS = 2
MAX_INSTRUCTION_CHARS = 8_000
# The template is told one time for all edits, so that their prompts begin alike.
_BEGAN = datetime(2026, 1, 1)
_OPENING_TOKENS = sum(estimated_tokens(turn.text) for turn in OPENING)
_SPARE_TOKENS = 96
# An edit may make code longer by so much.
_GROWTH, _GROWTH_TOKENS = 1.5, 160

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


OnText = Callable[[str], None]
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
    turns = [*OPENING, Turn("user", asked.question)]
    usage, problem = Usage(), None
    for attempt in range(1, ATTEMPTS + 1):
        on_attempt(attempt)
        written = await _write(engine, template, turns, asked, on_text)
        usage = _sum(usage, written.usage)
        text = asked.passage.as_here(written.code)
        problem = _problem(task, asked, written, text)
        if problem is None:
            return Rewritten(text, attempt, usage, _ms(usage, began))
        turns += [Turn("assistant", written.answer), Turn("user", complaint(problem.told))]
    assert problem is not None
    raise MidlineError(problem.message, problem.cure)


@dataclass(frozen=True)
class _Asked:
    """A task as the model reads it."""

    passage: Passage
    question: str
    fence: str
    max_tokens: int


@dataclass
class _Written:
    """What the model wrote."""

    answer: str
    code: str
    reason: str
    usage: Usage


@dataclass(frozen=True)
class _Problem:
    """Why an answer can't be used: as the user is told, and as the model is."""

    message: str
    cure: str
    told: str


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
    return _Asked(passage, text, fence_for(passage.code), needed)


def _instruction(task: Task) -> str:
    parts = [COMMANDS[task.command], task.instruction.strip(), *task.diagnostics]
    return "\n".join(part for part in parts if part)


async def _write(
    engine: Engine, template: ChatTemplate, turns: Sequence[Turn], asked: _Asked, on_text: OnText
) -> _Written:
    """Ask once. The fence is opened for the model, so that it begins with the code; one that thinks first does it."""
    prompt = await asyncio.to_thread(template.prompt, turns, _BEGAN)
    language = asked.question.partition(asked.fence)[2].partition("\n")[0]
    opened = "" if prompt.thinking else f"{asked.fence}{language}\n"
    segments = [*prompt.segments, Text(opened)] if opened else prompt.segments
    generation = engine.generate(SEQUENCE, segments, max_tokens=asked.max_tokens, heal=False, priority="chat")
    block, thinking = Block(asked.fence), Thinking(prompt.thinking)
    reason = ""
    try:
        async for token in generation:
            for kind, text in thinking.feed(token.text):
                if kind == "answer" and opened and (piece := block.feed(text)):
                    on_text(piece)
            if not reason and block.closed:
                reason = "eog"
                generation.cancel()
            elif not reason and (looping(thinking.answer) or looping(thinking.reasoning)):
                reason = "repetition"
                generation.cancel()
    except asyncio.CancelledError:
        generation.cancel()
        raise
    for _, text in thinking.finish():
        block.feed(text)
    code = block.code if opened else code_in(thinking.answer)
    if not opened:
        on_text(code)
    said = f"{opened}{block.code.rstrip()}\n{asked.fence}" if opened else thinking.answer
    return _Written(said, code.strip("\n"), reason or generation.reason, msgspec.structs.replace(generation.usage))


def _problem(task: Task, asked: _Asked, written: _Written, text: str) -> _Problem | None:
    """What is wrong with an answer."""
    if written.reason in ("length", "repetition"):
        return _Problem(
            "The model didn't come to an end.", "Select less, or say it in other words.", "the code doesn't end."
        )
    if not written.code.strip():
        return _Problem("The model wrote no code.", "Say it in other words.", "there is no code.")
    if same_code(text, asked.passage.text):
        return _Problem(
            "The model changed nothing.",
            "Say it in other words, or select just the lines to change.",
            "nothing has changed. Carry out the instruction.",
        )
    if left_out := elided(asked.passage.text, text):
        return _Problem(
            f"The model left code out: {left_out!r}.",
            "Select less.",
            f"`{left_out}` stands for code that was left out. Write all of it.",
        )
    if found := new_error(task.text, asked.passage.document(text), task.language):
        line, at = found
        return _Problem(
            f"What the model wrote doesn't parse: line {line}: {at.strip()[:80]}",
            "Say it in other words, or select a whole definition.",
            f"there is a syntax error at `{at.strip()}`.",
        )
    return None


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.tokens_evaluated + other.tokens_evaluated,
        one.tokens_reused + other.tokens_reused,
        one.tokens_generated + other.tokens_generated,
        one.queue_ms + other.queue_ms,
        one.prefill_ms + other.prefill_ms,
        one.first_token_ms or other.first_token_ms,
        one.generate_ms + other.generate_ms,
    )


def _ms(usage: Usage, began: float) -> dict[str, float]:
    return {
        "prefill": round(usage.queue_ms + usage.prefill_ms, 1),
        "first_token": round(usage.first_token_ms, 1),
        "generate": round(usage.generate_ms, 1),
        "total": round((time.perf_counter() - began) * 1000, 1),
    }
