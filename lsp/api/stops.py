"""The texts at which an answer ends, found while it comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lsp.api.refused import RefusedError

MOST_STOPS = 32
_LONGEST = 1_000


def read_stops(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """The texts that a request names; empty ones don't count.

    Raises:
        RefusedError: there are too many, or one is too long.
    """
    texts = [given] if isinstance(given, str) else given or []
    found = tuple(dict.fromkeys(text for text in texts if text))
    if len(found) > MOST_STOPS or any(len(text) > _LONGEST for text in found):
        raise RefusedError(
            f"stop may name {MOST_STOPS} texts of {_LONGEST:,} characters at the most.", "Name fewer.", param="stop"
        )
    return found


class Stops:
    """Cuts a text that comes in pieces where the one of ``texts`` begins that is complete first.

    Args:
        texts: none of them empty.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(texts)
        self._held = ""  # what may be the beginning of one
        self.met = False

    def feed(self, text: str) -> str:
        """The next piece; gives back what of all that came is known to stand before any stop."""
        if self.met:
            return ""
        text = self._held + text
        found = [(at + len(stop), at) for stop in self._texts if (at := text.find(stop)) >= 0]
        if found:
            self.met, self._held = True, ""
            return text[: min(found)[1]]
        held = max((_overlap(text, stop) for stop in self._texts), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """There is no more; gives back what was held."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
