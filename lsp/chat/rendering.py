"""``python -m lsp.chat.rendering``: render chat templates, each a line of JSON on stdin, and print a line for each.

A model file is anybody's, and so is its template. It runs in Jinja's sandbox, in a process of its own with little
memory, little time and no files, and says no more than fits. An answer is ``{"text"}``, or the ``{"reason"}`` for none.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from indexer.limits import limit_process

MAX_OUTPUT_CHARS = 256 * 1024
CPU_SECONDS = 4
_MEMORY_BYTES = 512 * 1024 * 1024


class _Generation(Extension):
    """``{% generation %}``, with which some templates mark what to train on: what is inside, as it is."""

    tags = {"generation"}  # noqa: RUF012  (as Jinja declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def render(template: str, variables: dict[str, Any], now: datetime) -> str:
    """The text that a chat template makes of its variables.

    Args:
        template: Jinja, as models' makers write it for Hugging Face's ``apply_chat_template``.
        variables: ``messages``, ``bos_token`` and so on.
        now: the time that the template is told.

    Raises:
        ValueError: the template is wrong, refuses the messages, or makes too much of them.
    """
    pieces: list[str] = []
    size = 0
    try:
        for piece in _compiled(template).generate(variables | {"strftime_now": now.strftime}):
            size += len(piece)
            if size > MAX_OUTPUT_CHARS:
                raise ValueError(f"it makes more than {MAX_OUTPUT_CHARS:,} characters")
            pieces.append(piece)
    except TemplateError as error:
        raise ValueError(_one_line(error)) from error
    except ValueError:
        raise
    except Exception as error:  # whatever a template's expression may raise
        raise ValueError(f"{type(error).__name__}: {_one_line(error)}") from error
    return "".join(pieces)


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    # Jinja's own makes HTML of it.
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals |= {"raise_exception": _refuse}
    return environment.from_string(template)


def _refuse(message: object) -> None:
    raise TemplateError(str(message))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def main() -> int:
    """Render what the lines of stdin hold, until there is none or one has taken too much; returns the exit code."""
    limit_process(CPU_SECONDS, _MEMORY_BYTES)
    for line in sys.stdin:
        asked = json.loads(line)
        exhausted = False
        try:
            text = render(asked["template"], asked["variables"], datetime.fromisoformat(asked["now"]))
            answer = {"text": text}
        except ValueError as error:
            answer = {"reason": str(error)}
        except (MemoryError, RecursionError) as error:
            answer = {"reason": str(error) or type(error).__name__}
            exhausted = True
        print(json.dumps(answer), flush=True)
        if exhausted:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
