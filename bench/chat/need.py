"""Whether a question needs the repository: how often that is told, over questions as people ask them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lsp.chat.need import needs_context

_WRITTEN = Path(__file__).with_name("need.toml")


@dataclass(frozen=True)
class Message:
    """A message, and whether a reader would look into the repository to answer it."""

    text: str
    needed: bool
    part: str

    @property
    def is_chinese(self) -> bool:
        """Whether it is asked in Chinese."""
        return any("\u4e00" <= letter <= "\u9fff" for letter in self.text)


def messages() -> list[Message]:
    """The messages of ``need.toml``."""
    listed = tomllib.loads(_WRITTEN.read_text("utf-8"))
    return [
        Message(text, kind == "needed", part)
        for part in ("tune", "final")
        for kind in ("needed", "not_needed")
        for text in listed[part][kind]
    ]


def need_report() -> dict[str, object]:
    """The share of messages that are told right, by half and by what they are; no identifier counts as known."""
    report: dict[str, object] = {}
    for part in ("tune", "final"):
        for needed in (True, False):
            some = [one for one in messages() if (one.part, one.needed) == (part, needed)]
            wrong = [one for one in some if needs_context(one.text, _nothing) != needed]
            chinese = [one for one in some if one.is_chinese]
            report[f"{'needed' if needed else 'not needed'}, {part}"] = {
                "right": f"{len(some) - len(wrong)} of {len(some)}",
                "Chinese": f"{len(chinese) - sum(one.is_chinese for one in wrong)} of {len(chinese)}",
            }
    return report


def _nothing(names: Iterable[str]) -> set[str]:
    return set()
