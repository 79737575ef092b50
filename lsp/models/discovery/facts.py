"""What a model's file says of itself, from its header alone: what it is, how large, and what it can be used for."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import msgspec

from lsp.models.costs import reading_cost, writing_cost
from lsp.models.fim import TEXTS, Fim, Mark, detect
from lsp.models.header import Header, Tensor

Kind = Literal["model", "embedding", "reranker", "projector", "adapter", "other"]

# Of the metadata's long arrays, the vocabulary alone is wanted: it tells whether there are tokens for infilling.
TOKENS = "tokenizer.ggml.tokens"

# llama_ftype in llama.h.
_FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"},
    **{12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"},
    **{19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL"},
    **{26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16"},
    **{36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4"},
}
# llama_pooling_type in llama.h.
_NO_POOLING, _RANK = 0, 4
# What reads a text whole, and says how it pools in some files only.
_READERS = frozenset({"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "t5encoder"})
# tokenizer.ggml.fim_pre_token_id and so on.
_MARKS: dict[str, Mark] = {"pre": "prefix", "suf": "suffix", "mid": "middle", "sep": "separator", "rep": "repository"}
_EXPERTS = re.compile(r"_(ch)?exps\.")
_EXPRESSION = re.compile(r"\{[%{][^}]*")
_TOOLS = re.compile(r"\btools\b")
_THOUGHTS = ("<think>", "reasoning_content", "enable_thinking", "[THINK]", "<|channel|>analysis")


class Facts(msgspec.Struct, frozen=True):
    """A GGUF model's header, in so far as people and ``recommend`` want to know it.

    ``parameters`` are all stored weights; ``active_parameters`` and ``active_bytes`` are of those that one token goes
    through: of a mixture's experts those in use, of the embedding one row, unless it serves as output, too.
    ``writing_cost`` and ``reading_cost`` count them by what they cost (``lsp.models.costs``).
    ``fim`` is the likeliest layout of an infilling prompt (``lsp.models.fim``), empty for a model that can't infill,
    ``fim_sure`` whether it is known to be the maker's. ``chat``, ``tools`` and ``thinking`` are what its chat template
    provides for; ``parts`` counts its files.
    """

    kind: Kind
    architecture: str
    title: str
    parameters: int
    active_parameters: int
    active_bytes: int
    writing_cost: int
    reading_cost: int
    quantization: str
    context_length: int
    fim: str
    fim_sure: bool
    chat: bool
    tools: bool
    thinking: bool
    licence: str | None
    parts: int


def facts(header: Header) -> Facts:
    """What ``header`` (read with its ``TOKENS``) tells; never fails, whatever is missing."""
    metadata = header.metadata
    architecture = _text(metadata, "general.architecture")
    templates = [
        value
        for key, value in metadata.items()
        if key.startswith("tokenizer.chat_template") and isinstance(value, str) and value
    ]
    fim = _fim(metadata, f"{architecture} {_text(metadata, 'general.name')} {header.path.name}")
    active = _active(header, architecture)
    return Facts(
        kind=_kind(header, architecture),
        architecture=architecture,
        title=_text(metadata, "general.name"),
        parameters=sum(map(_weights, header.tensors)),
        active_parameters=round(sum(_weights(tensor) * part for tensor, part in active)),
        active_bytes=round(sum(tensor.bytes * part for tensor, part in active)),
        writing_cost=round(sum(_weights(tensor) * part * writing_cost(tensor.type) for tensor, part in active)),
        reading_cost=round(
            sum(_weights(tensor) * part * reading_cost(tensor.type, expert=part < 1) for tensor, part in active)
        ),
        quantization=_quantization(header),
        context_length=_number(metadata, f"{architecture}.context_length"),
        fim=fim.layouts[0] if fim else "",
        fim_sure=bool(fim and fim.sure),
        chat=bool(templates),
        tools=any(_TOOLS.search(part) for template in templates for part in _EXPRESSION.findall(template)),
        thinking=any(mark in template for template in templates for mark in _THOUGHTS),
        licence=_text(metadata, "general.license") or None,
        parts=len(header.parts),
    )


def _kind(header: Header, architecture: str) -> Kind:
    metadata = header.metadata
    said = _text(metadata, "general.type")
    if said == "adapter":
        return "adapter"
    if said == "mmproj" or architecture == "clip":
        return "projector"
    if said not in ("", "model") or not header.tensors:
        return "other"
    pooling = metadata.get(f"{architecture}.pooling_type")
    if pooling == _RANK or any(tensor.name in ("cls.weight", "cls.output.weight") for tensor in header.tensors):
        return "reranker"
    whole = metadata.get(f"{architecture}.attention.causal") is False or architecture in _READERS
    return "embedding" if whole or pooling not in (None, _NO_POOLING, -1) else "model"


def _active(header: Header, architecture: str) -> list[tuple[Tensor, float]]:
    """The tensors that a token is multiplied with, and what share of each."""
    tied = not any(tensor.name == "output.weight" for tensor in header.tensors)
    share = _share_in_use(header.metadata, architecture)
    return [
        (tensor, share if _EXPERTS.search(tensor.name) else 1.0)
        for tensor in header.tensors
        if tied or tensor.name != "token_embd.weight"  # of which one row is looked up
    ]


def _weights(tensor: Tensor) -> int:
    return math.prod(tensor.shape)


def _share_in_use(metadata: Mapping[str, object], architecture: str) -> float:
    experts, used = (_number(metadata, f"{architecture}.expert{what}_count") for what in ("", "_used"))
    return used / experts if 0 < used < experts else 1.0


def _quantization(header: Header) -> str:
    """As the file says, else the type that most of its weights have."""
    said = header.metadata.get("general.file_type")
    if isinstance(said, int) and said in _FILE_TYPES:
        return _FILE_TYPES[said]
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.type] += tensor.bytes
    return weights.most_common(1)[0][0] if weights else "unknown"


def _fim(metadata: Mapping[str, object], about: str) -> Fim | None:
    tokens = metadata.get(TOKENS)
    texts = tokens if isinstance(tokens, tuple) else ()
    named: dict[Mark, int] = {
        mark: _number(metadata, key)
        for name, mark in _MARKS.items()
        if (key := f"tokenizer.ggml.fim_{name}_token_id") in metadata
    }
    return detect({text: number for number, text in enumerate(texts) if text in TEXTS}, named, about)


def _text(metadata: Mapping[str, object], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _number(metadata: Mapping[str, object], key: str) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) and value >= 0 else 0
