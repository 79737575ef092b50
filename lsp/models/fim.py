"""Which models fill in the middle, with which tokens, and in which order of a prompt's parts.

A file may name its infilling tokens in its metadata; llama.cpp knows some more by their text. What neither knows is
found here, by what stands in the vocabulary. A vocabulary says nothing of the order, and not even whether the model was
ever trained to infill (OpenCoder has StarCoder's tokens "due to certain historical considerations", says its maker):
where the model's name doesn't tell either, the plausible layouts are compared on the model (`lsp/completion/selftest`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Mark = Literal["bos", "prefix", "suffix", "middle", "separator", "repository"]
# See lsp/completion/layout, which has them in full.
LayoutName = Literal[
    "psm",
    "psm_spaced",
    "spm",
    "spm_spaced",
    "spm_middle",
    "spm_nested",
    "spm_nested_spaced",
    "starcoder2",
    "codegemma",
    "mellum",
]
_SPACED: dict[LayoutName, LayoutName] = {
    "psm": "psm_spaced",
    "spm": "spm_spaced",
    "spm_nested": "spm_nested_spaced",
}


@dataclass(frozen=True)
class Family:
    """Models with the same infilling tokens.

    Args:
        name: of the models that are known by it.
        marks: the texts of the tokens.
        layouts: the plausible ones, the likeliest first.
        known: a pattern of the architecture or name of models whose first layout is beyond doubt.
        needed: whether models of other names are no members, though they have these tokens.
        ends: texts of tokens that end a middle and that llama.cpp doesn't know.
    """

    name: str
    marks: Mapping[Mark, str]
    layouts: tuple[LayoutName, ...] = ("psm",)
    known: str = ""
    needed: bool = False
    ends: tuple[str, ...] = ()

    def is_known(self, about: str) -> bool:
        """Whether a model whose architecture and names are ``about`` is one of these for certain."""
        return bool(self.known) and re.search(self.known, about, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Fim:
    """How a model infills.

    Args:
        family: by which it was recognised; empty for tokens that only its metadata names.
        tokens: ids by name.
        layouts: the plausible ones, the likeliest first.
        sure: whether the first is the maker's, and nothing is to be tried.
        ends: ids that end a middle, the tokens themselves among them.
    """

    family: str
    tokens: Mapping[Mark, int]
    layouts: tuple[LayoutName, ...]
    sure: bool
    ends: frozenset[int]


def _marks(pattern: str, **others: str) -> dict[Mark, str]:
    """``pattern`` with prefix, suffix and middle in place of the asterisk, and other marks."""
    return {
        **{name: pattern.replace("*", name) for name in ("prefix", "suffix", "middle")},
        **others,
    }


_STARCODERS = "starcoder|granite|refact|stable|codeqwen"
FAMILIES = (
    # https://arxiv.org/abs/2506.03524, section 3: <[fim-suffix]>SUFFIX<[fim-prefix]>PREFIX<[fim-middle]>MIDDLE
    Family("Seed-Coder", _marks("<[fim-*]>"), ("spm_middle", "psm"), known="seed|zeta"),
    # https://github.com/meta-llama/codellama, llama/generation.py, infilling_prompt_tokens: "<PRE> {pre} <SUF>{suf}
    # <MID>", and with suffix_first "<PRE> <SUF>{suf} <MID> {pre}"; trained were 7B and 13B, base and Instruct.
    Family(
        "CodeLlama",
        {"prefix": "▁<PRE>", "suffix": "▁<SUF>", "middle": "▁<MID>"},
        ("psm", "spm_nested"),
        known="code-?_? ?llama",
        ends=("▁<EOT>",),
    ),
    # https://github.com/aixcoder-plugin/aiXcoder-7B, "fill in the middle, SPM mode":
    # <s>▁<AIX-SPAN-PRE>▁<AIX-SPAN-POST>suffix▁<AIX-SPAN-MIDDLE>prefix
    Family(
        "aiXcoder",
        {"prefix": "▁<AIX-SPAN-PRE>", "suffix": "▁<AIX-SPAN-POST>", "middle": "▁<AIX-SPAN-MIDDLE>"},
        ("spm_nested", "psm"),
        known="aixcoder",
    ),
    # https://github.com/mistralai/mistral-common, InstructTokenizerV2.encode_fim: BOS [SUFFIX] suffix [PREFIX] prefix.
    # All later vocabularies of Mistral's have these tokens, most models no training for them.
    Family("Codestral", {"prefix": "[PREFIX]", "suffix": "[SUFFIX]"}, ("spm",), known="codestral", ends=("[MIDDLE]",)),
    # https://github.com/deepseek-ai/DeepSeek-Coder, "Code Insertion", and DeepSeek-Coder-V2 likewise:
    # <｜fim▁begin｜>prefix<｜fim▁hole｜>suffix<｜fim▁end｜>
    Family(
        "DeepSeek-Coder",
        {"prefix": "<｜fim▁begin｜>", "suffix": "<｜fim▁hole｜>", "middle": "<｜fim▁end｜>"},
        known=r"deepseek.*coder|coder.*deepseek",
    ),
    # https://arxiv.org/abs/2406.11409, figures 2 and 4: path↵<|fim_prefix|>prefix<|fim_suffix|>suffix<|fim_middle|>,
    # files parted by <|file_separator|>; the path "optional but recommended".
    Family(
        "CodeGemma",
        _marks("<|fim_*|>", separator="<|file_separator|>"),
        ("codegemma", "psm"),
        known="codegemma",
    ),
    # https://arxiv.org/abs/2409.12186, section 3, and https://github.com/QwenLM/Qwen3-Coder:
    # <|fim_prefix|>prefix<|fim_suffix|>suffix<|fim_middle|>. With Qwen2.5-Coder 0.5B Instruct, files parted by
    # <|file_sep|> weren't better than comments (`lsp/completion/pieces`), and all of it as a user's turn, as
    # Qwen3-Coder's README has it, was worse: the rest of a line by 0.6 ± 0.5 nats. Other Qwen models have these tokens.
    Family(
        "Qwen-Coder",
        _marks("<|fim_*|>", separator="<|file_sep|>", repository="<|repo_name|>"),
        known=r"qwen.*coder|coder.*qwen",
        ends=("<|fim_pad|>",),
    ),
    # https://github.com/ibm-granite/granite-4.0-language-models, "Fill-in-the-middle (FIM) Code Completion":
    # <|fim_prefix|>prefix<|fim_suffix|>suffix<|fim_middle|>. Phi-4 has these tokens, too, and no training.
    Family("Granite", _marks("<|fim_*|>"), ("psm", "spm_middle"), known="granite", ends=("<|fim_pad|>",)),
    # https://huggingface.co/JetBrains/Mellum-4b-base and https://arxiv.org/abs/2510.05788:
    # <filename>path↵text<filename>path↵<fim_suffix>suffix<fim_prefix>prefix<fim_middle>
    Family(
        "Mellum",
        _marks("<fim_*>", separator="<filename>", repository="<reponame>"),
        ("mellum", "psm"),
        known="mellum",
        needed=True,
    ),
    # https://arxiv.org/abs/2402.19173, section 5.1:
    # <repo_name>name<file_sep>path↵code<file_sep><fim_prefix>path↵prefix<fim_suffix>suffix<fim_middle>. The name of
    # the repository, which it was shown half of the time, is left out.
    Family(
        "StarCoder2",
        _marks("<fim_*>", separator="<file_sep>", repository="<repo_name>"),
        ("starcoder2", "psm"),
        known="starcoder2",
        ends=("<fim_pad>",),
    ),
    # https://huggingface.co/bigcode/starcoder: <fim_prefix>prefix<fim_suffix>suffix<fim_middle>; Granite Code
    # (https://arxiv.org/abs/2405.04324), Refact, Stable Code and CodeQwen kept it. Mellum has these tokens, too.
    Family(
        "StarCoder",
        _marks("<fim_*>", separator="<filename>", repository="<reponame>"),
        ("psm", "mellum"),
        known=_STARCODERS,
        ends=("<fim_pad>",),
    ),
    Family("StarCoder", _marks("<fim_*>"), ("psm", "spm_middle"), known=_STARCODERS, ends=("<fim_pad>",)),
    # https://huggingface.co/bigcode/santacoder: <fim-prefix>prefix<fim-suffix>suffix<fim-middle>
    Family("SantaCoder", _marks("<fim-*>"), ("psm", "spm_nested"), known="santacoder"),
    # https://huggingface.co/THUDM/codegeex4-all-9b begins with <|code_suffix|>; of GLM-4.5 no order is published.
    Family("GLM", _marks("<|code_*|>"), ("psm", "spm_middle")),
    # Falcon-H1-Tiny-Coder, as llama.cpp knows it; no order is published.
    Family("Falcon", _marks("<|*|>"), ("psm", "spm_middle")),
)
# Where only metadata names the tokens.
_UNKNOWN: tuple[LayoutName, ...] = ("psm", "spm_middle", "spm_nested")
TEXTS = frozenset(text for family in FAMILIES for text in (*family.marks.values(), *family.ends))
"""The texts that `detect` looks for."""


def detect(vocabulary: Mapping[str, int], named: Mapping[Mark, int], about: str, *, spaced: bool = False) -> Fim | None:
    """How a model infills; None for one that has no tokens for it.

    Args:
        vocabulary: ids of tokens by their text, as the file writes it; those of `TEXTS` suffice.
        named: what the metadata, or llama.cpp, call the tokens.
        about: the model's architecture and names, in any order.
        spaced: whether its tokenizer begins a text with a space that isn't there (SentencePiece's "dummy prefix"), as
            the model then saw before each prefix.
    """
    family = _family(vocabulary, named, about)
    tokens = {**({name: vocabulary[text] for name, text in family.marks.items()} if family else {}), **named}
    if not {"prefix", "suffix"} <= tokens.keys():
        return None
    if family:
        layouts, sure = family.layouts, family.is_known(about)
    else:
        layouts, sure = (_UNKNOWN, False) if "middle" in tokens else (("spm",), True)
    layouts = layouts[:1] if sure else layouts
    if spaced:
        layouts = tuple(_SPACED.get(layout, layout) for layout in layouts)
    ends = {vocabulary[text] for text in family.ends if text in vocabulary} if family else set()
    return Fim(family.name if family else "", tokens, layouts, sure, frozenset({*ends, *tokens.values()}))


def _family(vocabulary: Mapping[str, int], named: Mapping[Mark, int], about: str) -> Family | None:
    """The family all of whose tokens are there, and are those that the metadata names; a known model's own first."""
    there = [
        family
        for family in FAMILIES
        if all(text in vocabulary for text in family.marks.values())
        and all(named.get(name, vocabulary[text]) == vocabulary[text] for name, text in family.marks.items())
        and (family.is_known(about) or not family.needed)
    ]
    return next((family for family in there if family.is_known(about)), there[0] if there else None)
