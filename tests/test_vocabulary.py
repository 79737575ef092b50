"""The search behind token healing, against brute force over random byte vocabularies."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lsp.engine.vocabulary import Vocabulary

# Few different bytes, so that pieces share beginnings; 0xFF because nothing sorts after it, parts of 中 and 🙂 because
# byte-level vocabularies cut characters in two.
BYTES = st.sampled_from([b"a", b"b", b"\x00", b"\xff", b"\xe4", b"\xb8", b"\xad", "🙂".encode()])
PIECE = st.lists(BYTES, max_size=5).map(b"".join)
TEXT = PIECE.filter(bool)


def vocabulary(pieces: list[bytes], **special: int) -> Vocabulary:
    return Vocabulary(pieces, special, frozenset())


@settings(deadline=None)
@given(st.lists(PIECE, max_size=40), TEXT)
def test_spelling_finds_what_brute_force_finds(pieces: list[bytes], text: bytes) -> None:
    found = vocabulary(pieces).spelling(text).tolist()
    expected = [i for i, piece in enumerate(pieces) if piece and (piece.startswith(text) or text.startswith(piece))]
    assert sorted(found) == expected


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(1, 4))
def test_spelling_at_the_end_of_the_byte_order(stem: int, run: int) -> None:
    text = b"a" * stem + b"\xff" * run
    pieces = [text, text + b"\xff", text + b"\x00", text[:-1], b"b", b"a" * stem + b"\xfe"]
    expected = [i for i, piece in enumerate(pieces) if piece and (piece.startswith(text) or text.startswith(piece))]
    assert sorted(vocabulary(pieces).spelling(text).tolist()) == expected


def test_tokens_with_the_same_bytes_are_all_found() -> None:
    pieces = [b"x", b"print", b"pr", b"print", b"pr", b"prin", b""]
    assert sorted(vocabulary(pieces).spelling(b"prin").tolist()) == [1, 2, 3, 4, 5]


def test_no_token_has_these_bytes() -> None:
    found = vocabulary([b"a", b"b"]).spelling(b"c")
    assert found.tolist() == []
    assert found.dtype == "int64"
