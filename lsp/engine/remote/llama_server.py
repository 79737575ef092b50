"""llama.cpp's own server: prompts as token ids to ``/completion``, laid out as for the local engine.

``/infill`` isn't used: it puts what was typed before the suffix, so that each key moves the suffix and has it computed
again (152 tokens a key, measured), and cuts the suffix to what the typed text leaves of a quarter of a batch. With
token ids the server keeps all up to the last token (1.0 a key), plain text can't spell a special token, and the token
before the cursor can be taken back (healing): a grammar makes the model spell its text again. ``docs/remote.md`` has
the figures, its README the API: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from lsp.engine.protocol import ChatFacts, Control, Text
from lsp.engine.remote.server import TEMPERATURE, Facts, Outcome, Piece, Task, Way, check_model, context_of
from lsp.engine.remote.wire import Wire
from lsp.models.fim import TEXTS, detect

# Alternatives to each token that are asked for: among them, what ends the text is looked for.
_PROBABILITIES = 8
# Texts whose tokens are remembered: the parts of some prompts.
_REMEMBERED = 64
_ENDS = ("<|im_end|>", "<|endoftext|>", "</s>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<EOT>", "<|eom_id|>")
# Before this character SentencePiece's tokenizers put their space, and not before the text (see lsp/engine/tokenizer).
_GUARD = "☺"


class _Props(msgspec.Struct):
    total_slots: int
    default_generation_settings: dict[str, Any]
    model_path: str = ""
    model_alias: str = ""
    chat_template: str = ""
    bos_token: str = ""
    eos_token: str = ""


class _Tokenized(msgspec.Struct):
    tokens: list[_Token]


class _Token(msgspec.Struct):
    id: int
    piece: str | list[int]

    @property
    def text(self) -> bytes:
        return self.piece.encode() if isinstance(self.piece, str) else bytes(byte & 255 for byte in self.piece)


class _Choice(msgspec.Struct):
    id: int
    bytes: list[int]
    logprob: float | None = None
    top_logprobs: list[_Choice] = []


class _Timings(msgspec.Struct):
    prompt_n: int = 0
    prompt_ms: float = 0.0
    cache_n: int = 0


class _Chunk(msgspec.Struct):
    content: str
    stop: bool
    tokens: list[int] = []
    model: str = ""
    stop_type: str = ""
    timings: _Timings = msgspec.field(default_factory=_Timings)
    completion_probabilities: list[_Choice] = []


class _Line(msgspec.Struct):
    """What follows ``data:``."""

    error: dict[str, Any] | None = None


class LlamaServer:
    """A llama-server.

    Args:
        wire: to it.
        model: by its alias; empty: whichever it has loaded.
    """

    def __init__(self, wire: Wire, model: str = "", n_ctx: int = 0) -> None:
        self._wire = wire
        self._asked = model
        self._n_ctx = n_ctx
        self._model = ""
        self._ids: dict[str, int] = {}  # of special tokens, by their text
        self._bos: int | None = None
        self._guard: list[int] = []
        self._ends: frozenset[int] = frozenset()
        self._marks = re.compile("|".join(map(re.escape, TEXTS)))
        self._known: OrderedDict[tuple[str, bool], list[_Token]] = OrderedDict()

    async def facts(self) -> Facts:
        """As `Server.facts`."""
        props = await self._wire.ask("/props", _Props)
        self._model = props.model_alias or props.model_path
        if self._asked:
            check_model(self._asked, self._model, self._wire)
        self._known.clear()
        await self._read_vocabulary(props)
        name = self._model.replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")
        vocabulary = {text: token for text, token in self._ids.items() if text in TEXTS}
        fim = detect(vocabulary, {}, f"{name} {props.model_path}", spaced=bool(self._guard))
        texts = {token: text for text, token in self._ids.items()}
        marks = {mark: texts[token] for mark, token in fim.tokens.items()} if fim else {}
        chat = ChatFacts(
            template=props.chat_template,
            bos=props.bos_token,
            eos=props.eos_token,
            adds_bos=self._bos is not None,
            controls=tuple(self._ids),
        )
        return Facts(
            "llama-server",
            name,
            context_of(props.default_generation_settings.get("n_ctx"), self._n_ctx),
            max(1, min(props.total_slots, 64)),
            tuple(Way(layout, marks) for layout in fim.layouts) if fim else (),
            chat,
        )

    async def stream(self, task: Task, outcome: Outcome) -> AsyncGenerator[Piece, None]:
        """As `Server.stream`."""
        tokens, heal = await self._tokens(task)
        request: dict[str, Any] = {
            "prompt": tokens,
            "n_predict": task.max_tokens,
            "cache_prompt": True,
            "stream": True,
            "return_tokens": True,
            "timings_per_token": True,
            "n_probs": _PROBABILITIES if task.max_tokens else 0,
            "samplers": ["top_k", "temperature"] if task.seed else ["top_k"],
            "top_k": 40 if task.seed else 1,
            "temperature": TEMPERATURE if task.seed else 0.0,
            "seed": task.seed,
        }
        if heal:
            request["grammar"] = _beginning_with(heal.decode())
        writing = _Writing(heal, self._ends)
        async with aclosing(self._wire.stream("/completion", request)) as lines:
            async for line in lines:
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if (said := self._wire.decode(data, _Line).error) is not None:
                    raise self._wire.failed(said)
                chunk = self._wire.decode(data, _Chunk)
                outcome.evaluated = chunk.timings.prompt_n or outcome.evaluated
                outcome.reused = chunk.timings.cache_n or outcome.reused
                outcome.prefill_ms = chunk.timings.prompt_ms or outcome.prefill_ms
                if piece := writing.take(chunk) if task.max_tokens else None:
                    yield piece
                if chunk.stop or writing.ended:
                    check_model(self._model, chunk.model, self._wire)
                    outcome.reason = "length" if chunk.stop_type == "limit" else "eog"
                    return
        raise self._wire.broken()

    async def _read_vocabulary(self, props: _Props) -> None:
        ends = [text for text in (props.eos_token, *_ENDS) if text]
        wanted = [*TEXTS, *ends]
        found = await self._tokenized(" ".join(wanted), special=True)
        pieces = {token.text: token.id for token in found}
        # SentencePiece shows its ▁ as a space.
        spelled = {text: pieces.get(text.encode(), pieces.get(text.replace("▁", " ").encode())) for text in wanted}
        self._ids = {text: token for text, token in spelled.items() if token is not None and len(text) > 2}
        self._ends = frozenset(self._ids.values())
        plain = await self._tokenized("a", special=False)
        whole = await self._asked_for({"content": "a", "add_special": True, "with_pieces": True})
        if not plain or not whole:
            raise self._wire.garbage("no tokens for a text")
        self._bos = whole[0].id if len(whole) > len(plain) and whole[-1].id == plain[-1].id else None
        spaced = plain[0].text.startswith(b" ")
        self._guard = [token.id for token in await self._tokenized(_GUARD, special=False)] if spaced else []

    async def _tokens(self, task: Task) -> tuple[list[int], bytes]:
        """A prompt's tokens, and the bytes of those that were taken back from its end."""
        marks = task.way.marks if task.way else {}
        tokens: list[_Token] = []
        for segment in task.prompt:
            if isinstance(segment, Text):
                tokens += await self._plain(segment.text)
            elif isinstance(segment, Control):
                tokens += await self._tokenized(segment.text, special=True)
            elif segment.name == "bos":
                tokens += [_Token(self._bos, "")] if self._bos is not None else []
            elif (text := marks.get(segment.name)) is not None:
                tokens.append(_Token(self._ids[text], ""))
        last = task.prompt[-1] if task.prompt else None
        heal = b""
        if task.heal and isinstance(last, Text) and last.text and not last.text.endswith(("\n", "\r")):
            while tokens and tokens[-1].text and (not heal or heal[0] & 0xC0 == 0x80):
                heal = tokens.pop().text + heal
        return [token.id for token in tokens], heal

    async def _plain(self, text: str) -> Sequence[_Token]:
        """The tokens of a text in which nothing is a special token, though llama.cpp finds some kinds in any text."""
        cuts = [found.start() + 1 for found in self._marks.finditer(text)]
        parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        tokens: list[_Token] = []
        for part in filter(None, parts):
            found = await self._tokenized((_GUARD if self._guard else "") + part, special=False)
            tokens += found[len(self._guard) :]
        return tokens

    async def _tokenized(self, text: str, *, special: bool) -> list[_Token]:
        if (text, special) not in self._known:
            asked = {"content": text, "add_special": False, "parse_special": special, "with_pieces": True}
            self._known[text, special] = await self._asked_for(asked)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end((text, special))
        return self._known[text, special]

    async def _asked_for(self, asked: dict[str, Any]) -> list[_Token]:
        return (await self._wire.ask("/tokenize", _Tokenized, asked)).tokens


class _Writing:
    """What the model writes, without what it spells again.

    Args:
        heal: the bytes that it is made to spell first.
        ends: ids of the tokens that end a text.
    """

    def __init__(self, heal: bytes, ends: frozenset[int]) -> None:
        self.ended = False
        self._heal = heal.decode()
        self._ends = ends
        self._written = ""
        self._logprob = 0.0

    def take(self, chunk: _Chunk) -> Piece | None:
        """The next chunk of the stream; a piece where there is one to show."""
        if self._ends & set(chunk.tokens):
            self.ended = True
            return None
        ending = 0.0
        for choice in chunk.completion_probabilities:
            among = choice.top_logprobs
            if rest := self._heal[len(self._written) :].encode():
                # The model was free only to choose among those that spell it.
                among = [one for one in among if _agrees(bytes(one.bytes), rest)]
                self._logprob += min(0.0, (choice.logprob or 0.0) - _log_sum(among, choice))
            else:
                self._logprob += choice.logprob or 0.0
                ending = sum(math.exp(min(0.0, one.logprob or -99.0)) for one in among if one.id in self._ends)
        before = len(self._written)
        self._written += chunk.content
        start = max(before, len(self._heal))
        if len(self._written) <= start:
            return None
        logprob, self._logprob = self._logprob, 0.0
        return Piece(self._written[start:], logprob, ending)


def _agrees(piece: bytes, rest: bytes) -> bool:
    return bool(piece) and (piece.startswith(rest) or rest.startswith(piece))


def _log_sum(choices: Sequence[_Choice], chosen: _Choice) -> float:
    logs = {one.id: one.logprob or 0.0 for one in (*choices, chosen)}
    peak = max(logs.values())
    return peak + math.log(sum(math.exp(log - peak) for log in logs.values()))


def _beginning_with(text: str) -> str:
    """A grammar (GBNF) of all texts that begin so."""
    spelled = "".join(f"\\U{ord(char):08X}" for char in text)
    return f'root ::= "{spelled}" [\\x00-\\U0010FFFF]*'
