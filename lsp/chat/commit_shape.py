"""What a model wrote, made a commit's message: a short subject, and a wrapped body."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence

from lsp.chat.editing.code_answers import code_in

SUBJECT_CHARS = BODY_CHARS = 72

_LEAD_IN = re.compile(
    r"^(?:(?:sure|certainly|okay|ok|of course)\b[^\n]*[:!.]\s*\n+|(?:here(?:'s| is| are)|the (?:commit )?message|"
    r"this is|based on)\b[^\n]*:\s*\n+)+",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:\*\*)?(?:commit message|subject|title|summary|message|body|description)(?:\*\*)?:(?:\*\*)?\s*",
    re.IGNORECASE,
)
_TRAILER = re.compile(r"^(?:signed-off-by|co-authored-by|reviewed-by|acked-by|tested-by|change-id|cc):", re.IGNORECASE)
_BULLET = re.compile(r"^(?:[-*•+]|\d+[.)])\s+")
_ENDS = (". ", "。", "; ", "；", ": ", " – ", " - ", ", ", "，")


def in_shape(answer: str, subjects: Sequence[str]) -> tuple[str, str]:
    """Subject and body of a commit from what a model wrote.

    Code fences, lead-ins ("Here is …"), labels ("Subject:") and trailers that nobody signed are left out. A subject
    that is too long is cut where a part of it ends, and stands whole in the body.
    """
    text = code_in(_LEAD_IN.sub("", answer.strip())).strip()
    lines = [_LABEL.sub("", line.strip()) for line in text.split("\n") if not _TRAILER.match(line.strip())]
    while lines and not re.search(r"\w", lines[0]):
        lines.pop(0)
    if not lines:
        return "", ""
    first, *rest = lines
    said = _plain(_BULLET.sub("", first))
    if not mostly(subjects, lambda subject: subject.endswith(".")) and not said.endswith("..."):
        said = said.removesuffix(".").rstrip()
    subject = shortened(said)
    body = _wrapped(([said, ""] if subject != said else []) + rest)
    return subject, body


def _plain(line: str) -> str:
    """A line without the marks of Markdown around it."""
    line = line.lstrip("# \t").rstrip()
    for mark in ("**", "`", '"', "'"):
        if len(line) > 2 * len(mark) and line.startswith(mark) and line.endswith(mark) and line.count(mark) == 2:
            line = line[len(mark) : -len(mark)].strip()
    return line.lstrip("# \t")


def mostly(subjects: Sequence[str], holds: Callable[[str], bool]) -> bool:
    """Whether something holds for most subjects."""
    return 2 * sum(map(holds, subjects)) > len(subjects)


def shortened(line: str) -> str:
    """A line of ``SUBJECT_CHARS`` at the most, cut where a part of the sentence ends, else between words."""
    if len(line) <= SUBJECT_CHARS:
        return line
    ends = [line.rfind(mark, 0, SUBJECT_CHARS) for mark in _ENDS]
    at = max(ends)
    if at < SUBJECT_CHARS // 3:
        at = line.rfind(" ", 0, SUBJECT_CHARS + 1)
    return line[: at if at > 0 else SUBJECT_CHARS].rstrip(" ,;:.-–，。；")


def _wrapped(lines: Sequence[str]) -> str:
    """Paragraphs and lists, wrapped."""
    blocks: list[tuple[str, str]] = []  # what stands before a block's first line, and its text
    fresh = True
    for line in map(_plain, lines):
        bullet = _BULLET.match(line)
        if not line or set(line) <= set("-=*_"):
            fresh = True
        elif bullet:
            blocks.append(("- ", line[bullet.end() :]))
            fresh = False
        elif fresh:
            blocks.append(("", line))
            fresh = False
        else:
            mark, text = blocks[-1]
            blocks[-1] = mark, f"{text} {line}"
    wrapped = ""
    for i, (mark, text) in enumerate(blocks):
        gap = "" if not i else "\n" if mark and blocks[i - 1][0] else "\n\n"
        wrapped += gap + textwrap.fill(
            text,
            BODY_CHARS - 1 if "#" in text else BODY_CHARS,
            initial_indent=mark,
            subsequent_indent=" " * len(mark),
            break_long_words=not text.isascii(),
            break_on_hyphens=False,
        )
    return re.sub(r"(?m)^#", " #", wrapped)  # or git takes it for a comment
