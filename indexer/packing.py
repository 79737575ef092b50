"""What the store keeps of a content, as blobs and back. Packing is work, so it is done where the digest is made."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from indexer.chunk import Chunk, Definition, Import, Outline, split_lines
from indexer.digest import Record
from indexer.rows import Rows

_ROW_TYPES: dict[str, Any] = {
    "vectors": np.int8,
    "scales": np.float32,
    "terms": np.uint32,
    "frequencies": np.uint8,
    "term_counts": np.uint32,
    "lengths": np.uint32,
    "kinds": np.uint8,
    "symbols": np.uint8,
    "symbol_sizes": np.uint16,
}
ROW_COLUMNS = ", ".join(_ROW_TYPES)
"""What a content's chunks are searched by."""

COLUMNS = f"imports, outline, text, {ROW_COLUMNS}"
"""Of all blobs, in the order of `Packed.blobs`."""


@dataclass(frozen=True)
class Packed:
    """A record as the store keeps it, made where the record was: packing is work, and inserting is not."""

    definitions: tuple[str, ...]
    chunks: int
    blobs: tuple[bytes, ...]
    """In the order of the columns, from ``imports`` on."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk stands."""

    start_line: int
    """From 1."""
    end_line: int
    """Inclusive."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """An outline without the texts."""

    language: str
    chunks: tuple[Span, ...] = ()
    definitions: tuple[Definition, ...] = ()
    imports: tuple[Import, ...] = ()


class _RawOutline(msgspec.Struct):
    """An outline whose chunks are still packed."""

    chunks: list[msgspec.Raw]


_packer = msgspec.msgpack.Encoder()
_imports = msgspec.msgpack.Decoder(tuple[Import, ...])
_outlines = msgspec.msgpack.Decoder(Outline)
_chunks = msgspec.msgpack.Decoder(Chunk)
_raw_outlines = msgspec.msgpack.Decoder(_RawOutline)
_sketches = msgspec.msgpack.Decoder(Sketch)  # passes over the fields that it doesn't know


def pack(record: Record) -> Packed:
    """The record as blobs. Chunks that are plain lines of the text are not kept twice."""
    lines = split_lines(record.text)
    chunks = tuple(
        replace(chunk, text="") if chunk.text == _between(lines, chunk) else chunk for chunk in record.outline.chunks
    )
    arrays: list[NDArray[Any]] = [getattr(record.rows, column) for column in _ROW_TYPES]
    return Packed(
        tuple(definition.name for definition in record.outline.definitions),
        len(chunks),
        (
            _packer.encode(record.outline.imports),
            _packer.encode(replace(record.outline, chunks=chunks)),  # packed tighter, searches would unpack it
            zlib.compress(record.text.encode("utf-8", "surrogatepass"), 1),
            *(array.tobytes() for array in arrays),
        ),
    )


def outline_of(packed_outline: bytes, packed_text: bytes) -> tuple[Outline, str]:
    """The outline and the text of two blobs."""
    outline = _outlines.decode(packed_outline)
    text = text_of(packed_text)
    lines = split_lines(text)
    return replace(outline, chunks=tuple(with_text(chunk, lines) for chunk in outline.chunks)), text


def chunk_of(packed_outline: bytes, number: int) -> Chunk:
    """One of an outline's chunks, without its text where that is plain lines of the file's.

    Raises:
        IndexError: there is no such chunk.
    """
    return _chunks.decode(_raw_outlines.decode(packed_outline).chunks[number])


def sketch_of(packed_outline: bytes) -> Sketch:
    """An outline without its texts."""
    return _sketches.decode(packed_outline)


def text_of(packed_text: bytes) -> str:
    """A file's text."""
    return zlib.decompress(packed_text).decode("utf-8", "surrogatepass")


def imports_of(packed: bytes) -> tuple[Import, ...]:
    """A file's imports."""
    return _imports.decode(packed)


def with_text(chunk: Chunk, lines: Sequence[str]) -> Chunk:
    """The chunk with its text, taken from the file's lines where it has none of its own."""
    return chunk if chunk.text else replace(chunk, text=_between(lines, chunk))


def _between(lines: Sequence[str], chunk: Chunk) -> str:
    return "\n".join(lines[chunk.start_line - 1 : chunk.end_line])


def rows_of(blobs: Sequence[bytes]) -> Rows:
    """The rows of the blobs of `ROW_COLUMNS`."""
    arrays = {
        column: np.frombuffer(blob, dtype) for (column, dtype), blob in zip(_ROW_TYPES.items(), blobs, strict=True)
    }
    n = len(arrays["scales"])
    arrays["vectors"] = arrays["vectors"].reshape(n, len(arrays["vectors"]) // n if n else 0)
    return Rows(**arrays)
