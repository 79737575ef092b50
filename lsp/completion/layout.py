"""The order of an infilling prompt's parts, for each way in which models were trained; written, and read back.

In each, what stands between the anchor and the cursor comes last, so that typing only appends. Layouts with a middle
token begin it there, as if the model had written it; those without go on from the prefix.

Which models use which, by what description, is in `lsp/models/fim`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from lsp.engine.protocol import Segment, Special, SpecialName, Text
from lsp.models.fim import LayoutName

# A word in angle brackets is a special token, the others are parts of the prompt:
#   SPACE    one, which tokenizers of this kind put before a text
#   CONTEXT  code of elsewhere, as comments
#   FILES    code of elsewhere: for each file a separator, its path, a line break, and its code
#   ENDED    the same with the separators behind
#   PATH     the file's own path and a line break
_ORDERS: dict[LayoutName, str] = {
    "psm": "<bos> <prefix> CONTEXT PREFIX <suffix> SUFFIX <middle> MIDDLE",
    "psm_spaced": "<bos> <prefix> SPACE CONTEXT PREFIX <suffix> SUFFIX <middle> MIDDLE",
    "spm": "<bos> <suffix> SUFFIX <prefix> CONTEXT PREFIX MIDDLE",
    "spm_spaced": "<bos> <suffix> SUFFIX <prefix> SPACE CONTEXT PREFIX MIDDLE",
    "spm_middle": "<bos> <suffix> SUFFIX <prefix> CONTEXT PREFIX <middle> MIDDLE",
    # Bavarian et al. (arXiv:2207.14255, appendix D) prefer this for training with the suffix first.
    "spm_nested": "<bos> <prefix> <suffix> SUFFIX <middle> CONTEXT PREFIX MIDDLE",
    "spm_nested_spaced": "<bos> <prefix> <suffix> SUFFIX <middle> SPACE CONTEXT PREFIX MIDDLE",
    "starcoder2": "<bos> FILES <separator> <prefix> PATH PREFIX <suffix> SUFFIX <middle> MIDDLE",
    "codegemma": "<bos> ENDED PATH <prefix> PREFIX <suffix> SUFFIX <middle> MIDDLE",
    "mellum": "<bos> FILES <separator> PATH <suffix> SUFFIX <prefix> PREFIX <middle> MIDDLE",
}
# To read a prompt, its special tokens become characters that no text has, and it is matched as a whole.
_MARKS: dict[SpecialName, str] = {name: chr(0xD800 + i) for i, name in enumerate(get_args(SpecialName))}  # surrogates
_SPECIAL = {f"<{name}>": Special(name) for name in _MARKS}
_TEXT = "[^\ud800-\udfff]*"
_PATTERNS = {
    **{f"<{name}>": mark for name, mark in _MARKS.items()},
    "<bos>": f"{_MARKS['bos']}?",
    "SPACE": " ?",
    "CONTEXT": "",
    "FILES": f"(?P<files>(?:{_MARKS['separator']}{_TEXT})*?)",
    "ENDED": f"(?P<files>(?:{_TEXT}{_MARKS['separator']})*?)",
    "PATH": r"(?P<path>[^\n\ud800-\udfff]*)\n",
    "PREFIX": f"(?P<prefix>{_TEXT})",
    "SUFFIX": f"(?P<suffix>{_TEXT})",
    "MIDDLE": f"(?P<middle>{_TEXT})",
}


@dataclass(frozen=True)
class Parts:
    """What a prompt consists of.

    Args:
        prefix: the text before the anchor.
        suffix: the text after the cursor.
        middle: the text from the anchor to the cursor.
        comments: context as comments, for layouts that have no files.
        files: context as pairs of path and text, for those that do.
        path: the file's own, for those too.
    """

    prefix: str
    suffix: str
    middle: str
    comments: str = ""
    files: tuple[tuple[str, str], ...] = ()
    path: str = ""


@dataclass(frozen=True)
class Layout:
    """One order of the parts."""

    name: LayoutName
    order: tuple[str, ...]

    @cached_property
    def has_files(self) -> bool:
        """Whether context stands in it as files, not as comments."""
        return "CONTEXT" not in self.order

    @cached_property
    def prefix_first(self) -> bool:
        """Whether prompts that differ in the suffix begin alike."""
        return self.order.index("PREFIX") < self.order.index("SUFFIX")

    @cached_property
    def goes_on(self) -> bool:
        """Whether the middle follows the prefix without a token between them."""
        return self.order[-2] == "PREFIX"

    def write(self, parts: Parts) -> list[Segment]:
        """The prompt. The last segment is the middle's text: all before it stays as it is while something is typed."""
        segments: list[Segment] = []
        text = ""
        for item in self.order:
            if item.isupper() and item not in ("FILES", "ENDED", "MIDDLE"):
                text += _text(item, parts)
                continue
            segments += [Text(text)] if text else []
            text = ""
            if item == "MIDDLE":
                segments.append(Text(parts.middle))
            elif item.isupper():
                segments += _files(parts.files, ended=item == "ENDED")
            else:
                segments.append(_SPECIAL[item])
        return segments

    def read(self, segments: Sequence[Segment]) -> Parts | None:
        """The parts of a prompt that was written in this layout; None where it wasn't.

        Comments are the prefix's beginning; where the middle goes on from the prefix, it is the prefix's end.
        """
        found = self._pattern.fullmatch("".join(map(_shown, segments)))
        if found is None:
            return None
        texts = found.groupdict("")
        files = [file.partition("\n") for file in texts.get("files", "").split(_MARKS["separator"]) if file]
        return Parts(
            texts["prefix"],
            texts["suffix"],
            texts.get("middle", ""),
            files=tuple((path, text) for path, _, text in files),
            path=texts.get("path", ""),
        )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        order = self.order[:-1] if self.goes_on else self.order
        return re.compile("".join(_PATTERNS[item] for item in order))


def _text(item: str, parts: Parts) -> str:
    match item:
        case "SPACE":
            return " "
        case "CONTEXT":
            return parts.comments
        case "PATH":
            return f"{parts.path}\n"
        case "PREFIX":
            return parts.prefix
        case _:
            return parts.suffix


def _files(files: Sequence[tuple[str, str]], *, ended: bool) -> list[Segment]:
    segments: list[Segment] = []
    for path, text in files:
        file = Text(f"{path}\n{text}")
        segments += [file, Special("separator")] if ended else [Special("separator"), file]
    return segments


def _shown(segment: Segment) -> str:
    return _MARKS[segment.name] if isinstance(segment, Special) else segment.text


LAYOUTS: dict[LayoutName, Layout] = {name: Layout(name, tuple(order.split())) for name, order in _ORDERS.items()}
"""All of them, by name."""
