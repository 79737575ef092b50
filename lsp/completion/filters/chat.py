"""Instruction-tuned models talk: about the code that they write, and around it."""

from __future__ import annotations

import re

from lsp.completion.nesting import Open, read
from lsp.completion.place import Place

_FENCE_FIRST = re.compile(r"\s*```[\w+#.-]*[ \t]*\n")
_TALK = re.compile(
    r"^[ \t]*(?:(?:Sure|Certainly|Of course|Okay|Here(?:'s| is| are)|I(?:'ve| have|'ll| will)|Let me|Let's"
    r"|To (?:complete|do|fix|implement|solve)|In (?:this|the above)|This (?:code|function|implementation|method)"
    r"|The (?:above|code|completed?|following|function|given|method|missing|provided)|Note that|Explanation"
    r"|Example usage|You can|Human|Assistant|User)\b)[^;={}()\[\]]*[.:!?,][ \t]*$",
    re.MULTILINE,
)
_WORDS = re.compile(r"[A-Za-z']+ [A-Za-z']+")


def cut_chat(text: str, place: Place) -> str:
    """Markdown's fences and phrases of a conversation, and what follows them."""
    if place.mode in ("comment", "docstring", "text"):
        return _cut_fence(text, place)
    # Whatever it says first, code follows in a fence.
    opening = _FENCE_FIRST.search(text) if _TALK.match(text.lstrip("\n")) else _FENCE_FIRST.match(text)
    if opening and not place.before.strip():
        text = text[opening.end() :].removeprefix(place.before)
    text = _cut_fence(text, place)
    for talk in _TALK.finditer(text):
        above = place.before + text[: talk.start()]
        said = talk.group().strip()
        if _WORDS.search(said) and (talk.start() or not place.before.strip()) and not _quoted(above, place):
            return text[: talk.start()]
    return text


def _cut_fence(text: str, place: Place) -> str:
    if place.language == "markdown":
        return text
    for fence in re.finditer("```", text):
        above = place.before + text[: fence.start()]
        # Documentation has fences of its own: in a string, a comment, or a comment's line behind a star.
        if not _quoted(above, place) and not above.rpartition("\n")[2].lstrip().startswith("*"):
            return text[: fence.start()]
    return text


def _quoted(text: str, place: Place) -> bool:
    """Whether a string or comment is open behind ``text``, which begins with the cursor's line."""
    return bool(read(text, place.language, Open(quote=place.string)).quote)
