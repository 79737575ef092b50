"""The header of a GGUF file: its metadata and its tensors' names, shapes and sizes; nothing of the weights.

Pure Python, so that a broken file can't crash anybody, and bounded: no number that the file claims is believed before
the bytes for it are there. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from pathlib import Path
from typing import BinaryIO

from lsp.models.gguf import check_start, refusal

# A vocabulary of 260,000 tokens with its merges takes 20 MiB.
_MOST_HEADER_BYTES = 128 << 20
_FIRST_READ_BYTES = 1 << 20
_MOST_PAIRS = 1 << 16
# A mixture of 61 x 256 experts, each in three tensors of its own, has 47,000.
_MOST_TENSORS = 1 << 17
_MOST_ENTRIES = 1 << 22
_MOST_PARTS = 9_999
# Longer arrays are vocabularies; shorter ones hold a number for each layer, or a few tags.
_SHORT_ARRAY = 512
_MOST_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32
_SPLIT_NAME = re.compile(r"^(.+)-(\d{5})-of-(\d{5})\.gguf$")

_LENGTH = struct.Struct("<Q")
_STRING, _ARRAY, _BOOL = 8, 9, 7
# GGUF's numbers for metadata types: the name, and struct's letter.
_SCALARS = {
    0: ("uint8", "B"),
    1: ("int8", "b"),
    2: ("uint16", "H"),
    3: ("int16", "h"),
    4: ("uint32", "I"),
    5: ("int32", "i"),
    6: ("float32", "f"),
    _BOOL: ("bool", "?"),
    10: ("uint64", "Q"),
    11: ("int64", "q"),
    12: ("float64", "d"),
}
# ggml's tensor types: the name, weights in a block, bytes of a block (ggml/src/ggml-common.h).
TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}


@dataclass(frozen=True)
class Tensor:
    """One tensor: ``shape`` with the fastest dimension first, as GGUF has it; ``type`` as "Q4_K"; ``bytes`` in all."""

    name: str
    shape: tuple[int, ...]
    type: str
    bytes: int


@dataclass(frozen=True)
class LongArray:
    """A long array of the metadata, which was not read: what its entries are ("string", "float32" …), how many."""

    kind: str
    length: int


@dataclass(frozen=True)
class Header:
    """What a GGUF model says of itself.

    Args:
        path: the file it was read from.
        parts: all files of the model, in their order; one, unless it is split.
        metadata: numbers, bools, strings and tuples of these; ``LongArray`` for those above 512 entries.
        tensors: of all parts.
        kinds: of the metadata: "string", "float32" …, or "array".
    """

    path: Path
    parts: tuple[Path, ...]
    metadata: Mapping[str, object]
    tensors: tuple[Tensor, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)


def read_header(path: Path, *, arrays: Collection[str] = ()) -> Header:
    """Read the header of the GGUF file at ``path``, and those of the other parts where the model is split.

    Args:
        path: the file; of a split model, any part.
        arrays: keys of long arrays that are wanted all the same, such as "tokenizer.ggml.tokens".

    Raises:
        MidlineError: it isn't a GGUF file, is cut short or contradicts itself, or a part of it is missing; the
            message says what is wrong.
    """
    part = _read_part(path, arrays)
    count = _count(part.metadata, "split.count")
    if count <= 1:
        return Header(path, (path,), part.metadata, part.tensors, part.kinds)
    paths = _split_paths(path, count)
    read = [part if other == path else _read_part(other, arrays) for other in paths]
    for number, (other, one) in enumerate(zip(paths, read, strict=True)):
        if (_count(one.metadata, "split.no"), _count(one.metadata, "split.count")) != (number, count):
            raise refusal(other, f"it isn't part {number + 1} of {count}, as its name says")
    tensors = tuple(tensor for one in read for tensor in one.tensors)
    said = _count(read[0].metadata, "split.tensors.count")
    if said and said != len(tensors):
        raise refusal(path, f"its {count} parts hold {len(tensors)} tensors, not the {said} that it announces")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise refusal(path, "two of its parts hold a tensor of the same name")
    return Header(path, tuple(paths), read[0].metadata, tensors, read[0].kinds)


def _count(metadata: Mapping[str, object], key: str) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) else 0


def _split_paths(path: Path, count: int) -> list[Path]:
    """The parts of a split model, by the names that llama.cpp gives them: NAME-00001-of-00003.gguf."""
    match = _SPLIT_NAME.match(path.name)
    if match is None or int(match[3]) != count or count > _MOST_PARTS:
        raise refusal(
            path,
            f"it is one of {count} parts, but isn't named as such",
            f"Name the parts NAME-00001-of-{min(count, 99_999):05}.gguf and so on, in one folder.",
        )
    paths = [path.with_name(f"{match[1]}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    missing = [other.name for other in paths if not other.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more are missing" if len(missing) > 1 else " is missing"
        raise refusal(path, f"it is one of {count} parts, and {missing[0]}{more}", "Get the missing part too.")
    return paths


@dataclass(frozen=True)
class _Part:
    metadata: dict[str, object]
    tensors: tuple[Tensor, ...]
    kinds: dict[str, str]


def _read_part(path: Path, arrays: Collection[str]) -> _Part:
    check_start(path)
    try:
        with path.open("rb") as file:
            reader = _Reader(file, path.stat().st_size)
            return _parse(reader, arrays)
    except OSError as error:
        raise refusal(path, f"it can't be read ({error.strerror or error})", "Check its permissions.") from error
    except ValueError as error:
        raise refusal(path, str(error)) from error


def _parse(reader: _Reader, arrays: Collection[str]) -> _Part:
    """The whole header; ``ValueError`` with a clause that says what is wrong."""
    _, _, tensor_count, pair_count = reader.unpack("<4sIQQ")
    if tensor_count > _MOST_TENSORS:
        raise ValueError(f"it claims to hold {tensor_count} tensors")
    if pair_count > _MOST_PAIRS:
        raise ValueError(f"it claims to hold {pair_count} metadata entries")
    metadata: dict[str, object] = {}
    kinds: dict[str, str] = {}
    for _ in range(pair_count):
        key = reader.string("the name of a metadata entry")
        if key in metadata:
            raise ValueError(f"it has the metadata entry {key!r:.80} twice")
        kinds[key], metadata[key] = _value(reader, key, key in arrays)
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise ValueError(f"its alignment is {alignment!r:.80}, which is no power of two")
    placed = [_tensor(reader) for _ in range(tensor_count)]
    _check_places(placed, -reader.position % alignment + reader.position, reader.size)
    return _Part(metadata, tuple(tensor for tensor, _ in placed), kinds)


def _value(reader: _Reader, key: str, wanted: bool) -> tuple[str, object]:
    """The kind and value of a metadata entry."""
    (kind,) = reader.unpack("<I")
    if kind == _STRING:
        return "string", reader.string(key)
    if kind in _SCALARS:
        name, letter = _SCALARS[kind]
        (value,) = reader.unpack("<" + letter)
        return name, value
    if kind == _ARRAY:
        return "array", _array(reader, key, wanted)
    raise ValueError(f"its metadata entry {key!r:.80} has the unknown type {kind}")


def _array(reader: _Reader, key: str, wanted: bool) -> object:
    kind, length = reader.unpack("<IQ")
    if kind != _STRING and kind not in _SCALARS:
        raise ValueError(f"its metadata entry {key!r:.80} is an array of the unknown type {kind}")
    if length > _MOST_ENTRIES:
        raise ValueError(f"its metadata entry {key!r:.80} claims to have {length} entries")
    if kind == _STRING:
        if wanted or length <= _SHORT_ARRAY:
            return tuple(reader.string(key) for _ in range(length))
        reader.skip_strings(length)
        return LongArray("string", length)
    name, letter = _SCALARS[kind]
    if wanted or length <= _SHORT_ARRAY:
        return reader.unpack(f"<{length}{letter}")
    reader.skip(length * struct.calcsize("<" + letter))
    return LongArray(name, length)


def _tensor(reader: _Reader) -> tuple[Tensor, int]:
    """The next tensor, and where in the data it begins."""
    name = reader.string("the name of a tensor")
    (dimensions,) = reader.unpack("<I")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise ValueError(f"its tensor {name!r:.80} has {dimensions} dimensions")
    *shape, kind, offset = reader.unpack(f"<{dimensions}QIQ")
    if kind not in TENSOR_TYPES:
        raise ValueError(f"its tensor {name!r:.80} has the unknown type {kind}")
    label, block, block_bytes = TENSOR_TYPES[kind]
    weights = math.prod(shape)
    if not 0 < weights < 1 << 63 or shape[0] % block:
        raise ValueError(f"its tensor {name!r:.80} of type {label} can't have the shape {shape}")
    return Tensor(name, tuple(shape), label, weights // block * block_bytes), offset


def _check_places(placed: list[tuple[Tensor, int]], start: int, size: int) -> None:
    """Refuse tensors of one name, in one place, or beyond the file's end."""
    if len({tensor.name for tensor, _ in placed}) != len(placed):
        raise ValueError("two of its tensors have the same name")
    placed = sorted(placed, key=lambda one: one[1])
    for (tensor, offset), (following, next_offset) in pairwise(placed):
        if offset + tensor.bytes > next_offset:
            raise ValueError(f"its tensors {tensor.name!r:.80} and {following.name!r:.80} overlap")
    if placed and start + placed[-1][1] + placed[-1][0].bytes > size:
        tensor, offset = placed[-1]
        needed = start + offset + tensor.bytes
        raise ValueError(f"it is cut short: {tensor.name!r:.80} ends at byte {needed}, the file at {size}")


class _Reader:
    """Reads a file from its beginning, a growing buffer of it at a time; ``size`` is the file's."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self.position = 0
        self._file = file
        self._data = bytearray()

    def unpack(self, layout: str) -> tuple[int, ...]:
        """The values that ``struct`` finds for ``layout``."""
        count = struct.calcsize(layout)
        self._need(count)
        values = struct.unpack_from(layout, self._data, self.position)
        self.position += count
        return values

    def string(self, what: str) -> str:
        """A string behind its length; ``what`` names it in an error."""
        (length,) = self.unpack("<Q")
        if length > self.size - self.position:
            raise ValueError(f"{what!r:.80} claims to be {length} bytes long, more than is left of the file")
        self._need(length)
        text = self._data[self.position : self.position + length].decode("utf-8", "replace")
        self.position += length
        return text

    def skip(self, count: int) -> None:
        """Move on by ``count`` bytes."""
        self._need(count)
        self.position += count

    def skip_strings(self, count: int) -> None:
        """Move on behind ``count`` strings, as fast as Python can: a vocabulary has 130,000, and as many merges."""
        unpack, data, position = _LENGTH.unpack_from, self._data, self.position
        strings = repeat(None, count)
        while True:
            try:
                for _ in strings:
                    position += 8 + unpack(data, position)[0]
            except (struct.error, OverflowError):  # the buffer's end: this string, the next ones after it
                self.position = position
                self._need(8)
                position += 8 + unpack(data, position)[0]
            else:
                self.position = position
                self._need(0)
                return

    def _need(self, count: int) -> None:
        """Have ``count`` bytes from the position on in the buffer."""
        end = self.position + count
        if end > self.size:
            raise ValueError("it ends in the middle of its header")
        if end > _MOST_HEADER_BYTES:
            raise ValueError(f"its header is longer than {_MOST_HEADER_BYTES >> 20} MiB")
        while len(self._data) < end:
            read = self._file.read(max(end - len(self._data), _FIRST_READ_BYTES))
            if not read:
                raise ValueError("it ends in the middle of its header")
            self._data += read
