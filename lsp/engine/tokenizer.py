"""Text to tokens: exactly the text, with nothing before it, and never a special token in it."""

from __future__ import annotations

import ctypes
import re

import llama_cpp.llama_cpp as lib

from lsp.models.fim import TEXTS, Fim, Mark, detect

# SentencePiece's tokenizers begin a text with a space that isn't there. Behind this character they don't, and no token
# joins it to what follows; mistral-common and Code Llama's reference use it, too.
_GUARD = "☺"


class Tokenizer:
    """The tokenizer of a vocabulary, and what it says about infilling.

    Args:
        vocab: llama.cpp's.
        about: the architecture and names of its model.
    """

    def __init__(self, vocab: lib.llama_vocab_p, about: str) -> None:
        self._vocab = vocab
        self.size: int = lib.llama_vocab_n_tokens(vocab)
        first = self._tokenized("a", special=False)[:1]
        self.spaced = any(self.piece(token).startswith(b" ") for token in first)
        self._guard = self._tokenized(_GUARD, special=False) if self.spaced else []
        vocabulary = self._find(TEXTS)
        self.fim: Fim | None = detect(vocabulary, self._named(), about, spaced=self.spaced)
        # llama.cpp finds a token that its file calls user-defined in any text.
        self._marks = re.compile("|".join(map(re.escape, vocabulary))) if vocabulary else None

    def plain(self, text: str) -> list[int]:
        """The tokens of a text; nothing in it becomes a special token."""
        # A mark's spelling is no mark without its first character.
        cuts = [found.start() + 1 for found in self._marks.finditer(text)] if self._marks else []
        parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return [token for part in parts for token in self._unspaced(part)]

    def control(self, text: str) -> list[int]:
        """The tokens of a chat template's text: special tokens that it spells become those tokens."""
        return self._tokenized(text, special=True)

    def piece(self, token: int) -> bytes:
        """What a token stands for in a text."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def _unspaced(self, text: str) -> list[int]:
        if not self._guard or not text:
            return self._tokenized(text, special=False)
        tokens = self._tokenized(_GUARD + text, special=False)
        guard = len(self._guard)
        return tokens[guard:] if tokens[:guard] == self._guard else self._tokenized(text, special=False)

    def _tokenized(self, text: str, *, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        tokens = (lib.llama_token * capacity)()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, capacity, False, special)
        return list(tokens[:count])

    def _named(self) -> dict[Mark, int]:
        """What the file or llama.cpp call infilling tokens."""
        ids: dict[Mark, int] = {
            "prefix": lib.llama_vocab_fim_pre(self._vocab),
            "suffix": lib.llama_vocab_fim_suf(self._vocab),
            "middle": lib.llama_vocab_fim_mid(self._vocab),
            "separator": lib.llama_vocab_fim_sep(self._vocab),
            "repository": lib.llama_vocab_fim_rep(self._vocab),
        }
        return {name: token for name, token in ids.items() if token >= 0}

    def _find(self, texts: frozenset[str]) -> dict[str, int]:
        """The ids of those tokens that the vocabulary writes like this."""
        wanted = {text.encode(): text for text in texts}
        tokens = ((lib.llama_vocab_get_text(self._vocab, token), token) for token in range(self.size))
        return {wanted[text]: token for text, token in tokens if text in wanted}
