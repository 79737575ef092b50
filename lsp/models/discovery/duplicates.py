"""Which models are the same, without reading them whole: by the sha256 that their stores know, or by samples."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lsp.models.discovery.memory import Known

_HEAD_BYTES = 256 << 10
_SAMPLES = 32
_SAMPLE_BYTES = 16 << 10


@dataclass(frozen=True)
class Copy:
    """A model by name, with its files and the sha256 that is known of it, or ""."""

    name: str
    known: Known
    sha256: str


def duplicates(copies: Iterable[Copy]) -> dict[str, str]:
    """For each model whose bytes another one before it has, that one's name."""
    same: dict[str, str] = {}
    by_size: defaultdict[int, list[Copy]] = defaultdict(list)
    for copy in copies:
        by_size[copy.known.bytes].append(copy)
    for group in by_size.values():
        if len(group) > 1:
            same |= _same(group)
    return same


def _same(group: list[Copy]) -> dict[str, str]:
    hashed = all(copy.sha256 for copy in group)
    same: dict[str, str] = {}
    first: dict[str, str] = {}
    for copy in group:
        try:
            content = copy.sha256 if hashed else sample(copy.known)
        except OSError:
            continue  # that it can't be read is told elsewhere
        name = first.setdefault(content, copy.name)
        if name != copy.name:
            same[copy.name] = name
    return same


def sample(known: Known) -> str:
    """A digest of some 0.8 MB of a model: of each file its size, its head, and 32 places spread to its end.

    Models of one size differ in nearly all of their bytes, so equal samples mean equal files, short of somebody who
    wants to deceive; a full hash leaves no doubt.

    Raises:
        OSError: a file can't be read.
    """
    if not known.sample:
        digest = hashlib.sha256()
        for part in known.parts:
            _add(digest, Path(part))
        known.sample = digest.hexdigest()
    return known.sample


def _add(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        digest.update(file.read(_HEAD_BYTES))
        last = size - _SAMPLE_BYTES
        if last <= _HEAD_BYTES:
            digest.update(file.read(2 * _SAMPLE_BYTES))
            return
        for number in range(1, _SAMPLES + 1):
            file.seek(_HEAD_BYTES + (last - _HEAD_BYTES) * number // _SAMPLES)
            digest.update(file.read(_SAMPLE_BYTES))
