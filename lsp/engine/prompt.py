"""From a prompt's segments to tokens, with the last one taken back for healing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsp.engine.protocol import Segment, Text
from lsp.engine.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prompt:
    """A compiled prompt.

    Args:
        tokens: what the model reads.
        heal: the bytes taken back, which the first generated tokens must spell again; often empty.
    """

    tokens: list[int]
    heal: bytes


def compile_prompt(
    segments: Sequence[Segment],
    vocabulary: Vocabulary,
    tokenize: Callable[[str], Sequence[int]],
    heal: bool,
) -> Prompt:
    """Tokenise ``segments``; special tokens that the vocabulary lacks are left out.

    Token healing: where the last segment is text, its last token is taken back, so that a cursor within a word
    (or within an indentation, which tokenisers merge with the word behind it) leaves the model free to choose the
    token it would have chosen for the whole. Tokens that begin inside a character are taken back together with the
    character's first bytes. Text that ends a line is whole already.
    """
    tokens: list[int] = []
    for segment in segments:
        if isinstance(segment, Text):
            tokens.extend(tokenize(segment.text))
        elif (special := vocabulary.special.get(segment.name)) is not None:
            tokens.append(special)
    last = segments[-1] if segments else None
    if not heal or not isinstance(last, Text) or not last.text or last.text.endswith(("\n", "\r")):
        return Prompt(tokens, b"")
    healed = b""
    while tokens and (not healed or _inside_character(healed)):
        piece = vocabulary.pieces[tokens[-1]]
        if not piece:  # a special token: the text before it ended here
            break
        healed = piece + healed
        tokens.pop()
    return Prompt(tokens, healed)


def _inside_character(data: bytes) -> bool:
    return data[0] & 0b1100_0000 == 0b1000_0000
