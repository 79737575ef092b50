"""The code in a model's answer, and the small repairs of it that are clearly right."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^[ \t]*(?P<marks>`{3,}|~{3,})[^\n`]*$", re.MULTILINE)


@dataclass
class Block:
    """Takes what a model writes behind an opened fence, piece by piece, up to the line that closes it.

    Args:
        fence: the marks that opened it.
    """

    fence: str
    code: str = ""
    closed: bool = False
    _shown: int = 0

    def feed(self, text: str) -> str:
        """The next piece; gives back what of the code can be shown now."""
        if self.closed:
            return ""
        self.code += text
        end = self._end()
        if end is not None:
            self.code, self.closed = self.code[:end], True
        # What may become the closing line is held back.
        last = self.code.rfind("\n") + 1
        held = not self.closed and self.code[last:].strip(" \t`") == ""
        sure = last if held else len(self.code)
        piece, self._shown = self.code[self._shown : sure], max(self._shown, sure)
        return piece

    def _end(self) -> int | None:
        found = re.search(rf"^[ \t]*{self.fence}`*[ \t]*(?=\n|$)", self.code, re.MULTILINE)
        return found.start() if found else None


def code_in(answer: str) -> str:
    """The code of a whole answer: what stands in its longest block; all of it where it has none."""
    blocks: list[str] = []
    position = 0
    while opening := _FENCE.search(answer, position):
        closing = re.compile(rf"^[ \t]*{re.escape(opening['marks'])}[ \t]*$", re.MULTILINE).search(
            answer, opening.end()
        )
        end = closing.start() if closing else len(answer)
        blocks.append(answer[opening.end() : end].strip("\n"))
        position = closing.end() if closing else len(answer)
    return max(blocks, key=len) if blocks else answer.strip("\n")
