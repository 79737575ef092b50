"""What became of each suggestion: accepted, partly accepted, typed, rejected; only counts of it are kept.

Editors that say what was accepted are believed. What they don't say is told from the edits: text that comes at once
and is the suggestion, or its beginning, was accepted; text that comes key by key was typed; anything else at that
place, or an edit elsewhere, rejects it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lsp.completion.completion import Completion
from lsp.completion.survival import Survival
from lsp.completion.tally import Tally
from lsp.completion.threshold import BINS, bin_of, followed
from lsp.documents import Cursor, Document

Outcome = Literal["accepted", "partly", "typed", "rejected"]

# What was on screen for less has not been read.
SEEN_SECONDS = 0.3
# No key types so many visible characters at once: editors add brackets and quotes of their own.
AT_ONCE = 3
# Ended suggestions that may still be reported, or come back from the cache.
_REMEMBERED = 64
_CLOSERS = ")]}>\"'`"


@dataclass
class _Showing:
    """A suggestion from when it is shown.

    ``before`` and ``afters`` are what stands around it, with and without what it replaces. Of its characters,
    ``taken`` stand in the document and ``at_once`` came at once; the editor reported ``told``.
    """

    uri: str
    language: str
    mode: str
    confidence: float
    texts: tuple[str, ...]
    before: str
    afters: tuple[str, ...]
    since: float
    taken: int = 0
    at_once: int = 0
    told: int = 0
    whole: bool = False
    counted: tuple[Outcome, int] | None = None

    def outcome(self, now: float) -> Outcome | None:
        """What became of it if it ends now; None where nobody saw it."""
        taken = self.at_once or self.told
        if self.whole:
            return "accepted" if taken else "typed"
        if taken:
            return "partly"
        return "rejected" if self.counted or now - self.since >= SEEN_SECONDS else None

    def between(self, text: str) -> str | None:
        """What stands in its place in a document's text; None where something else was changed."""
        for after in self.afters:
            if len(text) >= len(self.before) + len(after) and text.startswith(self.before) and text.endswith(after):
                return text[len(self.before) : len(text) - len(after)]
        return None


class Feedback:
    """Follows suggestions, counts what becomes of them, and learns from it how sure to be.

    Args:
        tally: where to count; None counts nothing.
        clock: tells the time in seconds.
    """

    def __init__(self, tally: Tally | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._tally = tally
        self._clock = clock
        self._open: tuple[str, _Showing] | None = None
        self._ended: OrderedDict[str, _Showing] = OrderedDict()
        self._survival = Survival()

    def use(self, tally: Tally | None) -> None:
        """Count here from now on, or nowhere."""
        if tally is None or self._tally is None:
            self.close()
            self._tally = tally
            if tally:
                tally.begin()

    # -- what happens ----------------------------------------------------------------------------------------------

    def shown(self, completion: Completion, cursor: Cursor, mode: str = "") -> None:
        """A suggestion goes to the editor; what is left of one that was shown is no other.

        Args:
            completion: the suggestion.
            cursor: where it was asked for.
            mode: what to count it as; empty: the suggestion's own mode.
        """
        if self._tally is None or not completion.text:
            return
        now = self._clock()
        if self._goes_on(completion, cursor):
            return
        self._end(now)
        text = cursor.text
        showing = _Showing(
            uri=cursor.uri,
            language=cursor.language,
            mode=mode or completion.mode or "text",
            confidence=completion.confidence,
            texts=(completion.text, *completion.alternatives),
            before=text[: completion.start],
            afters=tuple(dict.fromkeys((text[completion.end :], text[completion.start :]))),
            since=now,
            taken=max(0, cursor.offset - completion.start),
        )
        if earlier := self._ended.pop(completion.id, None):  # it comes back, and may be taken after all
            showing.counted, showing.whole = earlier.counted, earlier.whole
            showing.at_once, showing.told = earlier.at_once, earlier.told
        self._open = completion.id, showing

    def accepted(self, key: str) -> None:
        """The editor says that all of a suggestion was accepted."""
        showing = self._find(key)
        if showing is None:
            return
        showing.told = max(showing.told, len(showing.texts[0]) - showing.taken, 1)
        showing.whole = True
        if self._open and self._open[0] == key and showing.taken < len(showing.texts[0]):
            return  # the edit is still to come
        self._end_or_recount(key, showing)

    def partly(self, key: str, characters: int) -> None:
        """The editor says that so many more characters of a suggestion were accepted."""
        if (showing := self._find(key)) and characters > 0:
            showing.told += characters
            if not self._open or self._open[0] != key:
                self._count(showing, self._clock())

    def edited(self, document: Document, changes: int = 1) -> None:
        """A document has another text.

        Args:
            document: as it is now.
            changes: how many changes the editor sent at once.
        """
        now = self._clock()
        if self._survival.watches(document.uri):
            self._survival.edited(document, now)
        if self._open is None:
            return
        key, showing = self._open
        if showing.uri != document.uri or not self._follow(key, showing, document, changes, now):
            self._end(now)

    def asked(self, cursor: Cursor) -> None:
        """The cursor is here, in the text as it is now: a suggestion that is elsewhere is seen no more."""
        if self._open:
            showing = self._open[1]
            found = showing.between(cursor.text) if showing.uri == cursor.uri else None
            if found is None or cursor.offset != len(showing.before) + len(found):
                self._end(self._clock())

    def saved(self, uri: str) -> None:
        """A document was saved."""
        self._survival.saved(uri, self._clock())

    def closed(self, uri: str) -> None:
        """A document was closed."""
        now = self._clock()
        if self._open and self._open[1].uri == uri:
            self._end(now)
        self._survival.closed(uri, now)

    def close(self) -> None:
        """The editor leaves: write what was counted."""
        self._end(self._clock())
        if self._tally:
            self._tally.close()

    # -- what is learnt --------------------------------------------------------------------------------------------

    def threshold(self, language: str, mode: str, default: float) -> float:
        """The least confidence to show in a language and a mode where ``default`` is set; all 0 to 1."""
        tally = self._tally
        if tally is None:
            return default
        shown, taken = (
            [tally.recent(language, mode, f"{name}_{number}") for number in range(BINS)]
            for name in ("bin_shown", "bin_taken")
        )
        return followed(default, shown, taken)

    # -- how it goes on --------------------------------------------------------------------------------------------

    def _goes_on(self, completion: Completion, cursor: Cursor) -> bool:
        """Whether the suggestion on screen stays there, maybe under another name and with more alternatives."""
        if self._open is None or self._open[1].uri != cursor.uri:
            return False
        key, showing = self._open
        typed = showing.between(cursor.text)
        if typed is None or (key != completion.id and typed + completion.text != showing.texts[0]):
            return False
        showing.texts = tuple(dict.fromkeys((*showing.texts, *(typed + text for text in completion.alternatives))))
        self._open = completion.id, showing
        return True

    def _follow(self, key: str, showing: _Showing, document: Document, changes: int, now: float) -> bool:
        """Take what was inserted off the suggestion; False where it ends with this edit."""
        found = showing.between(document.source)
        if found is None:
            return False
        inserted = found.replace("\r\n", "\n")
        text = next((text for text in showing.texts if text.startswith(inserted)), None)
        if text is None and (opened := inserted.rstrip(_CLOSERS)):  # the editor closed a bracket behind the cursor
            inserted, text = opened, next((text for text in showing.texts if text.startswith(opened)), None)
        if text is None:
            return False
        new = inserted[showing.taken :]
        showing.taken = len(inserted)
        if len("".join(new.split())) >= changes - 1 + AT_ONCE:
            showing.at_once += len(new)
            start = len(showing.before)
            tell = self._survived(showing)
            self._survival.accepted(key, document, start, start + len(found), now, tell)
        showing.whole = inserted == text
        return not showing.whole

    def _end(self, now: float) -> None:
        """The suggestion on screen goes."""
        if self._open is None:
            return
        (key, showing), self._open = self._open, None
        self._count(showing, now)
        showing.before, showing.afters = "", ()
        self._ended[key] = showing
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def _end_or_recount(self, key: str, showing: _Showing) -> None:
        now = self._clock()
        if self._open and self._open[0] == key:
            self._end(now)
        else:
            self._count(showing, now)

    def _find(self, key: str) -> _Showing | None:
        return self._open[1] if self._open and self._open[0] == key else self._ended.get(key)

    def _count(self, showing: _Showing, now: float) -> None:
        """Count what became of a suggestion, in place of what was counted of it before."""
        outcome = showing.outcome(now)
        if outcome is None or self._tally is None:
            return
        characters = max(showing.at_once, showing.told)
        values: dict[str, float] = {outcome: 1, "characters": characters}
        bin_name = bin_of(showing.confidence)
        taken = outcome != "rejected"
        if showing.counted is None:
            values |= {"shown": 1, f"bin_shown_{bin_name}": 1, f"bin_taken_{bin_name}": taken}
        else:
            earlier, count = showing.counted
            values["characters"] -= count
            values[f"bin_taken_{bin_name}"] = taken - (earlier != "rejected")
            values[earlier] = values.get(earlier, 0) - 1
        showing.counted = outcome, characters
        self._tally.add(showing.language, showing.mode, **{name: value for name, value in values.items() if value})

    def _survived(self, showing: _Showing) -> Callable[[str, float], None]:
        def tell(check: str, share: float) -> None:
            if self._tally:
                self._tally.add(showing.language, showing.mode, **{f"checked_{check}": 1, f"alive_{check}": share})

        return tell
