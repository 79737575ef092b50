"""What is read of a GGUF's header, and that nothing a file claims is believed."""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp._ggml import libggml
from published_shapes import MODELS, Published, write_published
from tiny_gguf import write_tiny_gguf

from lsp.engine.planning.shape import shape_of
from lsp.errors import MidlineError
from lsp.models.header import TENSOR_TYPES, LongArray, read_header

UINT32, STRING, ARRAY = 4, 8, 9
Tensor = tuple[bytes, tuple[int, ...], int, int]
F32 = 0


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int = F32, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def header(pairs: list[bytes], tensors: list[bytes], *, data: int = 4096) -> bytes:
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs + tensors)
    return start + bytes(-len(start) % 32) + bytes(data)


ONE = tensor(b"a", (8, 2))
BAD = {
    "tensors": (b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0), "claims to hold 1099511627776 tensors"),
    "negative tensors": (b"GGUF" + struct.pack("<IqQ", 3, -1, 0), "claims to hold 18446744073709551615 tensors"),
    "entries": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 63), "claims to hold 9223372036854775808 metadata"),
    "many tensors that aren't there": (b"GGUF" + struct.pack("<IQQ", 3, 100_000, 0), "middle of its header"),
    "a key of 2^63 bytes": (header([struct.pack("<Q", 1 << 63)], []), "9223372036854775808 bytes long"),
    "a string of 2^63 bytes": (header([pair(b"k", STRING, struct.pack("<Q", 1 << 63))], []), "'k' claims"),
    "an array of 2^63 entries": (header([pair(b"k", ARRAY, struct.pack("<IQ", STRING, 1 << 63))], []), "entries"),
    "an array of 4 million that ends": (
        header([pair(b"k", ARRAY, struct.pack("<IQ", 12, 4_000_000))], []),
        "middle of its header",
    ),
    "a long array with a string of 2^63 bytes": (
        header([pair(b"k", ARRAY, struct.pack("<IQ", STRING, 9999) + struct.pack("<Q", 1 << 63))], []),
        "middle of its header",
    ),
    "an array of arrays": (header([pair(b"k", ARRAY, struct.pack("<IQ", ARRAY, 1))], []), "unknown type 9"),
    "a type of metadata": (header([pair(b"k", 99, b"")], []), "unknown type 99"),
    "a key twice": (header([pair(b"k", UINT32, bytes(4))] * 2, []), "'k' twice"),
    "an alignment of 0": (header([pair(b"general.alignment", UINT32, bytes(4))], [ONE]), "no power of two"),
    "an alignment of 3": (header([pair(b"general.alignment", UINT32, b"\3\0\0\0")], [ONE]), "no power of two"),
    "no dimensions": (header([], [tensor(b"a", ())]), "has 0 dimensions"),
    "5 dimensions": (header([], [tensor(b"a", (1, 1, 1, 1, 1))]), "has 5 dimensions"),
    "2^32 dimensions": (header([], [text(b"a") + b"\xff" * 4]), "has 4294967295 dimensions"),
    "a shape of nothing": (header([], [tensor(b"a", (4, 0))]), "can't have the shape [4, 0]"),
    "a shape of 2^63": (header([], [tensor(b"a", (1 << 32, 1 << 31))]), "can't have the shape"),
    "a type of tensor": (header([], [tensor(b"a", (256,), 31)]), "unknown type 31"),
    "half a block": (header([], [tensor(b"a", (128, 2), 12)]), "of type Q4_K can't have the shape [128, 2]"),
    "overlapping tensors": (header([], [ONE, tensor(b"b", (8,), F32, 32)]), "'a' and 'b' overlap"),
    "two tensors of a name": (header([], [ONE, tensor(b"a", (8,), F32, 64)]), "same name"),
    "a tensor beyond the end": (header([], [tensor(b"a", (2048,))]), "cut short: 'a' ends at byte"),
    "a tensor at 2^63": (header([], [tensor(b"a", (8,), F32, 1 << 63)]), "cut short: 'a' ends at byte"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_is_named(kind: str, tmp_path: Path) -> None:
    data, reason = BAD[kind]
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(MidlineError) as caught:
        read_header(path)
    assert reason in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.cure


def test_other_files_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MidlineError, match="There is no file"):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(MidlineError, match="it is a folder"):
        read_header(tmp_path)
    path = tmp_path / "text.gguf"
    path.write_text("not a model\n" * 99)
    with pytest.raises(MidlineError, match="it is a text file"):
        read_header(path)


def test_metadata_and_tensors_are_those_that_were_written(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "model.gguf", "hybrid")
    read, told = read_header(path), gguf.GGUFReader(path)
    assert {one.name: (one.shape, one.bytes) for one in read.tensors} == {
        one.name: (tuple(map(int, one.shape)), one.n_bytes) for one in told.tensors
    }
    assert {one.type for one in read.tensors} == {"F32"}
    assert read.metadata["jamba.context_length"] == 4096
    assert read.metadata["jamba.attention.head_count_kv"] == (0, 2, 0, 2)
    assert read.parts == (path,)


def test_long_arrays_are_read_if_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    tokens = [f"token {i} 词" for i in range(70_000)]
    writer.add_token_list(tokens)
    writer.add_token_scores([0.5] * 600)
    writer.add_array("tags", ["one", "two"])
    writer.add_tensor("a", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = read_header(path)
    assert read.metadata["tokenizer.ggml.tokens"] == LongArray("string", 70_000)
    assert read.metadata["tokenizer.ggml.scores"] == LongArray("float32", 600)
    assert read.metadata["tags"] == ("one", "two")
    assert [one.name for one in read.tensors] == ["a"]
    assert read_header(path, arrays=["tokenizer.ggml.tokens"]).metadata["tokenizer.ggml.tokens"] == tuple(tokens)


def test_the_sizes_of_types_are_llama_cpps() -> None:
    libggml.ggml_type_size.restype = libggml.ggml_blck_size.restype = libggml.ggml_row_size.restype = int
    for number, (name, block, size) in TENSOR_TYPES.items():
        assert (libggml.ggml_blck_size(number), libggml.ggml_type_size(number)) == (block, size), name


def split(path: Path, number: int, count: int, names: list[bytes], total: int | None = None) -> Path:
    pairs = [
        pair(b"split.no", 2, struct.pack("<H", number)),
        pair(b"split.count", 2, struct.pack("<H", count)),
        pair(b"split.tensors.count", 5, struct.pack("<i", total if total is not None else 3)),
        pair(b"part", UINT32, struct.pack("<I", number)),
    ]
    tensors = [tensor(name, (8,), F32, 32 * i) for i, name in enumerate(names)]
    path.write_bytes(header(pairs, tensors))
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    names = [[b"a"], [b"b"], [b"c"]]
    return [split(tmp_path / f"m-{i + 1:05}-of-00003.gguf", i, 3, names[i]) for i in range(3)]


def test_a_split_model_is_one(parts: list[Path]) -> None:
    for path in parts:
        read = read_header(path)
        assert read.path == path
        assert read.parts == tuple(parts)
        assert [one.name for one in read.tensors] == ["a", "b", "c"]
        assert read.metadata["part"] == 0


def test_a_split_model_that_is_not_whole_is_refused(parts: list[Path], tmp_path: Path) -> None:
    parts[1].unlink()
    with pytest.raises(MidlineError, match=r"m-00002-of-00003\.gguf is missing"):
        read_header(parts[0])
    split(parts[1], 2, 3, [b"b"])
    with pytest.raises(MidlineError, match="isn't part 2 of 3, as its name says"):
        read_header(parts[0])
    split(parts[1], 1, 3, [b"b", b"d"])
    with pytest.raises(MidlineError, match="hold 4 tensors, not the 3"):
        read_header(parts[0])
    split(parts[1], 1, 3, [b"a"])
    with pytest.raises(MidlineError, match="a tensor of the same name"):
        read_header(parts[0])
    other = shutil.copy(parts[0], tmp_path / "renamed.gguf")
    with pytest.raises(MidlineError, match="isn't named as such"):
        read_header(Path(other))


WHOLE = header(
    [
        pair(b"general.architecture", STRING, text(b"llama")),
        pair(b"llama.block_count", UINT32, struct.pack("<I", 1)),
        pair(b"words", ARRAY, struct.pack("<IQ", STRING, 600) + text(b"word") * 600),
    ],
    [tensor(b"token_embd.weight", (8, 2)), tensor(b"blk.0.attn_k.weight", (8, 8), F32, 64)],
)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_refused_or_harmless(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytes changed anywhere, and the end cut off: it is a header, or the reason why not; and so is its shape."""
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    damaged = bytearray(WHOLE)
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, 400) | st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6)
    ):
        damaged[place] = value
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))])
    try:
        read = read_header(path)
        shape = shape_of(read)
    except MidlineError as error:
        assert error.message
        assert error.cure
    else:
        assert sum(one.bytes for one in read.tensors) <= len(WHOLE)
        assert shape.weights == sum(one.bytes for one in read.tensors)


# As their makers give them, in billions; of Gemma-2 without the embedding's second use.
PARAMETERS = {
    "Qwen2.5-Coder-7B": 7.61,
    "Qwen2.5-Coder-14B": 14.7,
    "Qwen2.5-Coder-32B": 32.5,
    "Llama-3.1-8B": 8.03,
    "Llama-3.1-70B": 70.6,
    "Mixtral-8x7B": 46.7,
    "Qwen3-Coder-30B-A3B": 30.5,
    "DeepSeek-Coder-V2-Lite": 15.7,
    "DeepSeek-V3": 671,
    "Gemma-2-9B": 9.24,
    "Codestral-22B": 22.2,
    "gpt-oss-20b": 20.9,
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_published_shapes_have_the_published_number_of_weights(model: Published, tmp_path: Path) -> None:
    read = read_header(write_published(tmp_path / "model.gguf", model))
    weights = sum(math.prod(one.shape) for one in read.tensors)
    assert weights == pytest.approx(PARAMETERS[model.name] * 1e9, rel=0.01)
    assert shape_of(read).weights == sum(one.bytes for one in read.tensors)
