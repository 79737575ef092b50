"""What is read in a GGUF file, and what is said of a file that isn't one."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
from models_support import write_gguf

from lsp.errors import MidlineError
from lsp.models.catalogue import DEFAULT_MODEL
from lsp.models.gguf import FimTokens, inspect_gguf
from lsp.models.store import InstalledModel


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return buffer.getvalue()


SAFETENSORS_HEADER = b'{"weight":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'

NOT_GGUF = {
    "empty": (b"", "it is empty"),
    "zip": (zip_bytes(), "ZIP archive"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "safetensors": (len(SAFETENSORS_HEADER).to_bytes(8, "little") + SAFETENSORS_HEADER + b"\0\0", "safetensors"),
    "pickle": (pickle.dumps({"a": 1}), "Python pickle"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(20), "compressed with gzip"),
    "ggjt": (b"tjgg" + bytes(40), "GGJT"),
    "zeros": (bytes(8192), "begins with zeros"),
    "text": ("import this  # 你好\n".encode() * 300, "it is a text file"),
    "noise": (b"\xff\xfe\xfd\xfc" * 20, "ff fe fd fc"),
    "wrong magic": (b"GGUX\x03\x00\x00\x00" + bytes(40), "it doesn't begin with GGUF"),
    "cut header": (b"GGUF\x03\x00", "in the middle of its header"),
    "version 1": (b"GGUF" + (1).to_bytes(4, "little") + bytes(40), "version 1"),
    "version 99": (b"GGUF" + (99).to_bytes(4, "little") + bytes(40), "version 99"),
    "big-endian": (b"GGUF" + (3).to_bytes(4, "big") + bytes(40), "big-endian"),
}


@pytest.mark.parametrize("kind", NOT_GGUF)
def test_other_files_are_refused_by_what_they_are(kind: str, tmp_path: Path) -> None:
    data, reason = NOT_GGUF[kind]
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(MidlineError) as caught:
        inspect_gguf(path)
    assert reason in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.cure


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MidlineError, match="There is no file"):
        inspect_gguf(tmp_path / "none.gguf")
    with pytest.raises(MidlineError, match="it is a folder"):
        inspect_gguf(tmp_path)


def test_metadata_of_a_fim_model(tmp_path: Path) -> None:
    info = inspect_gguf(write_gguf(tmp_path / "tiny.gguf"))
    assert info.architecture == "llama"
    assert info.name == "Tiny"
    assert info.licence == "mit"
    assert info.quantization == "F16"
    assert (info.context_length, info.layers, info.embedding, info.vocabulary) == (64, 1, 32, 42)
    assert info.parameters == 2 * 42 * 32
    assert info.fim == FimTokens(37, 38, 39, 40, 41, family="Qwen-Coder", layouts=("psm",), sure=False)
    assert info.chat_template
    assert info.parts == 1


def test_a_model_without_fim_tokens_says_so(tmp_path: Path) -> None:
    info = inspect_gguf(write_gguf(tmp_path / "tiny.gguf", fim=False, chat=False))
    assert info.fim is None
    assert not info.chat_template


@pytest.mark.parametrize("lost", [1, 6500], ids=["the last byte", "all but some metadata"])
def test_a_truncated_model_is_refused(lost: int, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    data = path.read_bytes()
    path.write_bytes(data[:-lost])
    with pytest.raises(MidlineError, match=r"cut short or corrupt|exceeds remaining file size"):
        inspect_gguf(path)


def test_corrupt_metadata_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    data = bytearray(path.read_bytes())
    data[24:32] = b"\xff" * 8  # the length of the first key
    path.write_bytes(data)
    with pytest.raises(MidlineError, match=r"isn't a usable GGUF model: .*length"):
        inspect_gguf(path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"weights": False}, "no weights"), ({"layers": None}, r"lacks llama\.block_count")],
    ids=["vocabulary only", "a key missing"],
)
def test_a_gguf_that_holds_no_model_is_refused(options: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "odd.gguf", **options)  # type: ignore[arg-type]
    with pytest.raises(MidlineError, match=reason):
        inspect_gguf(path)


def test_an_unknown_architecture_asks_for_a_newer_midline(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", b"lluma"))
    with pytest.raises(MidlineError, match="unknown model architecture: 'lluma'") as caught:
        inspect_gguf(path)
    assert "newer midline" in caught.value.cure


def test_a_file_in_the_current_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "llama_cpp.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    assert inspect_gguf(write_gguf(tmp_path / "tiny.gguf")).name == "Tiny"


def test_a_crash_while_reading_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "sitecustomize.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MidlineError, match="crashed reading it \\(SIGSEGV\\)"):
        inspect_gguf(path)


def test_a_hang_while_reading_is_told(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(MidlineError, match="didn't finish"):
        inspect_gguf(path, timeout=0)


@pytest.mark.model
def test_the_default_model_is_what_the_catalogue_says(installed_model: InstalledModel) -> None:
    assert installed_model.sha256 == DEFAULT_MODEL.sha256
    assert installed_model.path.stat().st_size == DEFAULT_MODEL.bytes
    info = inspect_gguf(installed_model.path)
    assert (info.architecture, info.context_length, info.layers) == ("qwen2", 32768, 24)
    assert info.parameters == DEFAULT_MODEL.parameters
    assert info.quantization == DEFAULT_MODEL.quantization
    assert info.fim == FimTokens(151659, 151661, 151660, 151664, 151663, "Qwen-Coder", ("psm",), sure=True)
    assert (info.fim is not None, info.chat_template) == (DEFAULT_MODEL.fim, DEFAULT_MODEL.chat)
