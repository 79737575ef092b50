"""From a prompt's segments to tokens, with the last one taken back for healing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lsp.engine.protocol import Control, Segment, Special, Text
from lsp.engine.vocabulary import Vocabulary

# No text in UTF-8 holds this byte.
_NO_TEXT = b"\xff"


@dataclass(frozen=True)
class Prompt:
    """A compiled prompt.

    Args:
        tokens: what the model reads.
        heal: the bytes taken back, which the first generated tokens must spell again; often empty.
        base: how many tokens stand before the last text, or up to the last special one where no text is last: the part
            that typing leaves alone.
    """

    tokens: list[int]
    heal: bytes
    base: int = field(default=0, compare=False)


def compile_prompt(
    segments: Sequence[Segment],
    vocabulary: Vocabulary,
    tokenize: Callable[[str], Sequence[int]],
    heal: bool,
    *,
    tokenize_control: Callable[[str], Sequence[int]] | None = None,
    held: Sequence[int] = (),
) -> Prompt:
    """Tokenise ``segments``; special tokens that the vocabulary lacks are left out.

    Token healing: where the last segment is text, its last token is taken back, so that a cursor within a word
    (or within an indentation, which tokenisers merge with the word behind it) leaves the model free to choose the
    token it would have chosen for the whole. Tokens that begin inside a character are taken back together with the
    character's first bytes. Text that ends a line is whole already.

    Args:
        segments: the prompt.
        vocabulary: of the model.
        tokenize: plain text to tokens.
        heal: whether to heal.
        tokenize_control: a template's text to tokens, special ones included; None: as plain text.
        held: what the prompt's sequence holds already. A text that it spells with other tokens (a model chooses its
            answer's tokens as it likes) keeps those, so that nothing behind them is computed again.
    """
    tokens: list[int] = []
    before = 0
    spelling = _Spelling(held, vocabulary)
    for segment in segments:
        before = len(tokens)
        if isinstance(segment, Text):
            tokens.extend(spelling.next(segment.text) or tokenize(segment.text))
        elif isinstance(segment, Control):
            tokens.extend((tokenize_control or tokenize)(segment.text))
        elif (special := vocabulary.special.get(segment.name)) is not None:
            tokens.append(special)
    last = segments[-1] if segments else None
    base = before if isinstance(last, Text) else base_length(tokens, vocabulary)
    if not heal or not isinstance(last, Text) or not last.text or last.text.endswith(("\n", "\r")):
        return Prompt(tokens, b"", base)
    healed = b""
    while tokens and (not healed or _inside_character(healed)):
        piece = vocabulary.pieces[tokens[-1]]
        if not piece:  # a special token: the text before it ended here
            break
        healed = piece + healed
        tokens.pop()
    return Prompt(tokens, healed, base)


class _Spelling:
    """Finds texts in the tokens of a sequence, one behind the other."""

    def __init__(self, tokens: Sequence[int], vocabulary: Vocabulary) -> None:
        self._tokens = tokens
        self._bytes = b""
        self._starts: dict[int, int] = {}  # the token that begins at a byte
        for index, token in enumerate(tokens):
            self._starts[len(self._bytes)] = index
            # A special token is no text: what stands on its two sides is never read as one.
            self._bytes += vocabulary.pieces[token] or _NO_TEXT
        self._starts[len(self._bytes)] = len(tokens)
        self._from = 0

    def next(self, text: str) -> list[int]:
        """The tokens that spell ``text`` behind those found last; none where they aren't there."""
        wanted = text.encode("utf-8", "replace")
        at = self._bytes.find(wanted, self._from) if wanted else -1
        while at >= 0:
            start, end = self._starts.get(at), self._starts.get(at + len(wanted))
            if start is not None and end is not None:
                self._from = at + len(wanted)
                return list(self._tokens[start:end])
            at = self._bytes.find(wanted, at + 1)
        return []


def read_prompt(tokens: Sequence[int], vocabulary: Vocabulary) -> list[Segment]:
    """The segments that ``tokens`` stand for: what ``compile_prompt`` was given, unhealed.

    Bytes at the end that are no whole character yet are left out.
    """
    names = {token: name for name, token in vocabulary.special.items()}
    segments: list[Segment] = []
    data = b""
    for token in [*tokens, None]:
        if token is not None and token not in names:
            data += vocabulary.pieces[token]
            continue
        if data:
            segments.append(Text(data.decode("utf-8", "ignore")))
            data = b""
        if token is not None:
            segments.append(Special(names[token]))
    return segments


def base_length(tokens: Sequence[int], vocabulary: Vocabulary) -> int:
    """How many tokens stand up to and with the last special one: the part of a prompt that typing leaves alone."""
    special = set(vocabulary.special.values())
    return next((i for i in range(len(tokens), 0, -1) if tokens[i - 1] in special), 0)


def _inside_character(data: bytes) -> bool:
    return data[0] & 0b1100_0000 == 0b1000_0000
