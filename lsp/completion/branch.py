"""One alternative while it grows: where it is complete, where it isn't worth going on, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lsp.completion.confidence import Written, confidence_of, discounted, is_hopeless
from lsp.completion.filters import apply_filters
from lsp.completion.names import invented
from lsp.completion.place import Place
from lsp.completion.unit import unit_end
from lsp.engine.protocol import Token

# Where the model itself gives the end such a probability, a line's end is the unit's end.
EOG_ENDS = 0.25

Known = Callable[[Iterable[str]], set[str]]


@dataclass(frozen=True)
class Suggestion:
    """What came of a branch.

    Args:
        text: what to insert; empty for nothing.
        confidence: see ``Completion``.
        fired: the filters that changed the model's text, in order.
        reason: why there is nothing; empty where there is something.
    """

    text: str
    confidence: float
    fired: tuple[str, ...]
    reason: str = ""


class Branch:
    """Takes tokens until the unit is complete, or until it is not worth going on.

    Args:
        place: what the unit's end depends on.
        min_confidence: what each line must be worth: the text ends before the first that isn't.
    """

    def __init__(self, place: Place, min_confidence: float = 0.0) -> None:
        self.text = ""
        self.complete = False
        self.interrupted = False
        self.place = place
        self._least = min_confidence
        self._doubted = False
        self._tokens: list[Written] = []
        self._line = 0  # the first of the tokens that the last line has

    def add(self, token: Token) -> None:
        """Take the next token, unless the unit is complete already."""
        if self.complete:
            return
        ends_line = self.text.endswith("\n") and bool(self.text.strip())
        if ends_line and token.eog >= EOG_ENDS:
            self.complete = True
            return
        self._tokens.append(Written(len(self.text), token.logprob))
        self.text += token.text
        self.complete = unit_end(self.text, self.place) is not None
        self._judge(ends="\n" in token.text)

    def _judge(self, *, ends: bool) -> None:
        """Stop at a line that the model is too unsure of, and take it back unless it is the first."""
        line = self._tokens[self._line :]
        unsure = confidence_of(line) < self._least if ends else is_hopeless(line, self._least)
        if unsure:
            self.complete = self._doubted = True
            start = self._tokens[self._line].start
            self.text = self.text[:start] if self.text[:start].strip() else self.text
        elif ends and self.text.strip():
            self._line = len(self._tokens)

    def so_far(self) -> str:
        """What would be shown if it ended here."""
        return apply_filters(self.text, self.place).text

    def finish(self, known: Known, *, whole: bool) -> Suggestion:
        """What to show of it.

        Args:
            known: which of some names the workspace defines.
            whole: whether it ended where the model or the unit did.
        """
        result = apply_filters(self.text, self.place, whole=whole or self.complete)
        fired = result.fired + ("confidence",) * self._doubted
        kept = [token for token in self._tokens if token.start < max(1, len(result.text))]
        confidence = discounted(confidence_of(kept), invented(result.text, self.place, known))
        reason = ""
        if not result.text:
            last = f" (filter {fired[-1]!r})" if fired else ""
            reason = f"nothing was left of the model's text{last}" if self.text else "the model suggested nothing"
        elif confidence < self._least:
            reason = f"confidence {confidence:.2f} is below {self._least:.2f}"
        return Suggestion("" if reason else result.text, confidence, fired, reason)
